"""Functions in Python: gilfree's threads and processes beside the standard library's and joblib's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from contest import GILFREE, Call, Contender, Contest, LeftOut, Result
from peers import pools, pure
from tables import block, contender_rows, footnotes, header, milliseconds, spread
from workloads import FibList

import gilfree

TINY = 10**5
QUICK_TINY = 10**4
NUMBERS = [38, 37, 36, 35, 34, 33]
QUICK_NUMBERS = [24, 23, 22, 21, 20, 19]
CHUNKSIZES = [1_000, 5_000, 25_000, 50_000]


class Tiny:
    """abs over so many numbers."""

    note = ""

    def __init__(self, items: int):
        self.items = items
        self.function = abs
        self.numbers = list(range(items))

    def accepts(self, result: object) -> bool:
        return result == self.numbers


class PythonFib(FibList):
    function = staticmethod(pure.fib)


def backend(name: str) -> Callable:
    return lambda work: partial(gilfree.parallel_map, work.function, work.numbers, backend=name)


def executor(start: Callable, chunksize: int = 1) -> Callable:
    return lambda work: lambda: list(start().map(work.function, work.numbers, chunksize=chunksize))


def joblib(work) -> Call:
    try:
        from joblib import Parallel, delayed
    except ImportError as error:
        raise LeftOut(f"can't be imported: {error}") from error
    parallel, task = Parallel(pools.workers()), delayed(work.function)
    return lambda: parallel(task(number) for number in work.numbers)


LOOP = Contender("list(map)", lambda work: lambda: list(map(work.function, work.numbers)))
PROCESSES = Contender(GILFREE, backend("processes"))
THREADS = Contender(GILFREE, backend("threads"))
JOBLIB = Contender("joblib", joblib)
IN_CHUNKS = [
    Contender(f"ProcessPoolExecutor, {size:,} a chunk", executor(pools.processes, size))
    for size in CHUNKSIZES
]

FIB = (
    PROCESSES,
    Contender("gilfree, threads", backend("threads")),
    LOOP,
    Contender("multiprocessing.Pool", lambda work: partial(pools.pool().map, work.function, work.numbers, 1)),
    Contender("ProcessPoolExecutor", executor(pools.processes)),
    JOBLIB,
)
TWO = (PROCESSES, Contender("ProcessPoolExecutor", executor(pools.processes)), JOBLIB)
ON_THREADS = (THREADS, LOOP, Contender("ThreadPoolExecutor", executor(pools.threads), once=True))


def contests(quick: bool) -> dict[str, list[Contest]]:
    tiny = partial(Tiny, QUICK_TINY if quick else TINY)
    numbers = QUICK_NUMBERS if quick else NUMBERS
    return {
        "fib": [Contest(f"fib over {numbers}", partial(PythonFib, numbers), FIB)],
        "processes": [
            Contest(f"{tiny().items:,} tiny items", tiny, (PROCESSES, LOOP, *IN_CHUNKS, JOBLIB)),
            Contest("two tiny items", partial(Tiny, 2), TWO),
        ],
        "threads": [Contest(f"{tiny().items:,} tiny items", tiny, ON_THREADS)],
    }


def report(fib: Sequence[Result], processes: Sequence[Result], threads: Sequence[Result]) -> Iterator[str]:
    for title, results in (("over processes", [*fib, *processes]), ("on threads", threads)):
        rows = [header("ms (times gilfree's)", results), *contender_rows(results, cell)]
        text = "All pools are started before, and kept."
        yield block(f"Functions in Python, {title}", text, rows, footnotes(results))


def cell(result: Result, name: str) -> str:
    return f"{milliseconds(result, name)} · {spread(result.ratios(name, GILFREE))}"


def test_python(contender):
    contender()
