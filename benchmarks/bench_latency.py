"""Two tiny items: what a call costs when there is nothing to gain from a second worker."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from contest import GILFREE, Contender, Contest, Result
from fib_lists import C_OPENMP, FIB, FIB_ON_THREADS
from mapping import gap_title, numba
from peers.native import c
from tables import block, contender_rows, footnotes, header, microseconds, ratio_row
from workloads import FibList, Same, polynomial_arrays

import gilfree
from gilfree import kernels

GAPS = [0.0, 5e-3, 50e-3]

BASELINE = Contender(
    "list(map(abs, two))",
    lambda work: lambda: list(map(abs, work.numbers)),
    part=lambda work: Same(work.x.tolist()),
)
POLYNOMIAL = Contender(GILFREE, lambda work: partial(gilfree.parallel_map, kernels.polynomial, work.x))
STATIC = Contender("C OpenMP static", c("polynomial_static"))

WITH_FIB = (FIB, BASELINE, Contender("C serial", c("fib_serial")), C_OPENMP, FIB_ON_THREADS)
WITH_POLYNOMIAL = (POLYNOMIAL, BASELINE, STATIC, Contender("numba prange", numba("polynomial_prange")))


def contests(quick: bool) -> dict[str, list[Contest]]:
    return {
        "fib": with_gaps(partial(FibList, [1, 2]), WITH_FIB),
        "polynomial": with_gaps(partial(polynomial_arrays, 2), WITH_POLYNOMIAL),
    }


def with_gaps(workload: Callable, contenders: Sequence[Contender]) -> list[Contest]:
    return [Contest(gap_title(gap), workload, contenders, gap) for gap in GAPS]


def report(fib: Sequence[Result], polynomial: Sequence[Result]) -> Iterator[str]:
    yield table("kernels.fib, [1, 2]", "A list in, a list out", fib, C_OPENMP.name)
    yield table("kernels.polynomial, two", "An array in, a new array out", polynomial, STATIC.name)


def table(call: str, text: str, results: Sequence[Result], openmp: str) -> str:
    ratios = [
        ratio_row(f"**{GILFREE} / {BASELINE.name}**", results, GILFREE, BASELINE.name),
        ratio_row(f"**{GILFREE} / {openmp}**", results, GILFREE, openmp),
    ]
    rows = [header("asleep before each call", results), *contender_rows(results, microseconds), *ratios]
    text = f"{text}; the peers in C and numba write to a given array."
    return block(f"`parallel_map({call})`, µs a call", text, rows, footnotes(results))


def test_latency(contender):
    contender()
