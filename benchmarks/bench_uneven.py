"""64 tasks, one of them a third of all work."""

from collections.abc import Iterator, Sequence
from functools import partial

from contest import Contest, Result
from fib_lists import RACERS, YARDSTICKS, makespan_rows
from tables import block, footnotes, header
from workloads import FibList, fib_costing

TASKS = 64
# fib(n + 7) takes 29 times as long as fib(n): 32 % of the work of them all.
LONGER_BY = 7
LONG_TAKES = 29

SCALES = [0.4, TASKS * 30e-6]
QUICK_SCALES = [0.04, TASKS * 30e-6]


def workload(seconds: float, long_first: bool) -> FibList:
    n = fib_costing(seconds / (TASKS - 1 + LONG_TAKES))
    short, long = [n] * (TASKS - 1), [n + LONGER_BY]
    note = f"{TASKS - 1} times fib({n}), once fib({n + LONGER_BY})"
    return FibList(long + short if long_first else short + long, note)


def contests(quick: bool) -> dict[str, list[Contest]]:
    return {
        "tasks": [
            Contest(title(seconds, long_first), partial(workload, seconds, long_first), RACERS + YARDSTICKS)
            for seconds in (QUICK_SCALES if quick else SCALES)
            for long_first in (True, False)
        ]
    }


def title(seconds: float, long_first: bool) -> str:
    return f"{seconds * 1e3:.0f} ms of work, long one {'first' if long_first else 'last'}"


def report(tasks: Sequence[Result]) -> Iterator[str]:
    yield block(
        f"{TASKS} uneven tasks, makespan over the ideal",
        "One task is 32 % of all work. The ideal: the longest task, or an equal share of all work if that "
        "takes longer, measured one after the other in the same code.",
        [header("", tasks), *makespan_rows(tasks)],
        footnotes(tasks),
    )


def test_uneven(contender):
    contender()
