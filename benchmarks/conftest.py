"""Runs every bench_*.py over its contests and their contenders, those that report.py holds.

pytest-benchmark times one function after the other and knows no turns. So a contest is held as always, once,
and each contender's samples are played back to pytest-benchmark on a clock of their own.
"""

from __future__ import annotations

import functools
import os
import statistics

import pytest
from contest import GILFREE, effort_for, hold


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


CLOCK = Clock()


def pytest_addoption(parser):
    default = os.environ.get("GILFREE_BENCH_QUICK", "0") not in ("", "0")
    parser.addoption("--quick", action="store_true", default=default, help="smaller work, fewer rounds")


def pytest_generate_tests(metafunc):
    if "contender" not in metafunc.fixturenames:
        return
    subject = metafunc.module.__name__.removeprefix("bench_")
    groups = metafunc.module.contests(metafunc.config.getoption("quick"))
    entries = [
        entry(contest, contender.name, f"{subject}, {group}, {contest.title}")
        for group, contests in groups.items()
        for contest in contests
        for contender in contest.contenders
    ]
    metafunc.parametrize("contender", entries, indirect=True)


def entry(contest, name, group):
    mark = pytest.mark.benchmark(group=group, timer=CLOCK)
    return pytest.param((contest, name), id=f"{group}, {name}".replace("µ", "u"), marks=mark)


@functools.lru_cache(maxsize=1)
def result_of(contest, quick):
    return hold(contest, effort_for(contest, quick))


@pytest.fixture
def contender(request, benchmark):
    """Hands the contender's samples to pytest-benchmark when called."""
    contest, name = request.param
    result = result_of(contest, request.config.getoption("quick"))
    if name in result.left_out:
        pytest.skip(f"{name}: {result.left_out[name]}")
    benchmark.extra_info["times gilfree's"] = statistics.median(result.ratios(name, GILFREE))
    return functools.partial(play_back, benchmark, result.samples[name])


def play_back(benchmark, samples):
    times = iter(samples)
    benchmark.pedantic(lambda: CLOCK.advance(next(times)), rounds=len(samples))
