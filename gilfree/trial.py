"""What the first items of a call show: how long they take, who holds the GIL, what they change.

The planner decides by it where the other items run.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from time import monotonic, process_time, sleep
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any
from weakref import ReferenceType

from gilfree import _core, child, transport
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
        self._objects: Objects = {}  # those that the function or its item has or names, when last looked
        self._before, self._refusal = self._state()

    def _state(self) -> tuple[bytes, str | None]:
        try:
            state, self._objects = look_through((self._fn, self._item))
            return state, None
        except TooBig:
            return b"", "the function or its item is big"
        except Exception as error:  # of what kind is up to the pickled objects; it is the answer
            return b"", f"its state can't be looked at ({child.text_of(error)})"

    def why_not_leave(self, results: list[Any], next_item: Any, cost: float) -> str | None:
        """Why an item that takes `cost` seconds should not be run in another process; None if it may."""
        if self._refusal:
            return self._refusal
        if is_importing():  # before anything is pickled, which may import, and so wait
            return "a module is being imported: another process, or thread, would wait for it or run it again"
        if all(result is None for result in results):
            return "it returns None, so it is called for what it changes"
        if self._state() != (self._before, None):
            return "running it changes its own state or its item"
        try:
            look_through(next_item)
            _, returned = look_through(results[0], into_code=False)
            transport.dumps(self._fn)
            again = self._objects.keys() & (returned.keys() | set(map(id, results)))
            if any(is_known_by_identity(self._objects[number]) for number in again):
                return "it returns what it was given or names, and a copy would not be equal"
            if takes_long_to_send(results[: 8 if cost < 1e-4 else 1], next_item, cost / 4):
                return "to send an item and its result takes as long as to run it"
        except TooBig:
            return "its items or results are big"
        except Exception as error:
            return f"it can't be sent to another process ({child.text_of(error)})"
        return None


def is_importing() -> bool:
    # Not by getattr: a module that is loaded when an attribute is asked for would be. Not by isinstance: what
    # else is put in sys.modules may say that it is one.
    attributes_of = vars(ModuleType)["__dict__"].__get__
    modules = [module for module in list(sys.modules.values()) if issubclass(type(module), ModuleType)]
    specs = (attributes_of(module).get("__spec__") for module in modules)
    return any(isinstance(spec, ModuleSpec) and getattr(spec, "_initializing", False) for spec in specs)


def takes_long_to_send(results: list[Any], item: Any, seconds: float) -> bool:
    """Do an item and its result take longer than that, when many are sent at once?"""
    began = monotonic()
    transport.dumps(item)
    sent = monotonic()
    data = transport.dumps(results, for_here=True)
    for_item = max(0.0, sent - began - 5e-6)

    def takes_long() -> bool:
        return for_item + (monotonic() - sent) / len(results) > seconds

    if not takes_long():
        transport.loads(data)
    return takes_long()


def is_known_by_identity(thing: Any) -> bool:
    """Does it equal nothing but itself, and is another object once it was sent to and fro?"""
    compares: object = type(thing).__eq__
    return compares is object.__eq__ and transport.loads(transport.dumps(thing, True)) is not thing


class TooBig(Exception):  # noqa: N818 - nothing went wrong
    pass


class MustStay(Exception):  # noqa: N818 - nothing went wrong
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
    """Writes a function with all it can change: defaults, closure, the globals it names, and so on inside.

    If it does not look into code, functions and classes are nothing but themselves.
    """

    def __init__(self, file: _Limited, into_code: bool) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._into_code = into_code
        self._seen: set[int] = set()

    def reducer_override(self, thing: Any) -> Any:
        if thing is str:
            return NotImplemented
        logging = sys.modules.get("logging")
        if logging is not None and (thing is logging or isinstance(thing, logging.Logger)):
            raise MustStay("it logs, and other processes have no handlers")
        if not self._into_code and isinstance(thing, type | FunctionType):
            return str, (id(thing),)
        if isinstance(thing, type) and not is_library(thing.__module__) and id(thing) not in self._seen:
            self._seen.add(id(thing))
            attributes = vars(thing).items()
            inside = {name: unwrapped(value) for name, value in attributes if is_looked_into(name, value)}
            return str, (id(thing), inside, thing.__bases__, type(thing))
        if isinstance(thing, (type, ModuleType, _core.Kernel)):
            return str, (id(thing),)
        if isinstance(thing, BuiltinFunctionType) and isinstance(thing.__self__, (ModuleType, type(None))):
            return str, (id(thing),)
        if isinstance(thing, ReferenceType):
            return str, (id(thing),)
        if isinstance(thing, MappingProxyType):
            return str, (id(thing), dict(thing))
        wrapped = getattr(thing, "__wrapped__", None) if is_library(type(thing).__module__) else None
        if isinstance(wrapped, FunctionType) and not isinstance(thing, FunctionType):
            return str, (id(thing), wrapped)
        if isinstance(thing, FunctionType):
            if id(thing) in self._seen:
                return str, (id(thing),)
            self._seen.add(id(thing))
            named = set(names_in(thing.__code__))
            if not named.isdisjoint(("print", "stdout")) and is_print_caught():
                raise MustStay("it prints, and sys.stdout is not that of other processes")
            names = {name: thing.__globals__[name] for name in sorted(named) if name in thing.__globals__}
            cells = [contents_of(cell) for cell in thing.__closure__ or ()]
            for inside in (*names.values(), *cells):
                if type(inside) in CONTAINERS and len(inside) > BIG:  # a byte an item at least
                    raise TooBig
            return str, (id(thing), thing.__defaults__, thing.__kwdefaults__, thing.__dict__, cells, names)
        return NotImplemented


def is_looked_into(name: str, attribute: Any) -> bool:
    """Can this attribute of a class hold what is changed? Not what makes it, and its instances' attributes,
    work."""
    makers = GetSetDescriptorType | MemberDescriptorType | WrapperDescriptorType
    return name != "_abc_impl" and not isinstance(attribute, makers)


def is_print_caught() -> bool:
    """Does what is printed here go where another process would not print?"""
    stdout = sys.stdout
    # A notebook shows what other processes print, too.
    if stdout is None or stdout is sys.__stdout__ or type(stdout).__module__.startswith("ipykernel."):
        return False
    try:
        return not os.path.sameopenfile(stdout.fileno(), 1)
    except (AttributeError, OSError, ValueError):  # it is no file
        return True


Objects = dict[int, Any]  # by id


def look_through(thing: Any, into_code: bool = True) -> tuple[bytes, Objects]:
    """What is equal as long as nothing in it has changed, for comparing only; and the objects in it."""
    file = _Limited()
    state = _State(file, into_code)
    state.dump(thing)
    return bytes(file.data), {number: found for number, (_, found) in state.memo.copy().items()}
