"""Errors: whose exception is raised, and what it says."""

import itertools
import traceback

import numpy as np
import pytest
from references import index_of

from gilfree import kernels, parallel_map

OVERFLOWS = 2**63 - 1  # for collatz


class IteratorError(Exception):
    pass


def numbers_then_raise(*numbers, error):
    yield from numbers
    raise error


# ---- an iterator that raises ------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, 1, 5, 1000])
def test_an_iterators_exception_is_raised_as_it_is(k):
    error = IteratorError("its own")
    with pytest.raises(IteratorError) as caught:
        parallel_map(kernels.collatz, numbers_then_raise(*[27] * k, error=error))
    assert caught.value is error
    assert "numbers_then_raise" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


@pytest.mark.parametrize("k", [0, 1, 5, 999])
def test_a_failing_item_before_it_wins(k):
    numbers = [27] * 1000
    numbers[k] = OVERFLOWS
    for workers in (1, 2, 3):
        with pytest.raises(OverflowError, match=rf"^collatz: item {k}: "):
            parallel_map(
                kernels.collatz, numbers_then_raise(*numbers, error=IteratorError()), workers=workers
            )


@pytest.mark.parametrize("k", [0, 1, 5, 2000])
def test_a_refused_item_before_it_wins(k):
    for refused, error in ((0, ValueError), ("x", TypeError), (2**63, OverflowError)):
        numbers = [27] * 2001
        numbers[k] = refused
        with pytest.raises(error) as caught:
            parallel_map(kernels.collatz, numbers_then_raise(*numbers, error=IteratorError()))
        assert index_of(caught.value) == k


def test_items_beyond_it_do_not_count():
    with pytest.raises(IteratorError):
        parallel_map(kernels.muladd, numbers_then_raise(1.0, error=IteratorError()), [1.0, "x"], [1.0, "y"])


def test_it_may_raise_beside_a_shorter_iterable():
    raising = numbers_then_raise(1.0, 2.0, error=IteratorError())
    assert parallel_map(kernels.muladd, [1.0, 1.0], raising, [0.0, 0.0]) == [1.0, 2.0]
    with pytest.raises(IteratorError):
        parallel_map(
            kernels.muladd, numbers_then_raise(1.0, 2.0, error=IteratorError()), [1.0, 1.0], [0.0, 0.0]
        )


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, BaseException])
def test_exceptions_that_are_no_errors_end_the_call_at_once(error):
    with pytest.raises(error):
        parallel_map(kernels.fib, numbers_then_raise(1, 2, error=error()))
    with pytest.raises(error):
        parallel_map(kernels.fib, numbers_then_raise(92, 92, error=error()))


def test_iter_itself_may_raise():
    class Raises:
        def __iter__(self):
            raise IteratorError("at once")

    class NoIterator:
        def __iter__(self):
            return 5

    with pytest.raises(IteratorError, match="at once"):
        parallel_map(kernels.fib, Raises())
    with pytest.raises(TypeError, match="non-iterator"):
        parallel_map(kernels.fib, NoIterator())


# ---- StopIteration ----------------------------------------------------------------------------------


def stops_at_3(number):
    if number == 3:
        raise StopIteration("lost otherwise")
    return number


def test_stop_iteration_from_the_function_is_a_runtime_error_with_the_index():
    with pytest.raises(RuntimeError, match=r"item 2: .*StopIteration"):
        parallel_map(stops_at_3, [1, 2, 3, 4])


def test_stop_iteration_from_a_number_is_a_runtime_error_with_the_index():
    class Stops:
        def __index__(self):
            raise StopIteration

    with pytest.raises(RuntimeError) as caught:
        parallel_map(kernels.fib, [1, 2, Stops(), 4])
    assert index_of(caught.value) == 2


def test_stop_iteration_inside_an_iterable_ends_it_as_it_does_for_map():
    assert parallel_map(kernels.fib, map(stops_at_3, itertools.count(1))) == [1, 1]
    assert list(map(kernels.fib, map(stops_at_3, itertools.count(1)))) == [1, 1]


# ---- the lowest failing index -----------------------------------------------------------------------


@pytest.mark.parametrize("workers", [2, 3])
def test_the_lowest_failing_index_wins_though_it_fails_long_after_another(workers):
    """One chunk fails at its end, the next one at its beginning: the second failure comes first."""
    half = 100_000
    numbers = np.full(2 * half, 989345275647)  # takes 1348 steps
    numbers[half - 1 :] = OVERFLOWS
    for _ in range(3):
        with pytest.raises(OverflowError, match=rf"^collatz: item {half - 1}: "):
            parallel_map(kernels.collatz, numbers, workers=workers, chunksize=half)


# ---- what is said -----------------------------------------------------------------------------------


def test_an_error_while_running_names_kernel_and_item():
    with pytest.raises(OverflowError, match=r"^collatz: item 1: a value does not fit in 64 bits$"):
        parallel_map(kernels.collatz, [1, OVERFLOWS, 3])
    with pytest.raises(OverflowError, match=r"^collatz: a value does not fit in 64 bits$"):
        kernels.collatz(OVERFLOWS)


def test_after_an_error_the_next_call_is_as_always():
    for _ in range(100):
        with pytest.raises(OverflowError):
            parallel_map(kernels.collatz, [27] * 50 + [OVERFLOWS] * 50)
        assert parallel_map(kernels.collatz, [27] * 100) == [111] * 100
