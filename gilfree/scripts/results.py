"""What became of a child."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

CHUNK_BYTES = 1024 * 1024


class SpillFile:
    """A descriptor of a temporary file without a name; closed with the last result that needs it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class Output:
    """Nothing kept, of an output of `size` bytes."""

    def __init__(self, size: int = 0) -> None:
        self.size = size

    def chunks(self) -> Iterator[bytes]:
        yield from ()


class KeptOutput(Output):
    """The beginning in memory, the rest in extents (offset, size) of the run's spill file."""

    def __init__(
        self, size: int, head: bytes, extents: Sequence[tuple[int, int]], spill: SpillFile | None
    ) -> None:
        super().__init__(size)
        self._head, self._extents = head, extents
        self._spill = spill if extents else None

    def chunks(self) -> Iterator[bytes]:
        if self._head:
            yield self._head
        for offset, size in self._extents:
            assert self._spill is not None
            for begin in range(offset, offset + size, CHUNK_BYTES):
                yield os.pread(self._spill.fd, min(CHUNK_BYTES, offset + size - begin), begin)


class FileOutput(Output):
    """All of it in a file that the user named, and may have changed since."""

    def __init__(self, path: str) -> None:
        super().__init__(os.path.getsize(path))
        self._path = path

    def chunks(self) -> Iterator[bytes]:
        with open(self._path, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


@dataclass(frozen=True, slots=True, eq=False)
class ScriptResult:
    """What became of a command.

    command      its words, as given
    index        its place among the commands, from 0
    returncode   the exit code of its last attempt; negative for a signal; 127: no such program, 126: not
                 executable; None: never started, as the run halted before
    started      seconds since the epoch, and
    duration     seconds, of its last attempt
    attempts     how often it was started; 0 if never, or if an earlier run's joblog has it
    cpu_time     seconds, user and system, of the child and of the children that it waited for
    peak_memory  the greatest resident memory of the child itself, in bytes, sampled while it ran (Linux);
                 None if it ended before the first sample
    timed_out    it was ended at its timeout
    stopped      it was ended because the run halted
    """

    command: tuple[str, ...]
    index: int
    returncode: int | None
    started: float | None = None
    duration: float = 0.0
    attempts: int = 0
    cpu_time: float = 0.0
    peak_memory: int | None = None
    timed_out: bool = False
    stopped: bool = False
    outputs: tuple[Output, Output] = field(default=(Output(), Output()), repr=False)

    @property
    def ok(self) -> bool:
        return self.returncode == 0 and not self.timed_out

    @property
    def stdout(self) -> str:
        """What it wrote, read as UTF-8. Other bytes become surrogates (errors="surrogateescape"), and can be
        had back by `result.stdout.encode(errors="surrogateescape")`. Newlines are as the child wrote them."""
        return self._text("stdout")

    @property
    def stderr(self) -> str:
        """As stdout."""
        return self._text("stderr")

    def chunks(self, stream: Literal["stdout", "stderr"] = "stdout") -> Iterator[bytes]:
        """What it wrote, as bytes, a mebibyte at a time at most: for more than one wants in memory."""
        return self.outputs[("stdout", "stderr").index(stream)].chunks()

    def _text(self, stream: Literal["stdout", "stderr"]) -> str:
        return b"".join(self.chunks(stream)).decode(errors="surrogateescape")
