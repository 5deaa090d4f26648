"""The size of the pool, the CPUs it is found from, and what info() says of both."""

import json
import os
import sys

import pytest

import gilfree
from gilfree import _core, kernels, parallel_map, set_workers


@pytest.fixture(autouse=True)
def as_before():
    yield
    set_workers(None)


def size():
    return gilfree.info()["pool"]["workers"]


# ---- set_workers ------------------------------------------------------------------------------------


def test_at_the_start_it_is_the_cpus(run):
    run("import gilfree; assert gilfree.info()['pool']['workers'] == gilfree.cpu_count()")


def test_as_a_call():
    for workers in (1, 5, 1024, -1):
        set_workers(workers)
        assert size() == (workers if workers > 0 else gilfree.cpu_count())
        assert parallel_map(kernels.fib, [20, 21, 22]) == [6765, 10946, 17711]
    set_workers(None)
    assert size() == gilfree.cpu_count()


def test_as_a_context_manager():
    set_workers(4)
    with set_workers(2) as nothing:
        assert nothing is None
        assert size() == 2
        with set_workers(3):
            assert size() == 3
        assert size() == 2
    assert size() == 4


def test_the_size_comes_back_after_an_error():
    with pytest.raises(OverflowError), set_workers(3):
        parallel_map(kernels.collatz, [2**63 - 1])
    assert size() == gilfree.cpu_count()
    with pytest.raises(ValueError, match="workers is 0"), set_workers(0):
        pass
    assert size() == gilfree.cpu_count()


@pytest.mark.parametrize(
    ("workers", "error"),
    [
        (0, ValueError),
        (-2, ValueError),
        (1025, ValueError),
        (2**70, ValueError),
        ("2", TypeError),
        (2.0, TypeError),
    ],
)
def test_refused(workers, error):
    set_workers(3)
    with pytest.raises(error, match=r"workers is .*accepted: .*1 to 1024"):
        set_workers(workers)
    assert size() == 3


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_smaller_pool_lets_its_threads_go(run):
    run(
        """
        import os, threading
        from concurrent.futures import CancelledError
        from gilfree import Cancel, _core, kernels, parallel_map, set_workers

        def run_on(workers):
            cancel = Cancel()
            def watch():
                while _core.pool()["busy"] < workers:
                    pass
                cancel.set()
            thread = threading.Thread(target=watch)
            thread.start()
            try:
                parallel_map(kernels.fib, [60] * 16, cancel=cancel)
            except CancelledError:
                pass
            thread.join()

        set_workers(5)
        run_on(5)
        assert len(os.listdir("/proc/self/task")) == _core.pool()["helpers"] + 1 == 5
        set_workers(3)
        assert len(os.listdir("/proc/self/task")) == _core.pool()["helpers"] + 1 <= 5
        run_on(3)
        set_workers(1)
        parallel_map(kernels.fib, [28] * 16)
        set_workers(1)
        assert len(os.listdir("/proc/self/task")) == _core.pool()["helpers"] + 1 == 1
        """
    )


def test_changed_while_calls_run():
    from concurrent.futures import ThreadPoolExecutor

    def call(_):
        return parallel_map(kernels.fib, [20, 21, 22] * 300) == [6765, 10946, 17711] * 300

    with ThreadPoolExecutor(3) as executor:
        results = executor.map(call, range(60))
        for i in range(200):
            set_workers(1 + i % 5)
        assert all(results)


def test_no_more_threads_than_workers(when_busy):
    """Eight calls at once, and a pool of four: none of them gets a helper."""
    from concurrent.futures import CancelledError, ThreadPoolExecutor

    set_workers(4)
    cancel = gilfree.Cancel()
    busy = []

    def look():
        busy.append(_core.pool()["busy"])
        cancel.set()

    def call(_):
        with pytest.raises(CancelledError):
            parallel_map(kernels.fib, [60] * 8, cancel=cancel)

    with ThreadPoolExecutor(8) as executor, when_busy(look, workers=8):
        list(executor.map(call, range(8)))
    # Helpers that came while fewer than four calls had begun stay until their call is over.
    assert 8 <= busy[0] <= 8 + 3


# ---- GILFREE_WORKERS --------------------------------------------------------------------------------

SIZE = "import gilfree; print(gilfree.info()['pool']['workers'], gilfree.cpu_count())"


@pytest.mark.parametrize("value", ["1", "3", "1024", "-1", "", None])
def test_the_environment_variable(run, value):
    workers, cpus = map(int, run(SIZE, env={"GILFREE_WORKERS": value}).stdout.split())
    assert workers == (cpus if value in ("", None, "-1") else int(value))
    assert cpus == gilfree.cpu_count()


def test_the_environment_variable_is_told_of(run):
    why = run("import gilfree; print(gilfree.info()['cpus']['why'])", env={"GILFREE_WORKERS": "3"}).stdout
    assert "GILFREE_WORKERS=3" in why


@pytest.mark.parametrize("value", ["0", "-2", "x", "1025", "2.5", "2 workers", "99999999999999999999", " "])
def test_a_bad_environment_variable(run, value):
    """The import stands; the first use of the pool says what is wrong; naming the workers helps."""
    run(
        """
        import os
        from gilfree import kernels, parallel_map, set_workers
        value = os.environ["GILFREE_WORKERS"]
        said = f"GILFREE_WORKERS is '{value}'; accepted: a number from 1 to 1024, or -1"
        for fn in (kernels.fib, abs):
            try:
                parallel_map(fn, [20])
            except ValueError as error:
                assert said in str(error), error
            else:
                raise AssertionError("not refused")
        assert parallel_map(kernels.fib, [20], workers=2) == [6765]
        set_workers(2)
        assert parallel_map(kernels.fib, [20]) == [6765]
        """,
        env={"GILFREE_WORKERS": value},
    )


# ---- cpu_count and info -----------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs an affinity to set")
def test_an_affinity_of_one_cpu(run):
    run(
        """
        import os
        one = min(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {one})
        import gilfree
        assert gilfree.cpu_count() == 1
        assert gilfree.info()["cpus"]["affinity"] == 1
        assert "1 in the affinity mask" in gilfree.info()["cpus"]["why"]
        assert gilfree.info()["pool"]["workers"] == 1
        assert gilfree.parallel_map(gilfree.kernels.fib, [28] * 8, workers=3) == [317811] * 8
        assert os.sched_getaffinity(0) == {one}
        """
    )


def test_cpu_count():
    cpus = gilfree.info()["cpus"]
    limits = [cpus["online"], cpus["affinity"], *([max(1, -(-cpus["quota"] // 1))] if cpus["quota"] else [])]
    assert gilfree.cpu_count() == cpus["count"] == min(limits) >= 1
    assert type(gilfree.cpu_count()) is int
    if hasattr(os, "sched_getaffinity"):
        assert cpus["affinity"] == len(os.sched_getaffinity(0))


def test_info():
    facts = gilfree.info()
    assert list(facts) == ["gilfree", "python", "platform", "core", "gil", "cpus", "pool", "kernels"]
    assert facts["gilfree"] == gilfree.__version__
    assert sys.version.startswith(facts["python"])
    assert facts["core"] == _core.__file__
    assert facts["gil"].keys() == {"free_threaded_build", "enabled"}
    assert facts["cpus"].keys() == {"count", "online", "affinity", "quota", "why"}
    assert facts["pool"].keys() == {"workers", "helpers", "busy", "create_error", "wake_ns"}
    assert facts["kernels"] == {kernel.__name__: list(kernel.signatures) for kernel in _core.kernels}
    json.dumps(facts)
