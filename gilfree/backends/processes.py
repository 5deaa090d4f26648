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
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from time import monotonic
from typing import Any

from gilfree import _core, child, fingerprint, transport
from gilfree.locked import locked
from gilfree.loop import Call, Loop, Run, items_of

AIM = 4e-3  # seconds a run should take: enough to forget what sending it cost
SOON = 0.05  # seconds in which a worker that is no longer wanted may end its run and live on
KILLED_WITHIN = 5.0
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

    tasks = answers = -1

    def __init__(self) -> None:
        if not sys.executable:
            raise RuntimeError(
                "sys.executable is empty: this Python is part of another program, and no worker process can "
                "be started; accepted: backend='threads' or 'serial'"
            )
        tasks, self.tasks = transport.pipe()
        try:
            self.answers, answers = transport.pipe()
        except BaseException:
            os.close(tasks)
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
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(tasks)
            os.close(answers)
        os.set_blocking(self.tasks, False)
        self.is_up = False
        self._modules: fingerprint.Modules = {}  # that it has imported, as they were here then
        self._place: child.Place | None = None
        self._unsent: deque[memoryview] = deque()
        self._acknowledgements = 0  # to come, of calls that are over
        self.runs: deque[Run] = deque()  # sent and not answered
        self.last_seconds = 0.0
        self.staff: Staff | None = None  # that it was taken for last
        self.last_used = 0.0
        self.ends_with_program = False
        self._is_amid = False  # of something that Ctrl-C may have ended halfway

    def __del__(self) -> None:
        """Of one that Ctrl-C kept from the pool, or that could not be started."""
        if hasattr(self, "process") and self.process.returncode is None:
            self.kill()
        self.close()

    def is_idle(self) -> bool:
        """Is it free for another call?"""
        return not self._is_amid and (self.staff is None or self.staff.is_over)

    def send(self, message: bytes) -> None:
        """What the pipe does not take now is left to pump: this process never waits for a busy worker."""
        self._unsent += transport.frames(message)
        self.pump()

    def pump(self) -> None:
        try:
            while self._unsent:
                sent = os.write(self.tasks, self._unsent[0])
                if sent == len(self._unsent[0]):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = self._unsent[0][sent:]
        except BlockingIOError:
            return
        except BrokenPipeError:
            raise WorkerDied from None

    @property
    def is_unsent(self) -> bool:
        return bool(self._unsent)

    def receive(self) -> Any:
        """The next answer of the present call; None if it is not one."""
        try:
            data = transport.read(self.answers)
        except EOFError:
            raise WorkerDied from None
        if not self.is_up:
            self.is_up = True
        elif self._acknowledgements:
            self._acknowledgements -= 1
        else:
            return transport.loads(data)
        return None

    def greet(self) -> None:
        """Take in that it is up."""
        self._is_amid = True
        self.receive()
        self._is_amid = False

    def is_stale(self, modules: fingerprint.Modules) -> bool:
        """Has it imported a module that was loaded again since, by reload() say?"""
        return any(self._modules.get(name, now) is not now for name, now in modules.items())

    def begin(self, order: bytes, place: child.Place, modules: fingerprint.Modules) -> None:
        self._is_amid = True
        self._modules |= modules
        if place != self._place:
            self._place = place
            self.send(b"P" + transport.dumps(place))
        self.last_seconds = 0.0
        self.send(order)

    def end(self, is_ready: bool) -> None:
        """The call is over. If it is not ready, it is still to acknowledge it."""
        self._acknowledgements += not is_ready
        self.send(b"E")
        self._is_amid = False

    def refused(self) -> None:
        """The call is over for it."""
        self._is_amid = False

    def takes_ahead(self) -> bool:
        """May a run be handed out while another is running? Only if they are short."""
        return len(self.runs) == 1 and 0 < self.last_seconds < 2 * AIM

    def send_run(self, run: Run, message: bytes) -> None:
        self.runs.append(run)
        self.send(message)

    def close(self) -> None:
        """The pipes, which ends an idle worker. Nothing if they are closed."""
        fds, self.tasks, self.answers = (self.tasks, self.answers), -1, -1
        for fd in fds:
            if fd >= 0:
                os.close(fd)

    def kill(self) -> None:
        self.process.kill()
        # Without end it could wait for a lock of Popen's that Ctrl-C left held.
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(KILLED_WITHIN)
        self.close()

    def how_it_ended(self) -> str:
        try:
            code = self.process.wait(SOON)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"worker process {self.process.pid} closed its pipes, and was killed"
        self.close()  # not before: it would end one that lives, as if by itself
        if code >= 0:
            return f"worker process {self.process.pid} ended with exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = ", as when memory runs out" if -code == signal.SIGKILL else ""
        return f"worker process {self.process.pid} was killed by {name}{hint}"


# ---- the pool -----------------------------------------------------------------------------------------


class Staff:
    """The workers of one call, until it is over.

    To say so is one assignment. Ctrl-C can come in between any two others: lists of who is at work would not
    be right for ever.
    """

    def __init__(self) -> None:
        self.workers: list[Worker] = []
        self.is_over = False


class Pool:
    """The workers of this process: those idle, and how many there are."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._workers: list[Worker] = []
        self._leaving: list[Worker] = []  # told to end

    @locked
    def take(self, count: int, staff: Staff) -> None:
        """Add so many workers to the staff, or as many as are not at work for others; but one at least,
        started if need be."""
        # Those used last are used next: what calls of many threads needed at once is not kept for ever.
        idle = sorted(self._sweep(), key=lambda worker: worker.last_used)
        busy = sum(worker.process.returncode is None for worker in self._workers) - len(idle)
        for number in range(count):
            if idle:
                worker = idle.pop()
            elif number == 0 or busy < count:
                worker = self._start()
            else:
                break
            busy += 1
            worker.staff = staff
            worker.last_used = monotonic()
            staff.workers.append(worker)

    def _start(self) -> Worker:
        worker = Worker()
        self._workers.append(worker)
        return worker

    def _sweep(self) -> list[Worker]:
        """The idle workers; without those that died, or did not end the last call as it was over."""
        idle = []
        for worker in self._workers[:]:
            if worker.staff is not None and not worker.staff.is_over:
                continue
            if worker.is_idle() and worker.process.poll() is None:
                idle.append(worker)
            else:
                worker.kill()
                self._workers.remove(worker)
        return idle

    @locked
    def trim(self, count: int) -> None:
        """After a call that took so many workers."""
        idle = sorted(self._sweep(), key=lambda worker: -worker.last_used)
        for worker in idle[max(_core.pool()["workers"], count) :]:
            self._leaving.append(worker)
            self._workers.remove(worker)
            worker.close()
        self._leaving = [worker for worker in self._leaving if worker.process.poll() is None]

    @locked
    def warm(self, count: int) -> None:
        self._sweep()
        while len(self._workers) < count:
            self._start()

    @locked
    def up(self) -> int:
        idle = self._sweep()
        for worker in idle:
            if not worker.is_up and is_readable(worker.answers):
                with suppress(WorkerDied):  # it is found dead later on
                    worker.greet()
        return sum(worker.is_up for worker in idle)

    @locked
    def _empty(self) -> list[Worker]:
        """The workers, which the pool then knows no more."""
        workers, self._workers = self._workers, []
        return workers

    def close(self) -> None:
        """At exit. What daemon threads still run in workers is killed."""
        workers = self._empty() + self._leaving
        for worker in workers:
            if worker.is_idle():
                worker.close()
            else:
                worker.ends_with_program = True
                worker.process.kill()
        deadline = monotonic() + 1
        for worker in workers:
            try:
                worker.process.wait(max(0.0, deadline - monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()

    def forget(self) -> None:
        """Without what is its parent's to end."""
        for worker in self._workers + self._leaving:
            worker.close()
            worker.process.returncode = 0  # nothing to wait for


_pool = Pool()


def _close_pool() -> None:
    _pool.close()


def _forget_pool() -> None:
    """In the child of a fork: the workers are the parent's, and its threads may hold the pool's lock."""
    global _pool
    old, _pool = _pool, Pool()
    old.forget()


atexit.register(_close_pool)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


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


def initialize(call: Call) -> None:
    """In a worker process, which is the one process that a call in it has."""
    if call.initializer is not None:
        child.initialize(pickled(call.initializer, "initializer"))


def work(loop: Loop, /) -> None:
    """For backend="auto": the items that are left, unless a worker has another function by that name.

    RefusedError if no worker takes part: what is left can be run elsewhere.
    """
    run(loop, fingerprint.of(loop.fn))


def run(loop: Loop, wanted: bytes | None = None) -> None:
    modules = fingerprint.imported_modules(loop.fn)
    order = b"C" + transport.dumps(order_of(loop, wanted, modules))
    if loop.is_empty():
        return
    loop.look()
    count = loop.workers if loop.total is None else min(loop.workers, loop.total - loop.next)
    staff = Staff()
    dispatch = Dispatch(loop, staff, order, modules, is_auto=wanted is not None)
    try:
        _pool.take(max(count, 1), staff)
        dispatch.run()
        dispatch.let_go()
    except child.RefusedError:
        raise
    except BaseException:
        loop.abandon()
        dispatch.let_go(waits=False)
        raise
    finally:
        staff.is_over = True
        _pool.trim(len(staff.workers))


def place() -> child.Place:
    return child.Place(
        path=import_path(),
        folder=child.current_folder(),
        environment=dict(os.environb),
        arguments=list(sys.argv),
        recursion_limit=sys.getrecursionlimit(),
        digits_limit=sys.get_int_max_str_digits(),
        warnings=pickled_filters(tuple(warning_filters())),
    )


def warning_filters() -> Sequence[Any]:
    """In this context: from Python 3.14 on a catch_warnings may be for it alone."""
    of_context: Callable[[], Sequence[Any]] = getattr(warnings, "_get_filters", lambda: warnings.filters)
    return of_context()


@lru_cache(maxsize=1)
def pickled_filters(filters: tuple[Any, ...]) -> bytes:
    return transport.dumps(list(filters))


def import_path() -> list[str]:
    """Without what is no str, which Python's own import passes over too."""
    return [entry for entry in sys.path if isinstance(entry, str)]


def order_of(loop: Loop, wanted: bytes | None, modules: fingerprint.Modules) -> child.Order:
    return child.Order(
        fn=pickled(loop.fn, "fn"),
        initializer=None if loop.call.initializer is None else pickled(loop.call.initializer, "initializer"),
        runner=loop.runner,
        threads=max(1, _core.cpus()["count"] // loop.workers),
        fingerprint=wanted,
        modules=list(modules),
    )


def pickled(function: Any, name: str) -> bytes:
    try:
        return transport.dumps(function)
    except Exception as error:
        raise TypeError(
            f"{name} is {function!r}, which can't be sent to a worker process: {child.text_of(error)}; "
            "accepted: what cloudpickle can pickle, or backend='threads'"
        ) from error


class Dispatch:
    """One call: runs handed out, answers collected, in the calling thread.

    For backend="auto", what can't be sent or come back is run here: the trial found nothing in this process
    that running it twice would change. If it may be seen elsewhere, in files say, as little as can be is run
    twice: after a result that can't come back, what has not been handed out is not.
    """

    def __init__(
        self, loop: Loop, staff: Staff, order: bytes, modules: fingerprint.Modules, is_auto: bool
    ) -> None:
        self._loop = loop
        self._is_auto = is_auto
        self._staff = staff
        self._workers: dict[int, Worker] = {}  # those at work on this call, alive, by their answers' pipe
        self._unsent: dict[int, Worker] = {}  # to whom something is still to be written, by their tasks' pipe
        self._order = order
        self._place, self._modules = place(), modules
        self._ready: set[Worker] = set()  # they have the function
        self._refused: child.RefusedError | None = None
        self._hands_out = True
        self._lost: list[str] = []  # those that died before they had the function, and how
        self._poll = select.poll()
        self._seen_alive = monotonic()

    def run(self) -> None:
        loop = self._loop
        for worker in self._staff.workers[:]:
            self._begin(worker)
        # While they start. When one dies it could be too late: not at the exit of the interpreter.
        import concurrent.futures.process  # noqa: F401

        most_lost = len(self._staff.workers)
        while True:
            ready = [worker for worker in self._workers.values() if worker in self._ready and self._hands_out]
            for worker in ready:
                while not worker.runs and self._hand_out(worker):
                    pass
            for worker in ready:
                if worker.takes_ahead():
                    self._hand_out(worker)
            if loop.is_over():
                break
            if not self._hands_out and not any(worker.runs for worker in self._workers.values()):
                self.let_go()
                raise child.RefusedError("a result could not come back")
            if self._workers:
                self._collect()
            elif self._refused is not None:
                raise self._refused
            elif len(self._lost) > most_lost:
                self._give_up()
            else:  # they died, one of them idle, which has failed no item
                self._hire()
            loop.look()
        # Those that still run what is no longer wanted get a moment to end it.
        deadline = monotonic() + SOON
        while any(worker.runs for worker in self._workers.values()) and monotonic() < deadline:
            self._await(deadline - monotonic())

    def _give_up(self) -> None:
        """One worker can have died of something else, but not all of them and another."""
        from concurrent.futures.process import BrokenProcessPool

        initializer = "" if self._loop.call.initializer is None else " or the initializer"
        message = (
            f"{self._lost[-1]}, as {len(self._lost) - 1} before it, while it started or took the function"
            f"{initializer}: see what it wrote to stderr"
        )
        if self._is_auto:
            raise child.RefusedError(message)
        raise BrokenProcessPool(message)

    def _hire(self) -> None:
        _pool.take(1, self._staff)
        self._begin(self._staff.workers[-1])

    def _begin(self, worker: Worker) -> None:
        """Tell it of the call; it says whether it can take part."""
        if worker.is_stale(self._modules):
            worker.kill()
            self._hire()
            return
        self._workers[worker.answers] = worker
        self._poll.register(worker.answers, select.POLLIN)
        self._tell(worker, lambda: worker.begin(self._order, self._place, self._modules))

    def _tell(self, worker: Worker, send: Callable[[], None]) -> bool:
        """Was it alive, as far as is known?"""
        try:
            send()
        except WorkerDied:
            self._bury(worker)
            return False
        if worker.is_unsent:
            self._unsent[worker.tasks] = worker
            self._poll.register(worker.tasks, select.POLLOUT)
        return True

    def _begun(self, worker: Worker, refused: child.RefusedError | bool) -> None:
        if isinstance(refused, bool):
            self._ready.add(worker)
            return
        self._refused = refused
        self._forget(worker)
        worker.refused()

    def _forget(self, worker: Worker) -> None:
        self._poll.unregister(worker.answers)
        del self._workers[worker.answers]
        if self._unsent.pop(worker.tasks, None):
            self._poll.unregister(worker.tasks)

    def _hand_out(self, worker: Worker) -> bool:
        """Send one run. Was there one, though it may have been one that can't be sent?"""
        run = self._loop.claim(AIM)
        if run is None:
            return False
        message = self._pickle(run)
        if message is None:
            return True
        return self._tell(worker, lambda: worker.send_run(run, message))

    def _pickle(self, run: Run) -> bytes | None:
        """None if there is nothing to send: the first item can't be."""
        try:
            return b"R" + transport.dumps(run.items)
        except Exception as error:
            if self._is_auto:
                self._loop.run(run)
                return None
            unsendable = transport.first_unsendable(run.items)
            sendable = unsendable[0] if unsendable else 0
            refused = TypeError(
                f"item {run.begin + sendable} can't be sent to a worker process: {child.text_of(error)}; "
                "accepted: what cloudpickle can pickle, or backend='threads'"
            )
        self._loop.fail(run.begin + sendable, refused)
        del run.items[sendable:]
        if run.items:
            return b"R" + transport.dumps(run.items)
        self._loop.finish(run, None, 0.0)
        return None

    def _collect(self) -> None:
        self._await(self._loop.pause())
        now = monotonic()
        if now - self._seen_alive > LOOK_EVERY:
            self._seen_alive = now
            for worker in list(self._workers.values()):
                if worker.process.poll() is not None and not is_readable(worker.answers):
                    self._bury(worker)

    def _await(self, seconds: float) -> None:
        for fd, _ in self._poll.poll(max(0.0, seconds) * 1000):
            if worker := self._unsent.get(fd):
                self._poll.unregister(fd)
                del self._unsent[fd]
                self._tell(worker, worker.pump)
            elif worker := self._workers.get(fd):  # else it died on being written to
                try:
                    self._take_answer(worker)
                except WorkerDied:
                    self._bury(worker)

    def _take_answer(self, worker: Worker) -> None:
        try:
            message = worker.receive()
        except WorkerDied:
            raise
        except Exception as error:
            results = f"results of {items_of(worker.runs[0])}"
            refused = RuntimeError(f"{results} can't be loaded in the calling process: {error!r}")
            message = child.Answer([], refused, 0.0, is_cut=True)
        if message is None:
            return
        if worker not in self._ready:
            self._begun(worker, message)
            return
        answer = child.Answer(*message)
        run = worker.runs.popleft()
        worker.last_seconds = answer.seconds
        if answer.is_cut and self._is_auto:
            run.results += answer.results
            if not isinstance(answer.error, child.RefusedError):  # which has run nothing
                self._hands_out = False
            self._loop.run(run)
            return
        if isinstance(answer.error, child.RefusedError):
            answer = answer._replace(error=RuntimeError(f"{items_of(run)}: {answer.error}"))
        child.settle(self._loop, run, answer)

    def _bury(self, worker: Worker) -> None:
        """The worker is dead: what it has not answered has failed."""
        from concurrent.futures.process import BrokenProcessPool

        if worker.ends_with_program:  # and so does this daemon thread, without a word
            threading.Event().wait()
        with suppress(WorkerDied):
            while worker.answers in self._workers and is_readable(worker.answers):
                self._take_answer(worker)
        if worker.answers not in self._workers:  # the last it said was that it refuses
            return
        self._forget(worker)
        how = worker.how_it_ended()
        if worker not in self._ready:
            self._lost.append(how)
        what = "while it ran"
        while worker.runs:
            run = worker.runs.popleft()
            self._loop.finish(run, BrokenProcessPool(f"{how} {what} {items_of(run)}"), 0.0)
            what = "before it ran"

    def let_go(self, waits: bool = True) -> None:
        """Tell those that the call is over who have nothing more to do, but acknowledge it maybe, if one
        `waits` for that. Those that are told nothing are not used again."""
        for worker in list(self._workers.values()):
            if not worker.runs and (waits or worker in self._ready):
                with suppress(WorkerDied):
                    worker.end(worker in self._ready)


def is_readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
