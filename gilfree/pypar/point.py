"""Point to point: a message from one rank to another."""

from __future__ import annotations

import operator
from typing import Any

from mpi4py import MPI

from gilfree.pypar import job
from gilfree.pypar.layout import Layout, layout_of
from gilfree.pypar.message import decode, decode_into, encode, sequence_in

default_tag = 1
max_tag = job.max_tag
# Our own numbers, whatever those of the MPI are: in some of them -1, a likely mistake for a rank, is any
# source.
any_source = -2
any_tag = -1

RANKS, OWN_RANK = job.ranks, job.own_rank
BYTE = MPI.BYTE
New = MPI.Status


class Status:
    """What receive tells of a message: `source` and `tag`; `length` in elements of `size` bytes; `error`, 0.

    For arrays the elements are theirs; strings and pickled objects are counted in bytes, those in UTF-8.
    """

    def __init__(self, status_tuple: tuple[int, int, int, int, int]) -> None:
        self.source, self.tag, self.error, self.length, self.size = status_tuple

    def bytes(self) -> int:
        """The bytes received, without the head."""
        return self.length * self.size

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"Status({fields})"


def send(
    x: Any,
    destination: int,
    use_buffer: bool = False,
    vanilla: bool = False,
    tag: int = default_tag,
    bypass: bool = False,
) -> None:
    """Send `x` to the rank `destination`; may wait until it is received.

    Strings, NumPy arrays and other memory go as they are, the rest by pickle; `vanilla=True` pickles all. A
    message says what it is, so `use_buffer` changes nothing. With `bypass=True` it does not: then `x` is
    contiguous memory, and only a receive with `bypass=True` gets it. ValueError: no such rank or tag, or the
    sender itself, which would wait for itself.
    """
    if type(destination) is not int or not 0 <= destination < RANKS or destination == OWN_RANK:
        destination = checked_peer("destination", destination)
    if type(tag) is not int or not 0 <= tag <= max_tag:
        tag = checked_tag(tag)
    if bypass:
        job.bypasses.Send(x, destination, tag)
        return
    head, frames = encode(x, vanilla)
    job.messages.send(head, destination, tag)
    for frame in frames:
        job.payloads.Send([frame, BYTE], destination, sequence_in(head))


def receive(
    source: int,
    buffer: Any = None,
    vanilla: bool = False,
    tag: int = default_tag,
    return_status: bool = False,
    bypass: bool = False,
) -> Any:
    """Wait for a message from the rank `source`, or `any_source`, with `tag`, or `any_tag`; what was sent.

    `buffer`: memory, such as a NumPy array, that is filled from its first element on, and returned. It must
    have room for what comes and its element type: BufferMismatchError otherwise, which holds what came. A
    str, a list and the like can't be filled: then what came is returned, as with `vanilla=True`. With
    `return_status=True` the result is a pair, the second a Status. `bypass=True`, for what was sent with it,
    needs a contiguous buffer and trusts that the elements are the same: the least work that MPI can do.
    """
    if type(source) is not int or not 0 <= source < RANKS or source == OWN_RANK:
        source = checked_source(source)
    if type(tag) is not int or not 0 <= tag <= max_tag:
        tag = MPI.ANY_TAG if tag == any_tag else checked_tag(tag, ", or any_tag")
    status = New()
    if bypass:
        return _receive_bypassing(buffer, source, tag, status, return_status)
    head = job.messages.recv(None, source, tag, status)
    if type(head) is not tuple and buffer is None:
        return (head, _status(head, status)) if return_status else head

    def read(octets: Any) -> None:
        job.payloads.Recv([octets, BYTE], status.source, sequence_in(head))

    value = decode(head, read) if buffer is None or vanilla else decode_into(buffer, head, read)
    return (value, _status(head, status)) if return_status else value


def _receive_bypassing(buffer: Any, source: int, tag: int, status: Any, return_status: bool) -> Any:
    if buffer is None:
        raise TypeError(
            "receive: bypass=True was given without a buffer; accepted: memory as long as what was sent"
        )
    job.bypasses.Recv(buffer, source, tag, status)
    if not return_status:
        return buffer
    size = memoryview(buffer).itemsize
    return buffer, Status((status.source, status.tag, status.error, status.Get_count(BYTE) // size, size))


def _status(head: Any, status: Any) -> Status:
    layout = Layout(*head[:5]) if type(head) is tuple else layout_of(head)
    if layout is None:
        length, size = status.Get_count(BYTE), 1
    elif layout.kind == "pickle":
        length, size = sum(layout.shape), 1
    else:
        length, size = layout.items, layout.itemsize
    return Status((status.source, status.tag, status.error, length, size))


# ---- arguments --------------------------------------------------------------------------------------


def checked_rank(name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name} is {value!r}, of type {type(value).__name__}; accepted: a rank, from 0 to {RANKS - 1}"
        ) from None
    if not 0 <= number < RANKS:
        raise ValueError(f"{name} is {number}; accepted: a rank, from 0 to {RANKS - 1}")
    return number


def checked_peer(name: str, value: Any) -> int:
    number = checked_rank(name, value)
    if number == OWN_RANK:
        raise ValueError(
            f"{name} is {number}, this rank itself, which would wait for itself; accepted: another rank"
            + _or_start_more()
        )
    return number


def checked_source(value: Any) -> int:
    if isinstance(value, int) and value == any_source:
        if RANKS == 1:
            raise ValueError("source is any_source, and there is no other rank" + _or_start_more())
        return int(MPI.ANY_SOURCE)
    return checked_peer("source", value)


def _or_start_more() -> str:
    return "" if RANKS > 1 else " (this job has one: start it with 'mpiexec -n 4 python PROGRAM')"


def checked_tag(value: Any, or_any: str = "") -> int:
    accepted = f"accepted: 0 to {max_tag}{or_any}"
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"tag is {value!r}, of type {type(value).__name__}; {accepted}") from None
    if not 0 <= number <= max_tag:
        raise ValueError(f"tag is {number}; {accepted}")
    return number
