"""What runs in a worker process: it is told of a call, then given runs of items, one message each.

    parent to worker   b"P" + pickle of Place     first, and when something in it has changed
                       b"C" + pickle of Order     a call begins; answered by a pickle of RefusedError or True
                       b"R" + pickle of items     a run; answered by a pickle of Answer
                       b"E"                       the call is over: let go of it
    worker to parent   b"" once, when it is up, then answers, in the order of the messages

The worker lives until its parent closes the pipe or is gone.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
import warnings
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple

from gilfree import _core, transport
from gilfree.loop import ITEM, Loop, Run, attempt, items_of

# Is this a worker process? Then calls inside do not start processes of their own.
inside = False


class Place(NamedTuple):
    """Where the parent is: relative paths, imports and variables mean the same in the worker."""

    path: list[str]  # sys.path
    folder: str | None  # None: it is gone
    environment: dict[bytes, bytes]
    arguments: list[str]
    recursion_limit: int
    digits_limit: int
    warnings: bytes  # a pickle of the filters: their classes are imported from that path


def current_folder() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


class Order(NamedTuple):
    """Pickles inside a pickle: what can't be read is then known by name."""

    fn: bytes
    initializer: bytes | None
    runner: Any
    threads: int  # the share of one worker
    fingerprint: bytes | None  # what fn must be in the worker, if that matters: see fingerprint.py
    modules: list[str]  # that it names


class RefusedError(RuntimeError):
    """A worker can't take part in a call. It has run nothing."""


class UnsentError(TypeError):
    """A result that can't be sent, or all of a run together: the other end knows of which items."""

    are_all = False


class Answer(NamedTuple):
    results: list[Any]
    error: BaseException | None  # of the item after the results
    seconds: float
    where: str = ""  # the process and the traceback, if the error is another process's
    is_cut: bool = False  # the error is none of the function's: something could not be sent


class WorkerTraceback(Exception):  # noqa: N818 - the cause of an error, which shows where it was raised
    pass


def settle(loop: Loop, run: Run, answer: Answer) -> None:
    """Give back a run with what another process, say, made of it."""
    run.results += answer.results
    error = answer.error
    if isinstance(error, UnsentError):
        unsent = items_of(run) if error.are_all else f"item {run.begin + len(run.results)}"
        error = TypeError(f"{unsent}: {error}")
    elif error is not None and answer.where and error.__cause__ is None:
        with suppress(Exception):  # one that can't be changed is raised as it is
            error.__cause__ = WorkerTraceback(answer.where)
    loop.finish(run, error, answer.seconds, ITEM if answer.where or not answer.is_cut else "")


_initialized: bytes | None = None


def initialize(pickled: bytes) -> bool:
    """Call a pickled initializer, unless it was the last one called in this process. Was it called now?"""
    global _initialized
    if pickled == _initialized:
        return False
    _initialized = None
    loads(pickled)()
    _initialized = pickled
    return True


def loads(data: bytes | memoryview) -> Any:
    """What the parent sent; its classes are known from then on."""
    before = classes_by_value()
    try:
        return transport.loads(data)
    finally:
        if after := classes_by_value() - before:
            from gilfree import by_value

            by_value.received.update(after)


def classes_by_value() -> set[str]:
    if "cloudpickle" not in sys.modules:
        return set()
    from gilfree import by_value

    return by_value.known_classes()


class Worker:
    def __init__(self) -> None:
        self.fn: Any = None
        self.runner: Any = map
        self._folder: str | None = None
        self._misplaced: RefusedError | None = None

    def take(self, kind: bytes, data: memoryview) -> bytes | None:
        """A message; what is to be answered, if anything."""
        if kind == b"E":
            self.end()
            return None
        # Not while it answers, or is told of the end: right after that the parent may end as a program does.
        _core.set_at_work(True)
        try:
            if kind == b"R":
                return self.run(data)
            if kind == b"C":
                return transport.dumps(acknowledgement(self, loads(data)))
            self._settle_in(loads(data))
            return None
        finally:
            _core.set_at_work(False)

    def _settle_in(self, place: Place) -> None:
        sys.path[:] = place.path
        sys.argv[:] = place.arguments
        for name in set(os.environb) - set(place.environment):
            del os.environb[name]
        for name, value in place.environment.items():
            if os.environb.get(name) != value:
                os.environb[name] = value
        sys.setrecursionlimit(place.recursion_limit)
        sys.set_int_max_str_digits(place.digits_limit)
        self._misplaced = None
        self._folder = place.folder
        self._return()  # filters may be imported from there; whether it can be is asked when a call begins
        try:
            filters = loads(place.warnings)
        except Exception as error:
            self._misplaced = refusal("the filters of warnings can't be loaded in a worker process", error)
            return
        warnings.resetwarnings()
        warnings.filters.extend(filters)  # type: ignore[attr-defined, unused-ignore]

    def _return(self) -> RefusedError | None:
        """Go to the parent's folder, which a call may have left; why that can't be."""
        if self._folder is not None:
            try:
                os.chdir(self._folder)
            except OSError as error:
                return refusal("the current folder can't be that of a worker process", error)
        return None

    def begin(self, order: Order) -> None:
        """RefusedError if the call can't be run here."""
        from gilfree import fingerprint

        if refused := self._return() or self._misplaced:
            raise refused
        _core.set_workers(order.threads)
        self.runner = order.runner
        try:
            self.fn = loads(order.fn)
        except Exception as error:
            raise refusal("the function can't be loaded in a worker process", error) from None
        if order.fingerprint is not None:
            for name in order.modules:  # what the parent has imported is there, whoever did
                try:
                    importlib.import_module(name)
                except ImportError:  # it was made up
                    continue
                except BaseException as error:  # sys.exit() among them
                    raise refusal(f"the module {name} can't be imported in a worker process", error) from None
            if fingerprint.of(self.fn) != order.fingerprint:
                raise RefusedError(f"{self.fn!r}, or what it names, is not the same in a worker process")
        try:
            if order.initializer is not None and initialize(order.initializer):
                self._folder = current_folder()  # where it went is where calls begin
        except BaseException as error:
            raise refusal("the initializer failed in a worker process", error) from None

    def end(self) -> None:
        self.fn = None

    def run(self, data: memoryview) -> bytes:
        results: list[Any] = []
        began = monotonic()
        try:
            items = loads(data)
        except Exception as unreadable:
            refused = refusal("items can't be loaded in a worker process", unreadable)
            return transport.dumps(Answer(results, refused, 0.0, is_cut=True))
        error = attempt(self.runner, self.fn, items, results)
        seconds = monotonic() - began
        try:
            flush()
        except BaseException as unwritten:
            if len(results) == len(items):  # what a stream of the function's own raises is its last item's
                error = unwritten
                del results[-1]
        return answer(results, error, seconds)


def flush() -> None:
    """What was printed is seen before the result is, and though the worker be killed later."""
    for stream in (sys.stdout, sys.stderr):
        # A function may have put anything in their place.
        if hasattr(stream, "flush") and not getattr(stream, "closed", False):
            with suppress(OSError):  # it is written again at the end, and complained of
                stream.flush()


def refusal(what: str, error: BaseException) -> RefusedError:
    return RefusedError(f"{what}: {text_of(error)}")


def text_of(error: BaseException) -> str:
    """Its type and what it says, if it can."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception as failure:
        return f"{type(error).__name__}, whose text can't be had: {type(failure).__name__}"


def answer(results: list[Any], error: BaseException | None, seconds: float) -> bytes:
    try:
        return transport.dumps(answer_of(results, error, seconds))
    except Exception:
        return transport.dumps(Answer(*up_to_the_first_that_cannot_be_sent(results), seconds, is_cut=True))


def answer_of(results: list[Any], error: BaseException | None, seconds: float) -> Answer:
    """With the exception if it is the same after being sent, else with a RuntimeError of its text."""
    if error is None:
        return Answer(results, None, seconds)
    where = f"in process {os.getpid()}:\n\n" + "".join(traceback.format_exception(error)).rstrip()
    try:
        survives = type(transport.loads(transport.dumps(error))) is type(error)
    except Exception:
        survives = False
    if survives:
        return Answer(results, error, seconds, where)
    return Answer(results, RuntimeError(text_of(error)), seconds, where, is_cut=True)


def up_to_the_first_that_cannot_be_sent(results: list[Any]) -> tuple[list[Any], UnsentError]:
    if unsendable := transport.first_unsendable(results):
        index, error = unsendable
        return results[:index], UnsentError(
            f"a result, of type {type(results[index]).__name__}, can't be sent from a worker process: "
            f"{text_of(error)}; accepted: what can be pickled, or backend='threads'"
        )
    unsent = UnsentError("the results of a run can't be sent from a worker process together")
    unsent.are_all = True
    return [], unsent


def acknowledgement(worker: Worker, order: Order) -> RefusedError | bool:
    try:
        worker.begin(order)
    except RefusedError as refused:
        return refused
    return True


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
    # The parent can be gone, by kill -9 say, while an item runs here that would run for hours.
    _core.end_with_parent(tasks)
    try:
        transport.write(answers, b"")
        while True:
            message = memoryview(transport.read(tasks))
            answer = worker.take(bytes(message[:1]), message[1:])
            if answer is not None:
                transport.write(answers, answer)
            del message, answer
    except (EOFError, BrokenPipeError):
        return
