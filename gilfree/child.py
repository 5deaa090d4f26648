"""What runs in a worker process: it is told of a call, then given runs of items, one message each.

    parent to worker   b"C" + pickle of Order     a call begins: the function, and what it needs
                       b"R" + pickle of items     a run; answered by a pickle of Answer
                       b"E"                       the call is over: let go of it
    worker to parent   b"" once, when it is up, then answers, in the order of the runs

The worker lives until its parent closes the pipe or is gone.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import traceback
from time import monotonic, sleep
from typing import Any, NamedTuple

from gilfree import transport
from gilfree.loop import Loop, Run, attempt

# Is this a worker process? Then calls inside do not start processes of their own.
inside = False


class Order(NamedTuple):
    """Pickles inside a pickle: what can't be read is then known by name."""

    fn: bytes
    initializer: bytes | None
    runner: Any
    path: list[str]
    threads: int  # the share of one worker


class Answer(NamedTuple):
    results: list[Any]
    error: BaseException | None  # of the item after the results
    seconds: float
    where: str = ""  # the process and the traceback, if the error is another process's


class WorkerTraceback(Exception):  # noqa: N818 - the cause of an error, which shows where it was raised
    pass


def settle(loop: Loop, run: Run, answer: Answer) -> None:
    """Give back a run with what another process, say, made of it."""
    run.results += answer.results
    if answer.error is not None and answer.where and answer.error.__cause__ is None:
        answer.error.__cause__ = WorkerTraceback(f"item {run.begin + len(run.results)}, {answer.where}")
    loop.finish(run, answer.error, answer.seconds)


_initialized: set[bytes] = set()


def initialize(pickled: bytes) -> None:
    """Call a pickled initializer, once in this process."""
    if pickled not in _initialized:
        transport.loads(pickled)()
        _initialized.add(pickled)


class Worker:
    def __init__(self) -> None:
        self.fn: Any = None
        self.runner: Any = map
        self.refusal: BaseException | None = None  # why this call can't be run here
        self.is_running = False

    def begin(self, order: Order) -> None:
        from gilfree import _core

        sys.path[:] = order.path
        _core.set_workers(order.threads)
        self.runner = order.runner
        try:
            self.fn = transport.loads(order.fn)
        except Exception as error:
            self.refusal = refusal("the function can't be loaded in a worker process", error)
            return
        try:
            if order.initializer is not None:
                initialize(order.initializer)
        except BaseException as error:
            self.refusal = refusal("the initializer failed in a worker process", error)

    def end(self) -> None:
        self.fn = self.refusal = None

    def run(self, data: memoryview) -> bytes:
        results: list[Any] = []
        if self.refusal is not None:
            return answer(results, self.refusal, 0.0)
        began = monotonic()
        try:
            items = transport.loads(data)
        except Exception as unreadable:
            return answer(results, refusal("items can't be loaded in a worker process", unreadable), 0.0)
        error = attempt(self.runner, self.fn, items, results)
        return answer(results, error, monotonic() - began)


def refusal(what: str, error: BaseException) -> RuntimeError:
    return RuntimeError(f"{what}: {type(error).__name__}: {error}")


def answer(results: list[Any], error: BaseException | None, seconds: float) -> bytes:
    try:
        return transport.dumps(answer_of(results, error, seconds))
    except Exception:
        return transport.dumps(Answer(*up_to_the_first_that_cannot_be_sent(results), seconds))


def answer_of(results: list[Any], error: BaseException | None, seconds: float) -> Answer:
    """With the exception if it survives being sent, else with a RuntimeError of its text."""
    if error is None:
        return Answer(results, None, seconds)
    where = f"in process {os.getpid()}:\n\n" + "".join(traceback.format_exception(error)).rstrip()
    try:
        transport.loads(transport.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return Answer(results, error, seconds, where)


def up_to_the_first_that_cannot_be_sent(results: list[Any]) -> tuple[list[Any], TypeError]:
    for index, result in enumerate(results):
        try:
            transport.dumps(result)
        except Exception as error:
            return results[:index], TypeError(
                f"a result, of type {type(result).__name__}, can't be sent from a worker process: {error}; "
                "accepted: what can be pickled, or backend='threads'"
            )
    return [], TypeError("the results of a run can't be sent from a worker process together")


# ---- the process --------------------------------------------------------------------------------------


def main(tasks: int, answers: int) -> None:
    """Serve until the parent closes the pipe `tasks`."""
    global inside
    inside = True
    for fd in (tasks, answers):
        os.set_inheritable(fd, False)
    # Ctrl-C reaches the whole process group: what becomes of the call is the parent's to say.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    worker = Worker()
    threading.Thread(target=end_with_parent, args=(tasks, worker), daemon=True).start()
    try:
        transport.write(answers, b"")
        while True:
            worker.is_running = False
            message = memoryview(transport.read(tasks))
            worker.is_running = True
            kind, data = bytes(message[:1]), message[1:]
            if kind == b"C":
                worker.begin(transport.loads(data))
            elif kind == b"R":
                transport.write(answers, worker.run(data))
            else:
                worker.end()
            del message, data
    except (EOFError, BrokenPipeError):
        return


def end_with_parent(tasks: int, worker: Worker) -> None:
    """The parent can be gone, by kill -9 say, while an item runs here that would run for hours."""
    watch = select.poll()
    watch.register(tasks, 0)  # nothing but the end of its writers
    watch.poll()
    if not worker.is_running:
        sleep(1)  # for the main thread to find the end of its messages, and end as a program does
    os._exit(1)
