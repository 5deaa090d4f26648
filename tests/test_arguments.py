"""What a kernel is called with: what is accepted, what is refused before any work and in which words, and
objects that change under the reader's hands."""

import ctypes
import decimal
import fractions
from array import array

import numpy as np
import pytest
from references import exactly, fib, index_of

import gilfree
from gilfree import kernels, parallel_map

# ---- refused items ----------------------------------------------------------------------------------

NO_INT64 = {
    "float": (2.0, TypeError, "whole number"),
    "NaN": (float("nan"), TypeError, "whole number"),
    "complex": (2j, TypeError, "whole number"),
    "str": ("2", TypeError, "whole number"),
    "bytes": (b"2", TypeError, "whole number"),
    "None": (None, TypeError, "whole number"),
    "list": ([2], TypeError, "whole number"),
    "Decimal": (decimal.Decimal(2), TypeError, "whole number"),
    "Fraction": (fractions.Fraction(2), TypeError, "whole number"),
    "NumPy float": (np.float64(2), TypeError, "whole number"),
    "NumPy bool": (np.bool_(True), TypeError, "whole number"),
    "too great": (2**63, OverflowError, r"int64 \(-2\*\*63 to 2\*\*63 - 1\)"),
    "too small": (-(2**63) - 1, OverflowError, r"int64 \(-2\*\*63 to 2\*\*63 - 1\)"),
    "much too great": (10**1000, OverflowError, r"int64"),
    "uint64": (np.uint64(2**63), OverflowError, r"int64"),
    "0": (0, ValueError, r"is 0; accepted: 1 <= n <= 92"),
    "-1": (-1, ValueError, r"is -1; accepted: 1 <= n <= 92"),
    "93": (93, ValueError, r"is 93; accepted: 1 <= n <= 92"),
}
NO_FLOAT64 = {
    "str": ("2", TypeError, "str"),
    "None": (None, TypeError, "NoneType"),
    "complex": (2j, TypeError, "complex"),
    "list": ([2.0], TypeError, "list"),
    "too great": (10**400, OverflowError, "float"),
}


@pytest.mark.parametrize("position", [0, 1, 63, 64, 1500])
@pytest.mark.parametrize(("given", "error", "words"), NO_INT64.values(), ids=NO_INT64)
def test_an_item_that_is_no_int64_is_named(given, error, words, position):
    # 92 would take minutes: nothing runs before the refusal.
    numbers = [92] * 1600
    numbers[position] = given
    for iterable in (numbers, tuple(numbers), iter(numbers), (number for number in numbers)):
        with pytest.raises(error, match=words) as caught:
            parallel_map(kernels.fib, iterable)
        assert type(caught.value) is error
        assert str(caught.value).startswith(f"fib: item {position} of argument 1 (n)")


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize(("given", "error", "words"), NO_FLOAT64.values(), ids=NO_FLOAT64)
def test_an_item_that_is_no_float64_is_named(given, error, words, which):
    columns = [[1.0] * 100 for _ in range(3)]
    columns[which][70] = given
    with pytest.raises(error, match=words) as caught:
        parallel_map(kernels.muladd, *columns)
    assert str(caught.value).startswith(f"muladd: item 70 of argument {which + 1} ({'xyz'[which]})")


@pytest.mark.parametrize("given", [0, -1, 93, -(2**63), 2**63 - 1])
def test_an_item_outside_the_domain_is_named_in_a_buffer_too(given):
    for position in (0, 1, 1023, 1024, 99_999):
        numbers = np.full(100_000, 92)
        numbers[position] = given
        for workers in (1, 2):
            with pytest.raises(
                ValueError, match=rf"^fib: item {position} of argument 1 \(n\) is {given}; accepted: "
            ):
                parallel_map(kernels.fib, numbers, workers=workers)
            with pytest.raises(
                ValueError, match=rf"^fib: item {position} of argument 1 \(n\) is {given}; accepted: "
            ):
                kernels.fib(numbers, workers=workers)


def test_the_lowest_item_outside_the_domain_is_named():
    numbers = np.full(100_000, 92)
    numbers[[7, 40_000, 99_999]] = 0
    for workers in (1, 2, 7):
        with pytest.raises(ValueError, match=r"^fib: item 7 "):
            parallel_map(kernels.fib, numbers, workers=workers)


@pytest.mark.parametrize(("given", "error", "words"), NO_INT64.values(), ids=NO_INT64)
def test_a_plain_call_refuses_the_same(given, error, words):
    with pytest.raises(error) as caught:
        kernels.fib(given)
    assert str(caught.value).startswith("fib: argument 1 (n)")


def test_a_plain_call_says_how_to_map_over_an_iterable():
    for given in ([1, 2], (1, 2), range(3)):
        with pytest.raises(
            TypeError, match=r"accepted: a number or an array; .*gilfree.parallel_map\(kernels.fib"
        ):
            kernels.fib(given)


class Int(int):
    pass


class Index:
    def __init__(self, number):
        self.number = number

    def __index__(self):
        return self.number


class Float:
    def __float__(self):
        return 2.5


def test_accepted_whole_numbers():
    numbers = [5, True, Int(7), Index(8), np.int64(9), np.int8(10), np.uint64(11), np.array(12)]
    assert parallel_map(kernels.fib, numbers) == [fib(int(number)) for number in numbers]
    assert [kernels.fib(number) for number in numbers] == [fib(int(number)) for number in numbers]
    assert parallel_map(kernels.is_prime, [2**63 - 1, -(2**63)]) == [False, False]


def test_accepted_real_numbers():
    numbers = [
        5,
        True,
        Index(8),
        Float(),
        np.float32(0.5),
        np.float64(9),
        np.int8(10),
        fractions.Fraction(1, 3),
    ]
    numbers += [decimal.Decimal("0.25"), 2**1000, -0.0, float("inf"), np.bool_(True)]
    expected = [kernels.muladd(float(number), 1, 0) for number in numbers[:2] + numbers[3:]]
    accepted = numbers[:2] + numbers[3:]
    assert exactly(parallel_map(kernels.muladd, accepted, [1] * 99, [0] * 99)) == exactly(expected)
    assert parallel_map(kernels.muladd, [Index(8)], [1], [0]) == [8.0]


# ---- refused iterables ------------------------------------------------------------------------------


def test_nothing_to_map_over():
    with pytest.raises(
        TypeError, match=r"fib takes 1 iterables? \(int64\(int64 n\)\), 0 given|at least one iterable"
    ):
        parallel_map(kernels.fib)
    with pytest.raises(TypeError, match=r"at least one iterable"):
        parallel_map(abs)
    with pytest.raises(TypeError, match=r"fn and at least one iterable"):
        parallel_map()


def test_the_wrong_number_of_iterables():
    with pytest.raises(TypeError, match=r"fib takes 1 .*2 given"):
        parallel_map(kernels.fib, [1], [2])
    with pytest.raises(TypeError, match=r"muladd takes 3 iterables \(float64\(float64 x, .*\), 2 given"):
        parallel_map(kernels.muladd, [1], [2])
    with pytest.raises(TypeError, match=r"fib takes 1 .*1000 given"):
        parallel_map(kernels.fib, *[[1]] * 1000)


@pytest.mark.parametrize("given", [5, 2.5, None, object(), fib, int])
def test_what_cannot_be_iterated(given):
    with pytest.raises(TypeError, match=r"^fib: argument 1 \(n\): .*not iterable"):
        parallel_map(kernels.fib, given)
    with pytest.raises(TypeError, match=r"^muladd: argument 2 \(y\): .*not iterable"):
        parallel_map(kernels.muladd, [1], given, [1])


@pytest.mark.parametrize(
    "given", [np.array(5), memoryview(np.array(5)), memoryview(ctypes.c_int64(5)), np.int64(5)]
)
def test_what_has_no_dimensions_cannot_be_iterated(given):
    with pytest.raises(TypeError, match=r"^fib: argument 1 \(n\) has no dimensions; accepted: an iterable"):
        parallel_map(kernels.fib, given)


WRONG_TYPES = {
    "float64": np.ones(3),
    "uint64": np.ones(3, np.uint64),
    "object": np.ones(3, object),
    "complex": np.ones(3, complex),
    "text": np.array(["1", "2"]),
    "structure": np.ones(3, [("a", "i4"), ("b", "i4")]),
    "array.array('d')": array("d", [1]),
    "array.array('Q')": array("Q", [1]),
    "ctypes": (ctypes.c_double * 3)(1, 2, 3),
}


@pytest.mark.parametrize("given", WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_arrays_of_a_type_that_cannot_be_cast(given):
    for call in (parallel_map, lambda kernel, argument: kernel(argument)):
        with pytest.raises(
            TypeError, match=r"^fib: argument 1 \(n\) holds items of format '.*' and \d+ bytes"
        ) as caught:
            call(kernels.fib, given)
        assert "accepted: an array of int64 (as numpy.int64 or array.array('q'))" in str(caught.value)


def test_empty_buffers_lie_anywhere():
    for empty in (
        array("q"),
        np.empty(0, np.int64),
        memoryview(b"").cast("q"),
        memoryview(b"x")[1:].cast("q"),
    ):
        assert len(parallel_map(kernels.fib, empty)) == 0
        assert len(kernels.fib(empty)) == 0


def test_buffers_that_their_owner_refuses():
    released = memoryview(array("q", [1]))
    released.release()
    with pytest.raises(ValueError, match="released"):
        parallel_map(kernels.fib, released)
    with pytest.raises(ValueError, match="buffer"):
        parallel_map(kernels.fib, np.ones(3, "M8[s]"))


ACCEPTED_BUFFERS = {
    "ctypes": (ctypes.c_int64 * 3)(5, 6, 7),
    "ctypes long": (ctypes.c_long * 3)(5, 6, 7),
    "ssize_t": memoryview(bytearray(np.array([5, 6, 7]).tobytes())).cast("n"),
    "q": memoryview(array("q", [5, 6, 7])),
    "l": array("l", [5, 6, 7]),
    "NumPy, native order spelled out": np.array([5, 6, 7], "=i8"),
    "NumPy long long": np.array([5, 6, 7], np.longlong),
}


@pytest.mark.parametrize("given", ACCEPTED_BUFFERS.values(), ids=ACCEPTED_BUFFERS)
def test_every_spelling_of_int64_is_accepted(given):
    assert list(parallel_map(kernels.fib, given)) == [5, 8, 13]
    assert list(kernels.fib(given)) == [5, 8, 13]


def test_shapes_must_agree_beyond_one_dimension():
    matrix = np.ones((2, 3))
    for other in (
        np.ones(6),
        np.ones((3, 2)),
        np.ones((2, 3, 1)),
        np.ones((2, 2)),
        [1.0] * 6,
        iter([1.0] * 6),
    ):
        for arguments in ((matrix, other, matrix), (other, matrix, matrix), (matrix, matrix, other)):
            with pytest.raises(
                ValueError, match=r"^muladd: argument \d \([xyz]\) has .*accepted: arrays of one shape"
            ):
                parallel_map(kernels.muladd, *arguments)
    with pytest.raises(ValueError, match=r"shape \(6,\) and argument 1 has shape \(2, 3\)"):
        kernels.muladd(matrix, np.ones(6), matrix)
    assert kernels.muladd(matrix, 2.0, matrix).shape == (2, 3)


def test_a_plain_call_takes_buffers_of_one_length():
    with pytest.raises(
        ValueError, match=r"argument 3 \(z\) holds 2 items and argument 1 holds 3; accepted: "
    ):
        kernels.muladd(np.ones(3), 1.0, np.ones(2))


# ---- refused options --------------------------------------------------------------------------------

BAD_OPTIONS = [
    ({"workers": 0}, ValueError, r"workers is 0; accepted: None .* 1 to 1024, or -1"),
    ({"workers": -2}, ValueError, r"workers is -2; accepted: "),
    ({"workers": 1025}, ValueError, r"workers is 1025; accepted: "),
    ({"workers": 2**100}, ValueError, r"workers is \d+; accepted: "),
    ({"workers": "2"}, TypeError, r"workers is '2'; accepted: "),
    ({"workers": 2.0}, TypeError, r"workers is 2.0; accepted: "),
    ({"chunksize": 0}, ValueError, r"chunksize is 0; accepted: None, or a number of items from 1"),
    ({"chunksize": -1}, ValueError, r"chunksize is -1; accepted: "),
    ({"chunksize": -(2**100)}, ValueError, r"chunksize is -\d+; accepted: "),
    ({"chunksize": 1.5}, TypeError, r"chunksize is 1.5; accepted: "),
    ({"chunksize": "x"}, TypeError, r"chunksize is 'x'; accepted: "),
    ({"timeout": -1}, ValueError, r"timeout is -1; accepted: None, or a number of seconds from 0"),
    ({"timeout": -0.5}, ValueError, r"timeout is -0.5; accepted: "),
    ({"timeout": float("nan")}, ValueError, r"timeout is nan; accepted: "),
    ({"timeout": float("-inf")}, ValueError, r"timeout is -inf; accepted: "),
    ({"timeout": "x"}, TypeError, r"timeout is 'x'; accepted: "),
    ({"cancel": object()}, TypeError, r"cancel is <object .*>; accepted: None, or a gilfree.Cancel\(\)"),
    ({"cancel": True}, TypeError, r"cancel is True; accepted: "),
    ({"cancel": gilfree.Cancel}, TypeError, r"cancel is <class .*>; accepted: "),
    ({"backend": "nope"}, ValueError, r"backend is 'nope'; accepted: 'auto', .*'native'.*'serial'"),
    ({"backend": ""}, ValueError, r"backend is ''; accepted: "),
    ({"backend": 3}, (TypeError, ValueError), r"backend is 3; accepted: "),
    ({"backend": None}, (TypeError, ValueError), r"backend is None; accepted: "),
    ({"nope": 1}, TypeError, r"unexpected keyword argument 'nope'"),
]


@pytest.mark.parametrize(("options", "error", "words"), BAD_OPTIONS, ids=lambda value: str(value)[:30])
@pytest.mark.parametrize("fn", [kernels.fib, fib], ids=["kernel", "function"])
def test_bad_options_are_refused_before_anything_is_read(fn, options, error, words):
    numbers = iter([92])
    with pytest.raises(error, match=words):
        parallel_map(fn, numbers, **options)
    assert list(numbers) == [92]


def test_what_cannot_be_called():
    for fn in (3, None, "fib", [kernels.fib]):
        with pytest.raises(TypeError, match=r"^fn is .*; accepted: a kernel .* or another callable"):
            parallel_map(fn, [1])


# ---- objects that change under the reader's hands ---------------------------------------------------


class Acts:
    """A number that does something when it is asked for its value."""

    def __init__(self, act, number=5):
        self.act, self.number = act, number

    def __index__(self):
        self.act()
        return self.number

    __float__ = None  # so that float64 arguments ask __index__ too


def test_a_list_that_is_cleared_while_it_is_read():
    numbers: list = [1, 2, 3, 4]
    numbers[1] = Acts(numbers.clear)
    assert parallel_map(kernels.fib, numbers) == [1, 5]
    assert numbers == []


def test_a_list_that_grows_while_it_is_read():
    numbers: list = [Acts(lambda: numbers.append(7)) for _ in range(100)]
    assert parallel_map(kernels.fib, numbers) == [5] * 100 + [13] * 100


def test_a_list_that_is_replaced_while_it_is_read():
    numbers: list = [1] * 10
    numbers[4] = Acts(lambda: numbers.__setitem__(slice(None), [6] * 1000))
    assert parallel_map(kernels.fib, numbers) == [1] * 4 + [5] + [8] * 995


def test_the_item_in_hand_may_lose_its_last_other_reference():
    numbers: list = []
    numbers.extend([Acts(numbers.clear), 2])
    assert parallel_map(kernels.fib, numbers) == [5]


def test_a_buffer_cannot_be_resized_while_it_is_in_use():
    column = array("d", [1, 2, 3])

    def shrink():
        with pytest.raises(BufferError):
            column.pop()

    class Shrinks:
        def __float__(self):
            shrink()
            return 1.0

    assert parallel_map(kernels.muladd, column, [Shrinks()] * 3, [0, 0, 0]).tolist() == [1, 2, 3]
    column.pop()


def test_a_number_that_raises_keeps_its_exception_and_names_the_item():
    class BoomError(Exception):
        pass

    def raise_it():
        raise BoomError("from __index__")

    numbers = [92, 92, Acts(raise_it)]
    with pytest.raises(BoomError, match="from __index__") as caught:
        parallel_map(kernels.fib, numbers)
    assert index_of(caught.value) == 2
    with pytest.raises(KeyboardInterrupt):
        parallel_map(kernels.fib, [92, Acts(lambda: (_ for _ in ()).throw(KeyboardInterrupt))])


def test_a_number_that_returns_nonsense():
    for nonsense in ("5", 5.0, None, 2**63):
        with pytest.raises((TypeError, OverflowError)) as caught:
            parallel_map(kernels.fib, [92, Index(nonsense)])
        assert index_of(caught.value) == 1


def test_calls_from_inside_a_number():
    inner = []
    numbers = [Acts(lambda: inner.append(parallel_map(kernels.fib, range(1, 20)))) for _ in range(20)]
    assert parallel_map(kernels.fib, numbers) == [5] * 20
    assert inner == [[fib(n) for n in range(1, 20)]] * 20


def test_calls_inside_calls_without_end():
    numbers: list = []
    numbers.append(Acts(lambda: parallel_map(kernels.fib, numbers)))
    with pytest.raises(RecursionError):
        parallel_map(kernels.fib, numbers)
    assert parallel_map(kernels.fib, [5]) == [5]


def test_an_array_that_another_thread_writes_to_gives_no_nonsense(when_busy):
    """The domain is checked before anything runs, and what is written later is seen by the kernel itself."""
    numbers = np.full(500_000, 15)

    def spoil():
        numbers[-1] = 93

    with when_busy(spoil), pytest.raises(ValueError, match=r"^fib: item 499999 .*is 93; accepted: "):
        parallel_map(kernels.fib, numbers, workers=1)
