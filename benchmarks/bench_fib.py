"""fib over a short list of unequal items: the first is 38 % of the work."""

from collections.abc import Iterator, Sequence
from functools import partial

from contest import GILFREE, Contender, Contest, Result
from fib_lists import FIB, FIB_ON_ONE_WORKER, FIB_ON_THREADS, numba_on_threads
from peers import pools, pure
from peers.native import c
from tables import block, contender_rows, footnotes, milliseconds, spread
from workloads import FibList

from gilfree import kernels

NUMBERS = [38, 37, 36, 35, 34, 33]
QUICK_NUMBERS = [30, 29, 28, 27, 26, 25]

PYTHON, POOL, PROCESSES = "Python loop", "multiprocessing.Pool", "ProcessPoolExecutor"
PLAIN_MAP = "list(map(kernels.fib, ...))"

CONTENDERS = (
    FIB,
    FIB_ON_ONE_WORKER,
    Contender(PLAIN_MAP, lambda work: lambda: list(map(kernels.fib, work.numbers))),
    FIB_ON_THREADS,
    Contender("C serial", c("fib_serial")),
    Contender("C OpenMP dynamic", c("fib_dynamic")),
    Contender("numba nogil, ThreadPoolExecutor", numba_on_threads),
    Contender(PYTHON, lambda work: lambda: list(map(pure.fib, work.numbers)), once=True),
    Contender(POOL, lambda work: partial(pools.pool().map, pure.fib, work.numbers, chunksize=1), once=True),
    Contender(PROCESSES, lambda work: lambda: list(pools.processes().map(pure.fib, work.numbers)), once=True),
)

CLAIMS = (
    ("gilfree: one worker / all workers", FIB_ON_ONE_WORKER.name, GILFREE),
    ("kernels.fib: list(map) / ThreadPoolExecutor", PLAIN_MAP, FIB_ON_THREADS.name),
    ("gilfree / C OpenMP dynamic", GILFREE, "C OpenMP dynamic"),
    ("multiprocessing.Pool / gilfree", POOL, GILFREE),
    ("Python loop / gilfree", PYTHON, GILFREE),
)


def contests(quick: bool) -> dict[str, list[Contest]]:
    numbers = QUICK_NUMBERS if quick else NUMBERS
    return {"lists": [Contest(str(numbers), partial(FibList, numbers), CONTENDERS)]}


def report(lists: Sequence[Result]) -> Iterator[str]:
    (result,) = lists
    rows = [[*row, times_gilfree(result, row[0])] for row in contender_rows(lists, milliseconds)]
    once = [contender.name for contender in CONTENDERS if contender.once and contender.name in result.samples]
    yield block(
        f"fib over {result.title}",
        f"{pools.workers()} workers. Timed once: {', '.join(once)}.",
        [["", "ms", "times gilfree's"], *rows],
        footnotes(lists),
    )
    claims = [[label, spread(result.ratios(name, to))] for label, name, to in CLAIMS]
    yield block("fib, the ratios", "Median of the rounds (quartiles).", [["", "times"], *claims])


def times_gilfree(result: Result, name: str) -> str:
    return spread(result.ratios(name, GILFREE))


def test_fib(contender):
    contender()
