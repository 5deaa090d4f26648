"""The contract of every backend: parallel_map(..., backend=name) equals list(map(...)).

Backends are found by themselves. One may refuse functions in Python, or kernels, but not both; what it takes
it must do right. The functions are those of a module, so that they can be sent to another process.
"""

import functools
import itertools
import math
import operator
import os
import signal
import threading
import time
from array import array
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from functions import CustomError, UnpicklableError, fails_at_3_and_7, square, stops_at_3
from hypothesis import given
from hypothesis import strategies as st
from references import fib, index_of

from gilfree import Cancel, backends, kernels, parallel_map

NAMES = backends.names()
WORKERS = [None, 1, 2, 3, -1]


def fails_unpicklably(number):
    if number == 2:
        raise UnpicklableError("what happened")
    return number


def pow_at_3(number, exponent):
    if number == 3:
        raise CustomError("a power")
    return number**exponent


def fails_with_a_note(number):
    if number in (3, 7, 8):
        error = CustomError(number)
        error.add_note("see the manual")
        raise error
    return number


class FrozenError(Exception):
    def __setattr__(self, name, value):
        raise AttributeError(f"{name} can't be set")


def fails_frozen(number):
    raise FrozenError("as it is")


def calls_again(number, name):
    return parallel_map(square, range(number), backend=name)


def takes_for_ever(number):
    time.sleep(10_000)


def fails_before_the_first(number, path):
    """Item 0 fails after item 1 has failed."""
    if number == 0:
        while not Path(path).exists():
            time.sleep(0.001)
    else:
        Path(path).touch()
    raise CustomError(f"item {number}")


def refusal(name, fn):
    """What a backend says to a function that it does not take; None if it takes it."""
    try:
        parallel_map(fn, [5], backend=name)
    except TypeError as error:
        return str(error)
    return None


TAKES_FUNCTIONS = [name for name in NAMES if refusal(name, square) is None]
TAKES_KERNELS = [name for name in NAMES if refusal(name, kernels.fib) is None]

# auto is no backend, but what it chooses is held to the same.
FOR_FUNCTIONS = [*TAKES_FUNCTIONS, "auto"]
SIDE_BY_SIDE = [name for name in TAKES_FUNCTIONS if name != "serial"]

each_with_functions = pytest.mark.parametrize("name", FOR_FUNCTIONS)
each_side_by_side = pytest.mark.parametrize("name", SIDE_BY_SIDE)
each_with_kernels = pytest.mark.parametrize("name", TAKES_KERNELS)
each = pytest.mark.parametrize(
    ("name", "fn"),
    [(name, fib) for name in FOR_FUNCTIONS] + [(name, kernels.fib) for name in TAKES_KERNELS],
    ids=str,
)


def test_the_backends():
    assert {"native", "processes", "serial", "threads"} <= set(NAMES)
    assert set(TAKES_FUNCTIONS) | set(TAKES_KERNELS) == set(NAMES)
    assert sorted(NAMES) == NAMES


@pytest.mark.parametrize("name", ["thread", "", "__init__", "serial.map", "gilfree", 5, None, ["serial"]])
def test_a_name_of_no_backend(name):
    numbers = iter([5])
    with pytest.raises(
        ValueError, match=r"^backend is .*; accepted: 'auto', 'native', 'processes', "
    ) as caught:
        parallel_map(square, numbers, backend=name)
    assert repr(name) in str(caught.value)
    assert list(numbers) == [5]


def test_a_call_that_names_its_backend_does_not_search_for_it(run):
    script = """
import sys
from gilfree import parallel_map

for name in ("serial", "threads"):
    parallel_map(abs, [1, 2], backend=name)
events = []
sys.addaudithook(lambda event, _: events.append(event))
for name in ("serial", "threads"):
    parallel_map(abs, [1, 2], backend=name)
assert not {"open", "import", "os.listdir", "os.scandir"} & set(events), events
"""
    run(script)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fn", [square, kernels.fib], ids=["function", "kernel"])
def test_a_refusal_says_what_is_accepted_and_comes_before_any_work(name, fn):
    said = refusal(name, fn)
    if said is not None:
        assert f"backend '{name}' accepts" in said
        numbers = iter([5])
        with pytest.raises(TypeError):
            parallel_map(fn, numbers, backend=name)
        assert list(numbers) == [5]


# ---- functions and kernels --------------------------------------------------------------------------


@each
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("chunksize", [None, 1, 7, 10**9])
def test_results_in_order(name, fn, workers, chunksize):
    numbers = [n % 20 + 1 for n in range(200)]
    expected = [fib(n) for n in numbers]
    for iterable in (numbers, tuple(numbers), iter(numbers)):
        assert parallel_map(fn, iterable, backend=name, workers=workers, chunksize=chunksize) == expected


@each
def test_no_items(name, fn):
    for iterable in ([], (), iter([]), range(0)):
        assert parallel_map(fn, iterable, backend=name) == []
        assert parallel_map(fn, iterable, backend=name, timeout=0, strict=True) == []


@each
def test_an_iterator_that_raises(name, fn):
    error = CustomError("the iterator's own")

    def numbers():
        yield from (5, 6)
        raise error

    with pytest.raises(CustomError) as caught:
        parallel_map(fn, numbers(), backend=name)
    assert caught.value is error


@each
def test_cancelled_before(name, fn):
    cancel = Cancel()
    cancel.set()
    with pytest.raises(CancelledError, match="cancelled"):
        parallel_map(fn, [92] * 8, backend=name, cancel=cancel)
    with pytest.raises(CancelledError, match="cancelled"):
        parallel_map(fn, [5], backend=name, cancel=cancel)


@each
def test_a_timeout_that_does_not_pass(name, fn):
    assert parallel_map(fn, [5, 6], backend=name, timeout=1000) == [5, 8]
    assert parallel_map(fn, [5, 6], backend=name, timeout=math.inf) == [5, 8]


@each
def test_a_timeout_of_no_time(name, fn):
    """A call that is over at once may be over in time; one that lasts is not."""
    with pytest.raises(TimeoutError, match=r"timeout .*passed"):
        parallel_map(fn, [20] * 100_000, backend=name, timeout=0)


@each
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"workers": 0}, ValueError),
        ({"workers": "2"}, TypeError),
        ({"chunksize": 0}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"timeout": "x"}, TypeError),
        ({"cancel": 1}, TypeError),
        ({"progress": 1}, TypeError),
        ({"initializer": 1}, TypeError),
    ],
    ids=str,
)
def test_bad_options_before_anything_is_read(name, fn, options, error):
    numbers = iter([5])
    (option,) = options
    with pytest.raises(error, match=rf"{option} is .*; accepted: "):
        parallel_map(fn, numbers, backend=name, **options)
    assert list(numbers) == [5]


@each
def test_nothing_to_map_over(name, fn):
    with pytest.raises(TypeError, match="at least one iterable"):
        parallel_map(fn, backend=name)


@each
def test_what_cannot_be_iterated(name, fn):
    with pytest.raises(TypeError, match="not iterable"):
        parallel_map(fn, 5, backend=name)


@each
def test_progress_is_told_in_the_calling_thread_and_ends_with_all(name, fn):
    told = []
    tell = lambda done, total: told.append((done, total, threading.get_ident()))  # noqa: E731
    assert parallel_map(fn, [20] * 100, backend=name, progress=tell, workers=2) == [6765] * 100
    assert told[-1][:2] == (100, 100)
    assert {thread for _, _, thread in told} == {threading.get_ident()}
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


@each
def test_an_error_of_progress_ends_the_call(name, fn):
    def tell(done, total):
        raise CustomError("not told")

    with pytest.raises(CustomError, match="not told"):
        parallel_map(fn, [20] * 100, backend=name, progress=tell)


@each
def test_a_bar(name, fn, capsys):
    pytest.importorskip("tqdm")
    assert parallel_map(fn, [20] * 100, backend=name, progress=True) == [6765] * 100
    assert "100/100" in capsys.readouterr().err


# ---- functions in Python ----------------------------------------------------------------------------


@each_with_functions
@pytest.mark.parametrize("workers", WORKERS)
def test_every_kind_of_result(name, workers):
    for fn, columns in (
        (str, [[1, None, 2.5]]),
        (pow, [[2, 3, 4], [5, 2, 3]]),
        (pow, [[2, 3], [5, 2], [7, 7]]),
        (operator.add, [["a", "b"], ["c", "d"]]),
        (divmod, [range(10), range(1, 11)]),
        (list, [["ab", "c"]]),
    ):
        results = parallel_map(fn, *columns, backend=name, workers=workers)
        assert results == list(map(fn, *columns))
        assert type(results) is list


class Lengthy:
    """Numbers, and a length that can't be had."""

    def __init__(self, error):
        self.error = error

    def __iter__(self):
        return iter(range(10))

    def __len__(self):
        raise self.error


@each_with_functions
@pytest.mark.parametrize("error", [TypeError, OverflowError, NotImplementedError, CustomError])
def test_an_iterable_that_does_not_know_its_length(name, error):
    """list(map(...)) does not ask for it."""
    assert parallel_map(fib, Lengthy(error("not known")), backend=name) == [fib(n) for n in range(10)]
    assert parallel_map(pow, Lengthy(error("not known")), [2, 3], backend=name) == [0, 1]


@each_with_functions
def test_the_shortest_ends_the_call(name):
    assert parallel_map(pow, itertools.count(), [1, 2, 3], backend=name) == [0, 1, 8]
    assert parallel_map(pow, [1, 2, 3], range(2), backend=name) == [1, 2]
    assert parallel_map(pow, [1, 2, 3], [], backend=name) == []


@each_with_functions
def test_arrays_are_iterables_like_any_other(name):
    results = parallel_map(square, np.arange(5), backend=name)
    assert type(results) is list
    assert results == [0, 1, 4, 9, 16]
    assert parallel_map(square, array("d", [0.5]), backend=name) == [0.25]
    assert parallel_map(str, "abc", backend=name) == ["a", "b", "c"]


@each_with_functions
@pytest.mark.parametrize("workers", WORKERS)
def test_the_exception_of_the_lowest_failing_index(name, workers):
    for numbers in (range(10), [7, 3], [0] * 50 + [7, 3] * 50, [3]):
        expected = next(number for number in numbers if number in (3, 7))
        with pytest.raises(CustomError, match=f"(?m)^item {expected}$"):
            parallel_map(fails_at_3_and_7, iter(numbers), backend=name, workers=workers)


@each_with_functions
def test_a_failing_item_before_an_iterator_that_raises(name):
    def numbers():
        yield from (1, 2, 7)
        raise LookupError("the iterator's own")

    with pytest.raises(CustomError, match=r"(?m)^item 7$"):
        parallel_map(fails_at_3_and_7, numbers(), backend=name)


def notes_of(error):
    return getattr(error, "__notes__", [])


@each_with_functions
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_an_error_says_at_which_item_it_was_raised(name, workers):
    def call(fn, *columns):
        with pytest.raises((CustomError, UnpicklableError, RuntimeError)) as caught:
            parallel_map(fn, *columns, backend=name, workers=workers)
        return caught.value

    def numbers(count):
        yield from range(count)
        raise CustomError("the iterator's own")

    for items in (range(10), range(1000), iter(range(10))):
        error = call(fails_at_3_and_7, items)
        assert str(error) == "item 3"
        assert notes_of(error) == ["item 3 of parallel_map"]
    assert notes_of(call(fails_at_3_and_7, [7])) == ["item 0 of parallel_map"]
    assert notes_of(call(pow_at_3, range(10), [1] * 10)) == ["item 3 of parallel_map"]
    assert notes_of(call(fails_unpicklably, range(10))) == ["item 2 of parallel_map"]
    for count in (0, 1, 2, 100):
        assert notes_of(call(square, numbers(count))) == [f"item {count} of parallel_map"]


@each_with_functions
def test_an_error_that_has_notes_keeps_them_and_names_one_item(name):
    if name == "processes":
        fail, own = fails_with_a_note, "see the manual"
    else:  # the same object, again and again
        error = CustomError("only one")
        error.add_note("see the manual")

        def fail(number):
            if number in (3, 7, 8):
                raise error
            return number

        own = "see the manual"
    for items, index in (([0, 3, 7, 8], 1), ([3], 0), (range(100), 3)):
        with pytest.raises(CustomError) as caught:
            parallel_map(fail, items, backend=name)
        assert notes_of(caught.value) == [own, f"item {index} of parallel_map"]


@each_with_functions
def test_an_error_that_cannot_be_changed_is_raised_as_it_is(name):
    with pytest.raises(FrozenError, match="as it is"):
        parallel_map(fails_frozen, range(4), backend=name)


@each_with_functions
def test_stop_iteration_is_a_runtime_error_with_the_index(name):
    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        parallel_map(stops_at_3, [0, 1, 2, 3, 4], backend=name)
    assert index_of(caught.value) == 3


@each_with_functions
def test_an_exception_that_cannot_be_pickled(name):
    with pytest.raises((UnpicklableError, RuntimeError), match=r"(?m)what happened$"):
        parallel_map(fails_unpicklably, range(5), backend=name)


@each_side_by_side
def test_the_lowest_failing_index_though_a_later_one_failed_first(name, tmp_path):
    path = str(tmp_path / "failed")
    with pytest.raises(CustomError, match=r"(?m)^item 0$"):
        parallel_map(fails_before_the_first, [0, 1], [path] * 2, backend=name, workers=2)


@each_with_functions
def test_endless_input_is_read_as_far_as_it_is_needed(name):
    read = []

    def numbers():
        for number in itertools.count():
            read.append(number)
            yield number

    with pytest.raises(CustomError, match=r"(?m)^item 3$"):
        parallel_map(fails_at_3_and_7, numbers(), backend=name)
    assert read[-1] < 1_000_000
    for count in (10**18, 10**30):
        with pytest.raises(CustomError, match=r"(?m)^item 3$"):
            parallel_map(fails_at_3_and_7, range(count), backend=name)


@each_with_functions
def test_a_partial_of_a_kernel(name):
    partial = functools.partial(kernels.muladd, 2.0)
    assert parallel_map(partial, [1.0, 2.0], [0.5, 0.5], backend=name) == [2.5, 4.5]


@each_with_functions
def test_calls_inside_calls(name):
    for workers in (None, 3):
        results = parallel_map(calls_again, range(20), itertools.repeat(name), backend=name, workers=workers)
        assert results == [[square(number) for number in range(count)] for count in range(20)]


@each_with_functions
def test_calls_from_many_threads(name):
    with ThreadPoolExecutor(4) as executor:
        calls = [executor.submit(parallel_map, square, range(count), backend=name) for count in range(20)]
        for count, call in enumerate(calls):
            assert call.result() == [square(number) for number in range(count)]


@each_with_functions
def test_an_iterable_that_calls(name):
    numbers = (parallel_map(square, [number], backend=name)[0] for number in range(20))
    assert parallel_map(square, numbers, backend=name, workers=2) == [number**4 for number in range(20)]


@each_with_functions
def test_a_cancel_between_items(name):
    cancel = Cancel()

    def numbers():
        for number in itertools.count():
            if number == 50:
                cancel.set()
            yield number

    with pytest.raises(CancelledError, match=r"cancelled; \d+ items"):
        parallel_map(square, numbers(), backend=name, cancel=cancel)


@pytest.mark.parametrize("name", [*SIDE_BY_SIDE, "auto"])
@pytest.mark.parametrize("workers", [2, 3])
def test_a_call_ends_though_its_items_do_not(name, workers):
    cancel = Cancel()
    with pytest.raises(TimeoutError, match=r"timeout of 0.2 s passed; 0 items"):
        parallel_map(takes_for_ever, range(4), backend=name, workers=workers, timeout=0.2)
    told = lambda done, total: cancel.set()  # noqa: E731
    with pytest.raises(CancelledError, match=r"cancelled; 0 items"):
        parallel_map(takes_for_ever, range(4), backend=name, workers=workers, cancel=cancel, progress=told)
    assert parallel_map(square, range(4), backend=name, workers=workers) == [0, 1, 4, 9]


@pytest.mark.parametrize("options", [{}, {"chunksize": 100_000}], ids=str)
@pytest.mark.parametrize("fast", [0, 100_000])
@pytest.mark.parametrize("name", [*FOR_FUNCTIONS, "executor"])
def test_a_timeout_while_slow_input_is_read(name, fast, options):
    end, late = time.monotonic() + 0.5, 0

    def numbers():
        nonlocal late
        yield from range(fast)
        while late < 600:
            time.sleep(0.001)
            late += time.monotonic() > end
            yield 1

    with ThreadPoolExecutor(2) as executor:
        where = {"executor": executor} if name == "executor" else {"backend": name}
        with pytest.raises(TimeoutError, match=r"the timeout of 0.3 s passed"):
            parallel_map(abs, numbers(), workers=2, timeout=0.3, **where, **options)
    assert late < 600, "it was read on after the time had passed"


# In scripts, the functions are those of __main__, and nothing is guarded.
SQUARE = """
import os, signal, sys, threading, time
from gilfree import parallel_map

def square(number):
    return number * number

def check():
    assert parallel_map(square, range(100), backend=NAME, workers=2) == [n * n for n in range(100)]
"""


@each_with_functions
def test_a_script_without_a_guard(run, name):
    assert run(f"NAME = {name!r}" + SQUARE + "print('once'); check()").stdout == "once\n"


@each_with_functions
def test_ctrl_c(popen, name):
    script = """
def numbers():
    yield from range(10)
    print("at work", flush=True)
    while True:
        yield 1

try:
    parallel_map(square, numbers(), backend=NAME, workers=2)
except KeyboardInterrupt:
    check()
    print("stopped")
"""
    with popen(f"NAME = {name!r}" + SQUARE + script, start_new_session=True) as process:
        assert process.stdout.readline() == "at work\n", process.stderr.read()
        # As a terminal does it: to all processes.
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=120)
    assert (process.returncode, output, errors) == (0, "stopped\n", "")


@each_with_functions
def test_fork(run, name):
    script = """
check()
child = os.fork()
for _ in range(50):
    check()
if child == 0:
    sys.exit(5)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
check()
"""
    run(f"NAME = {name!r}" + SQUARE + script)


@each_with_functions
def test_strict(name):
    assert parallel_map(pow, [2, 3], [3, 2], backend=name, strict=True) == [8, 9]
    for columns in (([1], [1, 2]), ([1, 2], [1]), (iter([1]), [1, 2]), ([], iter([1])), ([1], [1], [1, 2])):
        with pytest.raises(ValueError, match=r"strict=True|zip\(\)"):
            parallel_map(pow, *columns, backend=name, strict=True)


@each_with_functions
def test_out_is_refused(name):
    with pytest.raises(TypeError, match="out was given; it is accepted with a kernel only"):
        parallel_map(square, [1], backend=name, out=np.empty(1))


@each_with_functions
@given(st.lists(st.integers() | st.text(max_size=3) | st.none(), max_size=20), st.sampled_from(WORKERS))
def test_equals_list_map(name, items, workers):
    def outcome(call):
        try:
            return call()
        except TypeError as error:
            return str(error)

    expected = outcome(lambda: list(map(square, items)))
    assert outcome(lambda: parallel_map(square, items, backend=name, workers=workers)) == expected


# ---- kernels ----------------------------------------------------------------------------------------


@each_with_kernels
@pytest.mark.parametrize("workers", WORKERS)
def test_the_kind_of_the_first_buffer(name, workers):
    numbers = [5, 6, 7, 8]
    results = parallel_map(kernels.fib, np.array(numbers).reshape(2, 2), backend=name, workers=workers)
    assert type(results) is np.ndarray
    assert results.tolist() == [[5, 8], [13, 21]]
    assert parallel_map(kernels.fib, array("q", numbers), backend=name) == array("q", [5, 8, 13, 21])
    assert parallel_map(kernels.fib, memoryview(array("q", numbers)), backend=name).tolist() == [5, 8, 13, 21]


@each_with_kernels
def test_out_is_filled(name):
    numbers = np.array([5, 6])
    assert parallel_map(kernels.fib, numbers, backend=name, out=numbers) is numbers
    assert numbers.tolist() == [5, 8]


@each_with_kernels
def test_errors_of_kernels(name):
    with pytest.raises(ValueError, match=r"^fib: item 1 of argument 1 \(n\) is 0; accepted: 1 <= n <= 92"):
        parallel_map(kernels.fib, [92, 0, 92], backend=name)
    with pytest.raises(TypeError, match=r"^fib: item 2 of argument 1 \(n\)"):
        parallel_map(kernels.fib, [92, 92, "x"], backend=name)
    with pytest.raises(OverflowError, match=r"^collatz: item 1: "):
        parallel_map(kernels.collatz, [27, 2**63 - 1, 2**63 - 1], backend=name)
    with pytest.raises(ValueError, match="strict=True"):
        parallel_map(kernels.muladd, [1], [1, 2], [1], backend=name, strict=True)


@each_with_kernels
def test_cancelled_while_it_runs(name, when_busy):
    cancel = Cancel()
    with when_busy(cancel.set), pytest.raises(CancelledError, match="0 of 8 items were finished"):
        parallel_map(kernels.fib, [92] * 8, backend=name, cancel=cancel)
