"""polynomial: three multiplications and three additions an item, bound by memory from about N = 10^5 on."""

from functools import partial

from contest import GILFREE, Contender
from mapping import contests as mapping_contests
from mapping import gilfree_map, numba, numpy, pool_map, python_loop, tables
from peers import arrays, pure
from peers.native import c
from workloads import polynomial_arrays

from gilfree import kernels

CONTENDERS = (
    Contender(GILFREE, gilfree_map(kernels.polynomial)),
    Contender("C serial", c("polynomial_serial")),
    Contender("C OpenMP static", c("polynomial_static")),
    Contender("numba serial", numba("polynomial_serial")),
    Contender("numba prange", numba("polynomial_prange")),
    Contender("NumPy", numpy(arrays.polynomial)),
)

SLOW_CONTENDERS = (
    Contender("Python loop", python_loop(pure.polynomial, up_to=10**5)),
    Contender("multiprocessing.Pool", pool_map(pure.polynomial, up_to=10**5)),
)

TEXT = "NumPy works in place, step by step; the Python loop and Pool.map go from list to list."

contests = partial(mapping_contests, polynomial_arrays, CONTENDERS, SLOW_CONTENDERS)
report = partial(tables, "polynomial", TEXT)


def test_polynomial(contender):
    contender()
