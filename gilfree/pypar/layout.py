"""Layout: what a value is as plain memory, so that a value like it can be made around the same memory."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable
from typing import Any, NamedTuple

from mpi4py import MPI


class Layout(NamedTuple):
    kind: str  # a key of KINDS
    code: str  # the element type, in the words of the kind
    itemsize: int
    shape: tuple[int, ...]
    fortran: bool = False  # the first index runs fastest in memory

    @property
    def items(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.items * self.itemsize

    @property
    def element(self) -> str:
        """The element type in NumPy's words, the same for every kind: '<f8'."""
        return KINDS[self.kind].element(self)

    def __str__(self) -> str:
        return f"{KINDS[self.kind].name} of {self.element} with shape {self.shape}"


class Kind:
    """A type of Python that is plain memory. What `allocate` makes is a value once `finish` has seen it."""

    name = "bytes"

    def layout(self, x: Any) -> Layout | None:
        """None: this one is more than memory."""
        return Layout(self.name, "B", 1, (len(x),))

    def octets(self, x: Any, layout: Layout) -> Any:
        """The memory, contiguous, as bytes; a copy where it is scattered, or where its kind demands it."""
        return x

    def copy(self, x: Any, layout: Layout) -> bytes:
        """The memory of a short one, as bytes."""
        return bytes(self.octets(x, layout))

    def restore(self, octets: bytes, layout: Layout) -> Any:
        """A value made of such a copy."""
        return self.finish(octets)

    def allocate(self, layout: Layout) -> Any:
        return bytearray(layout.nbytes)

    def finish(self, made: Any) -> Any:
        return bytes(made)

    def blank(self, layout: Layout) -> Any:
        """What stands for a value that another rank has."""
        return b" " * layout.nbytes

    def element(self, layout: Layout) -> str:
        """The element type in NumPy's words."""
        return element_of(layout.code, layout.itemsize)


class Text(Kind):
    """Its memory is its UTF-8: the shape counts bytes."""

    name = "str"

    def layout(self, x: Any) -> Layout:
        # For ASCII they are the same; for the rest only the encoding tells.
        return Layout(self.name, "", 1, (len(x) if x.isascii() else len(self.octets(x, None)),))

    def octets(self, x: Any, layout: Layout | None) -> Any:
        return x.encode("utf-8", "surrogatepass")

    def finish(self, made: Any) -> Any:
        return str(made, "utf-8", "surrogatepass")

    def blank(self, layout: Layout) -> Any:
        return " " * layout.items

    def element(self, layout: Layout) -> str:
        return "text"


class Memory(Kind):
    """What can be received into."""

    def finish(self, made: Any) -> Any:
        return made

    def blank(self, layout: Layout) -> Any:
        return self.restore(bytes(layout.nbytes), layout)


class Bytearray(Memory):
    name = "bytearray"

    def restore(self, octets: bytes, layout: Layout) -> Any:
        return bytearray(octets)


class Array(Memory):
    name = "array.array"

    def layout(self, x: Any) -> Layout:
        return Layout(self.name, x.typecode, x.itemsize, (len(x),))

    def octets(self, x: Any, layout: Layout) -> Any:
        return _octets(x) if layout.items else b""

    def restore(self, octets: bytes, layout: Layout) -> Any:
        return array(layout.code, octets)

    def allocate(self, layout: Layout) -> Any:
        return array(layout.code, bytes(layout.itemsize)) * layout.items


class View(Memory):
    """A memoryview, and whatever has a buffer and can't be pickled."""

    name = "memoryview"

    def layout(self, x: Any) -> Layout | None:
        view: Any = memoryview(x)
        code = view.format.lstrip("@=<" if sys.byteorder == "little" else "@=>!")
        if code not in ELEMENTS or ELEMENTS[code] == "U":
            return None
        return Layout(self.name, code, view.itemsize, view.shape or ())

    def octets(self, x: Any, layout: Layout) -> Any:
        if not layout.items:
            return b""
        view = memoryview(x)
        return _octets(x) if view.c_contiguous else view.tobytes()

    def restore(self, octets: bytes, layout: Layout) -> Any:
        made = self.allocate(layout)
        if octets:
            _octets(made)[:] = octets
        return made

    def allocate(self, layout: Layout) -> Any:
        code: Any = layout.code
        if not layout.items:
            return memoryview(bytearray(layout.itemsize)).cast(code)[:0]
        return memoryview(bytearray(layout.nbytes)).cast(code, layout.shape)


class Ndarray(Memory):
    """NumPy's, of any element type that its own short name describes in full."""

    name = "ndarray"

    def layout(self, x: Any) -> Layout | None:
        dtype, flags = x.dtype, x.flags
        if dtype.kind not in "biufcmMSUV" or dtype.names is not None or not dtype.itemsize:
            return None
        return Layout(
            self.name, dtype.str, dtype.itemsize, x.shape, flags.f_contiguous and not flags.c_contiguous
        )

    def octets(self, x: Any, layout: Layout) -> Any:
        if not layout.items:
            return b""
        # A copy if it is scattered, or has another order.
        return x.ravel("F" if layout.fortran else "C").view("u1")

    def copy(self, x: Any, layout: Layout) -> bytes:
        return bytes(x.tobytes("F" if layout.fortran else "C"))

    def restore(self, octets: bytes, layout: Layout) -> Any:
        import numpy

        return numpy.ndarray(
            layout.shape, layout.code, bytearray(octets), order="F" if layout.fortran else "C"
        )

    def allocate(self, layout: Layout) -> Any:
        import numpy

        return numpy.empty(layout.shape, layout.code, order="F" if layout.fortran else "C")

    def blank(self, layout: Layout) -> Any:
        import numpy

        return numpy.zeros(layout.shape, layout.code)

    def element(self, layout: Layout) -> str:
        return layout.code


KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (Kind(), Text(), Bytearray(), Array(), View(), Ndarray())
}
_KIND_OF_TYPE: dict[type, Kind] = {
    bytes: KINDS["bytes"],
    str: KINDS["str"],
    bytearray: KINDS["bytearray"],
    array: KINDS["array.array"],
    memoryview: KINDS["memoryview"],
}

# The letters of struct and array, and NumPy's for the same.
ELEMENTS = dict.fromkeys("bhilqn", "i") | dict.fromkeys("BHILQN", "u") | dict.fromkeys("efdg", "f")
ELEMENTS |= {"?": "b", "c": "S", "u": "U", "w": "U"}


def _octets(x: Any) -> Any:
    """The memory of `x` as bytes. Unlike memoryview.cast, this takes formats such as "<d" and "w" too."""
    octets: Any = MPI.memory.frombuffer(x, readonly=memoryview(x).readonly)
    return memoryview(octets)


def element_of(code: str, itemsize: int) -> str:
    kind = ELEMENTS[code]
    order = "|" if itemsize == 1 else "<" if sys.byteorder == "little" else ">"
    return f"{order}{kind}{itemsize // 4 if kind == 'U' else itemsize}"


def kind_of(x: Any) -> Kind | None:
    """By the exact type: a subclass may hold more than its memory."""
    kind: type = type(x)
    numpy = sys.modules.get("numpy")
    # Another thread may be importing it.
    if numpy is not None and kind is getattr(numpy, "ndarray", None):
        return KINDS["ndarray"]
    return _KIND_OF_TYPE.get(kind)


def layout_of(x: Any) -> Layout | None:
    """None: only pickle can carry it."""
    kind = kind_of(x)
    return None if kind is None else kind.layout(x)


def octets_of(x: Any, layout: Layout) -> Any:
    return KINDS[layout.kind].octets(x, layout)


def receive_value(layout: Layout, read: Callable[[Any], object]) -> Any:
    """A value whose memory `read` sets."""
    kind = KINDS[layout.kind]
    made = kind.allocate(layout)
    octets = made if type(made) is bytearray else kind.octets(made, layout)
    if layout.nbytes:
        read(octets)
    return kind.finish(made)
