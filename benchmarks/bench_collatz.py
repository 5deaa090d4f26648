"""collatz: some hundred steps an item, each item another number of them; bound by computing."""

from functools import partial

from contest import GILFREE, Contender
from mapping import contests as mapping_contests
from mapping import gilfree_map, numba, numpy, pool_map, python_loop, tables
from peers import arrays, pure
from peers.native import c
from workloads import collatz_arrays

from gilfree import kernels

CONTENDERS = (
    Contender(GILFREE, gilfree_map(kernels.collatz)),
    Contender("C serial, plain", c("collatz_serial")),
    Contender("C serial, ctz", c("collatz_ctz_serial")),
    Contender("C OpenMP static, plain", c("collatz_static")),
    Contender("C OpenMP static, ctz", c("collatz_ctz_static")),
    Contender("C OpenMP dynamic, plain", c("collatz_dynamic")),
    Contender("C OpenMP dynamic, ctz", c("collatz_ctz_dynamic")),
    Contender("numba serial, plain", numba("collatz_serial")),
    Contender("numba prange, plain", numba("collatz_prange")),
)

SLOW_CONTENDERS = (
    Contender("NumPy", numpy(arrays.collatz, up_to=10**5)),
    Contender("Python loop", python_loop(pure.collatz, up_to=10**4)),
    Contender("multiprocessing.Pool", pool_map(pure.collatz, up_to=10**4)),
)

TEXT = (
    "Random numbers up to 10^6. *ctz*: a run of halvings at a time with `__builtin_ctzll`, as in gilfree; "
    "*plain*: one halving at a time. gilfree looks for overflow, the peers don't. Dynamic: in chunks of 256."
)

contests = partial(mapping_contests, collatz_arrays, CONTENDERS, SLOW_CONTENDERS)
report = partial(tables, "collatz", TEXT)


def test_collatz(contender):
    contender()
