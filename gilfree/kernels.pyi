# Written by tests/stubs.py from the tables of rows in csrc/kernels: change those.

from collections.abc import Iterable
from typing import Any, Final, Protocol, SupportsFloat, SupportsIndex, overload

from typing_extensions import Buffer

from gilfree._core import Kernel

class _HasArray(Protocol):
    def __array__(self) -> Any: ...

class _HasDLPack(Protocol):
    def __dlpack__(self) -> Any: ...

class _HasArrayInterface(Protocol):
    @property
    def __array_interface__(self) -> dict[str, Any]: ...

_Array = Buffer | _HasArray | _HasDLPack | _HasArrayInterface
_Numbers = _Array | Iterable[SupportsFloat | SupportsIndex]

class _Fib(Kernel):
    """The n-th Fibonacci number by naive recursion, as slow on purpose as in Python; fib(1) = fib(2) = 1."""

    @overload
    def __call__(self, n: SupportsIndex, /, *, workers: int | None = None, out: None = None) -> int: ...
    @overload
    def __call__(self, n: SupportsIndex | _Array, /, *, workers: int | None = None, out: Buffer | None = None) -> Any: ...

fib: Final[_Fib]

class _Collatz(Kernel):
    """Steps of the Collatz sequence (n / 2 if n is even, else 3 n + 1) from n to 1."""

    @overload
    def __call__(self, n: SupportsIndex, /, *, workers: int | None = None, out: None = None) -> int: ...
    @overload
    def __call__(self, n: SupportsIndex | _Array, /, *, workers: int | None = None, out: Buffer | None = None) -> Any: ...

collatz: Final[_Collatz]

class _IsPrime(Kernel):
    """Is n a prime number? Exact for every n, by Miller-Rabin."""

    @overload
    def __call__(self, n: SupportsIndex, /, *, workers: int | None = None, out: None = None) -> bool: ...
    @overload
    def __call__(self, n: SupportsIndex | _Array, /, *, workers: int | None = None, out: Buffer | None = None) -> Any: ...

is_prime: Final[_IsPrime]

class _Polynomial(Kernel):
    """1 + x + x**2 / 2 + x**3 / 6 by Horner's rule, each step rounded: ((x * (1 / 6) + 0.5) * x + 1) * x + 1."""

    @overload
    def __call__(self, x: SupportsFloat | SupportsIndex, /, *, workers: int | None = None, out: None = None) -> float: ...
    @overload
    def __call__(self, x: SupportsFloat | SupportsIndex | _Array, /, *, workers: int | None = None, out: Buffer | None = None) -> Any: ...

polynomial: Final[_Polynomial]

class _Muladd(Kernel):
    """x * y + z, each step rounded."""

    @overload
    def __call__(self, x: SupportsFloat | SupportsIndex, y: SupportsFloat | SupportsIndex, z: SupportsFloat | SupportsIndex, /, *, workers: int | None = None, out: None = None) -> float: ...
    @overload
    def __call__(self, x: SupportsFloat | SupportsIndex | _Array, y: SupportsFloat | SupportsIndex | _Array, z: SupportsFloat | SupportsIndex | _Array, /, *, workers: int | None = None, out: Buffer | None = None) -> Any: ...

muladd: Final[_Muladd]

class _Sum(Kernel):
    """The sum of the items: integers exactly, floats in float64, at least as accurate as pairwise summation."""

    def __call__(self, x: _Numbers, /, *, workers: int | None = None) -> float: ...

sum: Final[_Sum]

class _Dot(Kernel):
    """The sum of the products of the items of x and y: of integers exactly, of floats in float64."""

    def __call__(self, x: _Numbers, y: _Numbers, /, *, workers: int | None = None) -> float: ...

dot: Final[_Dot]

class _Norm(Kernel):
    """The Euclidean norm, the square root of the sum of the squares; no square overflows or vanishes."""

    def __call__(self, x: _Numbers, /, *, workers: int | None = None) -> float: ...

norm: Final[_Norm]

class _Mean(Kernel):
    """The sum of the items over their number; NaN if there are none."""

    def __call__(self, x: _Numbers, /, *, workers: int | None = None) -> float: ...

mean: Final[_Mean]

class _Var(Kernel):
    """The variance: the mean squared deviation from the mean, over the number of items less ddof; NaN if there are none."""

    def __call__(self, x: _Numbers, /, ddof: SupportsIndex = 0, *, workers: int | None = None) -> float: ...

var: Final[_Var]

class _Std(Kernel):
    """The standard deviation, the square root of the variance."""

    def __call__(self, x: _Numbers, /, ddof: SupportsIndex = 0, *, workers: int | None = None) -> float: ...

std: Final[_Std]

class _MeanVar(Kernel):
    """The mean and the variance, as a pair, the array being read once."""

    def __call__(self, x: _Numbers, /, ddof: SupportsIndex = 0, *, workers: int | None = None) -> tuple[float, float]: ...

mean_var: Final[_MeanVar]

class _Min(Kernel):
    """The least item; NaN if there is one."""

    def __call__(self, x: _Numbers, /, *, workers: int | None = None) -> float: ...

min: Final[_Min]

class _Max(Kernel):
    """The greatest item; NaN if there is one."""

    def __call__(self, x: _Numbers, /, *, workers: int | None = None) -> float: ...

max: Final[_Max]

class _Minmax(Kernel):
    """The least and the greatest item, as a pair, the array being read once."""

    def __call__(self, x: _Numbers, /, *, workers: int | None = None) -> tuple[float, float]: ...

minmax: Final[_Minmax]

class _Argmin(Kernel):
    """The index of the first least item, or of the first NaN."""

    def __call__(self, x: _Numbers, /, *, workers: int | None = None) -> int: ...

argmin: Final[_Argmin]

class _Argmax(Kernel):
    """The index of the first greatest item, or of the first NaN."""

    def __call__(self, x: _Numbers, /, *, workers: int | None = None) -> int: ...

argmax: Final[_Argmax]
