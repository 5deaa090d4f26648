"""fib_lists - contenders that run fib over a list, and how close their makespan comes to the ideal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from statistics import median

from contest import GILFREE, Call, Contender, Result
from peers import pools, with_numba
from peers.native import c
from tables import ABSENT, Row, number, spread
from workloads import FibList

import gilfree
from gilfree import kernels


def numba_on_threads(work: FibList) -> Call:
    fib = with_numba().fib
    return lambda: list(pools.threads().map(fib, work.numbers))


FIB = Contender(GILFREE, lambda work: partial(gilfree.parallel_map, kernels.fib, work.numbers))
FIB_ON_ONE_WORKER = Contender(
    "gilfree, one worker", lambda work: partial(gilfree.parallel_map, kernels.fib, work.numbers, workers=1)
)
FIB_ON_THREADS = Contender(
    "kernels.fib, ThreadPoolExecutor",
    lambda work: lambda: list(pools.threads().map(kernels.fib, work.numbers)),
)
FIB_IN_PROCESSES = Contender(
    "kernels.fib, multiprocessing.Pool", lambda work: partial(pools.pool().map, kernels.fib, work.numbers)
)
C_OPENMP = Contender("C OpenMP dynamic", c("fib_dynamic"))

# The ideal makespan is that of the contender's own code: nobody gains by a slower fib.
TOTAL = replace(FIB_ON_ONE_WORKER, hot=True)
LONGEST = replace(TOTAL, name="gilfree, the longest item", part=attrgetter("longest"))
C_TOTAL = Contender("C serial", c("fib_serial"), hot=True)
C_LONGEST = replace(C_TOTAL, name="C serial, the longest item", part=attrgetter("longest"))

RACERS = (FIB, FIB_ON_THREADS, FIB_IN_PROCESSES, C_OPENMP)
YARDSTICKS = (TOTAL, LONGEST, C_TOTAL, C_LONGEST)


def ideals(result: Result, name: str) -> list[float]:
    """Round by round, the makespan none can beat: the longest item's time, or an equal share of all work."""
    total, longest = (C_TOTAL, C_LONGEST) if name == C_OPENMP.name else (TOTAL, LONGEST)
    pairs = zip(result.samples[total.name], result.samples[longest.name], strict=True)
    return [max(alone, everything / pools.workers()) for everything, alone in pairs]


def over_ideal(result: Result, name: str) -> str:
    if name not in result.samples:
        return ABSENT
    return spread([a / b for a, b in zip(result.samples[name], ideals(result, name), strict=True)])


def makespan_rows(results: Sequence[Result]) -> list[Row]:
    racers = [[racer.name] + [over_ideal(result, racer.name) for result in results] for racer in RACERS]
    ideal = [number(median(ideals(result, GILFREE)) * 1e3) for result in results]
    return [*racers, ["the ideal for kernels.fib, ms", *ideal]]
