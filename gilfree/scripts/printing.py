"""What children wrote, written again: whole lines, tagged or not."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator


def tagged(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Each line after its tag; the last line ended, if it is not."""
    tag = name.replace("\n", " ").encode(errors="surrogateescape") + b"\t"
    at_start = True
    for chunk in chunks:
        yield (tag if at_start else b"") + chunk[:-1].replace(b"\n", b"\n" + tag) + chunk[-1:]
        at_start = chunk.endswith(b"\n")
    if not at_start:
        yield b"\n"


def write(number: int, chunks: Iterable[bytes]) -> None:
    """To sys.stdout (1) or sys.stderr (2), as bytes if it takes any."""
    file = sys.stdout if number == 1 else sys.stderr
    buffer = getattr(file, "buffer", None)
    if buffer is not None:
        file.flush()
    for chunk in chunks:
        if buffer is None:
            file.write(chunk.decode(errors="replace"))
        else:
            buffer.write(chunk)
    file.flush()
