"""What a function is and reads, for comparing: between two processes, or with what it was before.

A worker process imports modules as they are on disk, once; its parent may have reloaded one since, or set
something in it. Followed are functions, classes, and what they name in modules of the user's own, objects of
installed packages excepted. What comes from __main__ is sent in full, and so are its values.
"""

from __future__ import annotations

import copyreg
import functools
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from importlib.machinery import ModuleSpec
from itertools import chain
from operator import methodcaller
from types import CellType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

LRU_CACHE = type(functools.lru_cache(int))
PLAIN = (int, float, complex, str, bytes, type(None), type(...))
STEPS = 10_000  # what is bigger is followed so far
DEPTH = 50
BYTES = 100_000
Modules = dict[str, ModuleSpec | None]  # by name; each time a module is loaded it has another spec
MAINS = ("__main__", "__mp_main__")  # functions from there are sent in full


def of(fn: Callable[..., Any]) -> bytes:
    """Equal in two processes if the code is that fn is and names, and so are the plain values it reads."""
    walk = _Walk()
    walk.add(fn)
    return walk.digest()


def imported_modules(fn: Callable[..., Any]) -> Modules:
    """The modules of what fn is or names, which another process would import."""
    walk = _Walk()
    walk.add(fn)
    return walk.modules


def is_library(module: Any) -> bool:
    """Is what says that it is that module's of the standard library, or installed? It is not followed."""
    if not isinstance(module, str):
        return True
    if module in MAINS:
        return False
    package = module.partition(".")[0]
    if package in sys.stdlib_module_names or package == "gilfree":
        return True
    return is_installed(package)


def is_installed(package: str) -> bool:
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


def names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def contents_of(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing was assigned yet
        return None


def unwrapped(attribute: Any) -> Any:
    """The function of a method, as it stands in the class; a tuple of those of a property."""
    if isinstance(attribute, classmethod | staticmethod):
        return attribute.__func__
    if isinstance(attribute, functools.cached_property):
        return attribute.func
    if isinstance(attribute, property):
        return attribute.fget, attribute.fset, attribute.fdel
    return attribute


def builtin_value(thing: Any) -> Iterator[Any]:
    """What an object holds because its class is made from a built-in one."""
    containers: tuple[Any, ...] = list, tuple, set, frozenset
    for kind in containers:
        if isinstance(thing, kind):
            yield kind(kind.__iter__(thing))
    if isinstance(thing, dict):
        yield dict(dict.items(thing))
    for kind in (int, float, complex, str, bytes, bytearray):
        if isinstance(thing, kind):
            yield kind.__repr__(thing)


def fields_of(thing: Any) -> Iterator[tuple[str, Any]]:
    """The attributes an object has for itself."""
    yield from getattr(thing, "__dict__", {}).items()
    for cls in type(thing).__mro__:
        for name, attribute in vars(cls).items():
            if type(attribute) is MemberDescriptorType and not is_library(cls.__module__):
                with suppress(AttributeError):  # it is not set
                    yield name, attribute.__get__(thing)


def readable(part: Any) -> Any:
    """A part of what __reduce_ex__ gives: items come as iterators."""
    return list(part) if isinstance(part, Iterator) else part


def numpy_types() -> tuple[type, ...]:
    numpy = sys.modules.get("numpy")
    return () if numpy is None else (numpy.ndarray, numpy.generic)


class _Walk:
    def __init__(self) -> None:
        from hashlib import blake2b  # which takes longer than all of gilfree to import

        self._hash = blake2b(digest_size=16)
        self._seen: set[int] = set()
        self._left = STEPS
        self._depth = 0
        self._compares_state = False  # of objects: is it that of a module that the other process imports?
        self.modules: Modules = {}

    def digest(self) -> bytes:
        return self._hash.digest()

    def _note(self, *words: object) -> None:
        self._hash.update(repr(words).encode("utf-8", "surrogatepass"))

    def _note_module(self, namespace: dict[str, Any]) -> None:
        name = namespace.get("__name__", "")
        if not is_library(name) and name not in MAINS:
            self.modules[name] = namespace.get("__spec__")

    def add(self, thing: Any, names: Iterable[str] = ()) -> None:
        """With what is named in it, if it is a module."""
        self._left -= 1
        if self._left < 0 or self._depth > DEPTH:
            return
        self._depth += 1
        self._add(thing, names)
        self._depth -= 1

    def _add(self, thing: Any, names: Iterable[str]) -> None:
        kind = type(thing)
        if kind in PLAIN or kind is bool:
            self._note(thing)
        elif kind in (list, tuple):
            self._note(kind.__name__, len(thing))
            self._add_all(thing)
        elif kind is dict:
            self._note("dict", len(thing))
            self._add_all(chain.from_iterable(thing.items()))
        elif kind in (set, frozenset):  # in no order that two processes share
            self._note(kind.__name__, sorted(map(self._digest_of, thing)))
        elif kind is pickle.PickleBuffer:
            self._note(thing.raw().nbytes, bytes(thing.raw()[:BYTES]))
        elif kind is FunctionType:
            self._add_function(thing)
        elif isinstance(thing, ModuleType):
            self._add_module(thing, names)
        elif isinstance(thing, type):
            self._add_class(thing)
        elif kind is partial:
            self._add_all((thing.func, thing.args, thing.keywords))
        elif kind is MethodType:
            self._add_all((thing.__func__, type(thing.__self__)))
        else:
            self.add(kind)
            wrapped = getattr(thing, "__wrapped__", None) if callable(thing) else None
            if type(wrapped) is FunctionType:
                self.add(wrapped)
            if self._compares_state:
                self._add_state(thing)

    def _add_state(self, thing: Any) -> None:
        """Of an object; nothing for one that has none another process could have, as a lock."""
        kind = type(thing)
        if not is_library(kind.__module__):
            self._add_all(sorted(fields_of(thing), key=lambda field: field[0]))
            self._add_all(builtin_value(thing))
        elif not is_installed(kind.__module__.partition(".")[0]) or isinstance(thing, numpy_types()):
            try:
                reduced = copyreg.dispatch_table.get(kind, methodcaller("__reduce_ex__", 5))(thing)
            except Exception:
                return
            self._add_all([reduced] if isinstance(reduced, str) else map(readable, reduced[1:5]))

    def _digest_of(self, thing: Any) -> bytes:
        walk = _Walk()
        walk._compares_state = self._compares_state
        walk._left, walk._depth = self._left, self._depth
        walk.add(thing)
        self._left = walk._left
        return walk.digest()

    def _add_all(self, things: Iterable[Any]) -> None:
        for thing in things:
            self.add(thing)

    def _is_new(self, thing: Any) -> bool:
        """Only then it is gone into."""
        name = getattr(thing, "__module__", None), thing.__qualname__
        self._note(*name)
        if is_library(name[0]) or id(thing) in self._seen:
            return False
        self._seen.add(id(thing))
        return True

    def _add_function(self, function: FunctionType) -> None:
        if not self._is_new(function):
            return
        compared, self._compares_state = self._compares_state, function.__module__ not in MAINS
        code = function.__code__
        self._note(code_digest(code))
        self._note_module(function.__globals__)
        self._add_all((function.__defaults__, function.__kwdefaults__))
        self._add_all(contents_of(cell) for cell in function.__closure__ or ())
        names = sorted(set(names_in(code)))
        for name in names:
            if name in function.__globals__:
                self._note(name)
                self.add(function.__globals__[name], names)
        self._compares_state = compared

    def _add_module(self, module: ModuleType, names: Iterable[str]) -> None:
        self._note(module.__name__)
        if is_library(module.__name__):
            return
        self._note_module(vars(module))
        for name in names:
            value = vars(module).get(name)
            if value is not None:
                self._note(name)
                self.add(value, names)

    def _add_class(self, cls: type) -> None:
        if not self._is_new(cls):
            return
        compared, self._compares_state = self._compares_state, cls.__module__ not in MAINS
        for name, attribute in sorted(vars(cls).items(), key=lambda item: str(item[0])):
            value = unwrapped(attribute)
            is_code = type(value) is FunctionType or isinstance(attribute, property)
            is_state = (type(value) in PLAIN or self._compares_state) and not name.startswith("__")
            if is_code or (is_state and name != "_abc_impl"):
                self._note(name)
                self.add(value)
        self._compares_state = compared
        self._add_all((*cls.__bases__, type(cls)))


def code_digest(code: CodeType) -> bytes:
    walk = _Walk()
    walk._note(code.co_name, code.co_code, code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            walk._note(code_digest(constant))
        else:
            walk.add(constant)
    return walk.digest()
