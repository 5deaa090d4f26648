"""Message: how a value travels. Its head goes first; what is long follows as frames of plain memory.

The head is a Python object that mpi4py pickles. A short number or string is its own head. Any other value's
is a tuple: a Layout's fields, then the memory if it is short or None, then the number under which the frames
follow. So a receiver needs no agreement with the sender on what comes, and always reads a message to its end.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Sequence
from itertools import count
from threading import Lock
from types import NoneType
from typing import Any

from gilfree.pypar import layout as memory
from gilfree.pypar.layout import Layout, layout_of

# Bytes that travel within the head: below, a second message costs more than copying them twice.
INLINE = 8192
# Bytes of a buffer inside a pickled object from which on it is a frame of its own.
OUT_OF_BAND = 16384

# These are their own heads, strings and bytes up to INLINE.
NUMBERS = {bool, int, float, complex, NoneType}
STRINGS = {str, bytes}

# The kind of a head whose shape holds the sizes of the frames: the pickle, then its buffers.
PICKLE = "pickle"

Head = Any
Frames = Sequence[Any]
Read = Callable[[Any], object]  # puts the next frame into the memory that it is given


class BufferMismatchError(ValueError):
    """What came does not fit into the buffer. It is not lost: `received` holds it."""

    def __init__(self, message: str, received: Any) -> None:
        super().__init__(message)
        self.received = received


def encode(x: Any, vanilla: bool = False) -> tuple[Head, Frames]:
    kind = type(x)
    if kind in NUMBERS or (kind in STRINGS and len(x) <= INLINE):
        return x, ()
    layout = None if vanilla else layout_of(x)
    return _encode_pickle(x, vanilla) if layout is None else _encode_memory(x, layout)


def _encode_memory(x: Any, layout: Layout) -> tuple[Head, Frames]:
    if layout.nbytes <= INLINE:
        return (*layout, memory.KINDS[layout.kind].copy(x, layout), 0), ()
    return (*layout, None, next_sequence()), (memory.octets_of(x, layout),)


def _encode_pickle(x: Any, vanilla: bool) -> tuple[Head, Frames]:
    buffers: list[memoryview] = []

    def stays_in_the_pickle(buffer: pickle.PickleBuffer) -> bool:
        octets = buffer.raw()
        if octets.nbytes < OUT_OF_BAND:
            return True
        buffers.append(octets)
        return False

    try:
        pickled = pickle.dumps(x, 5, buffer_callback=stays_in_the_pickle)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        layout = None if vanilla else buffer_layout(x)
        if layout is None:
            error.add_note(
                f"gilfree.pypar: a {type(x).__name__} is neither a string nor plain memory, and so is pickled"
            )
            raise
        return _encode_memory(x, layout)
    frames = [pickled, *buffers]
    sizes = tuple(len(frame) for frame in frames)
    if not buffers and len(pickled) <= INLINE:
        return (PICKLE, "", 1, sizes, False, pickled, 0), ()
    return (PICKLE, "", 1, sizes, False, None, next_sequence()), frames


def sequence_in(head: Head) -> int:
    return int(head[6])


def buffer_layout(x: Any) -> Layout | None:
    """That of anything with a buffer; None without one, or where its elements are not plain numbers."""
    try:
        return layout_of(x) or memory.KINDS["memoryview"].layout(x)
    except TypeError:
        return None


def decode(head: Head, read: Read) -> Any:
    """The value, in new memory."""
    if type(head) is not tuple:
        return head
    layout, inline = Layout(*head[:5]), head[5]
    if layout.kind == PICKLE:
        return pickle.loads(inline) if inline is not None else _decode_pickle(layout.shape, read)
    if inline is not None:
        return memory.KINDS[layout.kind].restore(inline, layout)
    return memory.receive_value(layout, read)


def _decode_pickle(sizes: Sequence[int], read: Read) -> Any:
    numpy: Any = sys.modules.get("numpy")
    frames = []
    for size in sizes:
        # bytearray sets its memory first, and NumPy does not.
        frames.append(bytearray(size) if numpy is None else numpy.empty(size, "u1"))
        read(frames[-1])
    return pickle.loads(frames[0], buffers=frames[1:])


def decode_into(buffer: Any, head: Head, read: Read) -> Any:
    """`buffer`, once what came is in it, from its first element on. A value that is no memory of its own,
    such as a str or a list, can't be filled: then what came is the result."""
    layout = Layout(*head[:5]) if type(head) is tuple else memory.layout_of(head)
    if layout is not None and layout.kind == "ndarray" and is_the_like(buffer, layout):
        # What follows would come to the same, in twice the time.
        _put(buffer.reshape(-1).view("u1").data, head[5], read)
        return buffer
    room = fillable(buffer)
    if room is None:
        return decode(head, read)
    why = misfit(room, layout, head)
    if why is None:
        why = _unwritable(buffer, room)
    if why is not None:
        raise BufferMismatchError(f"the buffer, {room}, {why}", decode(head, read))
    assert layout is not None
    inline = head[5] if type(head) is tuple else head
    if lies_alike(buffer, room, layout):
        _put(memoryview(memory.octets_of(buffer, room))[: layout.nbytes], inline, read)
    else:
        import numpy

        buffer.flat[: layout.items] = numpy.ravel(decode(head, read))
    return buffer


def _put(octets: memoryview, inline: bytes | None, read: Read) -> None:
    if not octets.nbytes:
        return
    if inline is None:
        read(octets)
    else:
        octets[:] = inline


def is_the_like(buffer: Any, layout: Layout) -> bool:
    """Is it a NumPy array of that very type and shape, in C order, with nothing against writing to it?"""
    return (
        memory.kind_of(buffer) is memory.KINDS["ndarray"]
        and buffer.dtype.str == layout.code
        and buffer.shape == layout.shape
        and not layout.fortran
        and buffer.flags.carray
    )


def fillable(buffer: Any) -> Layout | None:
    """Its layout, if it is memory that a value can be received into."""
    kind = type(buffer)
    return None if kind in NUMBERS or kind in STRINGS else buffer_layout(buffer)


def misfit(room: Layout, layout: Layout | None, head: Head) -> str | None:
    """Why a value of `layout` does not go into memory of layout `room`; None: it does."""
    if layout is None or layout.kind in (PICKLE, "str"):
        return f"can't hold what came, {_words(layout, head)}; receive it without a buffer"
    if layout.element != room.element:
        return f"can't hold what came, {layout}; accepted: a buffer of {layout.element}, or none"
    if layout.items > room.items:
        return f"has {room.items} elements, and {layout.items} came; accepted: as many or more, or no buffer"
    return None


def _words(layout: Layout | None, head: Head) -> str:
    if layout is None:
        return f"of type {type(head).__name__}"
    return "a pickled object" if layout.kind == PICKLE else f"of type {layout.kind}"


def _unwritable(buffer: Any, room: Layout) -> str | None:
    if room.kind == "ndarray":
        return None if buffer.flags.writeable else "is read-only; accepted: writable memory"
    view = memoryview(buffer)
    if view.readonly:
        return "is read-only; accepted: writable memory"
    return None if view.c_contiguous else "is scattered; accepted: contiguous memory, or a NumPy array"


def lies_alike(buffer: Any, room: Layout, layout: Layout) -> bool:
    """Are the elements in the buffer's memory in the order in which they come?"""
    if room.kind != "ndarray":
        return True
    if layout.fortran or room.fortran:
        return layout.fortran and room.fortran and layout.shape == room.shape
    return bool(buffer.flags.c_contiguous)


_numbers = count()
_lock = Lock()


def next_sequence() -> int:
    """A tag for the frames of one message, so that threads that receive at once take each its own. 32767 is
    the greatest tag that every MPI has."""
    with _lock:
        return next(_numbers) % 32768
