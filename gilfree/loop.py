"""One loop of a function in Python over the items of a call: what the backends share.

A worker claims a run of items, runs the function over it and gives the run back. Whatever the backend, the
bookkeeping is done here: runs are claimed in order, so that when an item fails, all items below it have been
claimed and can be waited for, and the lowest failing index is the one reported.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice, starmap
from queue import Empty, SimpleQueue
from time import monotonic, perf_counter
from typing import Any, NamedTuple, TypeGuard

from gilfree import _core
from gilfree.locked import locked
from gilfree.progress import Bar, Reporter, check

PIECE = 512  # items read at most before it is seen how long that takes

Runner = Callable[[Any, Iterable[Any]], Iterator[Any]]  # map, or starmap where an item is several arguments


class Call(NamedTuple):
    """parallel_map's arguments, as a backend's ``map`` is given them."""

    fn: Any
    iterables: tuple[Any, ...]
    workers: int | None = None
    chunksize: int | None = None
    strict: bool = False
    timeout: float | None = None
    cancel: _core.Cancel | None = None
    progress: Any = None
    out: Any = None
    initializer: Any = None


class Run:
    """Items [begin, begin + len(items)), claimed by one worker."""

    __slots__ = ("begin", "items", "results")

    def __init__(self, begin: int, items: list[Any]) -> None:
        self.begin = begin
        self.items = items
        self.results: list[Any] = []


def attempt(runner: Runner, fn: Any, items: Iterable[Any], results: list[Any]) -> BaseException | None:
    """Append fn's results to `results`, up to the first item that fails, whose exception is returned.

    list.extend makes this as fast as list(map(fn, items)), and leaves what came before an exception. Results
    without an exception and fewer than the items: the function raised StopIteration.
    """
    try:
        results.extend(runner(fn, items))
    except BaseException as error:  # whatever a function raises is the caller's: it is raised there
        return error
    return None


def stopped_iteration(index: int) -> RuntimeError:
    """list(map(...)) would take a StopIteration for the end of the input, and lose what follows."""
    return RuntimeError(f"item {index}: the function raised StopIteration")


ITEM = "item {}"
OF_CALL = " of parallel_map"
IS_NOTE = re.compile(rf"(item|one of the items) \d+( to \d+)?{OF_CALL}").fullmatch


def name_item(error: BaseException, about: str, index: int) -> None:
    """Note at which item an error was raised. If several raise the same object, or calls do, one is named."""
    with suppress(Exception):  # one that can't be changed is raised as it is
        notes = [note for note in getattr(error, "__notes__", ()) if not IS_NOTE(note)]
        error.__notes__ = [*notes, about.format(index) + OF_CALL]


def items_of(run: Run) -> str:
    last = run.begin + len(run.items) - 1
    return f"item {run.begin}" if last == run.begin else f"one of the items {run.begin} to {last}"


def is_interrupt(error: BaseException | None) -> TypeGuard[KeyboardInterrupt]:
    """Is it Ctrl-C, which ends the call at once?"""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


class Loop:
    """What is to be claimed, what has been finished, and where to stop. All of it under `_lock`."""

    def __init__(self, call: Call) -> None:
        self.workers = _core.check_options(call.workers, call.chunksize, call.timeout, call.cancel)
        if call.out is not None:
            raise TypeError(
                "out was given; it is accepted with a kernel only: a function in Python returns a list"
            )
        self.call = call
        self.fn = call.fn
        self.total = known_length(call.iterables, call.strict)
        self._lock, self._reading = threading.RLock(), threading.RLock()
        self._is_reading = False
        self._bell: SimpleQueue[None] = SimpleQueue()  # rung when the call may be over
        self.ended = False  # the input is
        self.next = 0  # the index of the item to be claimed next
        self.done = 0
        self.stop: float = float("inf")  # no item from here on is wanted
        self.error: BaseException | None = None  # of the item `stop`
        self._deadline = None if call.timeout is None else monotonic() + call.timeout
        self._runs: list[list[Any]] = []
        self._running: set[int] = set()  # where runs begin that are not finished
        self._seconds, self._items = 0.0, 0
        self._last_cost = 0.0
        self._size = 0
        self._piece = 1  # items to be read at once, as fast as they came of late
        single = len(call.iterables) == 1
        self.runner: Runner = map if single else starmap
        columns: Iterable[Any] = call.iterables[0] if single else zip(*call.iterables, strict=call.strict)
        # What has been read ahead, by one item, is before the input until that item is claimed.
        self._input = chain(columns, self._end())
        self._ahead: list[Any] = []
        self._source = self._input
        self._serial: list[Any] | None = None  # the last run, if this thread ran it alone
        self.reporter = Reporter.of(call.progress, self.total)

    def _end(self) -> Iterator[Any]:
        """Behind the items of the input: that the input has ended is known without asking it again."""
        self.ended = True
        return
        yield

    # ---- claiming and finishing --------------------------------------------------------------------

    @property
    def watched(self) -> bool:
        """Must the calling thread be free to look at the time, at a cancel, or to report?"""
        return self._deadline is not None or self.call.cancel is not None or self.reporter is not None

    def size(self, aim: float) -> int:
        """How many items should take `aim` seconds, judged by those finished; 1 while none are.

        At most a fair part of what is left, so that all workers end together, but no less than a tenth of
        the aim is worth; and at most so many times the last size, since items may differ.
        """
        if self.call.chunksize:
            return min(self.call.chunksize, sys.maxsize)
        return self._size_for(aim)

    def _size_for(self, aim: float) -> int:
        if self._items == 0:
            return 1
        cost = max(self._seconds / self._items, self._last_cost, 1e-9)
        size = aim / cost
        if self.total is not None:
            size = min(size, max((self.total - self.next) / (2 * self.workers), 0.1 * size))
        self._size = max(1, min(int(size), 16 * self._size))
        return self._size

    def claim(self, aim: float, size: int | None = None) -> Run | None:
        """The next run, of about `aim` seconds or of so many items; None if nothing is left to claim.

        Items are read under a lock of their own: while the input blocks, others finish runs, and look at the
        time.
        """
        return _core.call_locked(self._reading, self._claim, aim, size)

    def _claim(self, aim: float, size: int | None) -> Run | None:
        self._is_reading = True  # so that the call is not over, though the input may have ended
        try:
            if self.ended or self.next >= self.stop:
                return None
            return self._read(size or self.size(aim), aim)
        finally:
            self._is_reading = False
            if self.ended or self.next >= self.stop:
                self._bell.put(None)

    def peek(self) -> list[Any]:
        """The next item, left where it is; none at the end of the input."""
        if self._source is self._input:
            try:
                self._ahead = list(islice(self._input, 1))
            except BaseException as error:
                if not is_interrupt(error):
                    name_item(error, ITEM, self.next)
                raise
            self._source = chain(self._ahead, self._input)
        return self._ahead

    def is_empty(self) -> bool:
        """Is it known that there is not even a first item? A call without items takes no time, not even one
        of 0 s. A caller that is to look at the time does not wait for an iterator to tell."""
        may_wait = self.total is not None or self.call.timeout == 0 or not self.watched
        return self.next == 0 and may_wait and not self.peek()

    def _read(self, size: int, aim: float) -> Run | None:
        items: list[Any] = []
        try:
            if size == 1:
                items.extend(islice(self._source, 1))
            else:
                self._read_for(aim, size, items)
        except BaseException as error:  # the input's own: it is raised in the calling thread
            self.ended = True
            if is_interrupt(error):
                raise
            self.fail(self.next + len(items), error, ITEM)
        return self._add(items) if items else None

    def _read_for(self, aim: float, size: int, items: list[Any]) -> None:
        """Read so many items, or, if the input is slow, what comes in about the time that a run should take:
        meanwhile the reader does nothing else, and the workers wait for it."""
        began, source = monotonic(), self._source
        while len(items) < size:
            wanted = min(len(items) + self._piece, size)
            items.extend(islice(source, wanted - len(items)))
            if len(items) < wanted:
                return
            if monotonic() - began < aim:
                self._piece = min(2 * self._piece, PIECE)
                continue
            self._piece = 1
            if not self.call.chunksize or self.next >= self.stop or self._why_stop():
                return

    @locked
    def _add(self, items: list[Any]) -> Run:
        """A run of items that were read, for which its results have to be waited."""
        self._source, self._serial = self._input, None
        run = Run(self.next, items)
        self.next += len(items)
        self._size = self._size or len(items)
        self._runs.append(run.results)
        self._running.add(run.begin)
        return run

    @locked
    def finish(self, run: Run, error: BaseException | None, seconds: float, about: str = "") -> None:
        """Give a run back: its results are in it, up to the first failing item.

        `about` are the items that `error` does not name itself: ITEM, if it is that item's.
        """
        done = len(run.results)
        if error is None and done < len(run.items):
            error, about = stopped_iteration(run.begin + done), ""
        self.done += done
        self._running.discard(run.begin)
        if error is not None:
            self._fail(run.begin + done, error, about)
        elif seconds:
            self._items += done
            self._seconds += seconds
            self._last_cost = seconds / done
        if self._is_over():
            self._bell.put(None)

    @locked
    def fail(self, index: int, error: BaseException, about: str = "") -> None:
        self._fail(index, error, about)
        self._bell.put(None)

    def _fail(self, index: int, error: BaseException, about: str) -> None:
        if index < self.stop:
            self.stop, self.error = index, error
            if about:
                name_item(error, about, index)

    def run(self, run: Run) -> None:
        """Run the function over what is left of a run, in this thread, and give it back."""
        began = monotonic()
        items = run.items[len(run.results) :] if run.results else run.items
        error = attempt(self.runner, self.fn, items, run.results)
        if is_interrupt(error):
            raise error
        self.finish(run, error, monotonic() - began, ITEM)

    def run_for(self, seconds: float) -> None:
        """Run the next items in this thread, alone, until that time has passed; one at least.

        Not a chunk at a time: what is run here can't run elsewhere.
        """
        began = monotonic()
        left = seconds
        while left > 0 and not self.ended:
            if self.watched:
                self.check()
                self.run_serially(1)
            else:
                self.run_serially(self._size_for(left / 2))
            left = began + seconds - monotonic()

    def cost_left(self) -> float:
        """Seconds, judged by the items that were run; where their number is not known, as much again."""
        return self._seconds if self.total is None else self.cost() * (self.total - self.next)

    def cost(self) -> float:
        """Seconds an item takes: as of late, if that is less, as the first calls may take longer."""
        return min(self._seconds / max(self._items, 1), self._last_cost)

    def first_results(self, count: int) -> list[Any]:
        return list(islice(chain.from_iterable(self._runs), count))

    def run_serially(self, size: int | None) -> None:
        """Run the next items in the calling thread, alone: an item is read when it is due, as map does it."""
        if self._serial is None:
            self._serial = []
            self._runs.append(self._serial)
        results, before = self._serial, len(self._serial)
        items = islice(self._source, size)
        began = perf_counter()
        error = attempt(self.runner, self.fn, items, results)
        seconds = perf_counter() - began
        done = len(results) - before
        self.done += done
        self.next += done
        self._source = self._input
        if error is not None:
            if not is_interrupt(error):
                name_item(error, ITEM, self.next)
            try:
                raise error
            finally:
                del error, items  # they refer to this frame, and it to them
        if not self.ended and (size is None or done < size):
            raise stopped_iteration(self.next)
        if done:
            self._items += done
            self._seconds += seconds
            self._last_cost = seconds / done
            self._size = done

    # ---- until the end -----------------------------------------------------------------------------

    def _is_over(self) -> bool:
        """Is every item finished that is wanted?"""
        claimed_all = (self.ended or self.next >= self.stop) and not self._is_reading
        return claimed_all and not any(begin < self.stop for begin in self._running)

    is_over = locked(_is_over)

    def has_more(self) -> bool:
        """Is there something left to claim, as far as is known?"""
        return not self.ended and self.next < self.stop and (self.total is None or self.next < self.total)

    def pause(self) -> float:
        """Seconds until `look` has to be called again. Never without end: Ctrl-C may come just before the
        wait, which it then does not end."""
        pauses = [0.1]
        if self.call.cancel is not None:
            pauses.append(0.005)
        if self._deadline is not None:
            pauses.append(max(0.0, self._deadline - monotonic()))
        return min(pauses)

    def look(self) -> None:
        """In the calling thread: raise if the call is to stop, and report."""
        self.check()
        if self.reporter is not None:
            self.reporter.report(self.done)

    def check(self) -> None:
        """Raise if the call is to stop."""
        if error := self._why_stop():
            raise error

    def _why_stop(self) -> Exception | None:
        if self.call.cancel is not None and self.call.cancel.is_set():
            from concurrent.futures import CancelledError

            return CancelledError(f"the call was cancelled; {self.done} items were finished")
        if self._deadline is not None and monotonic() >= self._deadline:
            return TimeoutError(
                f"the timeout of {self.call.timeout} s passed; {self.done} items were finished"
            )
        return None

    def wait(self) -> None:
        """Until all that is wanted is finished, in other threads."""
        while not self.is_over():
            self.look()
            with suppress(Empty):  # it is time to look again
                self._bell.get(timeout=self.pause())

    @locked
    def abandon(self) -> None:
        """Nothing more is wanted."""
        self.stop = -1

    def complete(self, work: Callable[[Loop], None]) -> list[Any]:
        """The results, after `work` has run what is left."""
        try:
            work(self)
            return self.results()
        finally:
            # It refers to this object; and a thread that still runs the first items for it finds no others.
            self._source = self._input = chain()
            if self.reporter is not None:
                self.reporter.close()

    def results(self) -> list[Any]:
        """Of all items, in order, or the exception of the lowest failing one."""
        if self.error is not None:
            try:
                raise self.error
            finally:
                self.error = None  # it refers to this frame, and this object to it
        if self.reporter is not None:
            self.reporter.finish(self.done)
        return self._runs[0] if len(self._runs) == 1 else list(chain.from_iterable(self._runs))


def length_of(iterable: Any) -> int | None:
    """None if it has none, or can't tell: list(map(...)) never asks, so that its error ends no call."""
    try:
        return len(iterable)
    except Exception:
        return None


def known_length(iterables: tuple[Any, ...], strict: bool) -> int | None:
    """How many items there are, where all lengths are known. Unequal ones are refused if `strict`."""
    lengths = [length_of(iterable) for iterable in iterables]
    exact = {
        length
        for length, iterable in zip(lengths, iterables, strict=True)
        if type(iterable) in (list, tuple, range)
    }
    if strict and len(exact) > 1:
        raise ValueError(f"the iterables have lengths {lengths}; strict=True accepts iterables of one length")
    known = [length for length in lengths if length is not None]
    return min(known) if len(known) == len(lengths) else None


def map_kernel(call: Call) -> Any:
    """A call of a kernel, which has its loop in C."""
    check(call.progress)
    progress = Bar() if call.progress is True else call.progress
    try:
        return _core.parallel_map(
            call.fn,
            *call.iterables,
            workers=call.workers,
            chunksize=call.chunksize,
            strict=call.strict,
            timeout=call.timeout,
            cancel=call.cancel,
            progress=progress,
            out=call.out,
        )
    finally:
        if isinstance(progress, Bar):
            progress.close()
