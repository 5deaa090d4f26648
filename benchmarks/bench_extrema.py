"""extrema: the least and the greatest item at once; bound by memory where the array is long."""

from collections.abc import Iterator, Sequence

from contest import GILFREE, Contender, Contest, Result
from peers import arrays
from peers.native import c_pair
from reducing import NUMPY, numba, on_arrays, on_parts, table
from reducing import contests as reducing_contests
from workloads import extrema_arrays

from gilfree import kernels

MINMAX = (
    Contender(GILFREE, on_arrays(kernels.minmax)),
    Contender(NUMPY, on_arrays(arrays.minmax)),
    Contender("NumPy, ThreadPoolExecutor", on_parts(arrays.minmax_on_threads)),
    Contender("numba prange, fastmath", numba("minmax_prange")),
    Contender("C OpenMP, fast-math", c_pair("minmax_openmp")),
    Contender("C serial, fast-math", c_pair("minmax_serial")),
)


def contests(quick: bool) -> dict[str, list[Contest]]:
    return {"pairs": reducing_contests(extrema_arrays, MINMAX, quick)}


def report(pairs: Sequence[Result]) -> Iterator[str]:
    text = (
        "`kernels.minmax(x)` beside `x.min(), x.max()`, float64. The peers in C and numba, with fast-math, "
        "take no notice of NaN; gilfree and NumPy do."
    )
    yield table("minimum and maximum", text, pairs)


def test_extrema(contender):
    contender()
