"""reducing - whole arrays that become a number or two: the contests of all reductions, and their table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

from contest import GILFREE, Call, Contender, Contest, Result
from peers import with_numba
from peers.native import c_read
from tables import (
    ABSENT,
    block,
    contender_rows,
    fastest_peer_row,
    footnotes,
    header,
    microseconds,
    ratio_row,
    spread,
)

SIZES = {"10^3": 10**3, "10^6": 10**6, "5x10^7": 5 * 10**7}
QUICK_SIZES = {"10^3": 10**3, "10^6": 10**6, "10^7": 10**7}

NUMPY = "NumPy"
# Items: below that many, part of the array may still stand in a cache.
FROM_MEMORY = 5 * 10**7

Make = Callable[[Any], Call]

READING = tuple(
    Contender(f"memory read, {words}", c_read(name), part=attrgetter("bits"))
    for words, name in (
        ("one stream a thread", "read_one_stream"),
        ("four streams a thread", "read_four_streams"),
    )
)
YARDSTICKS = [contender.name for contender in READING]


def on_arrays(function: Callable) -> Make:
    return lambda work: partial(function, *work.arrays)


def on_parts(function: Callable) -> Make:
    return lambda work: function(*work.arrays)


def numba(name: str) -> Make:
    return lambda work: partial(getattr(with_numba(), name), *work.arrays)


def contests(workload: Callable, contenders: Sequence[Contender], quick: bool) -> list[Contest]:
    sizes = QUICK_SIZES if quick else SIZES
    return [Contest(title, partial(workload, n), (*contenders, *READING)) for title, n in sizes.items()]


def table(title: str, text: str, results: Sequence[Result]) -> str:
    rows = [
        header("N", results),
        *contender_rows(results, microseconds),
        fastest_peer_row(results, YARDSTICKS),
        ratio_row(f"**{GILFREE} / {NUMPY}**", results, GILFREE, NUMPY),
        ["**share of the read bandwidth**", *map(share_of_bandwidth, results)],
    ]
    text = (
        f"{text} Back to back. The share of the bandwidth: the time of the faster memory read over gilfree's."
    )
    return block(f"{title}, µs a call", text, rows, footnotes(results))


def share_of_bandwidth(result: Result) -> str:
    measured = [name for name in YARDSTICKS if name in result.samples]
    if not measured or result.items < FROM_MEMORY:
        return ABSENT
    return spread(result.ratios(min(measured, key=result.median), GILFREE))
