"""Many threads, calls inside calls, and the GIL: let go of where there is one, never turned on again."""

import os
import signal
import sys
import sysconfig
import threading
from array import array
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest
from references import fib

import gilfree
from gilfree import Cancel, _core, kernels, parallel_map

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

# ---- the GIL ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda: kernels.fib(37),
        lambda: kernels.fib(np.full(3, 36)),
        lambda: parallel_map(kernels.fib, [36] * 3),
    ],
    ids=["number", "buffer", "parallel_map"],
)
def test_another_thread_runs_python_while_a_kernel_works(when_busy, call):
    """The other thread sees a call that is at work; with the GIL held it could see only before and after."""
    ran = threading.Event()
    for _ in range(20):  # on a busy machine the other thread may have had no turn in time
        with when_busy(ran.set):
            call()
            ran_during_the_call = ran.is_set()
        if ran_during_the_call:
            return
    pytest.fail("no other thread ran while a kernel worked")


def test_two_kernels_run_at_once():
    """The first call takes hours, unless the second one ends it."""
    cancel = Cancel()
    started = threading.Event()

    def numbers():
        yield from [92] * 8
        started.set()

    def first():
        with pytest.raises(CancelledError):
            parallel_map(kernels.fib, numbers(), cancel=cancel)
        return True

    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(first)
        started.wait()
        assert kernels.fib(30) == 832040
        assert parallel_map(kernels.fib, [28, 29, 30]) == [317811, 514229, 832040]
        assert not future.done()
        cancel.set()
        assert future.result()


def test_a_plain_thread_pool_over_a_kernel():
    numbers = [25, 24, 23, 22, 21, 20] * 20
    with ThreadPoolExecutor(2) as executor:
        assert list(executor.map(kernels.fib, numbers)) == [fib(number) for number in numbers]


def test_the_gil_stays_as_it_was(run):
    """A free-threaded build turns the GIL on for a module that does not say that it needs none."""
    output = run(
        """
        import sys
        is_enabled = getattr(sys, "_is_gil_enabled", lambda: True)
        before = is_enabled()
        import gilfree
        from gilfree import kernels
        assert gilfree.parallel_map(kernels.fib, [20, 25]) == [6765, 75025]
        assert kernels.fib(20) == 6765
        assert is_enabled() == before
        assert gilfree.info()["gil"]["enabled"] == before
        print(before, gilfree.info()["gil"]["free_threaded_build"])
        """
    ).stdout
    assert output.split() == [str(not FREE_THREADED), str(FREE_THREADED)]


def test_the_module_declares_what_its_interpreter_understands():
    """3.12 and later: loads in interpreters with a GIL of their own. 3.13 and later: needs no GIL."""
    spec = _core.__spec__
    assert spec.name == "gilfree._core"
    assert _core.stress in (0, 1)
    assert ".abi3." in _core.__file__ or sysconfig.get_config_var("SOABI") in _core.__file__
    assert not (FREE_THREADED and ".abi3." in _core.__file__)


# ---- many threads -----------------------------------------------------------------------------------


def test_many_threads_with_all_kinds_of_calls():
    numbers = list(range(1, 23))
    expected = [fib(number) for number in numbers]
    primes = [bool(kernels.is_prime(number)) for number in range(5000)]
    column = np.arange(5000)

    def work(which):
        done = 0
        for i in range(50):
            kind = (which + i) % 8
            if kind == 0:
                assert parallel_map(kernels.fib, numbers) == expected
            elif kind == 1:
                assert [kernels.fib(number) for number in numbers] == expected
            elif kind == 2:
                assert parallel_map(kernels.is_prime, column).tolist() == primes
            elif kind == 3:
                assert parallel_map(kernels.fib, array("q", numbers), workers=3).tolist() == expected
            elif kind == 4:
                with pytest.raises(OverflowError, match="item 700"):
                    parallel_map(kernels.collatz, [27] * 700 + [2**63 - 1])
            elif kind == 5:
                with pytest.raises(TimeoutError):
                    parallel_map(kernels.fib, [92] * 8, timeout=0.001)
            elif kind == 6:
                x = np.full(20_000, 0.5)
                assert parallel_map(kernels.muladd, x, x, x, out=x) is x
                assert (x == 0.75).all()
            else:
                assert parallel_map(str, numbers) == [str(number) for number in numbers]
            done += 1
        return done

    with ThreadPoolExecutor(8) as executor:
        assert list(executor.map(work, range(8))) == [50] * 8
    assert _core.pool()["busy"] == 0


def test_many_threads_share_one_array():
    numbers = np.arange(1, 200_001)
    expected = parallel_map(kernels.collatz, numbers, workers=1)
    with ThreadPoolExecutor(8) as executor:
        for result in executor.map(lambda _: parallel_map(kernels.collatz, numbers), range(24)):
            np.testing.assert_array_equal(result, expected)


def test_threads_that_come_and_go():
    def work(results):
        results.append(parallel_map(kernels.fib, [20, 21, 22]))

    results: list = []
    for _ in range(50):
        threads = [threading.Thread(target=work, args=(results,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [[6765, 10946, 17711]] * 200


def test_one_list_read_by_many_threads_while_others_write():
    numbers = [5] * 1000
    ended = threading.Event()

    def write():
        while not ended.is_set():
            numbers.append(6)
            numbers.pop()

    with ThreadPoolExecutor(4) as executor:
        writing = executor.submit(write)
        try:
            for _ in range(50):
                for result in executor.map(lambda _: parallel_map(kernels.fib, numbers), range(3)):
                    assert result[:1000] == [5] * 1000
                    assert set(result[1000:]) <= {8}
        finally:
            ended.set()
        writing.result()


def test_one_iterator_read_by_many_threads():
    """Every item goes to one of them, as with list(map(...))."""
    lock = threading.Lock()

    def locked(iterator):
        while True:
            with lock:
                number = next(iterator, None)
            if number is None:
                return
            yield number

    numbers = iter([20] * 2000)
    with ThreadPoolExecutor(4) as executor:
        results = executor.map(lambda _: parallel_map(kernels.fib, locked(numbers)), range(4))
        assert sum(map(len, results)) == 2000


# ---- calls inside calls -----------------------------------------------------------------------------


class Inner:
    """A number that takes a parallel call to know."""

    def __init__(self, depth):
        self.depth = depth

    def __index__(self):
        if self.depth == 0:
            return 2
        return sum(parallel_map(kernels.fib, [Inner(self.depth - 1)] * 2))


def test_calls_inside_calls():
    assert parallel_map(kernels.fib, [Inner(4)] * 3) == [1, 1, 1]
    with ThreadPoolExecutor(4) as executor:
        results = executor.map(lambda _: parallel_map(kernels.fib, [Inner(4)] * 3), range(8))
        assert list(results) == [[1, 1, 1]] * 8


def test_a_kernel_inside_a_function_inside_a_call():
    def inner(number):
        return parallel_map(kernels.fib, [number] * 3)

    assert parallel_map(inner, [20, 21]) == [[6765] * 3, [10946] * 3]


def test_a_call_from_a_signal_handler_inside_a_call(when_busy):
    """The outer call has all workers; the inner one must not wait for any of them."""
    cancel = Cancel()
    results = []

    def handle(number, frame):
        results.append(parallel_map(kernels.fib, [25] * 100))
        results.append(_core.pool()["busy"])
        cancel.set()

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with (
            when_busy(lambda: signal.raise_signal(signal.SIGUSR1), workers=gilfree.info()["pool"]["workers"]),
            pytest.raises(CancelledError),
        ):
            parallel_map(kernels.fib, [92] * 8, cancel=cancel)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert results[0] == [75025] * 100
    assert results[1] >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_one_worker_is_the_calling_thread_alone(run):
    run(
        """
        import os
        from gilfree import kernels, parallel_map
        parallel_map(kernels.fib, [30] * 8, workers=1)
        parallel_map(kernels.fib, [5] * 8)
        assert len(os.listdir("/proc/self/task")) == 1
        """
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_helpers_are_named_threads(when_busy):
    """The caller and two helpers, which are seen by their names: until then, the call lasts."""
    cancel = Cancel()
    seen: set[str] = set()

    def look():
        while len(seen) < 2:
            for task in os.listdir("/proc/self/task"):
                try:
                    with open(f"/proc/self/task/{task}/comm") as file:
                        name = file.read().strip()
                except FileNotFoundError:
                    continue
                if name.startswith("gilfree-"):
                    seen.add(name)
        cancel.set()

    with when_busy(look), pytest.raises(CancelledError):
        parallel_map(kernels.fib, [92] * 8, cancel=cancel, workers=3)
    assert all(name.removeprefix("gilfree-").isdigit() for name in seen)
