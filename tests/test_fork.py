"""fork: in every state of the pool the child computes and ends, and the parent goes on."""

import os

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# in_child(work) forks, and says how the child ended: cleanly, through the interpreter's own exit.
FORK = """
import os, sys, threading
from gilfree import Cancel, _core, kernels, parallel_map

NUMBERS, RESULTS = [20, 21, 22] * 50, [6765, 10946, 17711] * 50

def check():
    assert parallel_map(kernels.fib, NUMBERS) == RESULTS
    assert parallel_map(kernels.fib, [25] * 8, workers=3) == [75025] * 8
    assert kernels.fib(20) == 6765

def fork_and_check():
    child = os.fork()
    if child == 0:
        assert (_core.pool()["helpers"], _core.pool()["busy"]) == (0, 0)
        check()
        sys.exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    check()

def at_work(workers):
    while _core.pool()["busy"] < workers:
        pass

"""


# From 3.12 on Python warns of a fork with other threads alive. Made an error, that warning is lost; shown, it
# is a word on stderr, which fails the test.
SHOW = ("-W", "always")


def test_before_any_call(run):
    run(FORK + "fork_and_check()", flags=SHOW)


@pytest.mark.parametrize("workers", [2, 3, 7])
def test_with_idle_helpers(run, workers):
    run(
        FORK
        + f"""
for _ in range(2):
    while _core.pool()["helpers"] == 0:
        parallel_map(kernels.fib, [28] * 16, workers={workers})
    fork_and_check()
""",
        flags=SHOW,
    )


def test_a_hundred_times(run):
    run(
        FORK
        + """
for _ in range(100):
    parallel_map(kernels.fib, [26] * 4)
    child = os.fork()
    if child == 0:
        ok = parallel_map(kernels.fib, [26] * 4) == [121393] * 4
        os._exit(5 if ok else 6)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
check()
""",
        flags=SHOW,
    )


def test_in_the_child_of_a_child(run):
    run(
        FORK
        + """
check()
child = os.fork()
if child == 0:
    check()
    fork_and_check()
    sys.exit(5)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
check()
""",
        flags=SHOW,
    )


# From here on there are threads at a fork, and Python says so.
IGNORE = ("-W", "error", "-W", "ignore::DeprecationWarning")


def test_while_another_thread_is_in_a_call(run):
    run(
        FORK
        + """
from concurrent.futures import CancelledError
cancel, errors = Cancel(), []
def work():
    try:
        parallel_map(kernels.fib, [60] * 8, cancel=cancel)
    except CancelledError as error:
        errors.append(error)
thread = threading.Thread(target=work, daemon=True)
thread.start()
at_work(2)
for _ in range(5):
    child = os.fork()
    if child == 0:
        cancel.set()  # of a call that is not here
        assert (_core.pool()["helpers"], _core.pool()["busy"]) == (0, 0)
        check()
        sys.exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    check()
assert not errors and thread.is_alive()
cancel.set()
thread.join()
assert "0 of 8" in str(errors[0])
check()
""",
        flags=IGNORE,
    )


def test_a_cancel_from_before_works_in_the_child(run):
    run(
        FORK
        + """
from concurrent.futures import CancelledError
cancel = Cancel()
thread = threading.Thread(target=lambda: parallel_map(kernels.fib, [60] * 8, cancel=cancel), daemon=True)
thread.start()
at_work(2)
child = os.fork()
if child == 0:
    def stop():
        at_work(2)
        cancel.set()
    threading.Thread(target=stop, daemon=True).start()
    try:
        parallel_map(kernels.fib, [60] * 8, cancel=cancel, workers=2)
    except CancelledError:
        sys.exit(5)
    sys.exit(6)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
assert not cancel.is_set() and thread.is_alive()
""",
        flags=IGNORE,
    )


def test_from_a_thread(run):
    run(
        FORK
        + """
check()
codes = []
def work():
    child = os.fork()
    if child == 0:
        check()
        os._exit(5)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
for _ in range(5):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join()
assert codes == [5] * 5
check()
""",
        flags=IGNORE,
    )


def test_while_many_threads_call(run):
    run(
        FORK
        + """
ended = threading.Event()
def work():
    while not ended.is_set():
        assert parallel_map(kernels.fib, NUMBERS) == RESULTS
threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in range(10):
    child = os.fork()
    if child == 0:
        assert parallel_map(kernels.fib, NUMBERS) == RESULTS
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
ended.set()
for thread in threads:
    thread.join()
check()
""",
        flags=IGNORE,
    )


def test_from_inside_a_number(run):
    run(
        FORK
        + """
class Forks:
    def __index__(self):
        self.child = os.fork()
        return 20
forks = Forks()
results = parallel_map(kernels.fib, [21, forks, 22] * 1)
assert results == [10946, 6765, 17711]
if forks.child == 0:
    check()
    sys.exit(5)
assert os.waitstatus_to_exitcode(os.waitpid(forks.child, 0)[1]) == 5
check()
""",
        flags=SHOW,
    )


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_multiprocessing_pool(run, tmp_path, method):
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import multiprocessing
from gilfree import kernels, parallel_map

def inner(n):
    return parallel_map(kernels.fib, [n] * 3)

if __name__ == "__main__":
    parallel_map(kernels.fib, [28] * 8)
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        assert pool.map(kernels.fib, [20, 21, 22]) == [6765, 10946, 17711]
        assert pool.map(inner, [20, 21]) == [[6765] * 3, [10946] * 3]
        pool.close()
        pool.join()
    assert parallel_map(kernels.fib, [20]) == [6765]
"""
    )
    run("import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')", str(script), flags=IGNORE)
