"""What every kernel that makes a number of an array must compute, in plain Python with exact numbers.

The one list that a new reduction has to be added to: its contract suite fails for a row without a reference.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

# What a variant exists for, and what is cast to one of those.
TYPES = ["uint8", "int32", "int64", "uint64", "float32", "float64"]
CAST_TYPES = ["bool", "int8", "int16", "uint16", "uint32", "float16"]
INTEGERS = {name for name in [*TYPES, *CAST_TYPES] if "float" not in name}
SWAPPED = [np.dtype(name).newbyteorder().str for name in [*TYPES, *CAST_TYPES] if np.dtype(name).itemsize > 1]

EPSILON = Fraction(2) ** -52


@dataclass(frozen=True)
class Reduction:
    """`exact` of columns of Fractions, none empty; `spread` is what rounding errors are in proportion to.

    A result may be off by a few roundings of `spread`. `empty`: what NumPy makes of no items.
    """

    exact: Callable[..., Any]
    spread: Callable[..., Any] = lambda *columns: 0
    empty: Any = None
    arrays: int = 1


def total(x):
    return sum(x, Fraction(0))


def products(x, y):
    return total(a * b for a, b in zip(x, y, strict=True))


def mean(x):
    return total(x) / len(x)


def variance(x):
    middle = mean(x)
    return total((value - middle) ** 2 for value in x) / len(x)


def root(value: Fraction) -> Fraction:
    """To some 80 binary digits."""
    if value == 0:
        return Fraction(0)
    bits = max(0, 160 - value.numerator.bit_length() + value.denominator.bit_length()) // 2 + 1
    return Fraction(math.isqrt(value.numerator * 4**bits // value.denominator), 2**bits)


def magnitude(x):
    return max(map(abs, x))


NAN = float("nan")

REDUCTIONS = {
    "sum": Reduction(total, lambda x: total(map(abs, x)), empty=0),
    "dot": Reduction(products, lambda x, y: products(map(abs, x), map(abs, y)), empty=0, arrays=2),
    "norm": Reduction(lambda x: root(products(x, x)), lambda x: root(products(x, x)), empty=0),
    "mean": Reduction(mean, lambda x: mean([abs(value) for value in x]), empty=NAN),
    "var": Reduction(variance, lambda x: variance(x) + EPSILON * magnitude(x) ** 2, empty=NAN),
    "std": Reduction(
        lambda x: root(variance(x)),
        lambda x: root(variance(x)) + EPSILON * magnitude(x),
        empty=NAN,
    ),
    "mean_var": Reduction(
        lambda x: (mean(x), variance(x)),
        lambda x: (mean([abs(value) for value in x]), variance(x) + EPSILON * magnitude(x) ** 2),
        empty=(NAN, NAN),
    ),
    "min": Reduction(min),
    "max": Reduction(max),
    "minmax": Reduction(lambda x: (min(x), max(x))),
    "argmin": Reduction(lambda x: x.index(min(x))),
    "argmax": Reduction(lambda x: x.index(max(x))),
}

ROUNDINGS = 8


def is_close(result: Any, exact: Any, spread: Any) -> bool:
    """Is it the exact number, save for a few roundings?"""
    if isinstance(exact, tuple):
        return isinstance(result, tuple) and all(map(is_close, result, exact, spread))
    if isinstance(result, int):
        return result == exact
    return abs(Fraction(result) - exact) <= ROUNDINGS * EPSILON * (spread or abs(exact)) + Fraction(5e-324)


def check(kernel: Any, results: Any, columns: list[np.ndarray]) -> None:
    """Is it what the kernel must make of these arrays of finite numbers?"""
    reference = REDUCTIONS[kernel.__name__]
    exact = [[Fraction(value) for value in column.ravel().tolist()] for column in columns]
    spread = reference.spread(*exact)
    value = reference.exact(*exact)
    if isinstance(value, tuple) and not spread:
        spread = (0,) * len(value)
    assert is_close(results, value, spread), (kernel, results, value)


def sample(name: str, n: int, seed: int = 0) -> np.ndarray:
    """n numbers of any type, the same on every machine and with every NumPy: splitmix64 (G. L. Steele,
    D. Lea, C. H. Flood, Fast splittable pseudorandom number generators, 2014)."""
    bits = (np.arange(n, dtype=np.uint64) + np.uint64(1_000_003 * seed + 1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ bits >> np.uint64(shift)) * np.uint64(factor)
    numbers = ((bits ^ bits >> np.uint64(31)) >> np.uint64(33)).astype(np.int64)
    dtype = np.dtype(name)
    if dtype.kind == "f":
        return ((numbers % 20001 - 10000) / 64).astype(dtype)
    if dtype.kind == "b":
        return (numbers & 1).astype(dtype)
    return (numbers % 101 - (0 if dtype.kind == "u" else 50)).astype(dtype)
