"""backend="auto" beside a plain loop, over functions that hold or release the GIL, short and long."""

from __future__ import annotations

import functools
import hashlib
import math
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from contest import GILFREE, Call, Contender, Contest, Result
from peers import pools, pure
from tables import block, footnotes, milliseconds, spread

import gilfree
from gilfree import kernels
from gilfree.backends import processes

MEGABYTE = bytes(10**6)
MATRIX = np.ones((300, 300))


class Work:
    """A function over items."""

    note = ""

    def __init__(self, function: Callable, items: list):
        self.function = function
        self.numbers = items
        self.items = len(items)
        self.expected = list(map(function, items))

    def accepts(self, result: object) -> bool:
        return result == self.expected


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


SEEN: list[int] = []
FUNCTIONS: dict[str, tuple[Callable, list]] = {
    "abs, 10": (abs, list(range(10))),
    "abs, 10^5": (abs, list(range(10**5))),
    "math.sqrt, 10^4": (math.sqrt, list(range(10**4))),
    "lambda, 10^5": (lambda number: number + 1, list(range(10**5))),
    "fib(10), 1000": (pure.fib, [10] * 1000),
    "fib(24), 20": (pure.fib, [24] * 20),
    "fib(20), 1000": (pure.fib, [20] * 1000),
    "sleep of 10 ms, 10": (nap, [0.01] * 10),
    "sha256 of 1 MB, 100": (lambda number: hashlib.sha256(MEGABYTE).digest(), list(range(100))),
    "zlib of 1 MB, 30": (lambda number: len(zlib.compress(MEGABYTE)), list(range(30))),
    "NumPy matmul, 100": (lambda number: float((MATRIX @ MATRIX)[0, 0]), list(range(100))),
    "kernels.fib(30), 30": (lambda number: kernels.fib(number), [30] * 30),
    "sorted, 100": (lambda number: sorted(range(number, 0, -1)), [20_000] * 100),
    "append, 10^5": (lambda number: SEEN.append(number), list(range(10**5))),
}


def work_of(name: str) -> Work:
    return Work(*FUNCTIONS[name])


def auto(work: Work) -> Call:
    workers = pools.workers()
    processes.warm(workers)
    while not processes.is_warm(workers):
        time.sleep(0.001)
    return partial(gilfree.parallel_map, work.function, work.numbers)


LOOP = "list(map)"
CONTENDERS = (
    Contender(GILFREE, auto),
    Contender(LOOP, lambda work: lambda: list(map(work.function, work.numbers))),
)


def contests(quick: bool) -> dict[str, list[Contest]]:
    return {"functions": [Contest(name, functools.partial(work_of, name), CONTENDERS) for name in FUNCTIONS]}


def report(functions: Sequence[Result]) -> Iterator[str]:
    rows = [["function, items", "list(map), ms", "gilfree, ms", "gilfree / list(map)", "slower by, ms"]]
    for result in functions:
        slower = (result.median(GILFREE) - result.median(LOOP)) * 1e3
        ratio = spread(result.ratios(GILFREE, LOOP))
        times = [milliseconds(result, LOOP), milliseconds(result, GILFREE)]
        rows.append([result.title, *times, ratio, f"{max(slower, 0):.2f}"])
    yield block("backend='auto' beside a plain loop", "Workers are up.", rows, footnotes(functions))


def test_auto(contender):
    contender()
