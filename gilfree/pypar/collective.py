"""Collective calls: every rank makes the same one, in the same order, from one thread at a time.

Before any memory moves, the ranks tell each other what it is. So what one of them can't do, all refuse
with the same error, instead of waiting for each other.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from mpi4py import MPI

from gilfree.pypar import job
from gilfree.pypar.layout import KINDS, Layout, layout_of, octets_of
from gilfree.pypar.message import decode, decode_into, encode
from gilfree.pypar.point import BYTE, OWN_RANK, RANKS, checked_rank

NATIVE = "<" if sys.byteorder == "little" else ">"


def _received(buffer: Any, layout: Layout, read: Any) -> Any:
    """What a collective call that `read` makes brings to this rank."""
    head = (*layout, None, 0)
    return decode(head, read) if buffer is None else decode_into(buffer, head, read)


def _words(x: Any) -> str:
    shape = getattr(x, "shape", None)
    return f"of type {type(x).__name__}" + (f" with shape {shape}" if isinstance(shape, tuple) else "")


def _refuse_what_is_no_memory(call: str, told: Sequence[Any]) -> None:
    for number, fields in enumerate(told):
        if isinstance(fields, str):
            raise TypeError(
                f"{call}: x of rank {number} is {fields}; accepted: an array or a string; send other objects"
            )


# ---- broadcast --------------------------------------------------------------------------------------


def broadcast(buffer: Any, root: int = 0, vanilla: bool = False, bypass: bool = False) -> Any:
    """What `buffer` is on the rank `root`, on every rank.

    On the other ranks `buffer`, if it is memory of its own, is filled and returned: BufferMismatchError if it
    does not fit. With `bypass=True` every rank's `buffer` is contiguous memory, trusted to be alike.
    """
    root = checked_rank("root", root)
    if bypass:
        job.bypasses.Bcast(buffer, root)
        return buffer
    if root == OWN_RANK:
        _broadcast_from_here(buffer, root, vanilla)
        return buffer
    failed, head = job.messages.bcast(None, root)
    if failed:
        raise RuntimeError(f"broadcast: rank {root}, the root, failed: {head}")

    def read(octets: Any) -> None:
        job.payloads.Bcast([octets, BYTE], root)

    return decode(head, read) if vanilla else decode_into(buffer, head, read)


def _broadcast_from_here(x: Any, root: int, vanilla: bool) -> None:
    try:
        head, frames = encode(x, vanilla)
    except BaseException as error:
        job.messages.bcast((True, f"{type(error).__name__}: {error}"), root)
        raise
    job.messages.bcast((False, head), root)
    for frame in frames:
        job.payloads.Bcast([frame, BYTE], root)


# ---- scatter ----------------------------------------------------------------------------------------


def scatter(x: Any, root: int = 0, buffer: Any = None, vanilla: bool = False) -> Any:
    """This rank's share of `x`, an array or string of the rank `root`: its first axis is cut into size()
    equal pieces.

    As in PyPar, what does not divide is sent to nobody; RuntimeWarning then. `buffer`: memory for the share,
    filled and returned. The other ranks' `x` is not looked at. TypeError, on every rank, if `x` can't be cut.
    """
    root = checked_rank("root", root)
    memory, told = _cut(x) if root == OWN_RANK else (None, None)
    why, fields, encoding = job.messages.bcast(told, root)
    if why:
        raise TypeError(f"scatter: {why}")

    def read(octets: Any) -> None:
        job.payloads.Scatter(None if memory is None else [memory, BYTE], [octets, BYTE], root)

    share = _received(None if encoding else buffer, Layout(*fields), read)
    return str(share, encoding, "surrogatepass") if encoding else share


def _cut(x: Any) -> tuple[Any, tuple[str, Any, str]]:
    """The memory of all pieces, and what the ranks are told: why not, a piece's layout, a text's encoding."""
    encoding, layout = "", layout_of(x)
    if type(x) is str:
        # In these, pieces of as many characters have as many bytes.
        encoding, width = ("ascii", 1) if x.isascii() else ("utf-32-le", 4)
        layout = Layout("bytes", "B", 1, (len(x), width))
        x = x.encode(encoding, "surrogatepass")
    if layout is None or not layout.shape:
        accepted = "an array with at least one axis, or a string; send other objects, or broadcast them"
        return None, (f"the root's x is {_words(x)}; accepted: {accepted}", None, "")
    items, *rest = layout.shape
    each, left = divmod(items, RANKS)
    if left:
        warnings.warn(
            f"scatter: {items} items don't divide among {RANKS} ranks: the last {left} are sent to nobody, "
            "as in PyPar; balance() gives unequal shares, to send one by one",
            RuntimeWarning,
            stacklevel=3,
        )
    share = layout._replace(shape=(each, *rest), fortran=False)
    octets = memoryview(octets_of(x, layout._replace(fortran=False)))
    return octets[: share.nbytes * RANKS], ("", tuple(share), encoding)


# ---- gather -----------------------------------------------------------------------------------------


def gather(x: Any, root: int = 0, buffer: Any = None, vanilla: bool = False) -> Any:
    """On the rank `root`: the ranks' arrays or strings `x`, in the order of the ranks, joined along the first
    axis.

    Their lengths along it may differ. `buffer`, of the root: memory for the result, filled and returned. The
    other ranks get their `buffer` back, or zeros (spaces for a string) like the result. TypeError, on every
    rank, if one of them has no such `x`, or one of another element type or shape.
    """
    root = checked_rank("root", root)
    own = layout_of(x)
    if own is not None:
        own = own._replace(shape=own.shape or (1,), fortran=False)
    told = job.messages.allgather(_words(x) if own is None else tuple(own))
    total, sizes = _joined(told)
    mine = [octets_of(x, total if own is None else own), BYTE]

    def read(octets: Any) -> None:
        job.payloads.Gatherv(mine, [octets, sizes, BYTE], root)

    if root == OWN_RANK:
        return _received(buffer, total, read)
    if total.nbytes:
        job.payloads.Gatherv(mine, None, root)
    return KINDS[total.kind].blank(total) if buffer is None else buffer


def _joined(told: Sequence[Any]) -> tuple[Layout, list[int]]:
    """The layout of all, and each one's bytes."""
    _refuse_what_is_no_memory("gather", told)
    layouts = [Layout(*fields) for fields in told]
    first = layouts[0]
    for number, layout in enumerate(layouts):
        if layout._replace(shape=layout.shape[1:]) != first._replace(shape=first.shape[1:]):
            raise TypeError(
                f"gather: rank 0 has {first}, rank {number} has {layout}; accepted: the same kind, element "
                "type, and shape but for the first axis"
            )
    items = sum(layout.shape[0] for layout in layouts)
    return first._replace(shape=(items, *first.shape[1:])), [layout.nbytes for layout in layouts]


# ---- reduce -----------------------------------------------------------------------------------------


class Operation(IntEnum):
    """How reduce combines two elements. The names are MPI's, the numbers PyPar's."""

    MAX, MIN, SUM, PROD, LAND, BAND, LOR, BOR, LXOR, BXOR, MAXLOC, MINLOC = range(1, 13)


MAX, MIN, SUM, PROD = Operation.MAX, Operation.MIN, Operation.SUM, Operation.PROD
LAND, LOR, LXOR = Operation.LAND, Operation.LOR, Operation.LXOR
BAND, BOR, BXOR = Operation.BAND, Operation.BOR, Operation.BXOR
MAXLOC, MINLOC = Operation.MAXLOC, Operation.MINLOC

_NUMERIC, _LOGICAL, _BITWISE = (SUM, PROD, MAX, MIN), (LAND, LOR, LXOR), (BAND, BOR, BXOR)
_ALL = _NUMERIC + _LOGICAL + _BITWISE
# By the letter of the element type.
_OPERATIONS = {"b": _LOGICAL, "i": _ALL, "u": _ALL, "f": _NUMERIC, "c": (SUM, PROD)}

_LONG = MPI.LONG.Get_size()
_LONG_DOUBLE = MPI.LONG_DOUBLE.Get_size()
_TYPES = {
    "b1": MPI.C_BOOL,
    "i1": MPI.INT8_T,
    "i2": MPI.INT16_T,
    "i4": MPI.INT32_T,
    "i8": MPI.INT64_T,
    "u1": MPI.UINT8_T,
    "u2": MPI.UINT16_T,
    "u4": MPI.UINT32_T,
    "u8": MPI.UINT64_T,
    "f4": MPI.FLOAT,
    "f8": MPI.DOUBLE,
    f"f{_LONG_DOUBLE}": MPI.LONG_DOUBLE,
    "c8": MPI.C_FLOAT_COMPLEX,
    "c16": MPI.C_DOUBLE_COMPLEX,
    f"c{2 * _LONG_DOUBLE}": MPI.C_LONG_DOUBLE_COMPLEX,
}
# A value and the rank or index that it is of, as a C struct.
_PAIRS = {
    "i2": MPI.SHORT_INT,
    "i4": MPI.INT_INT,
    f"i{_LONG}": MPI.LONG_INT,
    "f4": MPI.FLOAT_INT,
    "f8": MPI.DOUBLE_INT,
    f"f{_LONG_DOUBLE}": MPI.LONG_DOUBLE_INT,
}


def reduce(
    x: Any, op: int, root: int = 0, buffer: Any = None, vanilla: bool = False, bypass: bool = False
) -> Any:
    """On the rank `root`: the ranks' arrays `x` combined element by element with `op`: SUM PROD MAX MIN (of
    complex numbers: SUM PROD), LAND LOR LXOR (integers and bool), BAND BOR BXOR (integers).

    MAXLOC and MINLOC take NumPy arrays of pairs, a value and an int32, the C struct of them:
    ``numpy.dtype([("value", "f8"), ("rank", "i4")], align=True)``.

    `buffer`, of the root: memory for the result, filled and returned. The other ranks get their `buffer`
    back, or zeros like the result. TypeError, on every rank, if the arrays are not alike or `op` is not for
    their elements. With `bypass=True`, `x` and the root's `buffer` are contiguous memory, trusted to be
    alike.
    """
    root = checked_rank("root", root)
    operation = _checked_operation(op)
    if bypass:
        job.bypasses.Reduce(x, buffer if root == OWN_RANK else None, _mpi(operation), root)
        return buffer
    if operation in (MAXLOC, MINLOC):
        return _reduce_pairs(x, operation, root, buffer)
    own = layout_of(x)
    told = _words(x) if own is None else tuple(own._replace(fortran=False))
    layout = _alike(job.messages.allgather((operation.name, told)))
    element = _working_element(layout, operation)
    converts = element != layout.element
    mine = [octets_of(x.astype(element) if converts else x, layout), layout.items, _TYPES[element[1:]]]

    def read(octets: Any) -> None:
        result = x.astype(element).reshape(-1) if converts else None
        into = octets if result is None else result.view("u1")
        job.payloads.Reduce(mine, [into, *mine[1:]], _mpi(operation), root)
        if result is not None:
            octets[:] = result.astype(layout.element).view("u1")

    if root == OWN_RANK:
        return _received(buffer, layout, read)
    if layout.nbytes:
        job.payloads.Reduce(mine, None, _mpi(operation), root)
    return KINDS[layout.kind].blank(layout) if buffer is None else buffer


def _checked_operation(op: Any) -> Operation:
    try:
        return Operation(op)
    except ValueError:
        raise TypeError(f"op is {op!r}; accepted: {', '.join(Operation.__members__)}") from None


def _mpi(operation: Operation) -> Any:
    return getattr(MPI, operation.name)


def _alike(told: Sequence[tuple[str, Any]]) -> Layout:
    _refuse_what_is_no_memory("reduce", [fields for _, fields in told])
    for number, (name, fields) in enumerate(told):
        if (name, fields) != told[0]:
            raise TypeError(
                f"reduce: rank 0 has {told[0][0]} of {Layout(*told[0][1])}, rank {number} has {name} of "
                f"{Layout(*fields)}; accepted: the same of all"
            )
    return Layout(*told[0][1])


def _working_element(layout: Layout, operation: Operation) -> str:
    """The element type to compute in: MPI knows neither half precision nor foreign byte orders."""
    element = layout.element
    is_half = element[1:] == "f2"
    is_for_numpy = is_half and layout.kind != "ndarray"
    accepted = () if layout.kind in ("str", "bytes") or is_for_numpy else _OPERATIONS.get(element[1], ())
    if operation not in accepted:
        names = ", ".join(each.name for each in accepted) or "nothing"
        raise TypeError(f"reduce: {operation.name} of {layout}; accepted for it: {names}")
    if is_half:
        return NATIVE + "f4"
    return element if element[0] == "|" else NATIVE + element[1:]


def _reduce_pairs(x: Any, operation: Operation, root: int, buffer: Any) -> Any:
    kind = _pair_type(getattr(x, "dtype", None))
    told = job.messages.allgather((operation.name, str(x.dtype) if kind else None, getattr(x, "shape", None)))
    for number, (name, element, shape) in enumerate(told):
        if element is None:
            raise TypeError(
                f"reduce: x of rank {number} has no pairs for {name}; accepted: a NumPy array of numpy.dtype("
                f'[("value", V), ("rank", "i4")], align=True), V one of {", ".join(_PAIRS)}'
            )
        if (name, element, shape) != told[0]:
            raise TypeError(
                f"reduce: rank 0 has {told[0]}, rank {number} has {told[number]}; accepted: the same of all"
            )
    import numpy

    mine, made = numpy.ascontiguousarray(x).reshape(x.shape), None
    if root == OWN_RANK:
        made = numpy.empty_like(mine)
    into = None if made is None else [made, mine.size, kind]
    job.payloads.Reduce([mine, mine.size, kind], into, _mpi(operation), root)
    if buffer is None:
        return numpy.zeros_like(mine) if made is None else made
    if made is not None:
        buffer[...] = made
    return buffer


def _pair_type(dtype: Any) -> Any:
    """MPI's type for a NumPy structure of a value and an int32; None for any other."""
    fields = list(getattr(dtype, "fields", None) or {})
    if len(fields) != 2:
        return None
    value, index = (dtype.fields[field][0].str for field in fields)
    if value[1:] not in _PAIRS or {value[0], index[0]} != {NATIVE} or index[1:] != "i4":
        return None
    import numpy

    aligned = numpy.dtype([(fields[0], value), (fields[1], index)], align=True)
    return _PAIRS[value[1:]] if dtype == aligned and dtype.itemsize == aligned.itemsize else None
