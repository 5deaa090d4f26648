"""64 items of about 30 µs: a millisecond of work for two, begun hot and after idling."""

from collections.abc import Iterator, Sequence

from contest import Contest, Result
from fib_lists import RACERS, YARDSTICKS, makespan_rows
from mapping import gap_title
from tables import block, footnotes, header
from workloads import FibList, fib_costing

ITEMS = 64
ITEM_SECONDS = 30e-6
GAPS = [0.0, 5e-3, 50e-3]


def workload() -> FibList:
    n = fib_costing(ITEM_SECONDS)
    return FibList([n] * ITEMS, note=f"fib({n})")


def contests(quick: bool) -> dict[str, list[Contest]]:
    return {"gaps": [Contest(gap_title(gap), workload, RACERS + YARDSTICKS, gap) for gap in GAPS]}


def report(gaps: Sequence[Result]) -> Iterator[str]:
    yield block(
        f"{ITEMS} items of about {ITEM_SECONDS * 1e6:.0f} µs, makespan over the ideal",
        "The ideal: an equal share for each worker of what the same items take one after the other, back to "
        "back, in the same code.",
        [header("asleep before each call", gaps), *makespan_rows(gaps)],
        footnotes(gaps),
    )


def test_burst(contender):
    contender()
