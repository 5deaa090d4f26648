"""mapping - y = f(x) over whole arrays: the contests that all elementwise kernels share, and their tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from contest import Call, Contender, Contest, LeftOut, Result
from peers import pools, with_numba
from tables import block, contender_rows, fastest_peer_row, footnotes, header, microseconds, number

import gilfree

SIZES = [10**power for power in range(2, 8)]
QUICK_SIZES = [10**2, 10**4, 10**6]
GAPS = [0.0, 30e-6, 200e-6, 1000e-6]
QUICK_GAPS = [0.0, 200e-6]
GAP_SIZE = 10**5

Make = Callable[[Any], Call]


def gilfree_map(kernel: Any) -> Make:
    return lambda work: partial(gilfree.parallel_map, kernel, work.x, out=work.out)


def numba(name: str) -> Make:
    return lambda work: partial(getattr(with_numba(), name), work.x, work.out)


def numpy(function: Callable, up_to: float = float("inf")) -> Make:
    def make(work: Any) -> Call:
        refuse_above(up_to, work)
        return partial(function, work.x, work.out)

    return make


def python_loop(function: Callable, up_to: int) -> Make:
    def make(work: Any) -> Call:
        refuse_above(up_to, work)
        items = work.x.tolist()
        return lambda: [function(item) for item in items]

    return make


def pool_map(function: Callable, up_to: int) -> Make:
    def make(work: Any) -> Call:
        refuse_above(up_to, work)
        return partial(pools.pool().map, function, work.x.tolist())

    return make


def refuse_above(limit: float, work: Any) -> None:
    if work.x.size > limit:
        raise LeftOut("takes too long")


Contenders = tuple[Contender, ...]


def contests(workload: Callable, fast: Contenders, slow: Contenders, quick: bool) -> dict[str, list[Contest]]:
    """Those that are slow at any size stay away from the calls with gaps."""
    sizes, gaps = (QUICK_SIZES, QUICK_GAPS) if quick else (SIZES, GAPS)
    return {
        "by_size": [Contest(f"10^{len(str(n)) - 1}", partial(workload, n), fast + slow) for n in sizes],
        "by_gap": [Contest(gap_title(gap), partial(workload, GAP_SIZE), fast, gap) for gap in gaps],
    }


def gap_title(gap: float) -> str:
    if not gap:
        return "back to back"
    return f"after {gap * 1e6:.0f} µs" if gap < 2e-3 else f"after {gap * 1e3:.0f} ms"


def tables(kernel: str, text: str, by_size: Sequence[Result], by_gap: Sequence[Result]) -> Iterator[str]:
    yield block(
        f"{kernel}, ns per item",
        f"`y[:] = f(x)` on NumPy arrays, back to back. {text}",
        [header("N", by_size), *contender_rows(by_size, nanoseconds_per_item), fastest_peer_row(by_size)],
        footnotes(by_size),
    )
    yield block(
        f"{kernel} with gaps, µs a call",
        "N = 10^5. Before each timed call the caller sleeps for at least that long.",
        [header("gap", by_gap), *contender_rows(by_gap, microseconds), fastest_peer_row(by_gap)],
        footnotes(by_gap),
    )


def nanoseconds_per_item(result: Result, name: str) -> str:
    return number(result.median(name) * 1e9 / result.items)
