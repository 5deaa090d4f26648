"""bsend: into memory that was set aside for it, without waiting for the receiver."""

from __future__ import annotations

import mmap
import pickle
from typing import Any

from mpi4py import MPI

from gilfree.pypar import job
from gilfree.pypar.message import encode, sequence_in
from gilfree.pypar.point import BYTE, checked_peer, checked_tag, default_tag


class _Store:
    """The memory for bsend: first counted, then allocated, then attached to MPI."""

    def __init__(self) -> None:
        self.counted = 0
        self.memory: mmap.mmap | None = None
        self.attached = False


_store = _Store()


def _message_sizes(head: Any, frames: Any) -> list[int]:
    return [len(pickle.dumps(head, pickle.HIGHEST_PROTOCOL)), *(memoryview(frame).nbytes for frame in frames)]


def bsend(
    x: Any,
    destination: int,
    use_buffer: bool = False,
    vanilla: bool = False,
    tag: int = default_tag,
    bypass: bool = False,
) -> None:
    """Like send, but never waits: the message is copied into memory set aside by push_for_alloc and
    alloc_and_attach. RuntimeError where there is none, or too little."""
    destination = checked_peer("destination", destination)
    tag = checked_tag(tag)
    if not _store.attached:
        raise RuntimeError(
            "bsend needs memory to copy the message to, and none is attached; call push_for_alloc(x) for "
            "every message that may be under way, then alloc_and_attach()"
        )
    head, frames = (None, [x]) if bypass else encode(x, vanilla)
    try:
        if bypass:
            job.bypasses.Bsend(x, destination, tag)
            return
        # The head last: without it nobody looks for the frames.
        for frame in frames:
            job.payloads.Bsend([frame, BYTE], destination, sequence_in(head))
        job.messages.bsend(head, destination, tag)
    except MPI.Exception as error:
        if error.Get_error_class() != MPI.ERR_BUFFER:
            raise
        assert _store.memory is not None
        raise RuntimeError(
            f"bsend: the message has {sum(_message_sizes(head, frames))} bytes, for which too little of the "
            f"{len(_store.memory)} attached is free; call push_for_alloc(x) once for every message that may "
            "be under way, before alloc_and_attach()"
        ) from error


def push_for_alloc(x: Any, vanilla: bool = False, use_buffer: bool = False, bypass: bool = False) -> int:
    """Count the memory that bsend needs for `x`; in all so far, in bytes."""
    head, frames = (None, [x]) if bypass else encode(x, vanilla)
    _store.counted += sum(size + MPI.BSEND_OVERHEAD for size in _message_sizes(head, frames))
    return _store.counted


def alloc(nbytes: int = -1) -> int:
    """Allocate what push_for_alloc has counted, or `nbytes`; as many, in bytes."""
    if _store.memory is not None:
        raise RuntimeError("alloc: memory for bsend is allocated already; call dealloc() first")
    size = nbytes if nbytes > 0 else _store.counted
    if size <= 0:
        raise RuntimeError(
            "alloc: nothing is counted; call push_for_alloc(x) for every message, or give the bytes"
        )
    # Who counts for himself knows nothing of our heads: a message of one byte grows to less than three times
    # its size with MPI's overhead. Memory that is not touched costs nothing.
    _store.memory = mmap.mmap(-1, size if nbytes <= 0 else 3 * size + 4096)
    _store.counted = size
    return size


def attach() -> None:
    """Hand the allocated memory to MPI, for bsend."""
    if _store.memory is None:
        raise RuntimeError("attach: no memory is allocated; call alloc() first, or alloc_and_attach()")
    if _store.attached:
        raise RuntimeError("attach: the memory is attached already; call detach() first")
    job.refuse_after_finalize()
    MPI.Attach_buffer(_store.memory)
    _store.attached = True


def detach() -> None:
    """Take it back: waits until every message in it is on its way."""
    if not _store.attached:
        raise RuntimeError("detach: no memory is attached; call attach() first, or alloc_and_attach()")
    job.refuse_after_finalize()
    MPI.Detach_buffer()
    _store.attached = False


def dealloc() -> None:
    """Free it, and count anew."""
    if _store.attached:
        raise RuntimeError(
            "dealloc: the memory is attached to MPI; call detach() first, or detach_and_dealloc()"
        )
    _store.memory, _store.counted = None, 0


def alloc_and_attach() -> None:
    """alloc(), then attach()."""
    alloc()
    attach()


def detach_and_dealloc() -> None:
    """detach(), then dealloc(): waits until every message is on its way."""
    detach()
    dealloc()
