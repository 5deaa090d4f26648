"""Where results go: out=, and what comes back without it."""

import mmap
from array import array

import numpy as np
import pytest
from references import fib

from gilfree import kernels, parallel_map

NUMBERS = [5, 6, 7, 8]
RESULTS = [5, 8, 13, 21]


@pytest.fixture(params=["parallel_map", "call"])
def call(request):
    if request.param == "parallel_map":
        return parallel_map
    return lambda kernel, *arguments, **options: kernel(*arguments, **options)


# ---- out --------------------------------------------------------------------------------------------

MAKERS = {
    "NumPy": lambda numbers: np.array(numbers, np.int64),
    "array.array": lambda numbers: array("q", numbers),
    "memoryview": lambda numbers: memoryview(array("q", numbers)),
    "memoryview of bytearray": lambda numbers: memoryview(bytearray(8 * len(numbers))).cast("q"),
    "mmap": lambda numbers: memoryview(mmap.mmap(-1, 8 * len(numbers))).cast("q"),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_out_is_filled_and_returned(make):
    for numbers in (
        NUMBERS,
        tuple(NUMBERS),
        iter(NUMBERS),
        range(5, 9),
        np.array(NUMBERS),
        array("q", NUMBERS),
    ):
        out = make([0] * 4)
        assert parallel_map(kernels.fib, numbers, out=out) is out
        assert list(out) == RESULTS


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_out_of_a_plain_call(make):
    out = make([0] * 4)
    assert kernels.fib(array("q", NUMBERS), out=out) is out
    assert list(out) == RESULTS
    with pytest.raises(
        TypeError, match=r"^fib: out was given and every argument is a number; accepted with out: "
    ):
        kernels.fib(5, out=out)


def test_in_place(call):
    numbers = np.array(NUMBERS)
    assert call(kernels.fib, numbers, out=numbers) is numbers
    assert numbers.tolist() == RESULTS
    column = array("q", NUMBERS)
    assert call(kernels.fib, column, out=column) is column
    assert column.tolist() == RESULTS


def test_in_place_through_another_view_of_the_same_items(call):
    numbers = np.array(NUMBERS)
    for out in (numbers[:], memoryview(numbers), numbers.view(np.int64)):
        numbers[:] = NUMBERS
        assert call(kernels.fib, numbers, out=out) is out
        assert numbers.tolist() == RESULTS


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_in_place_of_any_argument(call, which, workers):
    columns = [np.arange(100_000) * factor for factor in (0.5, 0.25, 3.0)]
    expected = columns[0] * columns[1] + columns[2]
    assert call(kernels.muladd, *columns, out=columns[which], workers=workers) is columns[which]
    np.testing.assert_array_equal(columns[which], expected)


def test_in_place_of_all_arguments(call):
    x = np.arange(10.0)
    call(kernels.muladd, x, x, x, out=x)
    assert x.tolist() == [i * i + i for i in range(10)]


def test_neighbours_are_disjoint(call):
    both = np.array(NUMBERS + [0] * 4)
    call(kernels.fib, both[:4], out=both[4:])
    assert both.tolist() == NUMBERS + RESULTS
    both = np.array([0] * 4 + NUMBERS)
    call(kernels.fib, both[4:], out=both[:4])
    assert both.tolist() == RESULTS + NUMBERS


def test_out_in_the_shape_of_the_arguments(call):
    numbers = np.array(NUMBERS).reshape(2, 2)
    out = np.empty((2, 2), np.int64)
    assert call(kernels.fib, numbers, out=out) is out
    assert out.tolist() == [[5, 8], [13, 21]]
    empty = np.empty((0, 3), np.int64)
    assert call(kernels.fib, empty, out=empty) is empty


def test_out_of_truth_values(call):
    numbers = np.array([1, 2, 3, 4])
    for out in (
        np.zeros(4, bool),
        np.zeros(4, np.uint8),
        bytearray(4),
        array("B", [0] * 4),
        array("b", [0] * 4),
    ):
        assert call(kernels.is_prime, numbers, out=out) is out
        assert list(map(bool, out)) == [False, True, True, False]


def test_out_none_is_no_out(call):
    assert call(kernels.fib, np.array(NUMBERS), out=None).tolist() == RESULTS


REFUSED = {
    "list": (lambda numbers: [0] * 4, TypeError, r"out is a list; accepted: a writable buffer of int64"),
    "number": (lambda numbers: 5, TypeError, r"out is a int; accepted: a writable buffer"),
    "float64": (
        lambda numbers: np.empty(4),
        TypeError,
        r"out holds items of format 'd' and 8 bytes; accepted: ",
    ),
    "int32": (
        lambda numbers: np.empty(4, np.int32),
        TypeError,
        r"out holds items of format 'i' and 4 bytes; accepted: ",
    ),
    "other byte order": (
        lambda numbers: np.empty(4, np.dtype(np.int64).newbyteorder()),
        TypeError,
        r"out holds items",
    ),
    "object": (lambda numbers: np.empty(4, object), TypeError, r"out holds items of format 'O'"),
    "bytes": (
        lambda numbers: bytes(32),
        (TypeError, ValueError),
        r"out (holds items of format|is read-only)",
    ),
    "read-only": (
        lambda numbers: np.frombuffer(bytes(32), np.int64),
        ValueError,
        r"out is read-only.*; accepted: ",
    ),
    "read-only memoryview": (
        lambda numbers: memoryview(bytes(32)).cast("q"),
        ValueError,
        r"out is read-only.*; accepted: ",
    ),
    "too short": (
        lambda numbers: np.empty(3, np.int64),
        ValueError,
        r"out has 1 dimensions? and 3 items; accepted: .* 4 items",
    ),
    "too long": (
        lambda numbers: array("q", [0] * 5),
        ValueError,
        r"out has 1 dimensions? and 5 items; accepted: .* 4 items",
    ),
    "empty": (
        lambda numbers: np.empty(0, np.int64),
        ValueError,
        r"out has 1 dimensions? and 0 items; accepted: .* 4 items",
    ),
    "two dimensions": (
        lambda numbers: np.empty((2, 2), np.int64),
        ValueError,
        r"out has 2 dimensions and 4 items; accepted: 1 dim",
    ),
    "no dimension": (
        lambda numbers: np.array(0),
        ValueError,
        r"out has 0 dimensions and 1 items; accepted: 1 dim",
    ),
    "items in one place": (
        lambda numbers: np.lib.stride_tricks.as_strided(np.empty(1, np.int64), (4,), (0,)),
        ValueError,
        r"items of out share memory with one another; accepted: ",
    ),
    "items that overlap": (
        lambda numbers: np.lib.stride_tricks.as_strided(np.empty(4, np.int64), (4,), (4,)),
        ValueError,
        r"items of out share memory with one another; accepted: ",
    ),
    "backwards": (lambda numbers: numbers[::-1], ValueError, r"out overlaps argument 1; accepted: "),
}


@pytest.mark.parametrize(("make", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_refused_before_anything_is_written(call, make, error, words):
    # 92 would take minutes: nothing runs before the refusal.
    numbers = np.full(4, 92)
    with pytest.raises(error, match=rf"^fib: {words}"):
        call(kernels.fib, numbers, out=make(numbers))
    assert numbers.tolist() == [92] * 4


@pytest.mark.parametrize("shape", [(4,), (1, 4), (4, 1), (2, 2, 1), (2, 3), (3, 2), (0,)])
def test_out_must_have_the_shape_of_the_arguments(call, shape):
    with pytest.raises(ValueError, match=r"^fib: out has .*accepted: .*shape"):
        call(kernels.fib, np.full((2, 2), 92), out=np.empty(shape, np.int64))


def test_out_must_have_the_length_of_the_shortest():
    with pytest.raises(ValueError, match=r"^muladd: out has 1 dimensions? and 5 items; accepted: .* 3 items"):
        parallel_map(kernels.muladd, np.ones(5), [1, 2, 3], np.ones(4), out=np.empty(5))
    assert parallel_map(kernels.muladd, np.ones(5), [1, 2, 3], np.ones(4), out=np.empty(3)).tolist() == [
        2,
        3,
        4,
    ]


@pytest.mark.parametrize("shift", [-3, -1, 1, 3])
def test_out_may_not_overlap_an_argument_in_part(call, shift):
    numbers = np.full(20, 92)
    with pytest.raises(
        ValueError, match=r"^fib: out overlaps argument 1; accepted: the argument itself \(in place\), or "
    ):
        call(kernels.fib, numbers[5:9], out=numbers[5 + shift : 9 + shift])
    assert numbers.tolist() == [92] * 20


def test_out_may_not_lie_between_items(call):
    data = bytearray(8 * 5)
    numbers = memoryview(data)[:32].cast("q")
    numbers[:] = array("q", [92] * 4)
    with pytest.raises(ValueError, match=r"^fib: out (overlaps argument 1|is not aligned); accepted: "):
        call(kernels.fib, numbers, out=np.frombuffer(data, np.int64, 4, 4))


def test_out_may_not_overlap_items_of_another_size(call):
    numbers = np.array(NUMBERS)
    with pytest.raises(ValueError, match="out overlaps argument 1"):
        call(kernels.is_prime, numbers, out=numbers.view(np.uint8)[:4])


def test_in_place_of_one_argument_may_not_overlap_another(call):
    x = np.arange(12.0)
    with pytest.raises(ValueError, match="out overlaps argument 2"):
        call(kernels.muladd, x[:8], x[4:], x[:8], out=x[:8])


def test_out_with_a_function_in_python():
    with pytest.raises(TypeError, match=r"out was given; it is accepted with a kernel only"):
        parallel_map(fib, [5], out=np.empty(1))


# ---- without out ------------------------------------------------------------------------------------


def test_a_new_array_each_time():
    numbers = np.array(NUMBERS)
    first, second = parallel_map(kernels.fib, numbers), parallel_map(kernels.fib, numbers)
    assert first.base is None
    assert not np.shares_memory(first, second)
    assert not np.shares_memory(first, numbers)
    assert numbers.tolist() == NUMBERS


def test_the_first_buffer_says_what_comes_back():
    x, y = np.ones(2), array("d", [1, 1])
    assert type(parallel_map(kernels.muladd, x, y, y)) is np.ndarray
    assert type(parallel_map(kernels.muladd, y, x, x)) is array
    assert type(parallel_map(kernels.muladd, [1, 1], y, x)) is array
    assert type(parallel_map(kernels.muladd, [1, 1], memoryview(x), y)) is memoryview
    assert type(parallel_map(kernels.muladd, [1, 1], (1, 1), range(2))) is list
    assert type(kernels.muladd(2, y, x)) is array


def test_array_subclasses_give_plain_arrays():
    class Column(array):
        pass

    class Matrix(np.ndarray):
        pass

    assert type(parallel_map(kernels.fib, Column("q", NUMBERS))) is array
    assert type(parallel_map(kernels.fib, np.array(NUMBERS).view(Matrix))) is np.ndarray


def test_numpy_is_not_imported_for_a_memoryview(run):
    run(
        """
        import sys
        from gilfree import kernels, parallel_map
        from array import array
        view = parallel_map(kernels.fib, memoryview(array("q", [5, 6, 7])))
        assert view.tolist() == [5, 8, 13] and view.format == "q", view
        assert parallel_map(kernels.fib, array("q", [5])) == array("q", [5])
        assert parallel_map(kernels.is_prime, array("q", [5, 6])) == array("B", [1, 0])
        assert "numpy" not in sys.modules
        """
    )
