"""Isolated subinterpreters (with a GIL of their own from 3.12 on): each has a gilfree of its own."""

import sys
from concurrent.futures import ThreadPoolExecutor
from textwrap import dedent

import pytest

if sys.version_info >= (3, 14):
    from concurrent import interpreters

    class Interpreter:
        """A subinterpreter, which runs scripts one after another."""

        def __init__(self):
            self.interpreter = interpreters.create()

        def run(self, script):
            self.interpreter.exec(dedent(script))

        def close(self):
            self.interpreter.close()

else:
    if sys.version_info >= (3, 13):
        import _interpreters as interpreters
    else:
        import _xxsubinterpreters as interpreters

    class Interpreter:
        """A subinterpreter, which runs scripts one after another."""

        def __init__(self):
            self.id = interpreters.create()

        def run(self, script):
            failure = interpreters.run_string(self.id, dedent(script))  # before 3.13 it raises
            assert failure is None, failure.errdisplay

        def close(self):
            interpreters.destroy(self.id)


CHECK = """
import sys
import gilfree
from gilfree import Cancel, _core, kernels, parallel_map
numbers = [20, 21, 22, 25] * 20
assert parallel_map(kernels.fib, numbers) == [6765, 10946, 17711, 75025] * 20
assert parallel_map(kernels.fib, numbers, workers=3) == [6765, 10946, 17711, 75025] * 20
assert kernels.fib(20) == 6765
for numbers, error in (([0], ValueError), (["x"], TypeError), ([2**63], OverflowError)):
    try:
        parallel_map(kernels.fib, numbers)
    except error:
        pass
    else:
        raise AssertionError(numbers)
try:
    parallel_map(kernels.fib, [60] * 8, timeout=0.01)
except TimeoutError:
    pass
cancel = Cancel()
cancel.set()
try:
    parallel_map(kernels.fib, [60] * 8, cancel=cancel)
except BaseException as error:
    assert type(error).__name__ == "CancelledError"
from array import array
assert parallel_map(kernels.fib, array("q", [5, 6])) == array("q", [5, 8])
import pickle
assert pickle.loads(pickle.dumps(kernels.fib)) is kernels.fib
"""


@pytest.fixture
def interpreter():
    interpreter = Interpreter()
    yield interpreter
    interpreter.close()


def test_everything_works_in_one(interpreter):
    interpreter.run(CHECK)
    interpreter.run(CHECK)


IMPORTS_HASHLIB = pytest.mark.skipif(
    sys.version_info[:2] == (3, 12), reason="`import hashlib` alone in a subinterpreter damages 3.12's heap"
)


@pytest.mark.parametrize("backend", ["serial", "threads", pytest.param("auto", marks=IMPORTS_HASHLIB)])
def test_functions_in_python(interpreter, backend):
    """From 3.12 on there are no daemon threads in one: the calling thread runs what they would."""
    interpreter.run(f"""
import threading, time
import gilfree

def spin(number):
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass
    return number + 1

for options in ({{}}, {{"workers": 2}}, {{"timeout": 1000}}, {{"progress": lambda done, total: None}}):
    for fn in (abs, spin, lambda number: time.sleep(0.001) or number):
        found = gilfree.parallel_map(fn, range(40), backend={backend!r}, **options)
        assert found == list(map(fn, range(40))), (options, found)
if {backend!r} == "auto":
    assert gilfree.explain(spin, range(100)).backend
""")


def check_in_a_new_one(times=1):
    """All in one thread, since an interpreter of 3.11 or 3.12 that imported threading in one and is closed in
    another waits for ever."""
    interpreter = Interpreter()
    for _ in range(times):
        interpreter.run(CHECK)
    interpreter.close()
    return True


def test_one_after_another():
    for _ in range(5):
        check_in_a_new_one()


def test_several_at_once():
    with ThreadPoolExecutor(4) as executor:
        assert all(executor.map(check_in_a_new_one, [3] * 4))


def test_beside_the_main_one():
    import gilfree
    from gilfree import kernels

    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(check_in_a_new_one)
        while not future.done():
            assert gilfree.parallel_map(kernels.fib, [20, 21, 22]) == [6765, 10946, 17711]
        assert future.result()


def test_each_has_its_own_kernels(interpreter):
    interpreter.run("from gilfree import kernels; kernels.fib = None")
    from gilfree import kernels

    assert kernels.fib(20) == 6765
    interpreter.run("from gilfree import _core; assert _core.kernels[0](20) == 6765")


def test_the_end_of_one_stops_only_its_calls(interpreter, when_busy):
    """Its function at exit stops the running calls of one interpreter, and no others."""
    from concurrent.futures import CancelledError

    import gilfree
    from gilfree import kernels

    cancel = gilfree.Cancel()

    def end_another():
        other = Interpreter()
        other.run(CHECK)
        other.run("from gilfree import _core; _core.stop()")
        other.close()
        cancel.set()

    with when_busy(end_another), pytest.raises(CancelledError):
        gilfree.parallel_map(kernels.fib, [60] * 8, cancel=cancel)


def test_in_a_process_that_ends_with_some_alive(run):
    """From 3.14 on Python warns of them."""
    script = """
        import sys
        if sys.version_info >= (3, 14):
            from concurrent import interpreters
            interpreter = interpreters.create()
            interpreter.exec(sys.argv[1])
        else:
            if sys.version_info >= (3, 13):
                import _interpreters as interpreters
            else:
                import _xxsubinterpreters as interpreters
            interpreters.run_string(interpreters.create(), sys.argv[1])
        exec(sys.argv[1])
        """
    run(script, CHECK, flags=("-W", "ignore"))
