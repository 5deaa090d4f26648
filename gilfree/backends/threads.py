"""threads: worker threads and the calling one claim runs of items side by side.

On a free-threaded build that is every core; with the GIL it is worth it for functions that release it. The
threads are daemons, and not a ThreadPoolExecutor's, which the interpreter waits for at its exit: an item that
is abandoned after a timeout must not keep the process.
"""

import _thread
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from time import monotonic
from typing import Any, TypeVar

from gilfree import _core
from gilfree.facts import gil_is_enabled
from gilfree.locked import locked
from gilfree.loop import Call, Loop

T = TypeVar("T")
PATIENCE = 0.1  # seconds a fork waits for helpers to end
AIM = 100e-6  # seconds a run should take: enough to forget what claiming it cost


class Crew:
    """Those who work on one loop: they are counted as long as it is among the pool's crews."""

    def __init__(self) -> None:
        self.size = 0


Inbox = SimpleQueue[tuple[Callable[[], None], Crew | None] | None]


def is_main_without_gil() -> bool:
    """Is this the main thread, and no GIL?"""
    return threading.get_ident() == threading.main_thread().ident and not gil_is_enabled()


def start_safely(start: Callable[[], None]) -> None:
    """Make and start a thread. Without the GIL, Ctrl-C meanwhile can leave a lock of threading's held, and
    then none starts again: one that Ctrl-C never comes to does it."""
    if not is_main_without_gil():
        start()
        return
    outcome: SimpleQueue[BaseException | None] = SimpleQueue()

    def run() -> None:
        try:
            start()
        except BaseException as error:  # raised below: the main thread waits
            outcome.put(error)
        else:
            outcome.put(None)

    _thread.start_new_thread(run, ())
    if error := outcome.get():
        raise error


class Threads:
    """Threads that wait for something to do; there are as many as were ever needed at once.

    A call ends before its helpers have gone back to wait, so that the next may have to start one: each that
    then waits in vain ends.

    `crews` are those of the calls that are not over. It is a set, as to add to it and to discard from it are
    one step each, which Ctrl-C can't come into: a count would be wrong for ever after.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._idle: list[Inbox] = []
        # Each leaves it itself, and nobody else refers to it: where a Thread is freed, Ctrl-C can get lost.
        self._alive: set[threading.Thread] = set()
        self.crews: set[Crew] = set()
        self._most = 1  # that were at work at once, and one for what is done aside
        self._mine = threading.local()

    def is_helper(self) -> bool:
        """Is this one of the threads?"""
        return hasattr(self._mine, "inbox")

    @locked
    def _may_join(self, crew: Crew, workers: float) -> bool:
        """Is there work in that crew for one more, if so many workers may be at work?"""
        at_work = sum(each.size for each in list(self.crews))
        if crew not in self.crews or at_work >= workers:
            return False
        crew.size += 1
        self._most = max(self._most, at_work + 2)
        return True

    @locked
    def _leave(self, crew: Crew) -> None:
        crew.size -= 1

    def start(self, task: Callable[[], None], workers: float, crew: Crew | None) -> bool:
        """Run task in a thread, for that crew, if fewer than so many workers are at work. Was it started?"""
        if crew is not None and not self._may_join(crew, workers):
            return False
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = SimpleQueue()
            if not self._start_thread(inbox):
                if crew is not None:
                    self._leave(crew)
                return False
        inbox.put((task, crew))
        return True

    def _start_thread(self, inbox: Inbox) -> bool:
        def start() -> None:
            thread = threading.Thread(target=self._live, args=(inbox,), name="gilfree python", daemon=True)
            thread.start()
            self._alive.add(thread)

        try:
            start_safely(start)
        except RuntimeError:
            # No more threads, or none that are daemons in a subinterpreter, or the interpreter is ending:
            # those that are there do it.
            return False
        return True

    def _live(self, inbox: Inbox) -> None:
        self._mine.inbox = inbox
        while order := inbox.get():
            task, crew = order
            task()
            del order, task  # and with it the call's items and results
            if crew is not None:
                self._leave(crew)
            if len(self._idle) >= self._most:
                break
            self._idle.append(inbox)
        self._alive.discard(threading.current_thread())

    def end(self) -> None:
        """End those who have nothing to do; others start when there is something again.

        Python warns of a fork beside other threads. Those in an item of a call that is over are not waited
        for, but for a moment: most are only on their way back.
        """
        deadline = monotonic() + PATIENCE
        met: set[threading.Thread] = set()
        while not self.crews and monotonic() < deadline:
            with suppress(IndexError):
                while True:
                    self._idle.pop().put(None)
            met |= {each for each in list(self._alive) if each.ident != threading.get_ident()}
            for each in met:
                each.join(1e-3)
            if not any(each.is_alive() for each in met):
                break


_threads = Threads()


def _end_threads() -> None:
    """Before a fork."""
    _threads.end()


def _forget_threads() -> None:
    """In the child of a fork, which has none of them."""
    global _threads
    _threads = Threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_end_threads, after_in_child=_forget_threads)


def aside(task: Callable[[], None]) -> bool:
    """Run task in another thread, which is not counted as a worker. Was it started?"""
    return _threads.start(task, float("inf"), None)


def attended(loop: Loop, task: Callable[[], T]) -> T:
    """What task returns, beside which a caller may have to look at the time, at a cancel, or to report."""
    if not loop.watched or _threads.is_helper():
        return task()
    context, ended = copy_context(), threading.Event()
    returned: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(context.run(task))
        except BaseException as error:
            errors.append(error)
        finally:
            ended.set()

    if not aside(run):
        run()
    while not ended.wait(loop.pause()):
        loop.look()
    if errors:
        raise errors.pop()
    loop.look()
    return returned.pop()


def map(call: Call, /) -> Any:
    if type(call.fn) is _core.Kernel:
        raise TypeError(
            f"fn is {call.fn!r}; backend 'threads' accepts a function in Python; a kernel runs on 'native'"
        )
    return Loop(call).complete(work)


def work(loop: Loop, /) -> None:
    if loop.is_empty():
        return
    loop.look()  # before a helper may be done with everything
    team = Team(loop)
    is_helper = _threads.is_helper()
    crews = _threads.crews
    try:
        crews.add(team.crew)
        # A caller that is to look at the time leaves the work to helpers. So does the main thread without the
        # GIL: each other one specializes bytecode in a copy of its own, and where the main one writes, others
        # read what else is in the code object (CPython's Include/internal/pycore_code.h, co_tlbc). A helper's
        # own call works itself, as it may be what the others wait for.
        is_left = loop.watched or (loop.workers > 1 and is_main_without_gil())
        if not is_left or is_helper or not team.call_helper(always=True):
            team.crew.size += not is_helper
            team.call_helper()
            team.work(looks=loop.watched)
        loop.wait()
    except BaseException:
        loop.abandon()
        raise
    finally:
        # A thread still in an item of it, for ever maybe, keeps no other call short.
        crews.discard(team.crew)


class Team:
    """Those who work on one loop."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._context = copy_context()
        self._wanted = loop.workers - 1  # helpers
        self.crew = Crew()

    def call_helper(self, always: bool = False) -> bool:
        """One more helper, who calls the next, if there is something to do for one."""
        loop = self._loop
        if always:
            limit = float("inf")
        elif self._wanted <= 0 or not loop.has_more():
            return False
        else:
            limit = loop.workers
        context = self._context.copy()
        started = _threads.start(lambda: context.run(self._help), limit, self.crew)
        self._wanted -= started and not always
        return started

    def _help(self) -> None:
        try:
            self.call_helper()
            self.work()
        except BaseException as error:  # no item's: there was no memory, say
            self._loop.fail(0, error)

    def work(self, looks: bool = False) -> None:
        while self.crew in _threads.crews:
            run = self._loop.claim(AIM)
            if run is None:
                return
            self._loop.run(run)
            del run
            # There may have been too many at work elsewhere, or too little to do.
            self.call_helper()
            if looks:
                self._loop.look()
