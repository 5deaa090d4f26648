"""Calls that are stopped: by a Cancel, by a timeout. (Ctrl-C: test_signals.py.)"""

import gc
import itertools
import re
import threading
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest
from references import fib

import gilfree
from gilfree import Cancel, kernels, parallel_map

ENDLESS = [92] * 8  # hours of work


def finished_of(error):
    """How many of how many items; None if the call was stopped before it had read its arguments."""
    match = re.search(
        r"; (?:(\d+) of (\d+) items were finished|the arguments were still being read.*)$", str(error)
    )
    return (int(match[1]), int(match[2])) if match[1] else None


# ---- Cancel -----------------------------------------------------------------------------------------


def test_cancel_itself():
    cancel = Cancel()
    assert repr(cancel) == "<gilfree.Cancel, not set>"
    assert cancel.is_set() is False
    assert cancel.set() is None
    assert cancel.set() is None
    assert cancel.is_set() is True
    assert repr(cancel) == "<gilfree.Cancel, set>"


def test_cancel_takes_no_arguments():
    for arguments, keywords in (((1,), {}), ((), {"x": 1})):
        with pytest.raises(TypeError, match=r"Cancel\(\) takes no arguments"):
            Cancel(*arguments, **keywords)
    with pytest.raises(TypeError):
        type("Subclass", (Cancel,), {})
    with pytest.raises(AttributeError):
        Cancel().reason = 1


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize(
    "numbers", [ENDLESS, np.array(ENDLESS), np.full(100_000, 92)], ids=["list", "8", "100000"]
)
def test_a_running_call_is_cancelled(when_busy, numbers, workers):
    cancel = Cancel()
    with (
        when_busy(cancel.set),
        pytest.raises(CancelledError, match=r"^fib: the call was cancelled; ") as caught,
    ):
        parallel_map(kernels.fib, numbers, workers=workers, cancel=cancel)
    assert finished_of(caught.value) == (0, len(numbers))
    assert parallel_map(kernels.fib, [20, 21]) == [6765, 10946]


def test_what_was_finished_is_counted(when_busy):
    numbers = np.array([20] * 50 + [92] * 50)
    cancel = Cancel()

    def set_when_the_rest_is_at_work():
        while out[:50].tolist() != [6765] * 50:
            pass
        cancel.set()

    out = np.zeros(100, np.int64)
    with when_busy(set_when_the_rest_is_at_work), pytest.raises(CancelledError) as caught:
        parallel_map(kernels.fib, numbers, cancel=cancel, out=out, chunksize=1, workers=1)
    assert finished_of(caught.value) == (50, 100)


@pytest.mark.parametrize("fn", [kernels.fib, fib], ids=["kernel", "function"])
def test_set_before_the_call(fn):
    cancel = Cancel()
    cancel.set()
    with pytest.raises(CancelledError, match="cancelled"):
        parallel_map(fn, ENDLESS, cancel=cancel)
    with pytest.raises(CancelledError, match="cancelled"):
        parallel_map(kernels.fib, np.full(100_000, 92), cancel=cancel)


def test_a_call_without_the_cancel_goes_on():
    cancel = Cancel()
    cancel.set()
    assert parallel_map(kernels.fib, [20], cancel=Cancel()) == [6765]
    assert parallel_map(kernels.fib, [20]) == [6765]


def test_a_cancel_that_is_never_set_serves_many_calls():
    cancel = Cancel()
    for _ in range(1000):
        assert parallel_map(kernels.fib, [5, 6], cancel=cancel) == [5, 8]
    assert not cancel.is_set()


def test_one_cancel_stops_the_calls_of_many_threads(when_busy):
    cancel = Cancel()

    def call(_):
        with pytest.raises(CancelledError):
            parallel_map(kernels.fib, ENDLESS, cancel=cancel)
        return True

    with ThreadPoolExecutor(6) as executor:
        with when_busy(cancel.set, workers=6):
            assert all(executor.map(call, range(6)))
        assert all(executor.map(call, range(6)))


def test_set_by_many_threads_at_once(when_busy):
    for _ in range(20):
        cancel = Cancel()
        with ThreadPoolExecutor(4) as executor:
            barrier = threading.Barrier(4)
            for _ in range(4):
                executor.submit(lambda barrier=barrier, cancel=cancel: (barrier.wait(), cancel.set()))
            with pytest.raises(CancelledError):
                parallel_map(kernels.fib, ENDLESS, cancel=cancel)


def test_set_by_an_iterable_of_the_call():
    cancel = Cancel()

    def numbers():
        yield from ENDLESS
        cancel.set()

    with pytest.raises(CancelledError):
        parallel_map(kernels.fib, numbers(), cancel=cancel)


def test_set_while_an_endless_iterator_is_read():
    cancel = Cancel()

    def numbers():
        for i in itertools.count():
            yield 92
            if i == 100:
                cancel.set()

    with pytest.raises(CancelledError, match="cancelled"):
        parallel_map(kernels.fib, numbers(), cancel=cancel)


def test_the_call_keeps_its_cancel_alive(when_busy):
    keep = [Cancel()]
    stop = keep[0].set

    def drop_and_set():
        keep.clear()
        stop()

    with when_busy(drop_and_set), pytest.raises(CancelledError):
        parallel_map(kernels.fib, ENDLESS, cancel=keep[0])


def test_a_function_in_python_is_cancelled_between_items():
    cancel = Cancel()
    seen = []

    def stop_at_3(number):
        seen.append(number)
        if number == 3:
            cancel.set()

    with pytest.raises(CancelledError, match=r"cancelled; 4 "):
        parallel_map(stop_at_3, range(10), cancel=cancel, backend="serial")
    assert seen == [0, 1, 2, 3]


def test_cancelled_errors_are_those_of_concurrent_futures():
    import concurrent.futures

    cancel = Cancel()
    cancel.set()
    with pytest.raises(concurrent.futures.CancelledError) as caught:
        parallel_map(kernels.fib, ENDLESS, cancel=cancel)
    assert type(caught.value) is concurrent.futures.CancelledError


# ---- timeout ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("timeout", [0, 0.0, 1e-9, 0.01, 0.2])
@pytest.mark.parametrize(
    "numbers", [ENDLESS, np.array(ENDLESS), np.full(100_000, 92)], ids=["list", "8", "100000"]
)
def test_a_timeout_ends_a_running_call(numbers, timeout, workers):
    with pytest.raises(TimeoutError, match=r"^fib: the timeout .*passed; ") as caught:
        parallel_map(kernels.fib, numbers, timeout=timeout, workers=workers)
    reads = isinstance(numbers, list) and timeout < 0.01
    assert finished_of(caught.value) in ([(0, len(numbers)), None] if reads else [(0, len(numbers))])
    assert parallel_map(kernels.fib, [20, 21]) == [6765, 10946]


def test_a_timeout_says_how_many_items_were_finished():
    numbers = [20] * 50 + [92] * 50
    with pytest.raises(TimeoutError) as caught:
        parallel_map(kernels.fib, numbers, timeout=0.3, chunksize=1, workers=1)
    assert finished_of(caught.value) == (50, 100)


def test_a_timeout_ends_the_reading_of_an_endless_iterator():
    with pytest.raises(TimeoutError, match=r"^fib: the timeout .*passed; "):
        parallel_map(kernels.fib, itertools.cycle([92]), timeout=0.05)


def test_no_items_take_no_time():
    assert parallel_map(kernels.fib, [], timeout=0) == []
    assert parallel_map(fib, [], timeout=0) == []


def test_a_function_in_python_is_stopped_between_items():
    def takes_longer(number):
        threading.Event().wait(0.01)

    with pytest.raises(TimeoutError, match=r"timeout of 0.05 s passed; \d+ "):
        parallel_map(takes_longer, range(10**9), timeout=0.05)


def test_an_error_before_the_timeout_wins():
    with pytest.raises(OverflowError, match="item 1"):
        parallel_map(kernels.collatz, [27, 2**63 - 1] * 1000, timeout=60)


def test_a_cancel_before_the_timeout_wins(when_busy):
    cancel = Cancel()
    with when_busy(cancel.set), pytest.raises(CancelledError):
        parallel_map(kernels.fib, ENDLESS, timeout=250, cancel=cancel)


# ---- afterwards -------------------------------------------------------------------------------------


def test_a_stopped_call_lets_go_of_everything(when_busy):
    class Array(np.ndarray):
        pass

    numbers, out = np.array(ENDLESS).view(Array), np.zeros(8, np.int64).view(Array)
    gone = [weakref.ref(numbers), weakref.ref(out)]
    with pytest.raises(TimeoutError) as caught:
        parallel_map(kernels.fib, numbers, out=out, timeout=0.01)
    del numbers, out, caught
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    assert gilfree.info()["pool"]["busy"] == 0
