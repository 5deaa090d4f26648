"""contest - one workload, several contenders, timed in turns.

A contest is held in rounds. Each round visits every contender once, in an order drawn anew, so that
whatever slows the machine for a while slows them all, and nobody always runs in the wake of the same
neighbour. A visit gives one sample: the time of one call. Ratios are taken between samples of the same round.

report.py holds contests; the bench_*.py files hand the same contests to pytest-benchmark.
"""

from __future__ import annotations

import math
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from time import perf_counter_ns
from typing import Any, Protocol

GILFREE = "gilfree"

# OpenMP's helpers spin for some 5 ms after their loop ended: nobody is timed beside a neighbour's spinning.
SETTLE_SECONDS = 0.012
# OpenBLAS's spin for 2**26 cycles, too long; 2**20 still last from call to call. Set before NumPy loads.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")
# A visit warms up for this long: after idling, OpenMP's helpers can take 6 ms to get cores of their own.
WARM_UP_SECONDS = 0.006
# A call that takes this long hardly notices how it started: it is not warmed up.
LONG_CALL_SECONDS = 0.2

Call = Callable[[], object]


class LeftOut(Exception):  # noqa: N818 - nothing went wrong
    """Raised where a contender is made: why it takes no part."""


class WrongResult(Exception):  # noqa: N818
    """Ends the contest, so that nobody is compared with it."""


class Workload(Protocol):
    items: int
    note: str  # what the report should say about it; may be empty

    def accepts(self, result: object) -> bool:
        """Is `result`, what a contender returned, right? None: it wrote to the workload's `out`."""


def whole(workload: Any) -> Any:
    return workload


@dataclass(frozen=True)
class Contender:
    """`make` is given the workload, or the part of it that `part` takes, and returns the call to time.

    It may raise LeftOut.
    """

    name: str
    make: Callable[[Any], Call]
    part: Callable[[Any], Any] = whole
    once: bool = False  # too slow to repeat: the call that is checked is the one that is timed
    hot: bool = False  # a yardstick: timed back to back, whatever the contest's gap


@dataclass(frozen=True)
class Contest:
    """`gap` seconds of sleep before each timed call; 0: back to back."""

    title: str
    workload: Callable[[], Workload]
    contenders: Sequence[Contender]
    gap: float = 0.0

    def gap_for(self, contender: Contender) -> float:
        return 0.0 if contender.hot else self.gap


@dataclass(frozen=True)
class Effort:
    """How long to measure. Rounds go on until `seconds` are over, within `rounds`."""

    rounds: range
    seconds: float
    batch_seconds: float  # a visit back to back
    calls: int  # in a visit with gaps


FULL = Effort(rounds=range(3, 16), seconds=3, batch_seconds=0.02, calls=10)
FULL_WITH_GAPS = Effort(rounds=range(10, 16), seconds=0, batch_seconds=0.02, calls=10)
QUICK = Effort(rounds=range(3, 6), seconds=0.3, batch_seconds=0.002, calls=2)


def effort_for(contest: Contest, quick: bool) -> Effort:
    if quick:
        return QUICK
    return FULL_WITH_GAPS if contest.gap else FULL


@dataclass
class Result:
    """The samples of each contender, in seconds a call, one a round."""

    title: str
    items: int
    note: str
    samples: dict[str, list[float]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def median(self, name: str) -> float:
        return statistics.median(self.samples[name])

    def ratios(self, name: str, to: str) -> list[float]:
        """Round by round; empty if one of the two took no part."""
        mine, others = self.samples.get(name, []), self.samples.get(to, [])
        if len(mine) == len(others):
            return [a / b for a, b in zip(mine, others, strict=True)]
        return [self.median(name) / self.median(to)] if mine and others else []


def hold(contest: Contest, effort: Effort) -> Result:
    workload = contest.workload()
    result = Result(contest.title, workload.items, workload.note)
    calls = admit(contest, workload, result)
    start, round_number = time.monotonic(), 0
    while round_number < effort.rounds.start or (
        round_number < effort.rounds[-1] and time.monotonic() - start < effort.seconds
    ):
        for contender, call, seconds in random.Random(round_number).sample(calls, len(calls)):
            result.samples[contender.name].append(visit(call, seconds, contest.gap_for(contender), effort))
        round_number += 1
    return result


def admit(contest: Contest, workload: Workload, result: Result) -> list[tuple[Contender, Call, float]]:
    """Those that can take part and give the right result, with the seconds it took.

    The others go to result.left_out.
    """
    admitted = []
    for contender in contest.contenders:
        part = contender.part(workload)
        try:
            call = contender.make(part)
        except LeftOut as reason:
            result.left_out[contender.name] = str(reason)
            continue
        seconds = checked_call(contest, contender, part, call)
        result.samples[contender.name] = [seconds] if contender.once else []
        if not contender.once:
            admitted.append((contender, call, seconds))
    return admitted


def checked_call(contest: Contest, contender: Contender, workload: Workload, call: Call) -> float:
    """Seconds it took."""
    start = perf_counter_ns()
    result = call()
    seconds = (perf_counter_ns() - start) * 1e-9
    if not workload.accepts(result):
        raise WrongResult(f"{contender.name} gave a wrong result ({contest.title})")
    return seconds


def visit(call: Call, seconds: float, gap: float, effort: Effort) -> float:
    seconds = get_ready(call, seconds)
    if gap:
        return after_gaps(call, gap, effort.calls)
    return back_to_back(call, batch_size(seconds, effort))


def get_ready(call: Call, seconds: float) -> float:
    """Of a call that took `seconds`, what it takes now, roughly."""
    time.sleep(SETTLE_SECONDS)
    return seconds if seconds > LONG_CALL_SECONDS else warm_up(call)


def batch_size(seconds: float, effort: Effort) -> int:
    return max(1, math.ceil(effort.batch_seconds / seconds))


def warm_up(call: Call) -> float:
    calls, start = 0, perf_counter_ns()
    while True:
        call()
        calls += 1
        elapsed = (perf_counter_ns() - start) * 1e-9
        if elapsed > WARM_UP_SECONDS:
            return elapsed / calls


def back_to_back(call: Call, calls: int) -> float:
    start = perf_counter_ns()
    for _ in repeat(None, calls):
        call()
    return (perf_counter_ns() - start) * 1e-9 / calls


def after_gaps(call: Call, gap: float, calls: int) -> float:
    return statistics.median(after_gap(call, gap) for _ in range(calls))


def after_gap(call: Call, gap: float) -> float:
    time.sleep(gap)
    start = perf_counter_ns()
    call()
    return (perf_counter_ns() - start) * 1e-9
