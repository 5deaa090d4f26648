# Written by tests/stubs.py from the tables of rows in csrc/kernels: change those.

from typing import Any, Final, SupportsFloat, SupportsIndex, overload

from typing_extensions import Buffer

from gilfree._core import Kernel

class _Fib(Kernel):
    """The n-th Fibonacci number by naive recursion, as slow on purpose as in Python; fib(1) = fib(2) = 1."""

    @overload
    def __call__(self, n: SupportsIndex, /, *, workers: int | None = None, out: None = None) -> int: ...
    @overload
    def __call__(self, n: SupportsIndex | Buffer, /, *, workers: int | None = None, out: Buffer | None = None) -> Any: ...

fib: Final[_Fib]

class _Collatz(Kernel):
    """Steps of the Collatz sequence (n / 2 if n is even, else 3 n + 1) from n to 1."""

    @overload
    def __call__(self, n: SupportsIndex, /, *, workers: int | None = None, out: None = None) -> int: ...
    @overload
    def __call__(self, n: SupportsIndex | Buffer, /, *, workers: int | None = None, out: Buffer | None = None) -> Any: ...

collatz: Final[_Collatz]

class _IsPrime(Kernel):
    """Is n a prime number? Exact for every n, by Miller-Rabin."""

    @overload
    def __call__(self, n: SupportsIndex, /, *, workers: int | None = None, out: None = None) -> bool: ...
    @overload
    def __call__(self, n: SupportsIndex | Buffer, /, *, workers: int | None = None, out: Buffer | None = None) -> Any: ...

is_prime: Final[_IsPrime]

class _Polynomial(Kernel):
    """1 + x + x**2 / 2 + x**3 / 6 by Horner's rule, each step rounded: ((x * (1 / 6) + 0.5) * x + 1) * x + 1."""

    @overload
    def __call__(self, x: SupportsFloat | SupportsIndex, /, *, workers: int | None = None, out: None = None) -> float: ...
    @overload
    def __call__(self, x: SupportsFloat | SupportsIndex | Buffer, /, *, workers: int | None = None, out: Buffer | None = None) -> Any: ...

polynomial: Final[_Polynomial]

class _Muladd(Kernel):
    """x * y + z, each step rounded."""

    @overload
    def __call__(self, x: SupportsFloat | SupportsIndex, y: SupportsFloat | SupportsIndex, z: SupportsFloat | SupportsIndex, /, *, workers: int | None = None, out: None = None) -> float: ...
    @overload
    def __call__(self, x: SupportsFloat | SupportsIndex | Buffer, y: SupportsFloat | SupportsIndex | Buffer, z: SupportsFloat | SupportsIndex | Buffer, /, *, workers: int | None = None, out: Buffer | None = None) -> Any: ...

muladd: Final[_Muladd]
