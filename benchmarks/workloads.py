"""workloads - what the contenders are given to do, and how to tell that they did it."""

from __future__ import annotations

import functools
import math
from time import perf_counter_ns

import numpy as np

from gilfree import kernels


def fibonacci(n: int) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


class FibList:
    """fib over a list: as a list, and as arrays for those that take arrays."""

    def __init__(self, numbers: list[int], note: str = ""):
        self.note = note
        self.items = len(numbers)
        self.numbers = numbers
        self.x = np.array(numbers, dtype=np.int64)
        self.out = np.full_like(self.x, UNWRITTEN)
        self.expected = np.array([fibonacci(n) for n in numbers])

    @property
    def longest(self) -> FibList:
        return FibList([max(self.numbers)])

    def accepts(self, result: object) -> bool:
        return accepts(self, result)


class Same:
    """For those that give back what they were given."""

    note = ""

    def __init__(self, numbers: list):
        self.items = len(numbers)
        self.numbers = numbers

    def accepts(self, result: object) -> bool:
        return result == self.numbers


class Arrays:
    """y = f(x) over arrays. `expected` holds the result, bit for bit."""

    note = ""

    def __init__(self, x: np.ndarray, expected: np.ndarray):
        self.items = x.size
        self.x = x
        self.out = np.full_like(x, UNWRITTEN)
        self.expected = expected

    def accepts(self, result: object) -> bool:
        return accepts(self, result)


UNWRITTEN = -1  # no kernel's result


def accepts(work: FibList | Arrays, result: object) -> bool:
    """Wipes `out`, so that the next contender can't pass with this one's result."""
    right = np.array_equal(work.out if result is None else result, work.expected)
    work.out.fill(UNWRITTEN)
    return right


def polynomial_arrays(n: int) -> Arrays:
    x = np.random.default_rng(0).random(n)
    return Arrays(x, ((x * (1 / 6) + 0.5) * x + 1) * x + 1)


COLLATZ_LIMIT = 10**6


def collatz_arrays(n: int) -> Arrays:
    """Random numbers up to a limit, so that an item costs the same whatever n."""
    x = np.random.default_rng(0).integers(1, COLLATZ_LIMIT + 1, n)
    return Arrays(x, collatz_table(COLLATZ_LIMIT)[x])


@functools.cache
def collatz_table(limit: int) -> np.ndarray:
    """The steps of every n up to `limit`: counted until n falls below its start, from there looked up."""
    steps = [0, 0]
    for start in range(2, limit + 1):
        n, count = start, 0
        while n >= start:
            n = n >> 1 if n % 2 == 0 else 3 * n + 1
            count += 1
        steps.append(count + steps[n])
    return np.array(steps, dtype=np.int64)


CALIBRATED = 25


def fib_costing(seconds: float) -> int:
    """The n whose kernels.fib(n) costs about that, on this machine. The cost grows with the golden ratio."""
    golden = (1 + math.sqrt(5)) / 2
    return CALIBRATED + round(math.log(seconds / calibrated_seconds(), golden))


@functools.cache
def calibrated_seconds() -> float:
    return min(timed_fib(CALIBRATED) for _ in range(50))


def timed_fib(n: int) -> float:
    start = perf_counter_ns()
    kernels.fib(n)
    return (perf_counter_ns() - start) * 1e-9
