"""executor=: the law on executors of all kinds."""

import multiprocessing
import os
import threading
import time
from concurrent import futures

import pytest
from functions import CustomError, UnpicklableError, fails_at_3_and_7, square, stops_at_3
from mpi_jobs import ROOT, launch

from gilfree import Cancel, kernels, parallel_map
from gilfree.backends import processes


def fails_unpicklably(number):
    raise UnpicklableError(f"what happened to {number}")


def spawned():
    return futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


KINDS = {"threads": lambda: futures.ThreadPoolExecutor(2), "processes": spawned}
if hasattr(futures, "InterpreterPoolExecutor"):
    PATH = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})"
    KINDS["interpreters"] = lambda: futures.InterpreterPoolExecutor(2, initializer=exec, initargs=(PATH,))


@pytest.fixture(scope="module", params=KINDS)
def executor(request):
    with KINDS[request.param]() as started:
        yield started


def test_results_in_order(executor):
    for count in (0, 1, 2, 1000):
        assert parallel_map(square, range(count), executor=executor) == [n * n for n in range(count)]
    assert parallel_map(pow, [2, 3], iter([3, 2]), executor=executor, chunksize=1) == [8, 9]


def test_errors(executor):
    with pytest.raises(CustomError, match=r"(?m)^item 3$") as caught:
        parallel_map(fails_at_3_and_7, range(10), executor=executor)
    assert caught.value.__notes__ == ["item 3 of parallel_map"]
    with pytest.raises(RuntimeError, match=r"^item 3: .*StopIteration"):
        parallel_map(stops_at_3, range(10), executor=executor)
    with pytest.raises((RuntimeError, UnpicklableError), match=r"(?m)what happened to 0$"):
        parallel_map(fails_unpicklably, range(10), executor=executor)
    assert parallel_map(square, [3], executor=executor) == [9]


def test_a_call_is_stopped_and_the_executor_lives(executor):
    with pytest.raises(TimeoutError, match="0 items were finished"):
        parallel_map(time.sleep, [0.5] * 20, executor=executor, timeout=0.05)
    cancel = Cancel()
    cancel.set()
    with pytest.raises(futures.CancelledError):
        parallel_map(square, range(10), executor=executor, cancel=cancel)
    assert parallel_map(square, [3], executor=executor) == [9]


def test_progress(executor):
    told = []
    parallel_map(
        square, range(100), executor=executor, progress=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (100, 100)


def test_it_runs_there_and_nowhere_else():
    with futures.ThreadPoolExecutor(2, thread_name_prefix="mine") as executor:
        names = parallel_map(lambda _: threading.current_thread().name, range(100), executor=executor)
    assert all(name.startswith("mine") for name in names)


def test_an_exception_of_the_same_process_is_the_one_that_was_raised():
    error = KeyError("this one")

    def fail(_):
        raise error

    with futures.ThreadPoolExecutor(2) as executor, pytest.raises(KeyError) as caught:
        parallel_map(fail, [1], executor=executor)
    assert caught.value is error


def test_a_worker_that_dies_is_the_executors_error():
    for codes, about in (([1], "item 0"), ([1, 2], "one of the items 0 to 1")):
        with spawned() as executor, pytest.raises(futures.process.BrokenProcessPool) as caught:
            parallel_map(os._exit, codes, executor=executor, chunksize=2)
        assert caught.value.__notes__ == [f"{about} of parallel_map"]


def test_endless_input_is_read_as_far_as_it_is_needed():
    with futures.ThreadPoolExecutor(2) as executor, pytest.raises(CustomError, match=r"(?m)^item 3$"):
        parallel_map(fails_at_3_and_7, range(10**18), executor=executor)


def test_what_is_refused():
    with pytest.raises(TypeError, match=r"executor is 5; accepted: a concurrent\.futures executor"):
        parallel_map(square, [1], executor=5)
    with pytest.raises(TypeError, match=r"executor is <class .*; accepted: a concurrent\.futures executor"):
        parallel_map(square, [1], executor=futures.ThreadPoolExecutor)
    with futures.ThreadPoolExecutor(1) as executor:
        with pytest.raises(TypeError, match="both executor and backend='threads' were given"):
            parallel_map(square, [1], executor=executor, backend="threads")
        with pytest.raises(TypeError, match="accepted with executor: a function in Python"):
            parallel_map(kernels.fib, [1], executor=executor)
        with pytest.raises(TypeError, match="initializer"):
            parallel_map(square, [1], executor=executor, initializer=print)


def test_what_was_submitted_and_has_not_begun_is_cancelled():
    begun = []

    def item(number):
        begun.append(number)
        gate.wait()

    for timeout in (0.1, 1, 10):  # on a busy machine its threads may come too late for a short one
        gate = threading.Event()
        begun.clear()
        with futures.ThreadPoolExecutor(2) as executor:
            with pytest.raises(TimeoutError):
                parallel_map(item, range(100), executor=executor, timeout=timeout, chunksize=1)
            gate.set()
        assert begun == [0, 1][: len(begun)]
        if len(begun) == 2:
            return
    pytest.fail(f"of 2 threads {len(begun)} began within 10 s")


def test_an_executor_starts_no_workers_of_ours():
    before = len(processes._pool._workers)
    with futures.ThreadPoolExecutor(2) as executor:
        parallel_map(square, range(100), executor=executor)
    assert len(processes._pool._workers) == before


def test_mpi4pys_executor(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("""
from functions import CustomError, fails_at_3_and_7, square
from mpi4py.futures import MPIPoolExecutor

from gilfree import parallel_map

if __name__ == "__main__":
    with MPIPoolExecutor() as executor:
        assert executor.num_workers == 2
        for count in (0, 1, 2, 1000):
            assert parallel_map(square, range(count), executor=executor) == [n * n for n in range(count)]
        try:
            parallel_map(fails_at_3_and_7, range(10), executor=executor)
        except CustomError as error:
            print(error, error.__notes__)
""")
    path = os.pathsep.join([str(ROOT), os.path.dirname(__file__)])
    code, output, errors = launch(3, "-m", "mpi4py.futures", program, env={"PYTHONPATH": path})
    assert (code, output, errors) == (0, "item 3 ['item 3 of parallel_map']\n", "")
