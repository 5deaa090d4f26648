"""parallel_map(kernel, ...) equals list(map(kernel, ...)): results, errors, how far each iterable is read."""

import inspect
import itertools
import sys
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from references import exactly, fib, index_of

import gilfree
from gilfree import kernels, parallel_map

OVERFLOWS = 2**63 - 1  # for collatz
WORKERS = st.sampled_from([None, -1, 1, 2, 3, 7, 16])
CHUNKSIZES = st.sampled_from([None, 1, 2, 7, 10**9])


def outcome(call, *arguments, **options):
    """What a call comes to: its results, or the exception's type."""
    try:
        return exactly(call(*arguments, **options))
    except Exception as error:
        return type(error)


def list_map(fn, *iterables):
    return list(map(fn, *iterables))


def test_the_example():
    assert parallel_map(kernels.fib, [25, 24, 23, 22, 21, 20]) == [75025, 46368, 28657, 17711, 10946, 6765]


def test_a_function_in_python():
    assert parallel_map(pow, [2, 3, 4], [5, 2, 3]) == [32, 9, 64]
    assert parallel_map(str, range(3)) == ["0", "1", "2"]


def test_the_signature_can_be_read():
    options = (
        "workers=None, backend='auto', executor=None, chunksize=None, strict=False, timeout=None, "
        "cancel=None, progress=False, out=None, initializer=None"
    )
    assert str(inspect.signature(parallel_map)) == f"(fn, /, *iterables, {options})"
    assert "list(map(fn, *iterables))" in parallel_map.__doc__


# ---- the law ----------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 22)), WORKERS, CHUNKSIZES)
def test_equals_list_map(numbers, workers, chunksize):
    expected = list(map(fib, numbers))
    assert list(map(kernels.fib, numbers)) == expected
    assert parallel_map(kernels.fib, numbers, workers=workers, chunksize=chunksize) == expected
    assert parallel_map(kernels.fib, array("q", numbers), workers=workers).tolist() == expected


# An item is refused before anything runs (all of these are), or it fails as it runs. So refusals come before
# failures; among refusals, as among failures, the lowest index counts.
REFUSED = st.sampled_from([0, -1, 93, 2**62, 2**63, -(2**63) - 1, 1.0, float("nan"), "1", None, [], 1j])


@given(st.lists(st.integers(1, 20) | REFUSED, max_size=30), WORKERS, CHUNKSIZES)
def test_the_lowest_refused_item_is_the_one_of_list_map(numbers, workers, chunksize):
    expected = outcome(list_map, kernels.fib, numbers)
    assert outcome(parallel_map, kernels.fib, numbers, workers=workers, chunksize=chunksize) == expected
    assert outcome(parallel_map, kernels.fib, iter(numbers), workers=workers) == expected
    assert outcome(parallel_map, kernels.fib, tuple(numbers)) == expected


@given(st.lists(st.integers(1, 10**6) | st.just(OVERFLOWS), max_size=300), WORKERS, CHUNKSIZES)
def test_the_lowest_failing_item_is_the_one_of_list_map(numbers, workers, chunksize):
    expected = outcome(list_map, kernels.collatz, numbers)
    assert outcome(parallel_map, kernels.collatz, numbers, workers=workers, chunksize=chunksize) == expected
    if OVERFLOWS in numbers:
        for numbers_as in (numbers, array("q", numbers), (number for number in numbers)):
            with pytest.raises(OverflowError) as caught:
                parallel_map(kernels.collatz, numbers_as, workers=workers, chunksize=chunksize)
            if len(numbers) > 1:
                assert index_of(caught.value) == numbers.index(OVERFLOWS)


FLOATS = st.floats() | st.integers(-(2**60), 2**60) | st.booleans()
NO_FLOATS = st.sampled_from(["1", None, 1j, 10**400, b"1"])


@given(
    st.lists(FLOATS | NO_FLOATS, max_size=9),
    st.lists(FLOATS, max_size=9),
    st.lists(FLOATS | NO_FLOATS, max_size=9),
)
def test_several_arguments(x, y, z):
    assert outcome(parallel_map, kernels.muladd, x, y, z) == outcome(list_map, kernels.muladd, x, y, z)
    assert outcome(parallel_map, kernels.muladd, iter(x), tuple(y), z) == outcome(
        list_map, kernels.muladd, x, y, z
    )


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize("chunksize", [None, 1, 7, 10**9])
def test_the_lowest_failing_index_wins_from_every_position(workers, chunksize):
    for position in range(100):
        numbers = [27] * 100
        numbers[position] = OVERFLOWS
        numbers[90] = OVERFLOWS
        with pytest.raises(OverflowError) as caught:
            parallel_map(kernels.collatz, numbers, workers=workers, chunksize=chunksize)
        assert index_of(caught.value) == min(position, 90)


@pytest.mark.parametrize("workers", [1, 2, 3, 16])
def test_every_item_from_some_index_fails(workers):
    for n in (100, 100_000):
        for first in (0, 1, n // 3, n - 1):
            numbers = np.full(n, 837799)
            numbers[first:] = OVERFLOWS
            with pytest.raises(OverflowError, match=rf"^collatz: item {first}: "):
                parallel_map(kernels.collatz, numbers, workers=workers)
    few = np.array([1, 2, 27])
    assert parallel_map(kernels.collatz, few).tolist() == [0, 1, 111]


# ---- as zip reads -----------------------------------------------------------------------------------


class Watched:
    """An iterator of so many numbers that writes down when it is asked."""

    def __init__(self, name, count, log, error=None):
        self.name, self.left, self.log, self.error = name, count, log, error

    def __iter__(self):
        return self

    def __next__(self):
        self.log.append(self.name)
        if self.left == 0:
            raise self.error or StopIteration
        self.left -= 1
        return float(self.left)


LENGTHS = list(itertools.product(range(4), repeat=3))


def read_by(call, lengths, errors=(None, None, None)):
    log: list[str] = []
    iterators = [Watched(*each, log, error) for *each, error in zip("xyz", lengths, errors, strict=True)]
    result = outcome(call, *iterators)
    return result, log, [iterator.left for iterator in iterators]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_iterators_are_read_as_map_reads_them(lengths):
    expected = read_by(lambda *iterators: list(map(kernels.muladd, *iterators)), lengths)
    assert read_by(lambda *iterators: parallel_map(kernels.muladd, *iterators), lengths) == expected


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_strict_reads_and_refuses_as_strict_zip_does(lengths):
    expected = read_by(
        lambda *iterators: [kernels.muladd(*item) for item in zip(*iterators, strict=True)], lengths
    )
    assert (
        read_by(lambda *iterators: parallel_map(kernels.muladd, *iterators, strict=True), lengths) == expected
    )
    assert (expected[0] is ValueError) == (len(set(lengths)) > 1)


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_strict_with_iterables_of_known_length(lengths):
    for makes in itertools.product(
        [list, tuple, lambda numbers: array("d", numbers), np.array, iter], repeat=3
    ):
        iterables = [make([1.0] * length) for make, length in zip(makes, lengths, strict=True)]
        if len(set(lengths)) == 1:
            assert list(parallel_map(kernels.muladd, *iterables, strict=True)) == [2.0] * lengths[0]
            continue
        with pytest.raises(ValueError, match=r"strict=True accepts iterables of one length"):
            parallel_map(kernels.muladd, *iterables, strict=True)


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_an_iterator_that_raises_ends_the_call_where_map_would_end(lengths, which):
    errors = [None, None, None]
    errors[which] = ZeroDivisionError("the iterator's own")
    expected = read_by(lambda *iterators: list(map(kernels.muladd, *iterators)), lengths, errors)
    assert read_by(lambda *iterators: parallel_map(kernels.muladd, *iterators), lengths, errors) == expected


def test_the_shortest_ends_the_call():
    assert parallel_map(kernels.muladd, [1, 2, 3], itertools.count(), itertools.repeat(0.5)) == [
        0.5,
        2.5,
        6.5,
    ]
    assert parallel_map(kernels.muladd, itertools.count(), array("d", [1, 2]), [3, 3, 3]).tolist() == [3, 5]
    assert parallel_map(kernels.muladd, itertools.count(), range(10), np.ones(3)).tolist() == [1, 2, 5]
    assert parallel_map(kernels.muladd, itertools.count(), itertools.count(), []) == []
    assert parallel_map(kernels.muladd, np.ones(5), np.ones(3), np.ones(4)).tolist() == [2, 2, 2]


def test_an_item_that_is_read_and_not_used_is_not_refused():
    assert parallel_map(kernels.muladd, [1, "unused"], [1], [1]) == list(
        map(kernels.muladd, [1, "unused"], [1], [1])
    )
    assert parallel_map(kernels.muladd, [1, 2], ["unused"], []) == []


def test_a_buffer_beside_an_iterator_is_read_in_step():
    log: list[str] = []
    numbers = Watched("x", 9, log)
    assert len(parallel_map(kernels.muladd, np.ones(3), numbers, range(5))) == 3
    assert len(log) == 3
    log.clear()
    assert len(parallel_map(kernels.muladd, numbers, np.ones(3), range(5))) == 3
    assert len(log) == 4


class Old:
    """Iterable by __getitem__ alone."""

    def __getitem__(self, index):
        return [5, 6, 7][index]


class Doubled(list):
    def __iter__(self):
        return (2 * number for number in super().__iter__())


class Tripled(tuple):
    __slots__ = ()

    def __iter__(self):
        return (3 * number for number in super().__iter__())


def test_everything_that_map_can_iterate():
    for iterable in (
        Old(),
        {5: 1, 6: 2},
        {5: 1}.keys(),
        {7},
        Doubled([5, 6]),
        Tripled([5, 6]),
        frozenset([8]),
        (),
    ):
        assert parallel_map(kernels.fib, iterable) == list(map(fib, iterable))
    assert parallel_map(kernels.fib, map(int, "567")) == [5, 8, 13]


def test_one_iterator_given_twice():
    def thirds():
        numbers = iter(range(10))
        return numbers, numbers, numbers

    assert parallel_map(kernels.muladd, *thirds()) == list(map(kernels.muladd, *thirds()))


def test_long_iterators():
    n = 200_000
    assert parallel_map(kernels.is_prime, (i for i in range(n))) == parallel_map(kernels.is_prime, range(n))
    assert sum(parallel_map(kernels.is_prime, range(n))) == 17984


RANGES = [
    (0, 5, 1),
    (10, 0, -3),
    (-5, 5, 4),
    (2**63 - 3, 2**63 - 1, 1),
    (-(2**63), -(2**63) + 3, 1),
    (3, 3, 1),
]
RANGES += [(-(2**63), 2**63 - 1, 2**62), (2**63 - 1, -(2**63), -(2**62)), (7, 8, 2**70), (1, 2**70, 2**69)]


@pytest.mark.parametrize("bounds", RANGES, ids=str)
def test_ranges_to_the_ends_of_int64(bounds):
    numbers = range(*bounds)
    assert outcome(parallel_map, kernels.is_prime, numbers) == outcome(list_map, kernels.is_prime, numbers)


@given(st.integers(-(2**64), 2**64), st.integers(0, 20), st.integers(-(2**63), 2**63).filter(bool))
def test_ranges(start, count, step):
    numbers = range(start, start + count * step, step)
    assert len(numbers) == count
    assert outcome(parallel_map, kernels.is_prime, numbers) == outcome(list_map, kernels.is_prime, numbers)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on memory that holds")
def test_a_range_with_more_items_than_memory_is_a_memory_error(run):
    run(
        """
        import resource
        from gilfree import kernels, parallel_map
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
        for numbers in (range(2**60), range(1, 2**62)):
            try:
                parallel_map(kernels.is_prime, numbers)
            except MemoryError:
                continue
            raise AssertionError(numbers)
        assert parallel_map(kernels.is_prime, range(4)) == [False, False, True, True]
        """
    )


# ---- options ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [None, 1, 2, 3, 7, 16, 1024, -1, True, np.int64(2)])
def test_workers(workers):
    numbers = [20, 1, 21, 2, 22]
    assert parallel_map(kernels.fib, numbers, workers=workers) == [fib(number) for number in numbers]
    assert parallel_map(fib, numbers, workers=workers) == [fib(number) for number in numbers]


@pytest.mark.parametrize("chunksize", [None, 1, 2, 3, 1000, 2**62, 2**63 - 1, 2**100, True, np.int64(2)])
def test_chunksize(chunksize):
    numbers = range(1, 2001)
    expected = parallel_map(kernels.collatz, numbers, workers=1)
    for workers in (1, 2, 7):
        assert parallel_map(kernels.collatz, numbers, workers=workers, chunksize=chunksize) == expected


@pytest.mark.parametrize("timeout", [None, 60, 60.0, 1e300, float("inf"), 10**30, True])
def test_timeouts_that_do_not_pass(timeout):
    assert parallel_map(kernels.fib, [20, 21], timeout=timeout) == [6765, 10946]
    assert parallel_map(fib, [20, 21], timeout=timeout) == [6765, 10946]


def test_options_left_out_are_the_defaults():
    given = {"workers": None, "chunksize": None, "timeout": None, "cancel": None, "out": None}
    assert parallel_map(kernels.fib, [5], backend="auto", strict=False, **given) == [5]
    assert parallel_map(fib, [5], backend="auto", strict=False, **given) == [5]
    backend = "".join(["na", "tive"])
    assert parallel_map(kernels.fib, [5], **{"".join(["back", "end"]): backend}) == [5]


def test_a_kernel_among_functions():
    assert list(map(kernels.fib, [1, 10])) == [1, 55]
    assert sorted([3, 1, 2], key=kernels.collatz) == [1, 2, 3]
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'chunksize'; accepted: workers, out"):
        kernels.fib(5, chunksize=1)


def test_all_names():
    for name in gilfree.__all__:
        assert hasattr(gilfree, name)
