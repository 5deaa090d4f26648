"""processes: worker processes run what Python functions can't run side by side under the GIL.

    calling thread  -> order, runs of items ->  pipe of each worker  -> gilfree.child
                    <- answers, run by run  <-

The calling thread hands out the runs itself, over two pipes to each worker, so that it always knows which
worker has what: when one dies, the items it had are named and all others are kept; when the call is stopped,
its workers alone are killed. (An executor with one queue for all, as that of loky or the standard library,
breaks as a whole: items below the failing one would be lost, or run twice.) Workers are fresh interpreters
that import nothing of __main__: no guard is needed, nothing is forked. They are kept for the next call, and
end with this process, however it ends.
"""

import atexit
import os
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import Any

from gilfree import _core, child, fingerprint, transport
from gilfree.locked import locked
from gilfree.loop import Call, Loop, Run

AIM = 4e-3  # seconds a run should take: enough to forget what sending it cost
SOON = 0.05  # seconds in which a worker that is no longer wanted may end its run and live on
LOOK_EVERY = 0.5  # at workers whose death their pipe does not tell: another process may hold it

_START = """\
import sys
sys.path[:] = {path!r}
from gilfree.child import main
main({tasks}, {answers})
"""


# ---- a worker -----------------------------------------------------------------------------------------


class WorkerDied(Exception):  # noqa: N818 - an event, and no error before it is known what it had
    """Where a worker is told to do something, and is gone."""


class Worker:
    """A worker process, as its parent sees it."""

    def __init__(self) -> None:
        if not sys.executable:
            raise RuntimeError(
                "sys.executable is empty: this Python is part of another program, and no worker process can "
                "be started; accepted: backend='threads' or 'serial'"
            )
        tasks, self._tasks = transport.pipe()
        try:
            self.answers, answers = transport.pipe()
        except BaseException:
            os.close(tasks)
            os.close(self._tasks)
            raise
        transport.widen(tasks)
        transport.widen(answers)
        code = _START.format(path=import_path(), tasks=tasks, answers=answers)
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined] # -W, -O, ...
        # Ctrl-C must not find the worker before it can handle it: until then it is blocked there.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process = subprocess.Popen(
                [sys.executable, *flags, "-c", code], stdin=subprocess.DEVNULL, pass_fds=(tasks, answers)
            )
        except BaseException:
            os.close(self._tasks)
            os.close(self.answers)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(tasks)
            os.close(answers)
        self.is_up = False
        self._code: dict[tuple[str, str], bytes] = {}  # that it has imported, as it was here then
        self._place: child.Place | None = None
        self.runs: deque[tuple[Run, int]] = deque()  # sent and not answered, with their bytes
        self._held: bytes | None = None
        self.last_seconds = 0.0

    def send(self, message: bytes) -> None:
        try:
            transport.write(self._tasks, message)
        except BrokenPipeError:
            raise WorkerDied from None

    def receive(self) -> Any:
        """The next answer; None if it is the word that the worker is up."""
        try:
            data = transport.read(self.answers)
        except EOFError:
            raise WorkerDied from None
        if self.is_up:
            return transport.loads(data)
        self.is_up = True
        return None

    def is_stale(self, code: dict[tuple[str, str], bytes]) -> bool:
        """Has it imported a function that has changed since, by reload() say?"""
        return any(self._code.get(name, digest) != digest for name, digest in code.items())

    def begin(self, order: bytes, place: child.Place, code: dict[tuple[str, str], bytes]) -> None:
        self._code |= code
        if place != self._place:
            self._place = place
            self.send(b"P" + transport.dumps(place))
        self.last_seconds = 0.0
        self.send(order)

    def takes_ahead(self) -> bool:
        """May a run be handed out while another is running? Only if they are short."""
        return len(self.runs) == 1 and 0 < self.last_seconds < 2 * AIM

    def send_run(self, run: Run, message: bytes) -> None:
        """Two runs are under way at most. Both must fit into the pipe: while the worker waits for its answer
        to be read it reads nothing. One that does not is held back until the answer is there."""
        before = self.runs[0][1] if self.runs else 0
        self.runs.append((run, len(message)))
        if before and before + len(message) > transport.HELD_BY_A_PIPE:
            self._held = message
        else:
            self.send(message)

    def send_held(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            self.send(held)

    def close(self) -> None:
        """The pipes, which ends an idle worker."""
        os.close(self._tasks)
        os.close(self.answers)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.close()

    def how_it_ended(self) -> str:
        code = self.process.wait()
        self.close()
        if code >= 0:
            return f"worker process {self.process.pid} ended with exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = ", as when memory runs out" if -code == signal.SIGKILL else ""
        return f"worker process {self.process.pid} was killed by {name}{hint}"


# ---- the pool -----------------------------------------------------------------------------------------


class Pool:
    """The workers of this process: those idle, and how many there are."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._leaving: list[Worker] = []  # told to end

    @locked
    def take(self, count: int, staff: list[Worker]) -> None:
        """Add so many workers to `staff`, or as many as are not at work for others; but one at least,
        started if need be."""
        self._bury_idle()
        for number in range(count):
            if self._idle:
                worker = self._idle.pop(0)
            elif number == 0 or len(self._busy) < count:
                worker = Worker()
            else:
                break
            self._busy.add(worker)
            staff.append(worker)

    def _bury_idle(self) -> None:
        """Those that died."""
        for worker in self._idle[:]:
            if worker.process.poll() is not None:
                self._idle.remove(worker)
                worker.close()

    @locked
    def give_back(self, workers: list[Worker]) -> None:
        self._busy.difference_update(workers)
        # Those used last are used next; what calls of many threads needed at once is not kept for ever.
        alive = [worker for worker in workers if worker.process.returncode is None]
        idle = alive + self._idle
        keep = max(_core.pool()["workers"], len(workers))
        self._idle = idle[:keep]
        for worker in idle[keep:]:
            worker.close()
        self._leaving = [worker for worker in self._leaving + idle[keep:] if worker.process.poll() is None]

    @locked
    def warm(self, count: int) -> None:
        self._bury_idle()
        while len(self._idle) + len(self._busy) < count:
            self._idle.append(Worker())

    @locked
    def up(self) -> int:
        for worker in self._idle:
            if not worker.is_up and select.select([worker.answers], [], [], 0)[0]:
                with suppress(WorkerDied):  # it is found dead later on
                    worker.receive()
        return sum(worker.is_up for worker in self._idle)

    @locked
    def _empty(self) -> tuple[list[Worker], set[Worker]]:
        """The idle and the busy workers, which the pool then knows no more."""
        idle, self._idle = self._idle, []
        busy, self._busy = self._busy, set()
        return idle, busy

    def close(self) -> None:
        """At exit. What daemon threads still run in workers is killed."""
        idle, busy = self._empty()
        for worker in busy:
            worker.process.kill()
        for worker in idle:
            worker.close()
        deadline = monotonic() + 1
        for worker in idle + self._leaving:
            try:
                worker.process.wait(max(0.0, deadline - monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
        for worker in [*idle, *self._leaving, *busy]:
            worker.process.wait()

    def forget(self) -> None:
        """In the child of a fork: the workers are the parent's."""
        for worker in [*self._idle, *self._busy]:
            worker.close()
        for worker in [*self._idle, *self._busy, *self._leaving]:
            worker.process.returncode = 0  # nothing to wait for
        self.__init__()  # type: ignore[misc] # with a lock that no thread of the parent's holds


_pool = Pool()
atexit.register(_pool.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forget)


def is_warm(workers: int) -> bool:
    """Are so many workers up, waiting for work?"""
    return _pool.up() >= workers


def warm(workers: int) -> None:
    """Start what is missing of so many workers, without waiting for them."""
    _pool.warm(workers)


# ---- a call -------------------------------------------------------------------------------------------


def map(call: Call, /) -> Any:
    if type(call.fn) is _core.Kernel:
        raise TypeError(
            f"fn is {call.fn!r}; backend 'processes' accepts a function in Python: a kernel runs on backend "
            "'native', on all cores without another process"
        )
    return Loop(call).complete(run)


def work(loop: Loop, /) -> None:
    """For backend="auto": the items that are left, unless a worker has another function by that name.

    RefusedError if no worker takes part: what is left can be run elsewhere.
    """
    run(loop, fingerprint.of(loop.fn))


def run(loop: Loop, wanted: bytes | None = None) -> None:
    order = b"C" + transport.dumps(order_of(loop, wanted))
    if loop.is_empty():
        return
    loop.look()
    count = loop.workers if loop.total is None else min(loop.workers, loop.total - loop.next)
    workers: list[Worker] = []
    try:
        _pool.take(max(count, 1), workers)
        Dispatch(loop, workers, order).run()
    except child.RefusedError:
        raise
    except BaseException:
        loop.abandon()
        for worker in workers:
            if worker.runs and worker.process.returncode is None:
                worker.kill()
                worker.runs.clear()
        raise
    finally:
        _pool.give_back(workers)


def place() -> child.Place:
    try:
        folder: str | None = os.getcwd()
    except FileNotFoundError:
        folder = None
    return child.Place(import_path(), folder, dict(os.environb), list(sys.argv))


def import_path() -> list[str]:
    """Without what is no str, which Python's own import passes over too."""
    return [entry for entry in sys.path if isinstance(entry, str)]


def order_of(loop: Loop, wanted: bytes | None) -> child.Order:
    return child.Order(
        fn=pickled(loop.fn, "fn"),
        initializer=None if loop.call.initializer is None else pickled(loop.call.initializer, "initializer"),
        runner=loop.runner,
        threads=max(1, _core.cpus()["count"] // loop.workers),
        fingerprint=wanted,
    )


def pickled(function: Any, name: str) -> bytes:
    try:
        return transport.dumps(function)
    except Exception as error:
        raise TypeError(
            f"{name} is {function!r}, which can't be sent to a worker process: {error}; accepted: what "
            "cloudpickle can pickle, or backend='threads'"
        ) from error


class Dispatch:
    """One call: runs handed out, answers collected, in the calling thread."""

    def __init__(self, loop: Loop, workers: list[Worker], order: bytes) -> None:
        self._loop = loop
        self._staff = workers  # whom the caller gives back
        self._workers: dict[int, Worker] = {}  # those at work on this call, alive
        self._order = order
        self._place, self._code = place(), fingerprint.imported_code(loop.fn)
        self._ready: set[Worker] = set()  # they have the function
        self._refused: child.RefusedError | None = None
        self._answers = select.poll()
        self._seen_alive = monotonic()

    def run(self) -> None:
        loop = self._loop
        for worker in self._staff[:]:
            self._begin(worker)
        while True:
            ready = [worker for worker in self._workers.values() if worker in self._ready]
            for worker in ready:
                while not worker.runs and self._hand_out(worker):
                    pass
            for worker in ready:
                if worker.takes_ahead():
                    self._hand_out(worker)
            if loop.is_over():
                break
            if self._workers:
                self._collect()
            elif self._refused is not None:
                raise self._refused
            else:  # they died, one of them idle, which has failed no item
                self._hire()
            loop.look()
        self._let_go()

    def _hire(self) -> None:
        _pool.take(1, self._staff)
        self._begin(self._staff[-1])

    def _begin(self, worker: Worker) -> None:
        """Tell it of the call; it says whether it can take part."""
        if worker.is_stale(self._code):
            worker.kill()
            self._hire()
            return
        self._workers[worker.answers] = worker
        self._answers.register(worker.answers, select.POLLIN)
        try:
            worker.begin(self._order, self._place, self._code)
        except WorkerDied:
            self._bury(worker)

    def _begun(self, worker: Worker, refused: child.RefusedError | None) -> None:
        if refused is None:
            self._ready.add(worker)
            return
        self._refused = refused
        self._forget(worker)

    def _forget(self, worker: Worker) -> None:
        self._answers.unregister(worker.answers)
        del self._workers[worker.answers]
        self._ready.discard(worker)

    def _hand_out(self, worker: Worker) -> bool:
        """Send one run. Was there one, though it may have been one that can't be sent?"""
        run = self._loop.claim(AIM)
        if run is None:
            return False
        message = self._pickle(run)
        if message is None:
            return True
        try:
            worker.send_run(run, message)
        except WorkerDied:
            self._bury(worker)
            return False
        return True

    def _pickle(self, run: Run) -> bytes | None:
        """None if there is nothing to send: the first item can't be."""
        try:
            return b"R" + transport.dumps(run.items)
        except Exception as error:
            sendable = number_of_sendable(run.items)
            refused = TypeError(
                f"item {run.begin + sendable} can't be sent to a worker process: {error}; accepted: what "
                "cloudpickle can pickle, or backend='threads'"
            )
        self._loop.fail(run.begin + sendable, refused)
        del run.items[sendable:]
        if run.items:
            return b"R" + transport.dumps(run.items)
        self._loop.finish(run, None, 0.0)
        return None

    def _collect(self) -> None:
        pause = self._loop.pause()
        pause = LOOK_EVERY if pause is None else min(pause, LOOK_EVERY)
        for fd, _ in self._answers.poll(pause * 1000):
            worker = self._workers[fd]
            try:
                self._take_answer(worker)
            except WorkerDied:
                self._bury(worker)
        now = monotonic()
        if now - self._seen_alive > LOOK_EVERY:
            self._seen_alive = now
            for worker in list(self._workers.values()):
                if worker.process.poll() is not None and not select.select([worker.answers], [], [], 0)[0]:
                    self._bury(worker)

    def _take_answer(self, worker: Worker) -> None:
        was_up = worker.is_up
        try:
            message = worker.receive()
        except WorkerDied:
            raise
        except Exception as error:
            results = f"results of {items_of(worker.runs[0][0])}"
            refused = RuntimeError(f"{results} can't be loaded in the calling process: {error!r}")
            message = child.Answer([], refused, 0.0)
        if not was_up:
            return
        if worker not in self._ready:
            self._begun(worker, message)
            return
        answer = child.Answer(*message)
        run, _ = worker.runs.popleft()
        if isinstance(answer.error, child.RefusedError):
            answer = answer._replace(error=RuntimeError(f"{items_of(run)}: {answer.error}"))
        worker.last_seconds = answer.seconds
        child.settle(self._loop, run, answer)
        worker.send_held()

    def _bury(self, worker: Worker) -> None:
        """The worker is dead: what it was running has failed."""
        from concurrent.futures.process import BrokenProcessPool

        self._forget(worker)
        how = worker.how_it_ended()
        if not worker.is_up:
            raise BrokenProcessPool(f"{how} before it could run anything: see what it wrote to stderr")
        while worker.runs:
            run, _ = worker.runs.popleft()
            self._loop.finish(run, BrokenProcessPool(f"{how} while it ran {items_of(run)}"), 0.0)

    def _let_go(self) -> None:
        """Of the workers. Those that still run what is no longer wanted get a moment to end it."""
        deadline = monotonic() + SOON
        while any(worker.runs for worker in self._workers.values()) and monotonic() < deadline:
            self._drain(deadline)
        for worker in self._workers.values():
            # One that has not begun is still loading: it can't be given to another call.
            if worker.runs or worker not in self._ready:
                worker.kill()
                worker.runs.clear()
            else:
                try:
                    worker.send(b"E")
                except WorkerDied:
                    worker.how_it_ended()

    def _drain(self, deadline: float) -> None:
        for fd, _ in self._answers.poll(max(0.0, deadline - monotonic()) * 1000):
            try:
                self._take_answer(self._workers[fd])
            except WorkerDied:
                self._bury(self._workers[fd])


def items_of(run: Run) -> str:
    last = run.begin + len(run.items) - 1
    return f"item {run.begin}" if last == run.begin else f"one of the items {run.begin} to {last}"


def number_of_sendable(items: list[Any]) -> int:
    """How many of the first items can be sent."""
    for index, item in enumerate(items):
        try:
            transport.dumps(item)
        except Exception:
            return index
    return 0
