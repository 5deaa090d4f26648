"""jit - the kernels in numba. Only imported where numba is wanted: see load()."""

import numba

from .pools import workers

numba.set_num_threads(min(workers(), numba.config.NUMBA_NUM_THREADS))


@numba.njit(nogil=True)
def fib(n):
    if n <= 2:
        return 1
    return fib(n - 1) + fib(n - 2)


@numba.njit
def polynomial(x):
    return ((x * (1 / 6) + 0.5) * x + 1) * x + 1


@numba.njit
def collatz(n):
    steps = 0
    while n != 1:
        n = 3 * n + 1 if n & 1 else n >> 1
        steps += 1
    return steps


@numba.njit
def polynomial_serial(x, out):
    for i in range(x.size):
        out[i] = polynomial(x[i])


@numba.njit(parallel=True)
def polynomial_prange(x, out):
    for i in numba.prange(x.size):
        out[i] = polynomial(x[i])


@numba.njit
def collatz_serial(x, out):
    for i in range(x.size):
        out[i] = collatz(x[i])


@numba.njit(parallel=True)
def collatz_prange(x, out):
    for i in numba.prange(x.size):
        out[i] = collatz(x[i])


# Without fastmath no reduction becomes vectors.


@numba.njit(parallel=True, fastmath=True)
def sum_prange(x):
    total = 0.0
    for i in numba.prange(x.size):
        total += x[i]
    return total


@numba.njit(parallel=True, fastmath=True)
def dot_prange(x, y):
    total = 0.0
    for i in numba.prange(x.size):
        total += x[i] * y[i]
    return total


@numba.njit(parallel=True, fastmath=True)
def mean_var_prange(x):
    total, squares = 0.0, 0.0
    for i in numba.prange(x.size):
        total += x[i]
        squares += x[i] * x[i]
    mean = total / x.size
    return mean, squares / x.size - mean * mean


@numba.njit(parallel=True, fastmath=True)
def minmax_prange(x):
    least = greatest = x[0]
    for i in numba.prange(x.size):
        least = min(least, x[i])
        greatest = max(greatest, x[i])
    return least, greatest
