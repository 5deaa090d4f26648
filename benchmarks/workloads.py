"""workloads - what the contenders are given to do, and how to tell that they did it."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
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


class Reduction:
    """Arrays that become one number, or several: those expected, within a relative tolerance."""

    note = ""

    def __init__(self, arrays: Sequence[np.ndarray], expected: Sequence[float], tolerance: float = 0.0):
        self.items = arrays[0].size
        self.arrays = arrays
        self.expected = expected
        self.tolerance = tolerance

    @property
    def bits(self) -> Reduction:
        """For those that read all and compute nothing: the bits of each array, combined by exclusive or."""
        return Reduction(self.arrays, [int(np.bitwise_xor.reduce(x.view(np.uint64))) for x in self.arrays])

    def accepts(self, result: object) -> bool:
        numbers = result if isinstance(result, (tuple, list)) else [result]
        pairs = zip(numbers, self.expected, strict=True)
        return all(math.isclose(number, right, rel_tol=self.tolerance) for number, right in pairs)


UNWRITTEN = -1  # no kernel's result


def accepts(work: FibList | Arrays, result: object) -> bool:
    """Wipes `out`, so that the next contender can't pass with this one's result."""
    right = np.array_equal(work.out if result is None else result, work.expected)
    work.out.fill(UNWRITTEN)
    return right


def polynomial_arrays(n: int) -> Arrays:
    x = np.random.default_rng(0).random(n)
    return Arrays(x, ((x * (1 / 6) + 0.5) * x + 1) * x + 1)


# Items are multiples of 1 / STEPS below 1: 10^8 of them, or of their products, add up exactly in any order.
STEPS = 2**13


def random_steps(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, STEPS, n, dtype=np.uint16)


def items_of(steps: np.ndarray) -> np.ndarray:
    return np.divide(steps, STEPS, dtype=np.float64)


def integer_dot(a: np.ndarray, b: np.ndarray) -> int:
    pairs = zip(*(np.array_split(steps, a.size // 10**6 + 1) for steps in (a, b)), strict=True)
    return sum(int(np.dot(x.astype(np.int64), y.astype(np.int64))) for x, y in pairs)


def integer_sum(steps: np.ndarray) -> int:
    return int(steps.sum(dtype=np.int64))


def sum_arrays(n: int) -> Reduction:
    steps = random_steps(n, 0)
    return Reduction([items_of(steps)], [integer_sum(steps) / STEPS])


def dot_arrays(n: int) -> Reduction:
    a, b = random_steps(n, 0), random_steps(n, 1)
    return Reduction([items_of(a), items_of(b)], [integer_dot(a, b) / STEPS**2])


def moment_arrays(n: int) -> Reduction:
    steps = random_steps(n, 0)
    total, squares = integer_sum(steps), integer_dot(steps, steps)
    expected = [total / (n * STEPS), (n * squares - total**2) / (n * STEPS) ** 2]
    return Reduction([items_of(steps)], expected, tolerance=1e-9)


def extrema_arrays(n: int) -> Reduction:
    """The extrema stand at one place each."""
    random = np.random.default_rng(0)
    x = random.random(n)
    low, high = random.integers([0, n // 2], [n // 2, n])
    x[low], x[high] = -1, 2
    return Reduction([x], [-1, 2])


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
