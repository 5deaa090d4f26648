"""Ctrl-C at any moment of a call of a function in Python, once or twice: what comes after is as before it."""

import os

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="timers that send signals are POSIX")

# Calls, each interrupted at a random moment; as many as fit into some seconds.
INTERRUPTED = """
import random, signal, sys, threading, time
from gilfree import parallel_map, trial

left = 0

may_be_lost = {KeyboardInterrupt}

def lost(unraisable):
    "Ctrl-C at the first line of a __del__, as Popen has one, or of _remove, by which threading forgets a"
    "thread, can't be had: Python only reports it."
    what = getattr(unraisable.object, "__name__", "") + (unraisable.err_msg or "")
    if unraisable.exc_type not in may_be_lost or not ("__del__" in what or "_remove" in what):
        sys.__unraisablehook__(unraisable)

sys.unraisablehook = lost

def interrupt(*_):
    global left
    if left:
        left -= 1
        signal.raise_signal(signal.SIGINT)  # which may be blocked, as where a process is started

signal.signal(signal.SIGALRM, interrupt)

def interrupted(call, first, last, times=1, gap=0.0):
    "Was it?"
    global left
    left = times
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(first, last), gap)
            call()
            return False
        finally:
            while left and gap:
                time.sleep(0.001)
            left = 0
    except KeyboardInterrupt:
        left = 0
        return True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)

def interrupt_many(call, *moments, **options):
    global left
    until, count = time.monotonic() + 2, 0
    while time.monotonic() < until or count < 20:
        try:
            count += interrupted(call, *moments, **options)
        except KeyboardInterrupt:  # between two steps of it
            left, count = 0, count + 1
            signal.setitimer(signal.ITIMER_REAL, 0)

def square(number):
    return number * number

def check(backend):
    assert parallel_map(square, range(50), backend=backend) == [number * number for number in range(50)]
"""


def test_threads(run):
    """All workers come to the next call: both items wait until the other one runs."""
    run(
        INTERRUPTED
        + """
check("threads")
interrupt_many(lambda: parallel_map(abs, range(300), backend="threads", workers=2), 1e-5, 4e-4)
check("threads")
meeting = threading.Barrier(2)
parallel_map(lambda item: meeting.wait(60), range(2), backend="threads", workers=2)
"""
    )


@pytest.mark.parametrize("times", [1, 2])
def test_processes(run, times):
    """A worker that is amid something is not taken for the next call. The second one comes while the call
    ends its workers: it may keep it from waiting for one that was killed, of which Popen warns."""
    run(
        INTERRUPTED
        + f"""
if {times} == 2:
    may_be_lost.add(ResourceWarning)
parallel_map(abs, range(4), backend="processes", workers=2)

def call():
    parallel_map(time.sleep, [0.02, 0.001, 0.001, 0.02], backend="processes", workers=2, chunksize=1)

for _ in range(20):
    interrupted(call, 1e-4, 0.04, times={times}, gap=random.uniform(0.0003, 0.0015))
    check("processes")
"""
    )


def test_auto(run):
    """Nobody goes on to look who holds the GIL."""
    run(
        INTERRUPTED
        + """
parallel_map(square, range(1000))
interrupt_many(lambda: parallel_map(square, range(1000)), 1e-5, 3e-4)
check("auto")
assert not trial._watcher.watches
"""
    )
