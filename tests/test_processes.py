"""Backend processes: workers that die, what can't be sent, what is left behind."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import repeat
from pathlib import Path

import pytest
from functions import Secret

from gilfree import kernels, parallel_map, transport
from gilfree.backends import processes

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are reached by pipes of POSIX")
HANG = 60


class CustomError(Exception):
    pass


class LoadsNowhere:
    def __reduce__(self):
        return refuse_to_load, ()


def refuse_to_load():
    raise CustomError("nobody can load it")


def square(number):
    return number * number


def pid_of(item):
    return os.getpid()


def pid_where_they_met(number, folder, count):
    """Ends when items have begun in so many processes."""
    Path(folder, str(os.getpid())).touch()
    while len(os.listdir(folder)) < count:
        time.sleep(0.001)
    return os.getpid()


def pids_of(items, workers, meeting):
    with tempfile.TemporaryDirectory() as folder:
        return set(
            map_(
                pid_where_they_met,
                range(items),
                repeat(folder),
                repeat(meeting),
                workers=workers,
                chunksize=1,
            )
        )


def map_(fn, *iterables, **options):
    return parallel_map(fn, *iterables, backend="processes", **options)


def worker_pids():
    return pids_of(8, workers=2, meeting=2)


def is_alive(pid):
    """Is there such a process, and is it more than the remains of one?"""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pids):
    deadline = time.monotonic() + HANG
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still there: {[pid for pid in pids if is_alive(pid)]}"
        time.sleep(0.01)


# ---- workers -----------------------------------------------------------------------------------------


def test_workers_are_other_processes_and_serve_again():
    first = worker_pids()
    assert len(first) == 2
    assert os.getpid() not in first
    assert worker_pids() == first


def test_as_many_as_asked_for():
    assert len(pids_of(12, workers=3, meeting=3)) == 3
    assert len(pids_of(4, workers=1, meeting=1)) == 1
    assert len(pids_of(1, workers=3, meeting=1)) == 1


def test_an_idle_worker_that_was_killed_is_replaced():
    pids = worker_pids()
    victim = min(pids)
    os.kill(victim, signal.SIGKILL)
    os.waitid(os.P_PID, victim, os.WEXITED | os.WNOWAIT)
    assert map_(square, range(100), workers=2) == [n * n for n in range(100)]
    now = worker_pids()
    assert victim not in now
    assert pids - {victim} <= now


def dies_at(number, path):
    """Item 5 is killed, after item 0 has begun; item 0 ends after that."""
    if number == 0:
        Path(path).touch()
        while Path(path).exists():
            time.sleep(0.001)
        time.sleep(0.05)
    if number == 5:
        while not Path(path).exists():
            time.sleep(0.001)
        Path(path).unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


@pytest.mark.parametrize("chunksize", [1, 2])
def test_a_worker_that_is_killed_is_named_with_what_it_ran(tmp_path, chunksize):
    pids = worker_pids()
    with pytest.raises(BrokenProcessPool) as caught:
        map_(dies_at, range(10), [str(tmp_path / "begun")] * 10, workers=2, chunksize=chunksize)
    (pid,) = [pid for pid in pids if not is_alive(pid)]
    what = "item 5" if chunksize == 1 else "one of the items 4 to 5"
    assert str(caught.value).startswith(f"worker process {pid} was killed by SIGKILL")
    assert str(caught.value).endswith(f"while it ran {what}")
    assert pids - {pid} <= worker_pids()  # the other one lives, and another is started


def dies_or_fails(number, path):
    """Item 1 is killed; then item 0 fails."""
    if number == 1:
        Path(path).touch()
        os._exit(3)
    while not Path(path).exists():
        time.sleep(0.001)
    raise CustomError(f"item {number}")


def test_an_item_below_the_one_that_died_still_counts(tmp_path):
    with pytest.raises(CustomError, match=r"(?m)^item 0$"):
        map_(dies_or_fails, [0, 1], [str(tmp_path / "dead")] * 2, workers=2)


def test_a_worker_that_exits():
    with pytest.raises(
        BrokenProcessPool, match=r"^worker process \d+ ended with exit code 3 while it ran item 0$"
    ):
        map_(os._exit, [3])


def test_sys_exit_is_the_functions_own_exception():
    with pytest.raises(SystemExit) as caught:
        map_(sys.exit, [3])
    assert caught.value.code == 3


def test_a_timeout_kills_the_workers():
    pids = worker_pids()
    with pytest.raises(TimeoutError):
        map_(time.sleep, [10_000] * 2, workers=2, timeout=0.1)
    wait_until_gone(pids)


def write_slow_module(folder, wait):
    """A module that only workers load slowly."""
    (folder / "slow_to_load.py").write_text(
        f"import os, sys, time\nif os.getpid() != {os.getpid()}:\n    {wait}\n"
        "def double(number):\n    return 2 * number\n"
    )


@pytest.fixture
def forget_module(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("slow_to_load", None)


@pytest.mark.usefixtures("forget_module")
def test_a_timeout_while_workers_load_the_function(tmp_path):
    write_slow_module(tmp_path, "time.sleep(10_000)")
    from slow_to_load import double

    pids = worker_pids()
    with pytest.raises(TimeoutError, match="0 items"):
        map_(double, range(10), workers=2, timeout=0.2)
    wait_until_gone(pids)  # one that still loads would be of no use to the next call
    assert map_(square, range(10), workers=2) == [n * n for n in range(10)]


LOADS_AFTER_ANOTHER = """\
try:
        os.mkdir({first!r})
    except FileExistsError:
        while not os.path.exists({gate!r}):
            time.sleep(0.001)
"""


@pytest.mark.usefixtures("forget_module", "own_pool")
def test_a_call_ends_while_a_worker_still_loads_the_function(tmp_path):
    """And what that worker says to the call that is over, is not taken for an answer to the next."""
    gate = tmp_path / "gate"
    write_slow_module(tmp_path, LOADS_AFTER_ANOTHER.format(first=str(tmp_path / "first"), gate=str(gate)))
    from slow_to_load import double

    assert map_(double, range(10), workers=2, chunksize=1) == [2 * n for n in range(10)]
    gate.touch()
    for _ in range(2):
        assert len(worker_pids()) == 2
        assert map_(square, range(100), workers=2, chunksize=1) == [n * n for n in range(100)]


def sleep_unless_0(number, data):
    if number:
        time.sleep(10_000)


def test_a_timeout_while_a_busy_worker_has_been_sent_more_than_its_pipe_holds():
    """The first item was short, so that a third was sent while the second runs."""
    map_(square, [3])
    with pytest.raises(TimeoutError):
        map_(sleep_unless_0, range(3), [b"", b"", bytes(30_000_000)], workers=1, chunksize=1, timeout=0.5)
    assert map_(square, [3]) == [9]


def close_pipes(number):
    if number == 2:
        os.closerange(3, 100)
        time.sleep(10_000)
    return number


def test_a_worker_that_closes_its_pipes_is_as_one_that_died():
    how = r"^worker process \d+ closed its pipes, and was killed while it ran item 2$"
    pids = worker_pids()
    with pytest.raises(BrokenProcessPool, match=how):
        map_(close_pipes, range(4), workers=1, chunksize=1)
    assert len([pid for pid in pids if is_alive(pid)]) == 1
    assert map_(square, range(10), workers=2) == [n * n for n in range(10)]


def test_workers_above_a_failing_item_are_killed_and_those_below_live():
    with pytest.raises(ZeroDivisionError):
        map_(divide_or_sleep, [1, 0, 10_000, 10_000], workers=3, chunksize=1)
    assert map_(square, [3]) == [9]


def divide_or_sleep(number):
    if number > 1:
        time.sleep(number)
    return 1 / number


def test_an_error_shows_where_it_was_raised():
    with pytest.raises(ZeroDivisionError) as caught:
        map_(divide_or_sleep, [1, 0], workers=1)
    cause = str(caught.value.__cause__)
    assert cause.startswith("in process ")
    assert caught.value.__notes__ == ["item 1 of parallel_map"]
    assert "return 1 / number" in cause


# ---- what is sent ------------------------------------------------------------------------------------


def test_lambdas_closures_and_partial_results():
    offset = 5
    assert map_(lambda number: number + offset, range(10)) == list(range(5, 15))
    (add,) = map_(lambda number: lambda other: number + other, [3])
    assert add(4) == 7
    (kernel,) = map_(lambda _: kernels.fib, [0])
    assert kernel is kernels.fib


def test_big_items_and_results():
    items = [bytes([number]) * 3_000_000 for number in range(6)]
    assert map_(lambda item: item[:1] + item, items, workers=2) == [item[:1] + item for item in items]


def test_small_items_before_big_ones():
    """What is sent while a worker runs another item must not block both sides."""
    items = [b"x"] * 1000 + [b"y" * 3_000_000] * 4
    expected = [item + b"z" * 3_000_000 for item in items[-6:]]
    results = map_(lambda item: item + b"z" * 3_000_000 * (item != b"x"), items, workers=1, chunksize=1)
    assert results[-4:] == expected[-4:]
    big = [b"x"] * 100 + [b"y" * 3_000_000]
    assert map_(lambda item: bytes(3_000_000), big, workers=1, chunksize=1) == [bytes(3_000_000)] * 101


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("chunksize", [None, 1, 5])
def test_pipes_that_hold_little(own_pool, monkeypatch, workers, chunksize):
    """Where neither side reads while it writes, both wait for ever."""
    monkeypatch.setattr(transport, "PIPE_BYTES", 4096)
    items = [bytes([number]) * size for size in (1, 5_000, 1, 300_000, 70_000) for number in range(10)]
    results = map_(lambda item: item[:1] + item, items, workers=workers, chunksize=chunksize)
    assert results == [item[:1] + item for item in items]
    assert (
        map_(lambda size: bytes(size), [0, 300_000] * 10, workers=workers, chunksize=chunksize)
        == [
            b"",
            bytes(300_000),
        ]
        * 10
    )


def test_a_function_that_cannot_be_sent_is_refused_before_any_work():
    lock = threading.Lock()
    numbers = iter([1])
    with pytest.raises(TypeError, match=r"fn is .*can't be sent to a worker process: .*; accepted: "):
        map_(lambda number: lock.locked(), numbers)
    assert list(numbers) == [1]


@pytest.mark.parametrize("chunksize", [None, 1, 3])
def test_an_item_that_cannot_be_sent(chunksize):
    items = [1, 2, 3, 4, threading.Lock(), 6]
    with pytest.raises(TypeError, match=r"^item 4 can't be sent to a worker process: .*lock"):
        map_(str, items, chunksize=chunksize)
    with pytest.raises(ZeroDivisionError):
        map_(lambda item: 1 / (item - 3), items, chunksize=chunksize)


@pytest.mark.parametrize("chunksize", [None, 1, 3])
def test_a_result_that_cannot_be_sent(chunksize):
    with pytest.raises(
        TypeError, match=r"^item 4: a result, of type lock, can't be sent from a worker process"
    ) as caught:
        map_(lambda number: threading.Lock() if number == 4 else number, range(6), chunksize=chunksize)
    assert caught.value.__cause__ is None


def test_what_cannot_be_sent_nor_says_why():
    why = "UntoldError, whose text can't be had: ZeroDivisionError"
    with pytest.raises(TypeError, match=rf"^item 1 can't be sent to a worker process: {why}; accepted: "):
        map_(str, [1, Secret()])
    with pytest.raises(TypeError, match=rf"^item 0: a result, of type Secret, can't be sent .*: {why}; "):
        map_(lambda _: Secret(), [1])
    with pytest.raises(TypeError, match=rf"^fn is .*can't be sent to a worker process: {why}; accepted: "):
        map_(partial(max, key=Secret()), [1])


def test_what_cannot_be_loaded():
    with pytest.raises(RuntimeError, match=r"items can't be loaded in a worker process: CustomError: nobody"):
        map_(str, [LoadsNowhere()])
    unloadable = r"results of item 0 can't be loaded in the calling process: .*nobody"
    with pytest.raises(RuntimeError, match=unloadable):
        map_(lambda _: LoadsNowhere(), [1])
    assert map_(square, [3]) == [9]


def test_a_module_that_only_this_process_has():
    module = type(sys)("made_up")
    exec("def double(number):\n    return 2 * number", module.__dict__)
    assert map_(module.double, [4]) == [8]


def test_the_path_of_now(tmp_path, monkeypatch):
    map_(square, [1])
    (tmp_path / "found_later.py").write_text("def triple(number):\n    return 3 * number\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import found_later

    assert map_(found_later.triple, [4]) == [12]


class BecomesNumberError(Exception):
    def __reduce__(self):
        return int, (5,)


class BecomesAnotherError(Exception):
    def __reduce__(self):
        return LookupError, ("another",)


@pytest.mark.parametrize("error", [BecomesNumberError, BecomesAnotherError])
def test_an_exception_that_would_arrive_as_something_else(error):
    def fail(_):
        raise error("what happened")

    with pytest.raises(RuntimeError, match=f"(?m)^{error.__name__}: what happened$") as caught:
        map_(fail, [1])
    assert "in fail" in str(caught.value.__cause__)


def test_an_exception_of_a_class_that_cannot_be_imported():
    class OwnError(Exception):
        pass

    def fail(number):
        class ErrorMadeThereError(Exception):
            pass

        raise (ErrorMadeThereError if number else OwnError)("what happened")

    with pytest.raises(OwnError, match=r"(?m)^what happened$"):
        map_(fail, [0])
    with pytest.raises(Exception, match=r"(?m)^what happened$") as caught:
        map_(fail, [1])
    assert type(caught.value).__name__ == "ErrorMadeThereError"


# ---- initializer -------------------------------------------------------------------------------------

RAN = []


def initialize():
    RAN.append(os.getpid())


def see_initialized(item):
    return tuple(RAN)


def initialize_badly():
    raise CustomError("no database")


def test_an_initializer_runs_once_in_each_worker():
    for _ in range(2):
        for ran in map_(see_initialized, range(100), workers=2, initializer=initialize):
            assert len(ran) == 1
    assert RAN == []


def test_the_initializer_of_the_last_call_is_the_last_that_ran():
    def see(_):
        return os.environ.get("GILFREE_TEST")

    def as_(name):
        return lambda: os.environ.update(GILFREE_TEST=name)

    first, second = as_("first"), as_("second")
    for initializer, name in ((first, "first"), (second, "second"), (first, "first"), (first, "first")):
        assert map_(see, range(20), workers=2, initializer=initializer) == [name] * 20


def test_an_initializer_that_fails():
    with pytest.raises(
        RuntimeError, match="the initializer failed in a worker process: CustomError: no database"
    ):
        map_(square, [1], initializer=initialize_badly)
    assert map_(square, [3]) == [9]


class ExitsWhenLoaded:
    def __call__(self, item):
        return item

    def __reduce__(self):
        return os._exit, (3,)


@pytest.mark.parametrize(
    ("fn", "initializer", "what"),
    [
        (ExitsWhenLoaded(), None, "the function"),
        (abs, partial(os._exit, 3), "the function or the initializer"),
    ],
)
def test_workers_that_die_before_they_can_run_anything(fn, initializer, what):
    with pytest.raises(BrokenProcessPool, match=rf"exit code 3, as 2 before it, while .* took {what}: see"):
        map_(fn, range(4), workers=2, initializer=initializer, timeout=HANG)
    assert map_(square, range(3)) == [0, 1, 4]


def fails_at_1(item):
    if item == 1:
        raise CustomError(os.getpid())
    return item


def test_what_a_worker_answered_before_it_died_counts(own_pool):
    """Nobody has read the answer when the worker is written to again, and found dead."""

    def items():
        yield from range(2)
        (worker,) = own_pool._workers
        while not (worker.runs and processes.is_readable(worker.answers)):
            time.sleep(0.001)
        os.kill(worker.process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, worker.process.pid, os.WEXITED | os.WNOWAIT)
        yield 2

    with pytest.raises(CustomError):
        map_(fails_at_1, items(), workers=1, chunksize=1)


@pytest.mark.parametrize("backend", ["auto", "serial", "threads"])
def test_an_initializer_is_for_processes(backend):
    with pytest.raises(TypeError, match=r"initializer is .*; accepted: a callable, with backend='processes'"):
        parallel_map(square, [1], backend=backend, initializer=initialize)


# ---- what is left ------------------------------------------------------------------------------------

# Each item ends when one has begun in the other worker, too.
WORKERS = """
import os, sys, tempfile, time
from gilfree import parallel_map
def pid_where_they_met(folder):
    open(os.path.join(folder, str(os.getpid())), "w").close()
    while len(os.listdir(folder)) < 2:
        time.sleep(0.001)
    return os.getpid()
def pids():
    with tempfile.TemporaryDirectory() as folder:
        return set(
            parallel_map(pid_where_they_met, [folder] * 8, backend="processes", workers=2, chunksize=1)
        )
def show():
    print(*pids(), flush=True)
"""


def pids_in(line):
    pids = [int(pid) for pid in line.split()]
    assert len(pids) == 2
    return pids


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "os._exit(0)"])
def test_nothing_is_left_after_exit(run, end):
    wait_until_gone(pids_in(run(WORKERS + f"show()\n{end}").stdout))


@pytest.mark.parametrize("work", ["", "time.sleep(10_000)", "sum(range(10**12))"], ids=["idle", "sleep", "C"])
def test_nothing_is_left_after_the_parent_was_killed(popen, work):
    """Whatever runs in its workers: sum() is in C, and lets go of the GIL at its end only."""
    script = f"""
def work(_):
    os.write(1, b"at work\\n")
    {work}
if {work!r}:
    parallel_map(work, range(2), backend="processes", workers=2)
time.sleep(10_000)
"""
    with popen(WORKERS + "show()\n" + script) as process:
        pids = pids_in(process.stdout.readline())
        if work:
            assert [process.stdout.readline() for _ in pids] == ["at work\n"] * 2
        process.kill()
        process.wait()
        try:
            wait_until_gone(pids)
        finally:
            for pid in filter(is_alive, pids):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("end", ["sys.exit()", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_an_idle_worker_ends_as_a_program_does(popen, end):
    script = f"""
import atexit, os, signal, sys
from gilfree import parallel_map
def leave():
    os.system(":")  # which takes a moment
    print("at exit")
parallel_map(atexit.register, [leave], backend="processes")
{end}
"""
    with popen(script, env={"PYTHONUNBUFFERED": None}) as process:
        assert process.communicate(timeout=HANG) == ("at exit\n", "")


def test_a_daemon_threads_call_is_ended_at_exit(run):
    script = """
import threading
show()
def numbers():
    yield 10_000
    at_work.set()
    yield 10_000
at_work = threading.Event()
call = lambda: parallel_map(time.sleep, numbers(), backend="processes", workers=2)
threading.Thread(target=call, daemon=True).start()
at_work.wait()
"""
    wait_until_gone(pids_in(run(WORKERS + script).stdout))


def test_no_descriptor_is_left_where_there_are_too_few(run):
    script = """
import errno, resource
before = set(os.listdir("/dev/fd"))
_, most = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
for free in range(12):
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, before)) + free, most))
    try:
        parallel_map(abs, [1], backend="processes")
    except OSError as error:
        assert error.errno == errno.EMFILE
    else:
        print("there were enough")
        break
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    now = set(os.listdir("/dev/fd"))
    assert now == before, (free, now, before)
"""
    run(WORKERS + script)


def test_a_fork_while_a_worker_is_dead_and_another_thread_starts_one(run):
    script = """
import signal, threading
from gilfree.backends import processes
before = pids()
victim = min(before)
os.kill(victim, signal.SIGKILL)
os.waitid(os.P_PID, victim, os.WEXITED | os.WNOWAIT)
held, forked = threading.Event(), threading.Event()
def starts_a_worker():
    with processes._pool._lock:
        held.set()
        forked.wait()
threading.Thread(target=starts_a_worker).start()
held.wait()
child = os.fork()
forked.set()
now = pids()
if child == 0:
    sys.exit(5 if now.isdisjoint(before) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
assert victim not in now
assert now & before
show()
"""
    # From 3.12 on Python warns of a fork beside other threads.
    wait_until_gone(pids_in(run(WORKERS + script, flags=("-W", "ignore::DeprecationWarning")).stdout))


def test_a_pool_may_be_closed_twice(own_pool):
    for _ in range(2):
        pids = worker_pids()
        own_pool.close()
        wait_until_gone(pids)
        own_pool.close()


def test_a_worker_may_be_closed_twice():
    """The second time its descriptors may be those of other files."""
    worker = processes.Worker()
    fds = {worker.tasks, worker.answers}
    worker.kill()
    others = []
    while not fds <= set(others):
        others.append(os.open(os.devnull, os.O_RDONLY))
    worker.close()
    for fd in others:
        os.close(fd)


def test_a_worker_starts_no_workers():
    def inner(count):
        numbers = parallel_map(pid_of, range(count), backend="processes", workers=4)
        return {os.getpid()} == set(numbers)

    assert all(map_(inner, [20] * 4, workers=2))
    assert len(processes._pool._workers) <= 3 + 1


def test_an_initializer_in_a_worker_that_starts_none():
    def inner(name):
        lock = threading.Lock()
        try:
            map_(square, [1], initializer=lambda: lock)
        except TypeError as error:
            refused = str(error)
        see = lambda _: os.environ.get("GILFREE_TEST")  # noqa: E731
        return refused, map_(see, range(3), initializer=lambda: os.environ.update(GILFREE_TEST=name))

    (refused, found), (_, other) = map_(inner, ["one", "two"], workers=2)
    assert "initializer is <function" in refused
    assert "can't be sent to a worker process" in refused
    assert (found, other) == (["one"] * 3, ["two"] * 3)


def test_a_script_from_standard_input():
    script = (
        "from gilfree import parallel_map\n"
        "class Point:\n"
        "    def __init__(self, x): self.x = x\n"
        "def move(point): return Point(point.x + 1)\n"
        "moved = parallel_map(move, [Point(1), Point(2)], backend='processes')\n"
        "assert all(type(point) is Point for point in moved)\n"
        "print([point.x for point in moved])\n"
    )
    ended = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("[2, 3]\n", "")
