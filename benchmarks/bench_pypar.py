"""bench_pypar - a message to the other rank and back: gilfree.pypar beside mpi4py's own calls, in one job.

    python benchmarks/bench_pypar.py [--quick]

It starts itself under mpiexec with two ranks. Rank 0 holds the contests; rank 1 answers in the way of the
contender whose turn it is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from contest import FULL, GILFREE, QUICK, Contender, Contest, Result, hold
from tables import block, contender_rows, number, ratio_row

Send = Callable[[Any], None]
Receive = Callable[[], Any]


@dataclass(frozen=True)
class Subject:
    """What is sent, and what tells rank 1 that the contender's turn is over: alike in kind and size."""

    title: str
    x: Any
    end: Any

    note = ""
    items = 1

    def accepts(self, result: object) -> bool:
        return np.array_equal(result, self.x)


UPPER, LOWER = "mpi4py Send, Recv", "mpi4py send, recv"
STRING = "x" * 16
ARRAYS = {"10 float64": 10, "8 MB of float64": 10**6}
SUBJECTS = {"a string of 16": Subject("a string of 16", STRING, STRING[:-1] + "y")}
for title, length in ARRAYS.items():
    SUBJECTS[title] = Subject(title, np.arange(1.0, length + 1), np.zeros(length))


def ways(x: Any) -> dict[str, tuple[Send, Receive]]:
    """How to send what is like x to the other rank, and to receive it."""
    from mpi4py import MPI

    import gilfree.pypar as pp

    world, other = MPI.COMM_WORLD, 1 - pp.rank()
    plain = {
        GILFREE: (lambda x: pp.send(x, other), lambda: pp.receive(other)),
        LOWER: (lambda x: world.send(x, other, 1), lambda: world.recv(None, other, 1)),
    }
    if isinstance(x, str):
        return plain
    room = np.empty_like(x)

    def upper_into(room: np.ndarray) -> np.ndarray:
        world.Recv(room, other, 1)
        return room

    return {
        GILFREE: (lambda x: pp.send(x, other, use_buffer=True), lambda: pp.receive(other, buffer=room)),
        f"{GILFREE}, bypass": (
            lambda x: pp.send(x, other, bypass=True),
            lambda: pp.receive(other, buffer=room, bypass=True),
        ),
        UPPER: (lambda x: world.Send(x, other, 1), lambda: upper_into(room)),
        f"{GILFREE}, no buffer": plain[GILFREE],
        "mpi4py Send, Recv, a new array": (
            lambda x: world.Send(x, other, 1),
            lambda: upper_into(np.empty_like(x)),
        ),
        LOWER: plain[LOWER],
    }


# ---- rank 1 -----------------------------------------------------------------------------------------


def answer() -> None:
    from mpi4py import MPI

    ways_for = {title: ways(subject.x) for title, subject in SUBJECTS.items()}
    while (turn := MPI.COMM_WORLD.recv(None, 0, 2)) is not None:
        title, name = turn
        send, receive = ways_for[title][name]
        end = SUBJECTS[title].end[-1]
        while True:
            came = receive()
            send(came)
            if came[-1] == end:
                break


# ---- rank 0 -----------------------------------------------------------------------------------------


class Turns:
    """Whose turn it is, here and in rank 1."""

    def __init__(self) -> None:
        self.end: Callable[[], Any] | None = None
        self.holder: object = None

    def take(self, holder: object, subject: Subject, name: str, call: Callable[[Any], Any]) -> None:
        self.close()
        self.tell((subject.title, name))
        self.holder, self.end = holder, partial(call, subject.end)

    def close(self) -> None:
        if self.end is not None:
            self.end()
        self.end = self.holder = None

    def tell(self, turn: tuple[str, str] | None) -> None:
        from mpi4py import MPI

        MPI.COMM_WORLD.send(turn, 1, 2)


def round_trip(turns: Turns, name: str, subject: Subject) -> Callable[[], Any]:
    send, receive = ways(subject.x)[name]
    x = subject.x

    def there_and_back(x: Any) -> Any:
        send(x)
        return receive()

    def call() -> Any:
        if turns.holder is not call:
            turns.take(call, subject, name, there_and_back)
        send(x)
        return receive()

    return call


def contests(turns: Turns) -> list[Contest]:
    return [
        Contest(
            title,
            lambda subject=subject: subject,
            [Contender(name, partial(round_trip, turns, name)) for name in ways(subject.x)],
        )
        for title, subject in SUBJECTS.items()
    ]


def table(results: list[Result]) -> str:
    def one_way(result: Result, name: str) -> str:
        return number(result.median(name) / 2 * 1e6)

    ratios = [ratio_row(f"**{GILFREE} / {name}**", results, GILFREE, name) for name in (UPPER, LOWER)]
    head = ["one way, µs", *(result.title for result in results)]
    text = "There and back, halved. Arrays are received into the same memory unless it says otherwise."
    return block("gilfree.pypar between two ranks", text, [head, *contender_rows(results, one_way), *ratios])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.rank:
        sys.exit(start())
    import gilfree.pypar as pp

    if pp.rank() == 1:
        answer()
        return
    turns = Turns()
    results = [hold(contest, QUICK if arguments.quick else FULL) for contest in contests(turns)]
    turns.close()
    turns.tell(None)
    print(table(results))


def start() -> int:
    """This program again, twice, under the mpiexec beside this Python or that of the system."""
    beside = Path(sys.executable).parent
    mpiexec = shutil.which("mpiexec", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    if mpiexec is None:
        raise SystemExit("no mpiexec was found beside Python or on PATH; install gilfree[mpi]")
    return subprocess.call([mpiexec, "-n", "2", sys.executable, *sys.argv, "--rank"])


if __name__ == "__main__":
    main()
