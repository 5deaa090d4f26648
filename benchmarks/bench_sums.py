"""sums: sum, dot, and mean and variance at once; bound by memory where the arrays are long."""

from collections.abc import Iterator, Sequence

import numpy as np
from contest import GILFREE, Contender, Contest, Result
from peers import arrays
from peers.native import c_pair, c_reduction
from reducing import NUMPY, numba, on_arrays, on_parts, table
from reducing import contests as reducing_contests
from workloads import dot_arrays, moment_arrays, sum_arrays

from gilfree import kernels

SUM = (
    Contender(GILFREE, on_arrays(kernels.sum)),
    Contender(NUMPY, on_arrays(np.sum)),
    Contender("NumPy, ThreadPoolExecutor", on_parts(arrays.sum_on_threads)),
    Contender("numba prange, fastmath", numba("sum_prange")),
    Contender("C OpenMP, fast-math", c_reduction("sum_openmp")),
    Contender("C serial, fast-math", c_reduction("sum_serial")),
)
DOT = (
    Contender(GILFREE, on_arrays(kernels.dot)),
    Contender(NUMPY, on_arrays(np.dot)),
    Contender("NumPy, ThreadPoolExecutor", on_parts(arrays.dot_on_threads)),
    Contender("numba prange, fastmath", numba("dot_prange")),
    Contender("C OpenMP, fast-math", c_reduction("dot_openmp")),
    Contender("C serial, fast-math", c_reduction("dot_serial")),
)
MEAN_VAR = (
    Contender(GILFREE, on_arrays(kernels.mean_var)),
    Contender(NUMPY, on_arrays(arrays.mean_var)),
    Contender("NumPy, ThreadPoolExecutor", on_parts(arrays.mean_var_on_threads)),
    Contender("numba prange, fastmath", numba("mean_var_prange")),
    Contender("C OpenMP, fast-math", c_pair("mean_var_openmp")),
    Contender("C serial, fast-math", c_pair("mean_var_serial")),
)


def contests(quick: bool) -> dict[str, list[Contest]]:
    return {
        "sums": reducing_contests(sum_arrays, SUM, quick),
        "dots": reducing_contests(dot_arrays, DOT, quick),
        "moments": reducing_contests(moment_arrays, MEAN_VAR, quick),
    }


def report(sums: Sequence[Result], dots: Sequence[Result], moments: Sequence[Result]) -> Iterator[str]:
    yield table("sum", "`kernels.sum(x)` beside `np.sum(x)`, float64.", sums)
    yield table("dot", "`kernels.dot(x, y)` beside `np.dot(x, y)`, float64.", dots)
    text = (
        "`kernels.mean_var(x)` beside `x.mean(), x.var()`, float64. The peers in C and numba take the sum "
        "and the sum of squares in one pass, and lose digits where the mean is far from 0; gilfree doesn't."
    )
    yield table("mean and variance", text, moments)


def test_sums(contender):
    contender()
