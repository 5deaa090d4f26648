"""What children print, on its way from a pipe to the parent."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Of each stream of a child, so much is kept in memory; what follows goes to the run's one temporary file.
MEMORY_CAP = 64 * 1024
# A line that is longer is passed on in pieces.
LINE_CAP = 64 * 1024
EXTENT_BYTES = 256 * 1024


class Spill:
    """The run's temporary file. It has no name: it is gone with the last process that has it open."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._end = 0

    def allocate(self, size: int) -> int:
        self._end += size
        return self._end - size


class Stream:
    """One of a child's two outputs, read from a pipe and kept: first in memory, then in the spill file.

    In the spill file a stream owns extents, each twice as long as the one before: a gigabyte is a dozen of
    them, however many children write at the same time.
    """

    def __init__(self, fd: int, spill: Spill) -> None:
        self.fd = fd
        self.size = 0
        self.head = bytearray()
        self.extents: list[tuple[int, int]] = []  # offset, bytes used
        self._spill = spill
        self._room = 0  # left in the last extent

    def take(self, data: bytes) -> None:
        self.size += len(data)
        room = MEMORY_CAP - len(self.head)
        if room > 0:
            self.head += data[:room]
            data = data[room:]
        view = memoryview(data)
        while view:
            if not self._room:
                self._room = EXTENT_BYTES << len(self.extents)
                self.extents.append((self._spill.allocate(self._room), 0))
            offset, used = self.extents[-1]
            written = os.pwrite(self._spill.fd, view[: self._room], offset + used)
            self.extents[-1] = offset, used + written
            self._room -= written
            view = view[written:]

    def end(self) -> None:
        os.close(self.fd)
        self.fd = -1

    def kept(self) -> tuple[int, bytes, list[tuple[int, int]]]:
        return self.size, bytes(self.head), self.extents


class LineStream(Stream):
    """An output that is passed on as it comes, in whole lines, and not kept."""

    def __init__(self, fd: int, spill: Spill, send: Callable[[bytes], None]) -> None:
        super().__init__(fd, spill)
        self._send = send
        self._in_pieces = False

    def take(self, data: bytes) -> None:
        self.size += len(data)
        self.head += data
        if self._in_pieces and self.head.startswith(b"\n"):
            del self.head[:1]  # the end of a line that was passed on whole
        whole = self.head.rfind(b"\n") + 1
        self._in_pieces = not whole and len(self.head) >= LINE_CAP
        if self._in_pieces:
            whole = len(self.head)
        if whole:
            self._send(bytes(self.head[:whole]))
            del self.head[:whole]

    def end(self) -> None:
        super().end()
        if self.head:
            self._send(bytes(self.head))
            self.head.clear()
