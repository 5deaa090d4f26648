"""Nothing is left behind on any path: no references, no memory of Python's or of our own, no buffers."""

import gc
import os
import sys
import tracemalloc
from array import array
from concurrent.futures import CancelledError
from itertools import repeat

import numpy as np
import pytest
from references import fib

from gilfree import Cancel, _core, kernels, parallel_map
from gilfree.backends import threads

N = 4000  # items: one lost array of them is 32 kB
CALLS = 400
OVERFLOWS = 2**63 - 1  # for collatz


def resident():
    """Bytes of memory in use by this process; its maximum so far, where that is all there is."""
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class RaisingError(Exception):
    pass


class Raises:
    def __index__(self):
        raise RaisingError

    __float__ = __index__


class Number:
    def __index__(self):
        return 5


def numbers_then_raise(numbers):
    yield from numbers
    raise RaisingError


class Lends:
    def __init__(self, numbers):
        self.__dlpack__, self.__dlpack_device__ = numbers.__dlpack__, numbers.__dlpack_device__


def cancelled():
    cancel = Cancel()
    cancel.set()
    return cancel


FEW = [1, 2, 3, 4, 5] * (N // 5)
BUFFER = np.array(FEW)
ARRAY = array("q", FEW)
FLOATS = np.ones(len(FEW))
OUT = np.empty(len(FEW), np.int64)
MATRIX = BUFFER.reshape(20, -1)
SWAPPED = FLOATS.astype(">f4")
COMPLEX = FLOATS.astype(complex)
BAD = [*FEW, "x"]
FAILING = np.array([*FEW[:-1], OVERFLOWS])
NUMBERS = [Number()] * N
SHARED = [FEW, BUFFER, ARRAY, FLOATS, OUT, MATRIX, SWAPPED, BAD, FAILING, NUMBERS, *_core.kernels]

# What is called, and what it raises.
SUCCESSES = {
    "list": lambda: parallel_map(kernels.fib, FEW),
    "tuple": lambda: parallel_map(kernels.fib, tuple(FEW)),
    "range": lambda: parallel_map(kernels.is_prime, range(N)),
    "generator": lambda: parallel_map(kernels.fib, (number for number in FEW)),
    "NumPy": lambda: parallel_map(kernels.fib, BUFFER),
    "NumPy, two dimensions": lambda: parallel_map(kernels.fib, MATRIX),
    "array.array": lambda: parallel_map(kernels.fib, ARRAY),
    "array.array of truth values": lambda: parallel_map(kernels.is_prime, ARRAY),
    "memoryview": lambda: parallel_map(kernels.fib, memoryview(ARRAY)),
    "memoryview, two dimensions": lambda: parallel_map(kernels.fib, memoryview(MATRIX)),
    "objects with __index__": lambda: parallel_map(kernels.fib, NUMBERS),
    "several arguments": lambda: parallel_map(kernels.muladd, FEW, FLOATS, iter(FEW)),
    "out": lambda: parallel_map(kernels.fib, BUFFER, out=OUT),
    "in place": lambda: parallel_map(kernels.muladd, FLOATS, FLOATS, FLOATS * 0, out=FLOATS),
    "plain call, buffer": lambda: kernels.fib(BUFFER),
    "plain call, number": lambda: kernels.fib(5),
    "plain call, number beside a buffer": lambda: kernels.muladd(FLOATS, 2, FLOATS),
    "options": lambda: parallel_map(kernels.fib, FEW, workers=2, chunksize=7, timeout=60, cancel=Cancel()),
    "strict": lambda: parallel_map(kernels.muladd, FEW, FLOATS, iter(FEW), strict=True),
    "a function in Python": lambda: parallel_map(fib, FEW[:50]),
    "another backend": lambda: parallel_map(kernels.fib, FEW[:50], backend="serial"),
    "other layouts and types": lambda: parallel_map(kernels.muladd, SWAPPED, BUFFER[::-1], FLOATS),
    "strided out": lambda: parallel_map(kernels.fib, MATRIX.T, out=OUT.reshape(20, -1).T),
    "repeated numbers": lambda: parallel_map(kernels.muladd, FLOATS, repeat(1), repeat(2.5)),
    "reduction": lambda: kernels.sum(FLOATS),
    "reduction of another layout": lambda: kernels.argmax(MATRIX.T),
    "reduction of a list": lambda: kernels.minmax(FEW),
    "reduction of a generator": lambda: kernels.var((number / 2 for number in FEW), ddof=1),
    "reductions of a list of arrays": lambda: parallel_map(kernels.sum, [FEW, FLOATS, MATRIX.T, SWAPPED] * 3),
    "reductions of rows": lambda: parallel_map(kernels.dot, MATRIX, MATRIX),
    "reductions of rows, pairs": lambda: parallel_map(kernels.mean_var, MATRIX, [1] * 20),
    "reductions into out": lambda: parallel_map(kernels.max, MATRIX, out=OUT[:20]),
    "DLPack": lambda: kernels.sum(Lends(FLOATS)),
    "a Cancel": lambda: (Cancel().set(), repr(Cancel())),
}
FAILURES = {
    "wrong type of an array of arrays": (TypeError, lambda: parallel_map(kernels.sum, [FLOATS, COMPLEX])),
    "no array among arrays": (TypeError, lambda: parallel_map(kernels.sum, [FLOATS, FEW, 5])),
    "wrong number in a list of numbers": (TypeError, lambda: kernels.sum(BAD)),
    "lengths of arrays": (ValueError, lambda: parallel_map(kernels.dot, [FLOATS, FEW], [FLOATS, FEW[1:]])),
    "a sum too great": (OverflowError, lambda: parallel_map(kernels.sum, [FEW, [2**63 - 1, 1], FLOATS])),
    "nothing to find": (ValueError, lambda: parallel_map(kernels.min, [FEW, [], FLOATS])),
    "out overlaps an array of arrays": (
        ValueError,
        lambda: parallel_map(kernels.max, [OUT, OUT], out=OUT[:2]),
    ),
    "DLPack of a wrong type": (TypeError, lambda: kernels.sum(Lends(COMPLEX))),
    "an iterator of arrays raises": (
        RaisingError,
        lambda: parallel_map(kernels.sum, numbers_then_raise([FEW, FLOATS])),
    ),
    "wrong item in a list": (TypeError, lambda: parallel_map(kernels.fib, BAD)),
    "wrong item in a tuple": (TypeError, lambda: parallel_map(kernels.fib, tuple(BAD))),
    "wrong item from a generator": (TypeError, lambda: parallel_map(kernels.fib, (item for item in BAD))),
    "wrong item in the last argument": (TypeError, lambda: parallel_map(kernels.muladd, FLOATS, FEW, ["x"])),
    "too great": (OverflowError, lambda: parallel_map(kernels.fib, [*FEW, 2**63])),
    "__index__ raises": (RaisingError, lambda: parallel_map(kernels.fib, [*FEW, Raises()])),
    "__float__ raises": (RaisingError, lambda: parallel_map(kernels.muladd, FLOATS, FEW, [1, Raises()])),
    "outside the domain": (ValueError, lambda: parallel_map(kernels.fib, [*FEW, 93])),
    "outside the domain, buffer": (ValueError, lambda: parallel_map(kernels.fib, FAILING)),
    "outside the domain, number": (ValueError, lambda: kernels.fib(0)),
    "overflow": (OverflowError, lambda: parallel_map(kernels.collatz, FAILING)),
    "overflow with out": (OverflowError, lambda: parallel_map(kernels.collatz, FAILING, out=OUT)),
    "overflow, number": (OverflowError, lambda: kernels.collatz(OVERFLOWS)),
    "iterator raises": (RaisingError, lambda: parallel_map(kernels.fib, numbers_then_raise(FEW))),
    "iterator raises beside a buffer": (
        RaisingError,
        lambda: parallel_map(kernels.muladd, FLOATS, FEW, numbers_then_raise([1, 2])),
    ),
    "iterator raises after an overflow": (
        OverflowError,
        lambda: parallel_map(kernels.collatz, numbers_then_raise([OVERFLOWS])),
    ),
    "no iterable": (TypeError, lambda: parallel_map(kernels.muladd, FLOATS, FEW, 5)),
    "no callable": (TypeError, lambda: parallel_map(5, FEW)),
    "too few iterables": (TypeError, lambda: parallel_map(kernels.muladd, FLOATS)),
    "too many arguments": (TypeError, lambda: kernels.fib(*FEW)),
    "no dimension": (TypeError, lambda: parallel_map(kernels.fib, np.array(5))),
    "wrong type": (TypeError, lambda: parallel_map(kernels.fib, FLOATS)),
    "wrong type, second": (TypeError, lambda: parallel_map(kernels.muladd, FLOATS, COMPLEX, FLOATS)),
    "no buffer after all": (ValueError, lambda: parallel_map(kernels.fib, np.ones(3, "M8[s]"))),
    "shapes": (ValueError, lambda: parallel_map(kernels.muladd, FLOATS.reshape(2, -1), FLOATS, FLOATS)),
    "lengths": (ValueError, lambda: kernels.muladd(FLOATS, FLOATS[1:], FLOATS)),
    "strict": (ValueError, lambda: parallel_map(kernels.muladd, FLOATS, FEW, FEW[1:], strict=True)),
    "strict, generators": (
        ValueError,
        lambda: parallel_map(kernels.muladd, FLOATS, iter(FEW), [], strict=True),
    ),
    "a list in a plain call": (TypeError, lambda: kernels.fib(FEW)),
    "out is a list": (TypeError, lambda: parallel_map(kernels.fib, FEW, out=[])),
    "out has a wrong type": (TypeError, lambda: parallel_map(kernels.fib, FEW, out=FLOATS)),
    "out has a wrong length": (ValueError, lambda: parallel_map(kernels.fib, FEW, out=OUT[1:])),
    "out has a wrong shape": (ValueError, lambda: parallel_map(kernels.fib, MATRIX, out=OUT)),
    "out overlaps": (ValueError, lambda: parallel_map(kernels.fib, OUT[1:], out=OUT[:-1])),
    "out is read-only": (
        ValueError,
        lambda: parallel_map(kernels.fib, FEW, out=memoryview(ARRAY).toreadonly()),
    ),
    "out with numbers": (TypeError, lambda: kernels.fib(5, out=OUT)),
    "bad workers": (ValueError, lambda: parallel_map(kernels.fib, FEW, workers=0)),
    "bad chunksize": (TypeError, lambda: parallel_map(kernels.fib, FEW, chunksize="x")),
    "bad timeout": (ValueError, lambda: parallel_map(kernels.fib, FEW, timeout=-1)),
    "bad cancel": (TypeError, lambda: parallel_map(kernels.fib, FEW, cancel=object())),
    "bad backend": (ValueError, lambda: parallel_map(kernels.fib, FEW, backend="nope")),
    "bad keyword": (TypeError, lambda: parallel_map(kernels.fib, FEW, nope=1)),
    "bad keyword of a plain call": (TypeError, lambda: kernels.fib(5, nope=1)),
    "timeout": (TimeoutError, lambda: parallel_map(kernels.fib, [92] * N, timeout=0)),
    "timeout with out": (
        TimeoutError,
        lambda: parallel_map(kernels.fib, [92] * len(FEW), timeout=0, out=OUT),
    ),
    "cancelled": (CancelledError, lambda: parallel_map(kernels.fib, FEW, cancel=cancelled())),
    "a function in Python fails": (TypeError, lambda: parallel_map(fib, BAD[-50:])),
    "a backend refuses": (TypeError, lambda: parallel_map(fib, FEW, backend="native")),
    "Cancel with arguments": (TypeError, lambda: Cancel(1)),
}


def refused(error, call):
    def expect():
        try:
            call()
        except error:
            return
        raise AssertionError("no error")

    return expect


PATHS = SUCCESSES | {name: refused(*each) for name, each in FAILURES.items()}


def references():
    return [sys.getrefcount(each) for each in SHARED]


def collect():
    """Without the GIL, what a thread has made and others let go of counts until that thread runs or ends, and
    some of it until the collection after that."""
    threads._threads.end()
    gc.collect()
    gc.collect()


def grows(call):
    """By more than half a block, or half an array of N items, a call; or by any reference."""
    collect()
    before, blocks, size = references(), sys.getallocatedblocks(), resident()
    for _ in range(CALLS):
        call()
    collect()
    return (
        references() != before
        or sys.getallocatedblocks() - blocks >= CALLS // 2
        or resident() - size >= CALLS * N * 8 // 2
    )


@pytest.mark.parametrize("call", PATHS.values(), ids=PATHS)
def test_nothing_is_left_behind(call):
    """A leak grows every time; what Python keeps for the next call, it keeps once."""
    assert not all(grows(call) for _ in range(10))
    # A buffer that is held cannot be resized.
    ARRAY.append(1)
    ARRAY.pop()


def test_python_sees_no_growth_either():
    def calls():
        for _ in range(3):
            for call in PATHS.values():
                call()

    calls()
    tracemalloc.start()
    try:
        calls()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        calls()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 50_000
    finally:
        tracemalloc.stop()


def test_a_million_calls():
    two, numbers = [5, 6], np.array([5, 6])
    out = np.empty(2, np.int64)

    def calls(count):
        for _ in range(count // 4):
            parallel_map(kernels.fib, two)
            parallel_map(kernels.fib, numbers, out=out)
            kernels.fib(5)
            kernels.fib(numbers, out=out)

    calls(10_000)
    before = resident()
    calls(1_000_000)
    assert resident() - before < 1_000_000


def test_many_failing_calls():
    def calls(count):
        for _ in range(count // 4):
            for call in (
                lambda: parallel_map(kernels.fib, [5, 0]),
                lambda: parallel_map(kernels.fib, [5, "x"]),
                lambda: parallel_map(kernels.collatz, [5, OVERFLOWS]),
                lambda: kernels.fib(93),
            ):
                try:
                    call()
                except (ValueError, TypeError, OverflowError):
                    pass
                else:
                    raise AssertionError("no error")

    calls(4000)
    before = resident()
    calls(100_000)
    assert resident() - before < 1_000_000


def test_a_big_array_with_out_adds_no_memory():
    numbers, out = np.full(10**7, 0.5), np.ones(10**7)
    parallel_map(kernels.polynomial, numbers[:100_000], out=out[:100_000])
    before = resident()
    assert parallel_map(kernels.polynomial, numbers, out=out) is out
    assert parallel_map(kernels.muladd, numbers, numbers, numbers, out=numbers) is numbers
    assert resident() - before < 1_000_000


def test_types_and_modules_are_let_go_of(run):
    """A copy of the core, with its types, dies with its last reference."""
    run(
        """
        import gc, importlib.util, sys, weakref
        import gilfree
        spec = gilfree._core.__spec__
        def load():
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            module.parallel_map(module.kernels[0], [20, 21])
            return weakref.ref(module.Cancel), weakref.ref(type(module.kernels[0]))
        import atexit
        references = load()
        atexit._clear()
        gc.collect()
        assert [reference() for reference in references] == [None, None]
        """
    )
