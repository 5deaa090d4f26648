"""What a function is and reads, for comparing: between two processes, or with what it was before.

A worker process imports modules as they are on disk, once; its parent may have reloaded one since, or set
something in it. Followed are functions, classes, and what they name in modules of the user's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.machinery import ModuleSpec
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

PLAIN = (int, float, complex, str, bytes, type(None), type(...))
STEPS = 10_000  # what is bigger is followed so far
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
    """The function of a method, as it stands in the class."""
    if isinstance(attribute, classmethod | staticmethod):
        return attribute.__func__
    return attribute.fget if isinstance(attribute, property) else attribute


class _Walk:
    def __init__(self) -> None:
        from hashlib import blake2b  # which takes longer than all of gilfree to import

        self._hash = blake2b(digest_size=16)
        self._seen: set[int] = set()
        self._left = STEPS
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
        if self._left < 0:
            return
        kind = type(thing)
        if kind in PLAIN or kind is bool:
            self._note(thing)
        elif kind in (list, tuple):
            self._note(kind.__name__, len(thing))
            self._add_all(thing)
        elif kind is dict:
            self._note("dict", len(thing))
            for key, value in thing.items():
                self.add(key)
                self.add(value)
        elif kind is frozenset:  # in no order that two processes share
            self._note("frozenset", sorted(repr(item) for item in thing if type(item) in PLAIN))
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

    def _add_module(self, module: ModuleType, names: Iterable[str]) -> None:
        self._note(module.__name__)
        if is_library(module.__name__):
            return
        self._note_module(vars(module))
        for name in names:
            value = vars(module).get(name)
            # Whether a submodule is there depends on who has imported it.
            if value is not None and not isinstance(value, ModuleType):
                self._note(name)
                self.add(value, names)

    def _add_class(self, cls: type) -> None:
        if not self._is_new(cls):
            return
        for name, attribute in sorted(vars(cls).items(), key=lambda item: str(item[0])):
            value = unwrapped(attribute)
            if type(value) is FunctionType or (type(value) in PLAIN and not name.startswith("__")):
                self._note(name)
                self.add(value)
        self._add_all(cls.__bases__)


def code_digest(code: CodeType) -> bytes:
    walk = _Walk()
    walk._note(code.co_name, code.co_code, code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            walk._note(code_digest(constant))
        else:
            walk.add(constant)
    return walk.digest()
