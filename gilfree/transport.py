"""How functions, items and results travel between processes: pickles, by way of pipes."""

from __future__ import annotations

import fcntl
import os
import pickle
import struct
import sys
from typing import Any

HEADER = struct.Struct("=Q")
PIPE_BYTES = 1 << 20
F_SETPIPE_SZ = 1031  # Linux
BIG = 60_000


def dumps(thing: Any, for_here: bool = False) -> bytes:
    """A pickle that another process can read; or that this one can, without a change to its classes.

    pickle writes what was defined in __main__ by its name there, which means nothing elsewhere, and can't
    write lambdas and closures at all: cloudpickle writes them in full. It takes longer, to import and to use.
    """
    try:
        data = pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
    except Exception:  # whatever it is, cloudpickle raises it again unless it knows better
        data = b"_main__"
    if b"_main__" not in data:  # or __mp_main__, as a child of multiprocessing calls it
        return data
    from gilfree import by_value

    return by_value.dumps(thing, for_here)


def first_unsendable(things: list[Any]) -> tuple[int, Exception] | None:
    """The index of the first that has no pickle, and why; None if each alone has one."""
    for index, thing in enumerate(things):
        try:
            dumps(thing)
        except Exception as error:
            return index, error
    return None


loads = pickle.loads


def pipe() -> tuple[int, int]:
    """A pipe, the end to read first; not in the place of stdin, stdout or stderr, should these be closed."""
    ends = os.pipe()
    moved: list[int] = []
    try:
        for end in ends:
            moved.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3))
    except BaseException:
        for end in moved:
            os.close(end)
        raise
    finally:
        for end in ends:
            os.close(end)
    return moved[0], moved[1]


def widen(fd: int) -> None:
    """Let a pipe hold more, so that a big message is not handed over in many small steps."""
    if sys.platform != "linux":
        return
    try:
        fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:  # beyond what this user may have: slower, no more
        return


def frames(data: bytes) -> list[memoryview]:
    """One message, as it is written: in one piece, unless that would mean to copy much."""
    header = HEADER.pack(len(data))
    return [memoryview(header + data)] if len(data) < BIG else [memoryview(header), memoryview(data)]


def write(fd: int, data: bytes) -> None:
    """One message. BrokenPipeError if nobody will ever read it."""
    for frame in frames(data):
        _write_all(fd, frame)


def _write_all(fd: int, message: memoryview) -> None:
    while message:
        message = message[os.write(fd, message) :]


def read(fd: int) -> bytes | bytearray:
    """One message. EOFError if its writer is gone."""
    (size,) = HEADER.unpack(_read_all(fd, HEADER.size))
    return _read_all(fd, size)


def _read_all(fd: int, size: int) -> bytes | bytearray:
    first = os.read(fd, size)
    if len(first) == size:
        return first
    if not first:
        raise EOFError
    data = bytearray(size)
    data[: len(first)] = first
    done = len(first)
    while done < size:
        count = os.readv(fd, [memoryview(data)[done:]])
        if count == 0:
            raise EOFError
        done += count
    return data
