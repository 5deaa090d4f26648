"""What a function is and reads, for comparing: between two processes, or with what it was before.

A worker process imports modules as they are on disk, once; its parent may have reloaded one since, or set
something in it. Followed are functions, classes, and what they name in modules of the user's own, objects of
installed packages excepted. What comes from __main__ is sent in full, and so are its values.
"""

from __future__ import annotations

import copyreg
import functools
import sys
from array import array
from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping
from contextlib import suppress
from functools import partial
from importlib.machinery import ModuleSpec
from itertools import chain, islice
from operator import methodcaller
from types import (
    CellType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

PLAIN = (int, float, complex, str, bytes, type(None), type(...))
STEPS = 10_000  # what is bigger is followed so far
DEPTH = 50
BYTES = 1 << 20
BYTES_A_STEP = 10_000
# Of the standard library, the packages whose objects are values; Decimal is one, but not its context.
COMPARED = (
    *("builtins", "types", "collections", "datetime", "fractions", "pathlib", "uuid", "ipaddress"),
    *("argparse", "re", "operator", "string", "statistics"),
)
MADE = ("_abc_impl", "__annotate__", "__annotate_func__")  # attributes of classes that Python makes
Modules = dict[str, ModuleSpec | None]  # by name; each time a module is loaded it has another spec
MAINS = ("__main__", "__mp_main__")  # functions from there are sent in full


def of(fn: Callable[..., Any]) -> bytes:
    """Equal in two processes if the code is that fn is and names, and so are the plain values it reads."""
    walk = _Walk(compares_state=True)
    walk.add(fn)
    return walk.digest()


def imported_modules(fn: Callable[..., Any]) -> Modules:
    """The modules of what fn is or names, which another process would import."""
    walk = _Walk(compares_state=False)
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
    kind = type(thing)
    containers: tuple[Any, ...] = list, tuple, set, frozenset
    for base in containers:
        if issubclass(kind, base):
            yield base(islice(base.__iter__(thing), STEPS))
    if issubclass(kind, dict):
        yield dict(islice(dict.items(thing), STEPS))
    for base in (float, complex):
        if issubclass(kind, base):
            yield base.__repr__(thing)
    if issubclass(kind, int):
        yield int.__index__(thing)
    sequences: tuple[Any, ...] = str, bytes, bytearray
    for base in sequences:
        if issubclass(kind, base):
            yield base.__len__(thing), base.__getitem__(thing, slice(BYTES))


def fields_of(thing: Any) -> Iterator[tuple[str, Any]]:
    """The attributes an object has for itself, but those that are kept from one use to the next."""
    classes = [cls for cls in type(thing).__mro__ if not is_library(cls.__module__)]
    cached = {
        name
        for cls in classes
        for name, attribute in vars(cls).items()
        if isinstance(attribute, functools.cached_property)
    }
    with suppress(AttributeError):  # it has slots only
        attributes = object.__getattribute__(thing, "__dict__")
        yield from ((name, value) for name, value in attributes.items() if name not in cached)
    for cls in classes:
        for name, attribute in vars(cls).items():
            if type(attribute) is MemberDescriptorType:
                with suppress(AttributeError):  # it is not set
                    yield name, attribute.__get__(thing)


def library_value(thing: Any, kind: type) -> Any:
    """What makes an object equal another, as far as its class, or base, of the standard library or NumPy's
    knows; None if it is not to be compared, as the state of a lock, or of a generator of random numbers."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, (numpy.ndarray, numpy.generic)):
        items = numpy.asarray(thing).flat[: max(1, BYTES // max(thing.itemsize, 1))]
        return str(thing.dtype), thing.shape, items.tolist() if items.dtype.hasobject else items.tobytes()
    if kind in (memoryview, array, bytearray):
        return memoryview(thing).nbytes, memoryview(thing)[:BYTES].tobytes()
    if kind.__module__.partition(".")[0] not in COMPARED and kind.__name__ != "Decimal":
        return None
    try:
        reduced = copyreg.dispatch_table.get(kind, methodcaller("__reduce_ex__", 2))(thing)
    except Exception:  # of what kind is up to the object: it can't be sent, and so not be compared
        return None
    if isinstance(reduced, str):
        return reduced
    return [list(islice(part, STEPS)) if isinstance(part, Iterator) else part for part in reduced[1:5]]


class _Walk:
    def __init__(self, compares_state: bool) -> None:
        from hashlib import blake2b  # which takes longer than all of gilfree to import

        self._hash = blake2b(digest_size=16)
        self._seen: set[int] = set()
        self._visits: set[tuple[int, tuple[str, ...]]] = set()  # of modules, by what is named
        self._numbers: MutableMapping[int, int] = {}  # of objects, by id
        self._count = 0
        self._left = STEPS
        self._depth = 0
        self._compares_state = compares_state
        self._is_imported = False  # is it in a module that the other process imports? What is not is sent.
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
        is_imported = self._is_imported
        try:
            self._add(thing, names)
        except Exception:  # of what kind is up to the object: it does not let itself be looked at
            self._note("?")
        finally:
            self._depth -= 1
            self._is_imported = is_imported

    def _add(self, thing: Any, names: Iterable[str]) -> None:
        kind = type(thing)
        if kind in (str, bytes) and len(thing) > BYTES:
            self._note(len(thing))
            thing = thing[:BYTES]
        if kind is bytes:
            self._note("bytes", len(thing))
            self._hash.update(thing)
            self._left -= len(thing) // BYTES_A_STEP
        elif kind is int:
            self._note(hex(thing))  # of any length
        elif kind in PLAIN or kind is bool:
            self._note(thing)
        elif kind in (list, tuple):
            self._note(kind.__name__, len(thing))
            self._add_all(thing)
        elif kind in (dict, MappingProxyType):
            self._note("dict", len(thing))
            self._add_all(chain.from_iterable(thing.items()))
        elif kind in (set, frozenset):
            self._add_set(thing)
        elif kind is slice:
            self._add_all((thing.start, thing.stop, thing.step))
        elif kind is FunctionType:
            self._add_function(thing)
        elif isinstance(thing, ModuleType):
            self._add_module(thing, names)
        elif isinstance(thing, type):
            self._add_class(thing)
        elif kind is partial:
            self._add_all((thing.func, thing.args, thing.keywords))
        elif kind is MethodType:
            self._add_all((thing.__func__, thing.__self__ if self._is_imported else type(thing.__self__)))
        else:
            self.add(kind)
            with suppress(Exception):  # what its __getattr__ raises
                wrapped = getattr(thing, "__wrapped__", None) if callable(thing) else None
                if type(wrapped) is FunctionType:
                    self.add(wrapped)
            if self._compares_state and self._is_imported:
                self._add_state(thing)

    def _add_state(self, thing: Any) -> None:
        if not is_library(type(thing).__module__):
            if not self._is_first(thing):
                return
            self._add_all(sorted(fields_of(thing), key=lambda field: str(field[0])))
            self._add_all(builtin_value(thing))
        for cls in type(thing).__mro__:
            if is_library(cls.__module__) and cls is not object:
                self.add(library_value(thing, cls))

    def _is_first(self, thing: Any) -> bool:
        """Only then it is gone into, as objects may refer to one another."""
        number = self._numbers.get(id(thing))
        if number is not None:
            self._note("again", number)
            return False
        self._numbers[id(thing)] = self._count
        self._count += 1
        return True

    def _add_set(self, things: Collection[Any]) -> None:
        """In no order that two processes share."""
        self._note("set", len(things))
        digests = []
        for thing in things:
            walk = _Walk(self._compares_state)
            walk._is_imported, walk._left, walk._depth = self._is_imported, self._left, self._depth
            walk._numbers, walk._count = ChainMap({}, self._numbers), self._count
            walk.add(thing)
            self._left = walk._left
            if self._left < 0:  # which of them came first, is each process's own
                return
            digests.append(walk.digest())
        self._note(sorted(digests))

    def _add_all(self, things: Iterable[Any]) -> None:
        for thing in things:
            if self._left < 0:
                return
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
        self._is_imported = function.__module__ not in MAINS
        code = function.__code__
        self._note(code_digest(code))
        self._note_module(function.__globals__)
        self._add_all((function.__defaults__, function.__kwdefaults__))
        self._add_all(contents_of(cell) for cell in function.__closure__ or ())
        if self._compares_state and self._is_imported:
            self.add(function.__dict__)
        names = sorted(set(names_in(code)))
        for name in names:
            if name in function.__globals__:
                self._note(name)
                self.add(function.__globals__[name], names)

    def _add_module(self, module: ModuleType, names: Iterable[str]) -> None:
        self._note(module.__name__)
        if is_library(module.__name__):
            return
        visit = id(module), tuple(names)
        if visit in self._visits:
            return
        self._visits.add(visit)
        self._is_imported = module.__name__ not in MAINS
        self._note_module(vars(module))
        for name in names:
            value = vars(module).get(name)
            if value is not None:
                self._note(name)
                self.add(value, names)

    def _add_class(self, cls: type) -> None:
        if not self._is_new(cls):
            return
        self._is_imported = cls.__module__ not in MAINS
        compares = self._compares_state and self._is_imported
        is_enum = "_member_map_" in vars(cls)
        for name, attribute in sorted(vars(cls).items(), key=lambda item: str(item[0])):
            if name in MADE or (is_enum and name.startswith("_") and name != "_member_map_"):
                continue
            value = unwrapped(attribute)
            is_code = type(value) is FunctionType or isinstance(attribute, property)
            if is_code or ((type(value) in PLAIN or compares) and not name.startswith("__")):
                self._note(name)
                self.add(value)
        self._add_all((*cls.__bases__, type(cls)))


def code_digest(code: CodeType) -> bytes:
    walk = _Walk(compares_state=False)
    walk._note(code.co_name, code.co_code, code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            walk._note(code_digest(constant))
        else:
            walk.add(constant)
    return walk.digest()
