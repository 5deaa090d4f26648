"""What every kernel must compute, in plain Python, and items to try it on.

The one list that a new row has to be added to: the contract suite fails for a row without a reference.
"""

import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT64 = st.floats(width=64)


@dataclass(frozen=True)
class Reference:
    function: Callable[..., Any]
    samples: list[tuple[Any, ...]]  # items that have a result
    items: st.SearchStrategy[tuple[Any, ...]]  # items that have a result
    long: tuple[Any, ...]  # an item that takes as long as any
    long_count: int = 4_000_000  # so many of those are not over before another thread can stop them
    failing: list[tuple[Any, ...]] = field(default_factory=list)  # items that fail while they run


def fib(n: int) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def collatz(n: int) -> int:
    steps = 0
    while n != 1:
        n = 3 * n + 1 if n % 2 else n // 2
        steps += 1
        if n >= 2**64:
            raise OverflowError
    return steps


def is_prime(n: int) -> bool:
    """Miller-Rabin to the first 13 primes: exact below 3.3e24 (J. Sorenson, J. Webster, 2015)."""
    bases = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41]
    if n < 2 or any(n % base == 0 for base in bases):
        return n in bases
    twos = ((n - 1) & (1 - n)).bit_length() - 1

    def passes(base: int) -> bool:
        power = pow(base, (n - 1) >> twos, n)
        squares = [pow(power, 2**i, n) for i in range(twos)]
        return power == 1 or n - 1 in squares

    return all(passes(base) for base in bases)


def has_collatz(n: int) -> bool:
    try:
        collatz(n)
    except OverflowError:
        return False
    return True


# Products of two primes, strong pseudoprimes to many bases, Carmichael numbers, and primes near 2**63.
HARD_TO_TELL = [3215031751, 3825123056546413051, 318665857834031151167461 % 2**62, 561, 41041, 2**61 - 1]
HARD_TO_TELL += [
    2**63 - 25,
    2**63 - 1,
    3037000493**2,
    3037000493,
    4759123141,
    341550071728321,
    1681,
    1763,
    1849,
]

SOME_FLOATS = [
    0.0,
    -0.0,
    1.0,
    -1.5,
    0.1,
    1e-320,
    5e-324,
    1e300,
    -1e308,
    float("inf"),
    float("nan"),
    2**53 + 1.0,
]

REFERENCES = {
    "fib": Reference(
        function=fib,
        samples=[(n,) for n in [*range(1, 24), 5, 2, 20]],
        items=st.tuples(st.integers(1, 22)),
        long=(92,),
        long_count=8,
    ),
    "collatz": Reference(
        function=collatz,
        samples=[(n,) for n in [*range(1, 30), 27, 871, 77031, 837799, 2**40, 2**62, 2**62 + 2, 3 * 2**60]],
        items=st.tuples(st.one_of(st.integers(1, 10**6), st.integers(1, 2**60)).filter(has_collatz)),
        long=(989345275647,),
        failing=[(2**63 - 1,), (2**62 - 1,)],
    ),
    "is_prime": Reference(
        function=is_prime,
        samples=[(n,) for n in [*range(-3, 120), -(2**63), *HARD_TO_TELL]],
        items=st.tuples(st.one_of(st.integers(-10, 10**4), INT64)),
        long=(2**63 - 25,),
    ),
    "polynomial": Reference(
        function=lambda x: ((x * (1 / 6) + 0.5) * x + 1) * x + 1,
        samples=[(x,) for x in [*SOME_FLOATS, *(i / 7 for i in range(-20, 20))]],
        items=st.tuples(FLOAT64),
        long=(0.5,),
    ),
    "muladd": Reference(
        function=lambda x, y, z: x * y + z,
        samples=[(x, y, z) for x in SOME_FLOATS[:6] for y in SOME_FLOATS[3:] for z in (0.5, -1e300, 0.1)],
        items=st.tuples(FLOAT64, FLOAT64, FLOAT64),
        long=(0.5, 0.5, 0.5),
    ),
}

PYTHON_TYPES = {"int64": int, "float64": float, "bool": bool}
TYPECODES = {"int64": "q", "float64": "d", "bool": "B"}
FORMATS = {"int64": "q", "float64": "d", "bool": "?"}


def types_of(kernel: Any) -> tuple[str, list[str]]:
    """The result's type, and the arguments'."""
    result, arguments = re.fullmatch(r"(\w+)\((.*)\)", kernel.signatures[0]).groups()
    return result, [argument.split()[0] for argument in arguments.split(", ")]


def columns_of(kernel: Any, items: list[tuple[Any, ...]]) -> list[list[Any]]:
    """The items as one list an argument."""
    return [list(column) for column in zip(*items, strict=True)] or [[] for _ in types_of(kernel)[1]]


def columns_as(make: Callable[[list[Any], str], Any], kernel: Any, items: list[tuple[Any, ...]]) -> list[Any]:
    """The items as one iterable an argument, each made of a list and the name of its type."""
    return [make(*each) for each in zip(columns_of(kernel, items), types_of(kernel)[1], strict=True)]


def as_array(column: list[Any], type_name: str) -> array:
    return array(TYPECODES[type_name], column)


def as_numpy(column: list[Any], type_name: str) -> np.ndarray:
    return np.array(column, dtype=type_name)


def exactly(values: Any) -> list[str]:
    """For comparing: tells 1 from 1.0 and True, 0.0 from -0.0, and has NaN equal NaN."""
    return [repr(value) for value in values]


def values_of(kernel: Any, results: Any) -> list[str]:
    """Results of any kind, as numbers of the type that the kernel returns, for comparing."""
    result_type = types_of(kernel)[0]
    numbers = results if isinstance(results, list) else np.asarray(results).ravel().tolist()
    return exactly(PYTHON_TYPES[result_type](number) for number in numbers)


def index_of(error: BaseException) -> int:
    """The item that an error names, in its message or in a note."""
    text = "\n".join([str(error), *getattr(error, "__notes__", [])])
    return int(re.search(r"item (\d+)", text)[1])
