"""The contract of every kernel that makes a number of an array. The rows are found by themselves."""

import hashlib
import itertools
import math
import struct
from array import array
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from reductions import CAST_TYPES, INTEGERS, REDUCTIONS, SWAPPED, TYPES, check, sample
from references import index_of

import gilfree
from gilfree import _core, kernels, parallel_map

REDUCES = [kernel for kernel in _core.kernels if kernel.pattern == "reduce"]
WORKERS = [1, 2, 3, 7, 16]
LENGTHS = [1, 2, 3, 31, 32, 33, 511, 512, 513, 8191, 8192, 8193]
LONG = 300_001  # many leaves, and blocks for every worker

each_kernel = pytest.mark.parametrize("kernel", REDUCES, ids=lambda kernel: kernel.__name__)
each_type = pytest.mark.parametrize("name", TYPES)


def arrays_of(kernel):
    return REDUCTIONS[kernel.__name__].arrays


def columns(kernel, name, n, seed=0):
    return [sample(name, n, seed + which) for which in range(arrays_of(kernel))]


def bits(results):
    """For comparing to the last bit; NaN equals NaN, 1 is not 1.0."""
    if isinstance(results, (list, tuple)):
        return [bits(result) for result in results]
    if isinstance(results, float):
        return "nan" if math.isnan(results) else struct.pack(">d", results).hex()
    return results


def test_there_is_a_reference_for_every_row_and_none_too_many():
    assert set(REDUCTIONS) == {kernel.__name__ for kernel in REDUCES}


# ---- results ----------------------------------------------------------------------------------------


@each_kernel
@pytest.mark.parametrize("name", [*TYPES, *CAST_TYPES, *SWAPPED])
def test_equals_the_exact_result(kernel, name):
    for n in LENGTHS:
        given_columns = columns(kernel, name, n)
        check(kernel, kernel(*given_columns), given_columns)


@each_kernel
def test_equals_the_exact_result_over_many_leaves(kernel):
    for name in ("int32", "float64"):
        given_columns = columns(kernel, name, 30_001)
        check(kernel, kernel(*given_columns), given_columns)


@each_kernel
@given(data=st.data())
def test_equals_the_exact_result_of_any_numbers(kernel, data):
    name = data.draw(st.sampled_from(TYPES))
    n = data.draw(st.integers(1, 300))
    finite = {"allow_nan": False, "allow_infinity": False} if "float" in name else {}
    # Squares, and their sums, stay within float64.
    bound = {"min_value": -(2.0**50), "max_value": 2.0**50} if "float" in name else {}
    elements = npst.from_dtype(np.dtype(name), **finite, **bound)
    given_columns = [data.draw(npst.arrays(name, n, elements=elements)) for _ in range(arrays_of(kernel))]
    if "float" in name:  # nor do they vanish
        given_columns = [np.where(abs(column) < 1e-30, 0, column) for column in given_columns]
    try:
        result = kernel(*given_columns, workers=data.draw(st.sampled_from(WORKERS)))
    except OverflowError:
        exact = REDUCTIONS[kernel.__name__].exact(*[column.tolist() for column in given_columns])
        low, high = (0, 2**64) if name.startswith("u") else (-(2**63), 2**63)
        assert not low <= exact < high
    else:
        check(kernel, result, given_columns)


WAYS = {
    "NumPy": lambda x: x,
    "array.array": lambda x: array(x.dtype.char, x.tolist()),
    "memoryview": memoryview,
    "bytes of a file": lambda x: memoryview(x.tobytes()).cast(x.dtype.char),
    "list": lambda x: x.tolist(),
    "tuple": lambda x: tuple(x.tolist()),
    "generator": lambda x: (number for number in x.tolist()),
    "list of NumPy scalars": list,
}


@each_kernel
@pytest.mark.parametrize("way", WAYS)
def test_whatever_holds_the_numbers(kernel, way):
    for name in ("int64", "float64"):
        given_columns = columns(kernel, name, 5000)
        expected = kernel(*given_columns)
        assert bits(kernel(*map(WAYS[way], given_columns))) == bits(expected)
        assert type(kernel(*map(WAYS[way], given_columns))) is type(expected)


@each_kernel
def test_a_mixture_of_kinds_of_numbers_is_one_of_floats(kernel):
    numbers = [1, 2, 2.5, True, np.float32(0.5), np.int8(7)]
    expected = kernel(*[np.array(numbers, float)] * arrays_of(kernel))
    assert bits(kernel(*[numbers] * arrays_of(kernel))) == bits(expected)


def test_ranges():
    assert kernels.sum(range(1000)) == 499500
    assert kernels.argmax(range(10, 0, -1)) == 0


@each_kernel
@each_type
def test_plain_numbers_come_back(kernel, name):
    result = kernel(*columns(kernel, name, 100))
    numbers = result if isinstance(result, tuple) else (result,)
    exact = kernel.__name__ in ("sum", "dot", "min", "max", "minmax") and name in INTEGERS
    is_int = exact or kernel.__name__.startswith("arg")
    assert {type(number) for number in numbers} == {int if is_int else float}


# ---- the same bits ----------------------------------------------------------------------------------


@each_kernel
@each_type
def test_the_same_bits_for_any_number_of_workers(kernel, name):
    given_columns = columns(kernel, name, LONG)
    if "float" in name:
        given_columns = [column / np.dtype(name).type(3) for column in given_columns]
    expected = bits(kernel(*given_columns, workers=1))
    for workers in WORKERS:
        for _ in range(3):
            assert bits(kernel(*given_columns, workers=workers)) == expected
        for chunksize in (None, 1, 7):
            (result,) = parallel_map(
                kernel, *[[column] for column in given_columns], workers=workers, chunksize=chunksize
            )
            assert bits(result) == expected


# Of all results below. Every build on every machine must come to it: the lanes stand in the source.
DIGEST = "7d493f2d9a2fd6f0fe2acc549e14c01178fee85bbf3acbf721536ed42902d421"


def test_the_same_bits_on_every_build():
    digest = hashlib.sha256()
    for kernel in REDUCES:
        for name in TYPES:
            for n in (0, 1, 7, 100, 4096, 5000, LONG):
                given_columns = columns(kernel, name, n)
                if "float" in name:
                    given_columns = [column / np.dtype(name).type(3) for column in given_columns]
                try:
                    result = kernel(*given_columns)
                except ValueError as error:
                    result = str(error)
                digest.update(f"{kernel.__name__} {name} {n} {bits(result)}\n".encode())
    assert digest.hexdigest() == DIGEST


# ---- layouts ----------------------------------------------------------------------------------------

LAYOUTS = {
    "every third": lambda x: np.repeat(x, 3)[::3],
    "a column": lambda x: np.stack([x, x[::-1]], axis=1)[:, 0],
    "in the other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "unaligned": lambda x: np.frombuffer(b"x" + x.tobytes(), x.dtype, offset=1),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype),
    "swapped, strided, unaligned": lambda x: np.frombuffer(
        b"x" + np.repeat(x, 2).astype(x.dtype.newbyteorder()).tobytes(), x.dtype.newbyteorder(), offset=1
    )[::2],
    "two dimensions": lambda x: x.reshape(-1, 10),
    "rows with a gap": lambda x: np.concatenate([x.reshape(-1, 10)] * 2, axis=1)[:, :10],
    "three dimensions, none contiguous": lambda x: np.repeat(
        np.repeat(x.reshape(-1, 5, 2), 2, axis=2), 3, axis=0
    )[::3, :, ::2],
}


@each_kernel
@each_type
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_bits_in_every_layout(kernel, name, layout):
    for n in (10, 20_000):
        given_columns = columns(kernel, name, n)
        expected = kernel(*given_columns)
        laid_out = [LAYOUTS[layout](column) for column in given_columns]
        for workers in (1, 2):
            assert bits(kernel(*laid_out, workers=workers)) == bits(expected)


@each_kernel
@pytest.mark.parametrize(
    "turn", [lambda x: x[::-1], np.transpose, lambda x: x[:, ::-1, :], lambda x: x.transpose(1, 2, 0)]
)
def test_turned_arrays_have_the_items_in_the_order_of_their_indices(kernel, turn):
    for name in ("int32", "float64"):
        turned = [turn(column.reshape(11, 13, 17)) for column in columns(kernel, name, 11 * 13 * 17)]
        check(kernel, kernel(*turned), [np.ascontiguousarray(column) for column in turned])


def test_repeated_items_of_a_broadcast_array():
    assert kernels.sum(np.broadcast_to(np.int64(5), (1000, 7))) == 35_000
    assert kernels.sum(np.broadcast_to(np.arange(4), (10_000, 4))) == 60_000
    assert kernels.argmax(np.broadcast_to(np.array([[1], [3], [2]]), (3, 5000))) == 5000


# ---- NaN, nothing, too much -------------------------------------------------------------------------

SPECIAL = [0.0, -0.0, 1.0, -2.5, math.inf, -math.inf, math.nan]


@each_kernel
def test_special_numbers_as_in_numpy(kernel):
    name = kernel.__name__
    for n in (1, 2, 3):
        for numbers in itertools.product(SPECIAL, repeat=n):
            for dtype in (np.float32, np.float64):
                x = np.array(numbers, dtype)
                for placed in (x, np.concatenate([np.full(40, x[0]), x])):
                    with np.errstate(all="ignore"):
                        expected = NUMPY[name](placed.astype(float))
                    result = kernel(*[placed] * arrays_of(kernel))
                    np.testing.assert_allclose(result, expected, rtol=1e-14, atol=1e-16)


NUMPY = {
    "sum": np.sum,
    "dot": lambda x: np.sum(x * x),
    "norm": np.linalg.norm,
    "mean": np.mean,
    "var": np.var,
    "std": np.std,
    "mean_var": lambda x: (np.mean(x), np.var(x)),
    "min": np.min,
    "max": np.max,
    "minmax": lambda x: (np.min(x), np.max(x)),
    "argmin": np.argmin,
    "argmax": np.argmax,
}


@pytest.mark.parametrize("place", [0, 1, 8191, 8192, 20_000, 69_999])
def test_the_first_nan_wherever_it_stands(place):
    for dtype in (np.float32, np.float64):
        x = np.arange(70_000, dtype=dtype)
        x[place] = x[-1] = math.nan
        assert kernels.argmin(x) == kernels.argmax(x) == place
        assert all(map(math.isnan, (kernels.min(x), kernels.max(x), *kernels.minmax(x), kernels.sum(x))))


def test_the_first_of_equal_items():
    for name in TYPES:
        x = np.full(50_000, 3, name)
        x[[7000, 30_000]] = 1
        x[[8000, 31_000]] = 5
        for workers in WORKERS:
            assert kernels.argmin(x, workers=workers) == 7000
            assert kernels.argmax(x, workers=workers) == 8000


@each_kernel
@pytest.mark.parametrize("name", [*TYPES, *CAST_TYPES])
def test_no_items(kernel, name):
    empty = REDUCTIONS[kernel.__name__].empty
    for shape in (0, (0, 3), (3, 0)):
        nothing = [np.empty(shape, name)] * arrays_of(kernel)
        if empty is None:
            with pytest.raises(ValueError, match=rf"^{kernel.__name__}: an array without items"):
                kernel(*nothing)
        else:
            np.testing.assert_equal(kernel(*nothing), empty)
    if empty is not None:
        np.testing.assert_equal(kernel(*[[]] * arrays_of(kernel)), empty)


@pytest.mark.parametrize("ddof", [-1, 0, 1, 2, 3, 4, 100])
@pytest.mark.parametrize("n", [1, 2, 3, 5000])
def test_degrees_of_freedom_as_in_numpy(ddof, n):
    x = sample("float64", n)
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning) if ddof >= n else np.errstate():
        var, std = np.var(x, ddof=ddof), np.std(x, ddof=ddof)
    np.testing.assert_allclose(kernels.var(x, ddof=ddof), var, rtol=1e-13)
    np.testing.assert_allclose(kernels.var(x, ddof), var, rtol=1e-13)
    np.testing.assert_allclose(kernels.std(x, ddof=ddof), std, rtol=1e-13)
    np.testing.assert_allclose(kernels.mean_var(x, ddof=ddof), (np.mean(x), var), rtol=1e-13, atol=1e-13)


def test_mean_var_gives_what_mean_and_var_give():
    for name in TYPES:
        x = sample(name, LONG)
        mean, var = kernels.mean_var(x)
        assert mean == pytest.approx(kernels.mean(x), rel=1e-14)
        assert bits(var) == bits(kernels.var(x))
        assert kernels.std(x) == math.sqrt(kernels.var(x))
        assert kernels.minmax(x) == (kernels.min(x), kernels.max(x))


OVERFLOWING = {
    "just above": (kernels.sum, [np.array([2**63 - 1, 1])]),
    "just below": (kernels.sum, [np.array([-(2**63), -1])]),
    "far above": (kernels.sum, [np.full(100_000, 2**63 - 1)]),
    "unsigned": (kernels.sum, [np.array([2**64 - 1, 1], np.uint64)]),
    "a product": (kernels.dot, [np.array([2**32]), np.array([2**31])]),
    "products that add up to 2**128": (kernels.dot, [np.full(4, -(2**63)), np.full(4, -(2**63))]),
    "products of unsigned": (kernels.dot, [np.full(9, 2**64 - 1, np.uint64)] * 2),
}


@pytest.mark.parametrize(("kernel", "arguments"), OVERFLOWING.values(), ids=OVERFLOWING)
def test_sums_of_integers_never_wrap(kernel, arguments):
    with pytest.raises(OverflowError, match=rf"^{kernel.__name__}: a value does not fit in 64 bits$"):
        kernel(*arguments)
    with pytest.raises(OverflowError, match=rf"^{kernel.__name__}: item 1: a value does not fit") as caught:
        parallel_map(kernel, *[[[1], argument, [2]] for argument in arguments])
    assert index_of(caught.value) == 1


def test_sums_of_integers_may_pass_any_bound_on_the_way():
    x = np.full(200_000, 2**63 - 1)
    x[100_000:] = -(2**63 - 1)
    assert kernels.sum(x) == 0
    assert kernels.sum(np.array([2**63 - 1, 2**63 - 1, -(2**63), -(2**63)])) == -2
    assert kernels.dot(np.array([2**62, 2**62, 1]), np.array([2**62, -(2**62), 5])) == 5
    assert kernels.mean(np.full(10**5, 2**63 - 1)) == 2.0**63
    assert kernels.mean(np.full(10**5, 2**64 - 1, np.uint64)) == 2.0**64


def test_float32_is_added_in_float64():
    x = np.full(10**6, 0.1, np.float32)
    assert kernels.sum(x) == pytest.approx(float(np.float32(0.1)) * 10**6, rel=1e-15)
    assert kernels.sum(np.array([2.0**24, 1, 1, -(2.0**24)], np.float32)) == 2


def test_sums_are_at_least_as_accurate_as_numpys():
    """By the mean square of the error, over arrays of many lengths: of one array it is a matter of chance."""
    ours = theirs = 0.0
    for seed in range(1500):
        x = abs(sample("float64", 2 ** (5 + seed % 10) + 7 * seed, seed) / 3)
        exact = math.fsum(x)
        ours += ((kernels.sum(x) - exact) / exact) ** 2
        theirs += ((float(np.sum(x)) - exact) / exact) ** 2
    assert ours <= theirs


def test_the_mean_of_infinite_items_as_in_numpy_over_many_leaves():
    for place in (0, 5000, 19_999):
        x = np.arange(20_000.0)
        x[place] = math.inf
        assert kernels.mean_var(x)[0] == math.inf
        assert math.isnan(kernels.var(x))
        x[10_000] = -math.inf
        assert all(map(math.isnan, kernels.mean_var(x)))


def test_squares_beyond_floats_are_infinite_not_nan():
    assert kernels.var([0.0] * 32 + [1e200] * 32) == math.inf
    assert kernels.var([0.0] * 32 + [1e153] * 4064) == pytest.approx(
        np.var([0.0] * 32 + [1e153] * 4064), rel=1e-12
    )
    assert kernels.var([1.0, 2.0], ddof=-(2**63)) == pytest.approx(0.5 / 2**63)


def test_no_square_overflows_or_vanishes():
    for scale in (1e-320, 5e-324, 1e-200, 1e-160, 1.0, 1e160, 1e200, 1e307):
        x = np.full(5000, 3.0) * scale
        assert kernels.norm(x) == pytest.approx(float(x[0]) * math.sqrt(5000), rel=1e-12)
    mixed = np.concatenate([np.zeros(5000), np.full(5000, 1e-200), np.zeros(5000), np.full(1, 4e-200)])
    assert kernels.norm(mixed) == pytest.approx(1e-200 * math.sqrt(5016), rel=1e-12)
    assert kernels.norm(np.array([1e308, 1e308, 1e308, 1e308])) == math.inf
    assert kernels.norm(np.concatenate([np.full(5000, 1e-200), [3.0], np.full(5000, 1e-200)])) == 3


def test_a_small_variance_far_from_zero():
    x = 1e9 + sample("float64", 100_000) / 64
    assert kernels.var(x) == pytest.approx(np.var(x - 1e9), rel=1e-13)
    assert kernels.var(np.full(10**5, 0.1)) == pytest.approx(0, abs=1e-30)


# ---- parallel_map: an array an item -----------------------------------------------------------------


@each_kernel
@given(data=st.data())
def test_equals_list_map(kernel, data):
    lengths = data.draw(st.lists(st.integers(1, 300) | st.sampled_from([8192, 8193, 30_000]), max_size=12))
    items = [
        columns(kernel, data.draw(st.sampled_from([*TYPES, *CAST_TYPES, *SWAPPED])), n, seed)
        for seed, n in enumerate(lengths)
    ]
    iterables = [[item[which] for item in items] for which in range(arrays_of(kernel))]
    expected = list(map(kernel, *iterables))
    results = parallel_map(
        kernel,
        *iterables,
        workers=data.draw(st.sampled_from([None, *WORKERS])),
        chunksize=data.draw(st.sampled_from([None, 1, 3])),
    )
    assert bits(results) == bits(expected)
    assert bits(parallel_map(kernel, *map(iter, iterables))) == bits(expected)


@each_kernel
@each_type
@pytest.mark.parametrize("shape", [(6, 50), (3, 4, 5), (2, 5000), (1, 1), (40_000, 2), (3, 20_000)])
def test_rows_of_an_array(kernel, name, shape):
    rows = [column.reshape(shape) for column in columns(kernel, name, math.prod(shape))]
    expected = list(map(kernel, *rows))
    for workers in (1, 2, 7):
        results = parallel_map(kernel, *rows, workers=workers)
        if isinstance(expected[0], tuple):
            assert type(results) is list
            assert bits(results) == bits(expected)
        else:
            assert type(results) is np.ndarray
            assert results.shape == (shape[0],)
            assert bits(results.tolist()) == bits(expected)
    views = parallel_map(kernel, *map(memoryview, rows))
    assert bits(list(views)) == bits(expected)
    assert type(views) is (list if isinstance(expected[0], tuple) else memoryview)


@each_kernel
def test_rows_of_turned_arrays(kernel):
    rows = [column.reshape(7, 11, 13) for column in columns(kernel, "float64", 7 * 11 * 13)]
    for turn in (np.transpose, lambda x: x[::-1, :, ::2], lambda x: x.swapaxes(0, 1), np.asfortranarray):
        turned = [turn(row) for row in rows]
        assert bits(list(parallel_map(kernel, *turned))) == bits(list(map(kernel, *turned)))


def test_the_type_of_results_follows_the_rows():
    for name in TYPES:
        rows = sample(name, 60).reshape(6, 10)
        whole = "uint64" if name.startswith("u") else "int64"
        assert parallel_map(kernels.sum, rows).dtype == (whole if name in INTEGERS else "float64")
        assert parallel_map(kernels.max, rows).dtype == name
        assert parallel_map(kernels.mean, rows).dtype == "float64"
        assert parallel_map(kernels.argmax, rows).dtype == "int64"


def test_each_item_has_a_type_of_its_own():
    items = [
        np.ones(3, np.uint8),
        [1, 2.5],
        array("q", [7]),
        (True, False),
        range(4),
        np.ones(2, np.float32),
        b"ab",
    ]
    results = parallel_map(kernels.sum, items)
    assert bits(results) == [3, bits(3.5), 7, 1, 6, bits(2.0), 195]


def test_no_items_to_map_over():
    assert parallel_map(kernels.sum, []) == []
    assert parallel_map(kernels.sum, iter([])) == []
    for name, kind in (("f8", np.float64), ("u1", np.uint64)):
        nothing = parallel_map(kernels.sum, np.empty((0, 5), name))
        assert (nothing.shape, nothing.dtype) == ((0,), kind)
    out = np.empty(0)
    assert parallel_map(kernels.sum, np.empty((0, 5)), out=out) is out
    assert parallel_map(kernels.dot, [], np.empty((0, 3)), out=out) is out
    assert parallel_map(kernels.sum, np.empty((5, 0))).tolist() == [0] * 5
    with pytest.raises(ValueError, match=r"^max: item 0: an array without items"):
        parallel_map(kernels.max, np.empty((5, 0)))


def test_other_arguments_have_a_column_of_their_own():
    items = [[1, 2, 3], [4.0, 6.0], np.arange(5)]
    expected = [kernels.var(item, ddof) for item, ddof in zip(items, [0, 1, 2], strict=True)]
    for ddofs in (
        [0, 1, 2],
        iter([0, 1, 2]),
        range(3),
        np.arange(3),
        np.arange(3, dtype=np.int8),
        np.arange(6)[::2] // 2,
    ):
        assert list(parallel_map(kernels.var, items, ddofs)) == expected
    assert parallel_map(kernels.var, items) == [kernels.var(item) for item in items]
    assert parallel_map(kernels.var, items, itertools.repeat(1)) == [kernels.var(item, 1) for item in items]
    assert parallel_map(kernels.dot, items, [[1] * 3, [1] * 2, [1] * 5]) == [6, 10.0, 10]


def test_out_of_the_results():
    rows = sample("float64", 5000).reshape(50, 100)
    expected = [kernels.sum(row) for row in rows]
    for out in (np.empty(50), array("d", [0] * 50), np.empty(100)[::2], memoryview(bytearray(400)).cast("d")):
        for given_rows in (rows, list(rows)):
            assert parallel_map(kernels.sum, given_rows, out=out) is out
            assert list(out) == expected
    for bad, words in (
        (np.empty(49), "out has 1 dimensions and 49 items; accepted: 1 dimension and 50 items"),
        (rows[:, 0], "out overlaps argument 1; accepted: memory that no argument uses"),
        (rows[0, :50], "out overlaps argument 1; accepted: memory that no argument uses"),
    ):
        for given_rows in (rows, list(rows)):
            with pytest.raises(ValueError, match=words):
                parallel_map(kernels.sum, given_rows, out=bad)
    with pytest.raises(TypeError, match=r"^sum: out holds items of format 'f' and 4 bytes; accepted: "):
        parallel_map(kernels.sum, rows, out=np.empty(50, np.float32))
    with pytest.raises(TypeError, match=r"^minmax: out was given and each result is a pair; accepted: "):
        parallel_map(kernels.minmax, rows, out=np.empty(50))
    with pytest.raises(TypeError, match=r"^sum: out was given and the results differ in type; accepted: "):
        parallel_map(kernels.sum, [[1], [2.5]], out=np.empty(2))


def test_lengths_must_agree_within_an_item():
    with pytest.raises(
        ValueError, match=r"^dot: argument 2 \(y\) holds 2 items and .* argument 1 holds 3; accepted: "
    ):
        kernels.dot([1, 2, 3], [1, 2])
    with pytest.raises(
        ValueError, match=r"^dot: item 1 of argument 2 \(y\) holds 2 items and .* holds 3"
    ) as caught:
        parallel_map(kernels.dot, [[1], [1, 2, 3]], [[1], [1, 2]])
    assert index_of(caught.value) == 1
    with pytest.raises(ValueError, match=r"^dot: item 0 of argument 2 \(y\) holds 4 items"):
        parallel_map(kernels.dot, np.ones((3, 5)), np.ones((3, 4)))


def test_the_shortest_iterable_ends_the_call():
    rows = np.ones((5, 3))
    assert parallel_map(kernels.dot, rows, rows[:2]).tolist() == [3, 3]
    assert parallel_map(kernels.dot, list(rows), iter(rows[:2])) == [3, 3]
    with pytest.raises(
        ValueError, match=r"^dot: argument 2 \(y\) ended after 2 items and argument 1 \(x\) goes on"
    ):
        parallel_map(kernels.dot, rows, rows[:2], strict=True)
    with pytest.raises(ValueError, match=r"goes on; strict=True accepts"):
        parallel_map(kernels.dot, list(rows), iter(rows[:2]), strict=True)


NO_ARRAYS = {
    "a number": (5, TypeError, r"sum: item 1 of argument 1 \(x\): 'int' object is not iterable"),
    "None": (None, TypeError, r"sum: item 1 of argument 1 \(x\): 'NoneType' object is not iterable"),
    "a NumPy scalar": (
        np.float64(5),
        TypeError,
        r"sum: item 1 of argument 1 \(x\) is a number; accepted: an array",
    ),
    "text": ("abc", TypeError, r"item 1 .*number 0: must be real number, not str"),
    "complex": (
        np.ones(3, complex),
        TypeError,
        r"sum: item 1 of argument 1 \(x\) holds items of format 'Zd'",
    ),
    "objects": (np.ones(3, object), TypeError, r"sum: item 1 of argument 1 \(x\) holds items of format 'O'"),
    "dates": (np.ones(3, "M8[s]"), ValueError, r"buffer"),
    "masked": (
        np.ma.array([1, 2]),
        TypeError,
        r"item 1 .*masked array.*accepted: its data, or what filled\(\) gives",
    ),
    "a list of lists": ([[1]], TypeError, r"item 1 .*number 0: must be real number, not list"),
    "too great": ([2**63], OverflowError, r"item 1 .*number 0: it does not fit in int64"),
}


@pytest.mark.parametrize(("given_item", "error", "words"), NO_ARRAYS.values(), ids=NO_ARRAYS)
def test_what_is_no_array_is_refused_with_its_index(given_item, error, words):
    with pytest.raises(error, match=words) as caught:
        parallel_map(kernels.sum, [[1], given_item])
    assert index_of(caught.value) == 1
    with pytest.raises(error):
        kernels.sum(given_item)


def test_an_array_of_numbers_is_no_array_of_arrays():
    for numbers in (np.ones(5), array("d", [1]), memoryview(b"abc")):
        with pytest.raises(
            TypeError, match=r"^sum: argument 1 \(x\) is an array of numbers; accepted: .*kernels.sum\(x\)"
        ):
            parallel_map(kernels.sum, numbers)


def test_integers_never_become_floats_by_themselves():
    signed, unsigned = np.array([1, -1]), np.array([1, 2**64 - 1], np.uint64)
    with pytest.raises(
        TypeError, match=r"^dot: .*no type of the kernel holds the integers of all its arrays; accepted: "
    ):
        kernels.dot(signed, unsigned)
    assert kernels.dot(signed, unsigned.astype(float)) == 1 - 2.0**64


def test_an_iterator_that_fails_at_an_item_fails_there():
    def items():
        yield [1, 2]
        yield np.array([2**63 - 1, 1])
        raise KeyError("the items")

    with pytest.raises(OverflowError, match="item 1"):
        parallel_map(kernels.sum, items())
    with pytest.raises(KeyError, match="the items"):
        parallel_map(kernels.max, items())


@each_kernel
def test_keywords_of_a_plain_call(kernel):
    some = columns(kernel, "float64", 5)
    with pytest.raises(
        TypeError, match=rf"^{kernel.__name__} got an unexpected keyword argument 'out'.*accepted: workers"
    ):
        kernel(*some, out=np.empty(1))
    with pytest.raises(TypeError, match=rf"^{kernel.__name__} got an unexpected keyword argument 'x'"):
        kernel(*some, x=1)
    with pytest.raises(ValueError, match="workers is 0; accepted: "):
        kernel(*some, workers=0)
    with pytest.raises(
        TypeError, match=r"the name of a keyword argument is 1; accepted: a str|keywords must be strings"
    ):
        kernel(*some, **{1: 2})
    with pytest.raises(TypeError, match=rf"^{kernel.__name__} takes"):
        kernel()
    with pytest.raises(TypeError, match=rf"^{kernel.__name__} takes"):
        kernel(*some, *some, *some, 1)


def test_ddof_given_twice():
    with pytest.raises(TypeError, match=r"^var got multiple values for argument 'ddof'; accepted: one"):
        kernels.var([1, 2], 1, ddof=1)
    with pytest.raises(TypeError, match=r"^var: argument 2 \(ddof\): a whole number is accepted, not 1.5"):
        kernels.var([1, 2], ddof=1.5)


# ---- stopping, threads ------------------------------------------------------------------------------


@each_kernel
def test_cancelled_while_at_work(kernel, when_busy):
    rows = [np.broadcast_to(np.ones(50_000), (100_000, 50_000))] * arrays_of(kernel)
    for _ in range(3):
        cancel = gilfree.Cancel()
        with (
            pytest.raises(CancelledError, match=rf"^{kernel.__name__}: the call was cancelled"),
            when_busy(cancel.set),
        ):
            parallel_map(kernel, *rows, cancel=cancel)


@each_kernel
def test_timeouts(kernel):
    rows = [np.broadcast_to(np.ones(50_000), (100_000, 50_000))] * arrays_of(kernel)
    with pytest.raises(TimeoutError, match=rf"^{kernel.__name__}: the timeout has passed"):
        parallel_map(kernel, *rows, timeout=0.01)
    with pytest.raises(TimeoutError):
        parallel_map(kernel, *[[[1.0]]] * arrays_of(kernel), timeout=0)


def test_a_plain_thread_pool_over_reductions():
    arrays = [sample("float64", 50_000, seed) for seed in range(40)]
    expected = [kernels.sum(x, workers=1) for x in arrays]
    with ThreadPoolExecutor(4) as executor:
        assert list(executor.map(kernels.sum, arrays)) == expected
