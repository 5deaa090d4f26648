"""What the first items of a call show: how long they take, who holds the GIL, what they change.

The planner decides by it where the other items run.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable
from time import monotonic, process_time, sleep
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from gilfree import _core, transport
from gilfree.backends import threads
from gilfree.fingerprint import contents_of, is_library, names_in, unwrapped
from gilfree.locked import locked

NAP = 0.5e-3  # seconds the watch sleeps between two looks
SLACK = 0.3e-3  # seconds a sleep may take longer though the GIL is free
BIG = 1 << 18  # bytes: what is bigger is not looked through, nor sent to another process unasked

CONTAINERS = (list, tuple, dict, set, frozenset, str, bytes, bytearray)


class Watch:
    """How long another thread has to wait for the GIL, while something runs."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._mark = 0.0
        self._busy = 0.0
        self.seconds = 0.0  # that it watched

    def run(self, work: Callable[[], None]) -> None:
        began, busy = monotonic(), process_time()
        self._mark = began
        watches = _watcher.watches
        try:
            _watcher.add(self)
            work()
        finally:
            watches.discard(self)
        now = monotonic()
        self.note(now)
        self.seconds += now - began
        self._busy += process_time() - busy

    def note(self, now: float) -> None:
        """The GIL could be had now; it was asked for a nap after the last time."""
        self._waited += max(0.0, now - self._mark - NAP - SLACK)
        self._mark = now

    @property
    def cores(self) -> float:
        """How many the process kept busy."""
        return self._busy / self.seconds if self.seconds else 0.0

    @property
    def held(self) -> float:
        """The share of the time in which the GIL could not be had."""
        return self._waited / self.seconds if self.seconds else 0.0


class Watcher:
    """The one thread that looks for all watches, while there are any.

    To discard one is one step, which Ctrl-C can't come into: one that stayed would be looked after for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.watches: set[Watch] = set()
        self._is_looking = False

    @locked
    def add(self, watch: Watch) -> None:
        self.watches.add(watch)
        if not self._is_looking:
            self._is_looking = threads.aside(self._look)

    @locked
    def _note(self) -> bool:
        """Note for all watches that the GIL can be had. Are there any?"""
        now = monotonic()
        for watch in list(self.watches):
            watch.note(now)
        self._is_looking = bool(self.watches)
        return self._is_looking

    def _look(self) -> None:
        while self._note():
            sleep(NAP)


_watcher = Watcher()


def _forget_watcher() -> None:
    """In the child of a fork, which has no such thread."""
    global _watcher
    _watcher = Watcher()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_watcher)


class Changes:
    """Did running the first items change something that another process would change in a copy?"""

    def __init__(self, fn: Any, item: Any) -> None:
        self._fn, self._item = fn, item
        self._before, self._refusal = self._state()

    def _state(self) -> tuple[bytes, str | None]:
        try:
            return state_of((self._fn, self._item)), None
        except TooBig:
            return b"", "the function or its item is big"
        except Exception as error:  # of what kind is up to the pickled objects; it is the answer
            return b"", f"its state can't be looked at ({type(error).__name__}: {error})"

    def why_not_leave(self, results: list[Any], next_item: Any, cost: float) -> str | None:
        """Why an item that takes `cost` seconds should not be run in another process; None if it may."""
        if self._refusal:
            return self._refusal
        if all(result is None for result in results):
            return "it returns None, so it is called for what it changes"
        if self._state() != (self._before, None):
            return "running it changes its own state or its item"
        try:
            state_of((results[0], next_item))
            transport.dumps(self._fn)
            if seconds_to_send(results[: 8 if cost < 1e-4 else 1], next_item) > cost / 4:
                return "to send an item and its result takes as long as to run it"
        except TooBig:
            return "its items or results are big"
        except Exception as error:
            return f"it can't be sent to another process ({type(error).__name__}: {error})"
        return None


def seconds_to_send(results: list[Any], item: Any) -> float:
    """Of an item and its result, when many are sent at once."""
    began = monotonic()
    transport.dumps(item)
    sent = monotonic()
    transport.loads(transport.dumps(results, for_here=True))
    return max(0.0, sent - began - 5e-6) + (monotonic() - sent) / len(results)


class TooBig(Exception):  # noqa: N818 - nothing went wrong
    pass


class Logs(Exception):  # noqa: N818 - nothing went wrong
    pass


class _Limited:
    """A file of at most BIG bytes."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes | pickle.PickleBuffer) -> int:
        size = memoryview(data).nbytes  # what is big comes as a PickleBuffer, which has no len()
        if len(self.data) + size > BIG:
            raise TooBig
        self.data += data
        return size


class _State(pickle.Pickler):
    """Writes a function with all it can change: defaults, closure, the globals it names, and so on inside."""

    def __init__(self, file: _Limited) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._seen: set[int] = set()

    def reducer_override(self, thing: Any) -> Any:
        if thing is str:
            return NotImplemented
        logging = sys.modules.get("logging")
        if logging is not None and (thing is logging or isinstance(thing, logging.Logger)):
            raise Logs("it logs, and other processes have no handlers")
        if isinstance(thing, type) and not is_library(thing.__module__) and id(thing) not in self._seen:
            self._seen.add(id(thing))
            attributes = vars(thing).items()
            inside = {name: unwrapped(value) for name, value in attributes if is_looked_into(value)}
            return str, (id(thing), inside)
        if isinstance(thing, (type, ModuleType, _core.Kernel)):
            return str, (id(thing),)
        if isinstance(thing, BuiltinFunctionType) and isinstance(thing.__self__, (ModuleType, type(None))):
            return str, (id(thing),)
        wrapped = getattr(thing, "__wrapped__", None)
        if isinstance(wrapped, FunctionType) and not isinstance(thing, FunctionType):
            return str, (id(thing), wrapped)
        if isinstance(thing, FunctionType):
            if id(thing) in self._seen:
                return str, (id(thing),)
            self._seen.add(id(thing))
            names = {
                name: thing.__globals__[name]
                for name in names_in(thing.__code__)
                if name in thing.__globals__
            }
            cells = [contents_of(cell) for cell in thing.__closure__ or ()]
            for inside in (*names.values(), *cells):
                if type(inside) in CONTAINERS and len(inside) > BIG:  # a byte an item at least
                    raise TooBig
            return str, (id(thing), thing.__defaults__, thing.__kwdefaults__, thing.__dict__, cells, names)
        return NotImplemented


def is_looked_into(attribute: Any) -> bool:
    """Can this attribute of a class hold what is changed? Not what makes its instances' attributes work."""
    return not isinstance(attribute, GetSetDescriptorType | MemberDescriptorType | WrapperDescriptorType)


def state_of(thing: Any) -> bytes:
    """Equal bytes as long as nothing in it has changed. For comparing only: it can't be read back."""
    file = _Limited()
    _State(file).dump(thing)
    return bytes(file.data)
