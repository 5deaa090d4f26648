"""The contract of every kernel that maps number to number. The rows are found by themselves: a new one is
held to it at once. Those that make a number of an array are held to that of test_reductions.py."""

import builtins
import contextlib
import copy
import pickle
import re
import types
from concurrent.futures import CancelledError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from references import (
    FORMATS,
    PYTHON_TYPES,
    REFERENCES,
    TYPECODES,
    as_array,
    as_numpy,
    columns_as,
    columns_of,
    exactly,
    index_of,
    types_of,
    values_of,
)

import gilfree
from gilfree import _core, kernels

WORKERS = [1, 2, 3, 7, 16]
CHUNKSIZES = [None, 1, 7, 10**9]

MAPS = [kernel for kernel in _core.kernels if kernel.pattern == "map"]

each_kernel = pytest.mark.parametrize("kernel", MAPS, ids=lambda kernel: kernel.__name__)
each_of_all = pytest.mark.parametrize("kernel", _core.kernels, ids=lambda kernel: kernel.__name__)


@pytest.fixture
def reference(kernel):
    """KeyError for a row without a reference: add one to references.py."""
    return REFERENCES[kernel.__name__]


@pytest.fixture
def expected(reference):
    return [reference.function(*item) for item in reference.samples]


def domain_of(kernel):
    return kernel.domain or (-(2**63), 2**63 - 1)


# ---- the row ----------------------------------------------------------------------------------------


def test_there_is_a_reference_for_every_row_and_none_too_many():
    assert set(REFERENCES) == {kernel.__name__ for kernel in MAPS}


def test_kernels_is_a_module_that_holds_every_row():
    assert isinstance(kernels, types.ModuleType)
    for kernel in _core.kernels:
        assert getattr(kernels, kernel.__name__) is kernel


def test_star_import_shadows_no_builtin():
    names: dict[str, object] = {}
    exec("from gilfree.kernels import *", names)
    del names["__builtins__"]
    assert not set(names) & set(vars(builtins))
    assert set(names) == {kernel.__name__ for kernel in _core.kernels} - set(vars(builtins))


@each_of_all
def test_attributes(kernel):
    assert kernel.__name__ == kernel.__qualname__
    assert kernel.__module__ == "gilfree.kernels"
    number = "(int64|uint64|int32|uint8|float64|float32|bool)"
    result = rf"({number}|\({number}, {number}\))"
    argument = rf"{number}(\[\])? \w+(=\d+)?"
    for signature in kernel.signatures:
        assert re.fullmatch(rf"{result}\({argument}(, {argument})*\)", signature)
    assert kernel.pattern == ("reduce" if "[]" in kernel.signatures[0] else "map")
    assert len(set(kernel.signatures)) == len(kernel.signatures)
    assert kernel.family.isidentifier()
    assert kernel.__doc__
    assert "\n" not in kernel.__doc__
    assert repr(kernel).startswith(f"<kernel {kernel.__name__}: {kernel.signatures[0]}")
    if kernel.domain is not None:
        assert "int64" in types_of(kernel)[1]
        low, high = kernel.domain
        assert -(2**63) <= low <= high <= 2**63 - 1


@each_of_all
def test_nothing_can_be_changed_or_made(kernel):
    for name in ("__name__", "signatures", "pattern", "family", "domain", "anything"):
        with pytest.raises(AttributeError):
            setattr(kernel, name, "x")
    with pytest.raises(TypeError):
        type(kernel)()
    with pytest.raises(TypeError):
        type(kernel).anything = 1


@each_of_all
def test_pickled_by_name_and_copied_as_itself(kernel):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(kernel, protocol)) is kernel
    assert copy.copy(kernel) is kernel
    assert copy.deepcopy([kernel])[0] is kernel
    assert {kernel: 1}[kernel] == 1


# ---- results ----------------------------------------------------------------------------------------


@each_kernel
def test_a_call_with_numbers_returns_a_number(kernel, reference, expected):
    results = [kernel(*item) for item in reference.samples]
    assert exactly(results) == exactly(expected)
    assert {type(result) for result in results} == {PYTHON_TYPES[types_of(kernel)[0]]}


@each_kernel
def test_numpy_scalars_and_arrays_of_no_dimension_are_numbers(kernel, reference, expected):
    for make in (
        lambda number, name: np.dtype(name).type(number),
        lambda number, name: np.array(number, name),
    ):
        results = []
        for item in reference.samples:
            numbers = [make(number, name) for number, name in zip(item, types_of(kernel)[1], strict=True)]
            results.append(kernel(*numbers))
        assert exactly(results) == exactly(expected)


ITERABLES = {
    "list": lambda column, name: column,
    "tuple": lambda column, name: tuple(column),
    "iterator": lambda column, name: iter(column),
    "generator": lambda column, name: (number for number in column),
    "map": lambda column, name: map(PYTHON_TYPES[name], column),
    "NumPy scalars": lambda column, name: list(np.array(column, name)),
    "list subclass": lambda column, name: type("Numbers", (list,), {})(column),
}
BUFFERS = {
    "array.array": as_array,
    "NumPy": as_numpy,
    "read-only NumPy": lambda column, name: np.frombuffer(as_numpy(column, name).tobytes(), name),
    "memoryview": lambda column, name: memoryview(as_array(column, name)),
    "memoryview of bytes": lambda column, name: memoryview(as_numpy(column, name).tobytes()).cast(
        FORMATS[name]
    ),
    "memoryview of NumPy": lambda column, name: memoryview(as_numpy(column, name)),
}


def kind_of(result):
    """What a result is, to the last detail."""
    if isinstance(result, np.ndarray):
        return np.ndarray, str(result.dtype), result.shape, result.flags.c_contiguous, result.flags.writeable
    if isinstance(result, memoryview):
        return memoryview, result.format, result.shape, result.c_contiguous, result.readonly
    return type(result), getattr(result, "typecode", None), len(result)


def kind_for(buffer, kernel):
    """What a result must be, for the first buffer among the arguments."""
    result_type = types_of(kernel)[0]
    if isinstance(buffer, np.ndarray):
        return np.ndarray, result_type, buffer.shape, True, True
    if isinstance(buffer, memoryview):
        return memoryview, FORMATS[result_type], buffer.shape, True, False
    return type(buffer), TYPECODES[result_type], len(buffer)


@each_kernel
@pytest.mark.parametrize("make", ITERABLES.values(), ids=ITERABLES)
def test_iterables_give_a_list(kernel, reference, expected, make):
    for workers in WORKERS:
        columns = columns_as(make, kernel, reference.samples)
        results = gilfree.parallel_map(kernel, *columns, workers=workers)
        assert type(results) is list
        assert exactly(results) == exactly(expected)
        assert {type(result) for result in results} == {PYTHON_TYPES[types_of(kernel)[0]]}


@each_kernel
@pytest.mark.parametrize("make", BUFFERS.values(), ids=BUFFERS)
def test_buffers_give_their_kind(kernel, reference, expected, make):
    columns = columns_as(make, kernel, reference.samples)
    for workers in WORKERS:
        for chunksize in CHUNKSIZES:
            results = gilfree.parallel_map(kernel, *columns, workers=workers, chunksize=chunksize)
            assert kind_of(results) == kind_for(columns[0], kernel)
            assert values_of(kernel, results) == exactly(expected)
        called = kernel(*columns, workers=workers)
        assert kind_of(called) == kind_of(results)
        assert values_of(kernel, called) == exactly(expected)


@each_kernel
@pytest.mark.parametrize("wrap", [np.asarray, memoryview])
@pytest.mark.parametrize("shape", [(24,), (6, 4), (2, 3, 4), (1, 24, 1), (2, 1, 3, 2, 2)])
def test_the_shape_is_kept(kernel, reference, wrap, shape):
    items = (reference.samples * 24)[:24]
    expected = [reference.function(*item) for item in items]

    columns = [wrap(column.reshape(shape)) for column in columns_as(as_numpy, kernel, items)]
    for results in (gilfree.parallel_map(kernel, *columns), kernel(*columns)):
        assert kind_of(results) == kind_for(columns[0], kernel)
        assert values_of(kernel, results) == exactly(expected)


@each_kernel
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)])
def test_no_items_in_any_shape(kernel, shape):
    columns = [np.empty(shape, name) for name in types_of(kernel)[1]]
    for results in (gilfree.parallel_map(kernel, *columns), kernel(*columns)):
        assert kind_of(results) == kind_for(columns[0], kernel)


@each_kernel
@pytest.mark.parametrize(
    "make", [*ITERABLES.values(), BUFFERS["array.array"]], ids=[*ITERABLES, "array.array"]
)
def test_no_items(kernel, make):
    results = gilfree.parallel_map(kernel, *columns_as(make, kernel, []))
    assert len(results) == 0


@each_kernel
def test_kinds_may_be_mixed(kernel, reference, expected):
    makes = [*ITERABLES.values(), *BUFFERS.values()]
    columns = columns_of(kernel, reference.samples)
    names = types_of(kernel)[1]
    for first in range(len(makes)):
        mixed = [
            makes[(first + 5 * i) % len(makes)](*each)
            for i, each in enumerate(zip(columns, names, strict=True))
        ]
        buffers = [
            each for each in mixed if isinstance(each, (np.ndarray, memoryview, type(as_array([], "int64"))))
        ]
        results = gilfree.parallel_map(kernel, *mixed)
        if buffers:
            assert kind_of(results) == kind_for(buffers[0], kernel)
        else:
            assert type(results) is list
        assert values_of(kernel, results) == exactly(expected)


RANGES = [range(1, 18), range(17, 0, -3), range(5, 5), range(3, 4), range(18, 2, -1), range(1, 17, 5)]


@each_kernel
@pytest.mark.parametrize("numbers", RANGES, ids=str)
def test_ranges(kernel, reference, numbers):
    arguments = [numbers] * len(types_of(kernel)[1])
    typed = [map(PYTHON_TYPES[name], numbers) for name in types_of(kernel)[1]]
    expected = [reference.function(*item) for item in zip(*typed, strict=True)]
    assert exactly(gilfree.parallel_map(kernel, *arguments)) == exactly(expected)
    assert exactly(gilfree.parallel_map(kernel, *map(list, arguments))) == exactly(expected)


@each_kernel
def test_numbers_stand_beside_every_item_of_a_buffer(kernel, reference):
    names = types_of(kernel)[1]
    item = reference.samples[0]
    for which, name in enumerate(names):
        column = [sample[which] for sample in reference.samples]
        arguments = [*item[:which], as_numpy(column, name), *item[which + 1 :]]
        expected = [reference.function(*item[:which], number, *item[which + 1 :]) for number in column]
        assert values_of(kernel, kernel(*arguments)) == exactly(expected)


@each_kernel
@given(data=st.data())
def test_equals_the_reference(kernel, data):
    reference = REFERENCES[kernel.__name__]
    items = data.draw(st.lists(reference.items, max_size=300))
    make = data.draw(st.sampled_from([*ITERABLES.values(), *BUFFERS.values()]))
    workers = data.draw(st.sampled_from([None, -1, *WORKERS]))
    chunksize = data.draw(st.sampled_from(CHUNKSIZES))
    columns = columns_as(make, kernel, items)
    results = gilfree.parallel_map(kernel, *columns, workers=workers, chunksize=chunksize)
    assert values_of(kernel, results) == exactly(reference.function(*item) for item in items)


@each_kernel
def test_long_arrays(kernel, reference, expected):
    """Long enough for every worker to come to help, in chunks of all sizes."""
    columns = [np.tile(column[:10], 50_000) for column in columns_as(as_numpy, kernel, reference.samples)]
    wanted = np.tile(as_numpy(expected, types_of(kernel)[0])[:10], 50_000)
    for workers in WORKERS:
        np.testing.assert_array_equal(gilfree.parallel_map(kernel, *columns, workers=workers), wanted)
    np.testing.assert_array_equal(gilfree.parallel_map(kernel, *columns, chunksize=1), wanted)


# ---- refusals and failures --------------------------------------------------------------------------


@each_kernel
def test_items_outside_the_domain_are_refused_wherever_they_stand(kernel, reference):
    low, high = domain_of(kernel)
    names = types_of(kernel)[1]
    outside = [number for number in (-(2**63), low - 1, high + 1, 2**63 - 1) if not low <= number <= high]
    outside = [number for number in outside if -(2**63) <= number < 2**63]
    for which, name in enumerate(names):
        for number in outside if name == "int64" else []:
            item = list(reference.samples[0])
            item[which] = number
            with pytest.raises(ValueError, match=f"{number}; accepted: "):
                kernel(*item)
            for position in (0, 5, 2000):
                items = [reference.samples[0]] * 3000
                items[position] = tuple(item)
                for make in (BUFFERS["NumPy"], ITERABLES["list"], ITERABLES["generator"]):
                    with pytest.raises(ValueError, match=f"{number}; accepted: ") as caught:
                        gilfree.parallel_map(kernel, *columns_as(make, kernel, items))
                    assert index_of(caught.value) == position


@each_kernel
def test_the_ends_of_the_domain_are_accepted(kernel, reference):
    for end in domain_of(kernel):
        item = tuple(end if name == "int64" else 1.0 for name in types_of(kernel)[1])
        # It takes long, or has no result: accepted it is.
        with contextlib.suppress(TimeoutError, OverflowError):
            gilfree.parallel_map(kernel, *columns_of(kernel, [item]), timeout=0)


@each_kernel
def test_failing_items_fail_in_every_way_of_calling(kernel, reference):
    for item in reference.failing:
        with pytest.raises(OverflowError) as wanted:
            reference.function(*item)
        with pytest.raises(wanted.type, match=f"^{kernel.__name__}: "):
            kernel(*item)
        for workers in WORKERS:
            for position in (0, 3, 299):
                items = [reference.samples[0]] * 300
                items[position] = item
                with pytest.raises(wanted.type, match=f"^{kernel.__name__}: ") as caught:
                    gilfree.parallel_map(kernel, *columns_as(as_numpy, kernel, items), workers=workers)
                assert index_of(caught.value) == position


@each_kernel
def test_wrong_numbers_of_arguments(kernel):
    count = len(types_of(kernel)[1])
    for given_count in {0, count - 1, count + 1, 9, 100} - {count}:
        with pytest.raises(TypeError, match=rf"{kernel.__name__} takes {count} .*{given_count} given"):
            kernel(*[1] * given_count)
        with pytest.raises(TypeError, match=r"takes|at least one iterable"):
            gilfree.parallel_map(kernel, *[[1]] * given_count)


@each_kernel
@pytest.mark.parametrize("workers", [1, 2])
def test_cancelled_in_mid_range(kernel, reference, when_busy, workers):
    n = reference.long_count
    columns = [np.repeat(column, n) for column in columns_as(as_numpy, kernel, [reference.long])]
    out = np.zeros(n, types_of(kernel)[0])
    # A cheap row may be through before the other thread has seen it begin: then once more.
    for _ in range(1000):
        cancel = gilfree.Cancel()
        try:
            with when_busy(cancel.set):
                gilfree.parallel_map(kernel, *columns, workers=workers, cancel=cancel, out=out)
        except CancelledError as error:
            match = re.search(r"cancelled; (\d+) of (\d+) items were finished", str(error))
            assert int(match[1]) < int(match[2]) == n
            break
    else:
        pytest.fail("no call was cancelled")
    few = columns_as(as_numpy, kernel, reference.samples)
    expected = exactly(reference.function(*item) for item in reference.samples)
    assert values_of(kernel, gilfree.parallel_map(kernel, *few)) == expected
