"""Whatever holds numbers goes in: layouts and types that are not the kernel's own, lenders of memory without
a buffer, and objects that lie, raise or change while they are read."""

import ctypes
import itertools
import sys
import threading
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from references import fib, index_of

from gilfree import kernels, parallel_map

EXACT = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"]
REAL = [*EXACT, "uint64", "float16", "float32", "float64"]


def either(kernel, *arguments, **options):
    """By a plain call and by parallel_map, which must agree in every way."""
    called = kernel(*arguments, **options)
    mapped = parallel_map(kernel, *arguments, **options)
    assert type(called) is type(mapped)
    np.testing.assert_array_equal(np.asarray(called), np.asarray(mapped))
    return called


# ---- layouts ----------------------------------------------------------------------------------------

LAYOUTS = {
    "every second": lambda x: np.repeat(x, 2)[::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "a column": lambda x: np.stack([x, x], axis=1)[:, 1],
    "transposed": lambda x: np.ascontiguousarray(x.reshape(-1, 4).T).T,
    "Fortran": lambda x: np.asfortranarray(x.reshape(-1, 4)),
    "rows with a gap": lambda x: np.concatenate([x.reshape(-1, 4)] * 2, axis=1)[:, :4],
    "three dimensions, turned": lambda x: np.ascontiguousarray(
        x.reshape(-1, 2, 2).transpose(2, 0, 1)
    ).transpose(1, 2, 0),
    "in the other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "unaligned": lambda x: np.frombuffer(b"x" + x.tobytes(), x.dtype, offset=1),
    "a field of a structure": lambda x: np.array([(0, item) for item in x], [("a", "i1"), ("b", x.dtype)])[
        "b"
    ],
    "memoryview, every second": lambda x: memoryview(np.repeat(x, 2))[::2],
    "memoryview of Fortran": lambda x: memoryview(np.asfortranarray(x.reshape(-1, 4))),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n", [4, 400, 40_000])
def test_layouts(layout, n):
    lay = LAYOUTS[layout]
    whole, real = np.arange(n) % 20 + 1, np.arange(n) / 7
    laid_out = lay(whole)
    results = either(kernels.fib, laid_out)
    assert np.shape(results) == np.shape(laid_out)
    np.testing.assert_array_equal(
        np.asarray(results).ravel(), [fib(number) for number in np.asarray(laid_out).ravel()]
    )
    for arguments in itertools.product([real, lay(real)], repeat=3):
        if len({np.shape(argument) for argument in arguments}) == 1:
            results = either(kernels.muladd, *arguments)
            np.testing.assert_array_equal(results, np.asarray(arguments[0]) * arguments[1] + arguments[2])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_item_is_held_to_the_domain_in_any_layout(layout):
    for position in (0, 3, 255, 256, 1999):
        numbers = np.full(2000, 92)
        numbers[position] = 93
        laid_out = LAYOUTS[layout](numbers)
        index = np.flatnonzero(np.asarray(laid_out).ravel() == 93)[0]
        with pytest.raises(
            ValueError, match=r"^fib: item \d+ of argument 1 \(n\) is 93; accepted: "
        ) as caught:
            parallel_map(kernels.fib, laid_out)
        assert index_of(caught.value) == index


@pytest.mark.parametrize("layout", LAYOUTS)
def test_items_that_fail_are_named_in_any_layout(layout):
    numbers = np.full(8000, 27)
    numbers[[5000, 7000]] = 2**63 - 1
    laid_out = LAYOUTS[layout](numbers)
    index = np.flatnonzero(np.asarray(laid_out).ravel() == 2**63 - 1)[0]
    for workers in (1, 2, 7):
        with pytest.raises(OverflowError) as caught:
            parallel_map(kernels.collatz, laid_out, workers=workers)
        assert index_of(caught.value) == index


def test_long_items_poll_in_any_layout(when_busy):
    numbers = np.full(16, 92)[::2]
    with pytest.raises(TimeoutError, match=r"^fib: the timeout has passed; 0 of 8 items"):
        parallel_map(kernels.fib, numbers, timeout=0.05)


# ---- types ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("swap", [False, True])
def test_integers_of_every_size(name, swap):
    numbers = (np.arange(5000) % (2 if name == "bool" else 50)).astype(name)
    numbers = numbers.astype(numbers.dtype.newbyteorder()) if swap else numbers
    np.testing.assert_array_equal(either(kernels.is_prime, numbers), [int(n) in PRIMES for n in numbers])


PRIMES = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47}


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("swap", [False, True])
def test_real_numbers_of_every_type(name, swap):
    numbers = (np.arange(5000) % (2 if name == "bool" else 100)).astype(name)
    numbers = numbers.astype(numbers.dtype.newbyteorder()) if swap else numbers
    np.testing.assert_array_equal(
        either(kernels.muladd, numbers, numbers, numbers), numbers.astype(float) * (numbers + 1.0)
    )


@pytest.mark.parametrize("name", ["int64", "uint64", "float16", "float32", "int8", "uint32"])
def test_extremes_survive_the_cast(name):
    limits = np.iinfo(name) if "int" in name else np.finfo(name)
    numbers = np.array([limits.min, limits.max, 0, 1], name)
    np.testing.assert_array_equal(kernels.muladd(numbers, 1, 0), numbers.astype(float))
    if name.startswith("float"):
        special = np.array([np.inf, -np.inf, np.nan, -0.0, limits.smallest_subnormal, limits.tiny], name)
        results = kernels.muladd(special, 1, 0)
        np.testing.assert_array_equal(results, special.astype(float))


def test_any_byte_is_a_truth_value():
    assert list(kernels.muladd(np.frombuffer(b"\x00\x01\x05", bool), 1, 0)) == [0, 1, 1]
    assert kernels.sum(np.frombuffer(b"\x00\x01\x05", bool)) == 2


def test_bytes_are_small_integers():
    assert parallel_map(kernels.fib, b"\x05\x06\x07").tolist() == [5, 8, 13]
    for numbers in (
        bytearray(b"\x05\x06\x07"),
        memoryview(b"\x05\x06\x07"),
        array("B", [5, 6, 7]),
    ):
        assert list(either(kernels.fib, numbers)) == [5, 8, 13]


@given(data=st.data())
def test_any_view_of_any_type_equals_its_copy(data):
    name = data.draw(st.sampled_from(REAL))
    shape = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    numbers = (np.arange(int(np.prod(shape))) % (2 if name == "bool" else 100)).astype(name).reshape(shape)
    if data.draw(st.booleans()):
        numbers = numbers.astype(numbers.dtype.newbyteorder())
    numbers = numbers.transpose(data.draw(st.permutations(range(len(shape)))))
    steps = data.draw(st.tuples(*[st.sampled_from([1, 2, -1, -3]) for _ in shape]))
    view = numbers[tuple(slice(None, None, step) for step in steps)]
    results = either(kernels.polynomial, view)
    assert results.shape == view.shape
    np.testing.assert_array_equal(results, kernels.polynomial(np.ascontiguousarray(view).astype(float)))


# ---- out --------------------------------------------------------------------------------------------


@given(data=st.data())
def test_out_is_filled_wherever_it_lies_unless_it_overlaps(data):
    """Against NumPy's own exact solution of the same question."""
    ndim = data.draw(st.integers(1, 3))
    memory = np.arange(300.0)
    shape = tuple(data.draw(st.integers(1, 4)) for _ in range(ndim))

    def view():
        strides = tuple(
            data.draw(st.sampled_from([-24, -16, -8, 8, 16, 24, 40, 64, 96])) for _ in range(ndim)
        )
        low = sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True) if stride < 0)
        start = data.draw(st.integers(0, 60)) * 8 - low
        return np.lib.stride_tricks.as_strided(memory[start // 8 :], shape, strides)

    x, out = view(), view()
    steps = [
        pair
        for pair, length in zip(zip(x.strides, out.strides, strict=True), shape, strict=True)
        if length > 1
    ]
    identical = x.ctypes.data == out.ctypes.data and all(a == b for a, b in steps)
    expected = kernels.polynomial(x.copy())
    before = memory.copy()
    refusal = None
    try:
        result = kernels.polynomial(x, out=out)
    except ValueError as error:
        refusal = str(error)
    if refusal is None:
        assert result is out
        assert identical or not np.shares_memory(x, out)
        np.testing.assert_array_equal(out, expected)
    else:
        np.testing.assert_array_equal(memory, before)
        if "items of out share memory with one another" not in refusal:
            assert "out overlaps argument 1" in refusal
            assert np.shares_memory(x, out)
            assert not identical


def test_interleaved_items_are_disjoint():
    both = np.arange(40.0)
    expected = kernels.polynomial(both[::2].copy())
    kernels.polynomial(both[::2], out=both[1::2])
    np.testing.assert_array_equal(both[1::2], expected)
    halves = np.arange(40.0).reshape(5, 8)
    expected = kernels.polynomial(halves[:, :4].copy())
    parallel_map(kernels.polynomial, halves[:, :4], out=halves[:, 4:])
    np.testing.assert_array_equal(halves[:, 4:], expected)
    np.testing.assert_array_equal(halves[:, :4], np.arange(40.0).reshape(5, 8)[:, :4])


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_in_place_in_any_layout(workers):
    numbers = np.arange(60_000) % 20 + 1
    expected = np.array([fib(number) for number in numbers]).reshape(100, 600)
    for turn in (np.transpose, lambda x: x[:, ::-1], np.asfortranarray, lambda x: x[::2, ::3]):
        target = turn(numbers.reshape(100, 600).copy())
        assert parallel_map(kernels.fib, target, out=target, workers=workers) is target
        np.testing.assert_array_equal(target, turn(expected))


def test_out_that_is_not_aligned():
    memory = bytearray(8 * 100 + 3)
    out = np.frombuffer(memory, np.int64, 100, 3)
    parallel_map(kernels.fib, np.arange(1, 101) % 20 + 1, out=out)
    assert out.tolist() == [fib(number % 20 + 1) for number in range(1, 101)]
    assert memory[:3] == b"\0\0\0"


# ---- several iterables ------------------------------------------------------------------------------


def test_arrays_of_differing_types_and_kinds_side_by_side():
    x, y, z = np.arange(6.0), np.arange(6), np.arange(12, dtype="f4")[::2]
    expected = x * y + z
    for arguments in (
        (x, y, z),
        (x, y.astype("i2"), z.astype(">f4")),
        (x.tolist(), y, iter(z)),
        (x, range(6), tuple(z)),
    ):
        results = parallel_map(kernels.muladd, *arguments)
        np.testing.assert_array_equal(np.asarray(results), expected)


def test_a_repeated_number_beside_an_array():
    x = np.arange(5.0)
    for two in (
        itertools.repeat(2.0),
        itertools.repeat(2),
        itertools.repeat(np.float32(2)),
        itertools.repeat(2.0, 5),
    ):
        assert parallel_map(kernels.muladd, x, two, itertools.repeat(1)).tolist() == (x * 2 + 1).tolist()
    assert parallel_map(kernels.muladd, [1, 2], itertools.repeat(2.0), itertools.repeat(1)) == [3, 5]
    assert parallel_map(kernels.muladd, x, itertools.repeat(2.0, 3), itertools.repeat(1)).tolist() == [
        1,
        3,
        5,
    ]
    limited = itertools.repeat(2.0, 9)
    parallel_map(kernels.muladd, x, limited, itertools.repeat(1))
    assert len(list(limited)) == 4  # asked as often as map asks, five times
    with pytest.raises(ValueError, match=r"^muladd: every iterable repeats without end; accepted: "):
        parallel_map(kernels.muladd, *[itertools.repeat(1)] * 3)
    with pytest.raises(ValueError, match=r"argument 2 \(y\) goes on; strict=True accepts"):
        parallel_map(kernels.muladd, x, itertools.repeat(2.0), x, strict=True)
    with pytest.raises(TypeError, match=r"^muladd: item 0 of argument 2 \(y\): must be real number, not str"):
        parallel_map(kernels.muladd, x, itertools.repeat("2"), x)
    with pytest.raises(ValueError, match=r"item 0 of argument 1 \(n\) is 0; accepted"):
        parallel_map(kernels.fib, itertools.repeat(0))
    with pytest.raises(ValueError, match="it repeats a number without end; accepted: an iterable that ends"):
        kernels.sum(itertools.repeat(1.5))
    assert kernels.sum(itertools.repeat(1.5, 4)) == 6


# ---- lenders without a buffer -----------------------------------------------------------------------


class Interface:
    """An array by __array_interface__ alone."""

    def __init__(self, numbers, **changes):
        self.numbers = numbers
        self.__array_interface__ = {**numbers.__array_interface__, **changes}


class Tensor:
    """An array by DLPack alone."""

    def __init__(self, numbers, device=(1, 0)):
        self.numbers, self.device, self.asked = numbers, device, 0

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self):
        self.asked += 1
        return self.numbers.__dlpack__()


class Converts:
    """An array by __array__ alone."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __array__(self, dtype=None, copy=None):
        return self.numbers


@pytest.mark.parametrize("lender", [Interface, Tensor, Converts])
def test_lenders_without_a_buffer(lender):
    whole, real = np.arange(1, 2001) % 20 + 1, np.arange(2000.0)
    for make in (lambda x: x, lambda x: x[::-2], lambda x: x.reshape(40, 50).T, lambda x: x.astype("f4")):
        results = either(kernels.polynomial, lender(make(real)))
        assert np.shape(results) == np.shape(make(real))
        np.testing.assert_array_equal(results, kernels.polynomial(make(real)))
        assert kernels.sum(lender(make(real))) == np.sum(make(real))
    assert list(either(kernels.fib, lender(whole))) == [fib(number) for number in whole]
    rows = lender(real.reshape(40, 50))
    assert list(parallel_map(kernels.max, rows)) == list(range(49, 2000, 50))
    assert parallel_map(kernels.sum, [lender(real), lender(whole)]) == [1999000.0, int(whole.sum())]
    with pytest.raises(TypeError, match="holds items of format"):
        kernels.fib(lender(real))


def test_what_the_memory_was_lent_for_is_given_back():
    numbers = np.arange(1000.0)
    before = sys.getrefcount(numbers)
    tensor = Tensor(numbers)
    for _ in range(50):
        kernels.sum(tensor)
        kernels.polynomial(tensor)
        with pytest.raises(TypeError):
            kernels.fib(tensor)
    assert tensor.asked == 150
    del tensor
    assert sys.getrefcount(numbers) == before


def test_memory_of_another_device():
    tensor = Tensor(np.arange(3.0), device=(2, 0))
    with pytest.raises(ValueError, match=r"another device \(DLPack's number 2\); accepted: "):
        kernels.sum(tensor)
    assert tensor.asked == 0


LIES = {
    "a negative length": (
        {"shape": (-3,)},
        ValueError,
        "says that a dimension has -3 items; accepted: a number from 0",
    ),
    "more than there is memory": (
        {"shape": (2**40, 2**40)},
        ValueError,
        "more items than memory has addresses",
    ),
    "a length beyond 64 bits": ({"shape": (2**70,)}, OverflowError, None),
    "no shape": ({"shape": None}, ValueError, "__array_interface__ has no 'shape'"),
    "a list for a shape": ({"shape": [3]}, ValueError, "__array_interface__ is accepted with"),
    "a shape of text": ({"shape": ("3",)}, TypeError, None),
    "too many dimensions": ({"shape": (1,) * 100}, ValueError, "__array_interface__ is accepted with"),
    "strides of another length": (
        {"strides": (8, 8)},
        ValueError,
        "'strides'.*accepted: a tuple of 1 whole numbers",
    ),
    "no data": ({"data": None}, ValueError, "__array_interface__ has no 'data'"),
    "no address": ({"data": (0, False)}, ValueError, "has no address"),
    "data of another form": ({"data": b"12345678"}, ValueError, "__array_interface__ is accepted with"),
    "a number for a type": ({"typestr": 8}, ValueError, "'typestr'.*accepted: one as '<f8'"),
    "a type too short": ({"typestr": "f"}, ValueError, "'typestr'.*accepted: one as '<f8'"),
    "a type too long": ({"typestr": "<f" + "8" * 50}, ValueError, "'typestr'.*accepted: one as '<f8'"),
    "an unknown type": ({"typestr": "<M8[s]"}, TypeError, "holds items of format '<M8"),
    "an unknown size": ({"typestr": "<f3"}, TypeError, "holds items of format '<f3' and 3 bytes"),
    "a size of 0": ({"typestr": "<f0"}, TypeError, "holds items of format '<f0' and 0 bytes"),
    "a negative size": ({"typestr": "<f-8"}, (TypeError, ValueError), None),
}


@pytest.mark.parametrize(("changes", "error", "words"), LIES.values(), ids=LIES)
def test_interfaces_that_lie(changes, error, words):
    with pytest.raises(error, match=words):
        kernels.sum(Interface(np.arange(3.0), **changes))
    with pytest.raises(error, match=words):
        parallel_map(kernels.polynomial, Interface(np.arange(3.0), **changes))


def raises(*arguments, **options):
    raise KeyError("from the object itself")


RAISING = {
    "__array_interface__": {"__array_interface__": property(raises)},
    "__dlpack__": {"__dlpack__": raises, "__dlpack_device__": lambda self: (1, 0)},
    "__dlpack_device__": {"__dlpack__": raises, "__dlpack_device__": raises},
    "__array__": {"__array__": raises},
    "__iter__": {"__iter__": raises},
}
NONSENSE = {
    "__array_interface__": {"__array_interface__": 5},
    "__dlpack__": {"__dlpack__": lambda self: 5, "__dlpack_device__": lambda self: (1, 0)},
    "__dlpack_device__": {"__dlpack__": raises, "__dlpack_device__": lambda self: 5},
    "__array__": {"__array__": lambda self: 5},
    "__iter__": {"__iter__": lambda self: 5},
}


@pytest.mark.parametrize("members", RAISING.values(), ids=RAISING)
def test_objects_that_raise_keep_their_exception(members):
    liar = type("Liar", (), members)()
    for call in (lambda: kernels.sum(liar), lambda: parallel_map(kernels.polynomial, liar)):
        with pytest.raises(KeyError, match="from the object itself"):
            call()
    with pytest.raises(KeyError, match="from the object itself") as caught:
        parallel_map(kernels.sum, [[1.0], liar])
    assert index_of(caught.value) == 1


@pytest.mark.parametrize("members", NONSENSE.values(), ids=NONSENSE)
def test_objects_that_return_nonsense(members):
    liar = type("Liar", (), members)()
    for call in (
        lambda: kernels.sum(liar),
        lambda: parallel_map(kernels.polynomial, liar),
        lambda: parallel_map(kernels.sum, [[1.0], liar]),
    ):
        with pytest.raises((TypeError, ValueError)):
            call()


def test_a_class_is_no_array():
    for kind in (Interface, Tensor, Converts, np.ndarray):
        with pytest.raises(TypeError, match="not iterable"):
            kernels.sum(kind)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="classes in Python export buffers from 3.12 on")
def test_a_buffer_of_a_class_in_python():
    class Exports:
        released = 0

        def __buffer__(self, flags):
            return memoryview(np.arange(5.0))

        def __release_buffer__(self, view):
            Exports.released += 1

    assert kernels.sum(Exports()) == 10
    assert parallel_map(kernels.sum, [Exports()] * 10) == [10] * 10
    assert Exports.released == 11
    with pytest.raises(KeyError, match="from the object itself"):
        kernels.sum(type("Raises", (), {"__buffer__": raises})())


def test_ctypes_exports_its_arrays_without_strides():
    grid = ((ctypes.c_double * 3) * 2)((1, 2, 3), (4, 5, 6))
    assert kernels.sum(grid) == 21
    assert list(parallel_map(kernels.sum, grid)) == [6, 15]
    assert np.asarray(kernels.polynomial(grid)).shape == (2, 3)
    assert kernels.sum((ctypes.c_uint8 * 4)(1, 2, 3, 250)) == 256


# ---- sequences that change while they are read ------------------------------------------------------


class Acts:
    """A number that does something when it is asked for its value."""

    def __init__(self, act):
        self.act = act

    def __index__(self):
        self.act()
        return 5


class ActsAsFloat:
    def __init__(self, act):
        self.act = act

    def __float__(self):
        self.act()
        return 5.0


@pytest.mark.parametrize("kind", [Acts, ActsAsFloat])
def test_a_sequence_that_changes_while_it_is_summed(kind):
    numbers: list = [1, 2, 3, 4]
    numbers[1] = kind(numbers.clear)
    assert kernels.sum(numbers) == 6
    numbers = [kind(lambda: numbers.append(1)) for _ in range(100)]
    assert kernels.sum(numbers) == 600
    rows: list = [[1], [2], [3]]
    rows[1] = [kind(rows.clear)]
    assert parallel_map(kernels.sum, rows) == [1, 5]
    nested = [kind(lambda: kernels.sum([1, 2, 3])) for _ in range(10)]
    assert kernels.sum(nested) == 50


def test_a_buffer_can_not_be_resized_while_its_row_is_open():
    column = array("d", [1, 2, 3])

    def shrink():
        with pytest.raises(BufferError):
            column.pop()

    assert parallel_map(kernels.sum, [column, [ActsAsFloat(shrink)]]) == [6, 5]
    column.pop()
    assert kernels.sum(column) == 3


def test_a_list_that_another_thread_changes_while_it_is_summed():
    numbers = [1.5] * 1000
    stop = threading.Event()

    def change():
        while not stop.is_set():
            numbers.clear()
            numbers.extend([1.5] * 1000)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(300):
            total = kernels.sum(numbers)
            assert total % 1.5 == 0
            assert 0 <= total <= 3000
            rows = parallel_map(kernels.sum, [numbers, numbers])
            assert all(total % 1.5 == 0 for total in rows)
    finally:
        stop.set()
        thread.join()


# ---- memory -----------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of resident memory from /proc")
@pytest.mark.parametrize(
    "make",
    [
        "np.zeros(10**8, '>f4')",
        "np.zeros(10**8)[::2]",
        "np.zeros((10**4, 10**4), 'f4').T",
        "np.zeros(10**8, 'f4')",
    ],
)
def test_no_layout_of_400_megabytes_takes_memory(run, make):
    """Pages of zeros that nobody wrote to take none themselves: what is seen is what the call takes."""
    run(
        f"""
        import numpy as np
        from gilfree import kernels, parallel_map

        def peak():
            with open("/proc/self/status") as file:
                return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

        x, few = {make}, {make.replace("10**8", "10**5").replace("10**4", "10**2")}
        for kernel in (kernels.sum, kernels.minmax, kernels.mean_var, kernels.argmax):
            kernel(few)  # what a first call takes, it takes once
        kernels.dot(few, few)
        before = peak()
        assert kernels.sum(x) == 0 and kernels.minmax(x) == (0, 0) and kernels.mean_var(x) == (0, 0)
        assert kernels.argmax(x) == 0 and kernels.dot(x, x) == 0
        assert peak() - before < 1024, (before, peak())
        """
    )


# ---- sizes, masks, keys -----------------------------------------------------------------------------


def test_more_results_than_memory_has_addresses():
    one = np.uint8(1)
    with pytest.raises(MemoryError):
        parallel_map(kernels.minmax, np.broadcast_to(one, (2**60 + 1, 1)))
    with pytest.raises(MemoryError):
        parallel_map(kernels.var, np.broadcast_to(one, (2**61, 1)), np.broadcast_to(one, (2**61,)))


def test_a_mask_is_never_lost():
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    for given_array in (masked, Converts(masked), Interface(np.arange(2.0), mask=np.arange(2))):
        with pytest.raises(TypeError, match="see no masks"):
            kernels.sum(given_array)
    with pytest.raises(TypeError, match="masked array"):
        kernels.polynomial(np.arange(2.0), out=masked)
    assert masked.data.tolist() == [1, 2]


def test_an_interface_that_changes_while_it_is_read():
    class Clears:
        def __hash__(self):
            return hash("strides")

        def __eq__(self, other):
            interface.clear()
            return False

    numbers = np.arange(4.0)
    for _ in range(50):
        interface = {
            "data": (numbers.ctypes.data, False),
            "typestr": "".join(["<", "f8"]),
            "shape": (4,),
            Clears(): 1,
        }
        lender = type("Lender", (), {"__array_interface__": interface})()
        assert kernels.sum(lender) == 6


def test_ctrl_c_in_one_argument_is_not_lost_behind_the_error_of_another():
    class Interrupts:
        def __float__(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parallel_map(kernels.muladd, ["x"], [Interrupts()], [1])
