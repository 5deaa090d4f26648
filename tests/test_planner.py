"""backend="auto" and explain: where a function runs, why, and what must not get lost on the way."""

import contextlib
import functools
import hashlib
import io
import itertools
import logging
import os
import sys
import threading
import time
from typing import ClassVar

import numpy as np
import pytest
from functions import Secret

import gilfree
from gilfree import Plan, explain, kernels, parallel_map

HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
with_gil = pytest.mark.skipif(not HAS_GIL, reason="where there is no GIL, functions run on threads")
pytestmark = pytest.mark.usefixtures("two_workers")
BIG = bytes(20_000_000)


def spin(seconds=0.02):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def spins(number):
    spin(0.002)
    return os.getpid()


def spins_long(number):
    spin()
    return number


COUNTED = []


def spins_and_counts(number):
    spin(0.002)
    COUNTED.append(number)
    return number


class Counter:
    def __init__(self):
        self.lock = threading.Lock()
        self.count = 0

    def add(self, number):
        spin(0.002)
        with self.lock:
            self.count += number
        return number


class Tally:
    """Unlike a lock, it could be sent."""

    of_all = 0
    NUMBERS: ClassVar = []

    def __init__(self):
        self.count = 0

    def add(self, number):
        spin(0.002)
        self.count += number
        return number

    @classmethod
    def add_to_all(cls, number):
        spin(0.002)
        cls.of_all += number
        return number

    @staticmethod
    def add_to_list(number):
        spin(0.002)
        Tally.NUMBERS.append(number)
        return number


TALLY = Tally()
LOGGER = logging.getLogger("gilfree.tests")


def logs(number):
    spin(0.002)
    LOGGER.warning("number %d", number)
    return number


def logs_by_name(number):
    spin(0.002)
    logging.getLogger("gilfree.tests").warning("number %d", number)
    return number


# ---- auto --------------------------------------------------------------------------------------------


@with_gil
def test_a_function_that_holds_the_gil_leaves_the_process():
    """If it did not, the tests of side effects below would show nothing."""
    for _ in range(20):  # on a busy machine one worker may be late for all of a call
        pids = set(parallel_map(spins, range(200)))
        assert os.getpid() in pids
        if len(pids) == 3:
            return
    raise AssertionError(f"the last of 20 calls ran in processes {pids}")


@with_gil
def test_many_short_calls_start_processes_as_a_long_one_does(run):
    script = """
import os, time
import gilfree

def spin(number):
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass
    return os.getpid()

gilfree.set_workers(2)
for _ in range(300):
    if set(gilfree.parallel_map(spin, range(25))) != {os.getpid()}:
        print("processes")
        break
"""
    assert run(script).stdout == "processes\n"


@with_gil
def test_where_no_process_starts_the_call_goes_on_and_the_log_says_why(run):
    script = """
import logging, os, resource, sys, time
import gilfree
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")

def spin(number):
    end = time.perf_counter() + 0.01
    while time.perf_counter() < end:
        pass
    return number

gilfree.parallel_map(spin, range(10), workers=2)  # too little for processes
import gilfree.backends.processes  # no file can be opened from here on
highest = max(map(int, os.listdir("/dev/fd")))
resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
assert gilfree.parallel_map(spin, range(100), workers=2) == list(range(100))
"""
    lines = run(script).stdout.splitlines()
    assert lines
    assert all(
        line.startswith("auto stays in this process: no worker process starts: OSError") for line in lines
    )


def test_a_function_that_leaves_the_gil_goes_to_threads():
    threads = set(parallel_map(lambda _: time.sleep(0.002) or threading.get_ident(), range(200)))
    # With the GIL it tries the first items; without, the main thread would slow the others.
    assert (threading.get_ident() in threads) == HAS_GIL
    assert len(threads) >= 2


def test_little_work_stays_in_the_calling_thread():
    if HAS_GIL:
        threads = set(parallel_map(lambda _: threading.get_ident(), range(100)))
        assert threads == {threading.get_ident()}


def test_side_effects_of_a_closure():
    seen = []
    assert parallel_map(lambda number: spin(0.002) or seen.append(number), range(100)) == [None] * 100
    assert sorted(seen) == list(range(100))


def test_side_effects_of_a_closure_that_returns_something():
    seen = []
    assert parallel_map(lambda number: spin(0.002) or seen.append(number) or number, range(100)) == list(
        range(100)
    )
    assert sorted(seen) == list(range(100))


def test_side_effects_on_a_global():
    COUNTED.clear()
    assert parallel_map(spins_and_counts, range(100)) == list(range(100))
    assert sorted(COUNTED) == list(range(100))


def test_side_effects_on_items():
    lists = [[3, 1, 2] * 20_000 for _ in range(60)]
    assert parallel_map(list.sort, lists) == [None] * 60
    assert all(each == sorted(each) for each in lists)
    lists = [[number] for number in range(100)]
    assert parallel_map(lambda each: spin(0.002) or each.append(1) or 5, lists) == [5] * 100
    assert lists == [[number, 1] for number in range(100)]


def test_side_effects_of_a_method_that_holds_a_lock():
    counter = Counter()
    assert parallel_map(counter.add, range(100)) == list(range(100))
    assert counter.count == sum(range(100))


@with_gil  # or others would add at the same time
@pytest.mark.parametrize("add", [TALLY.add, lambda number: TALLY.add(number)], ids=["bound", "global"])
def test_side_effects_of_a_method(add):
    TALLY.count = 0
    assert parallel_map(add, range(100)) == list(range(100))
    assert TALLY.count == sum(range(100))


@with_gil
@pytest.mark.parametrize(
    "add",
    [Tally.add_to_all, lambda number: Tally.add_to_all(number), lambda number: TALLY.add_to_all(number)],
    ids=["bound", "global", "instance"],
)
def test_side_effects_on_a_class(add, monkeypatch):
    monkeypatch.setattr(Tally, "of_all", 0)
    assert parallel_map(add, range(100)) == list(range(100))
    assert Tally.of_all == sum(range(100))


def test_side_effects_on_what_a_class_holds():
    Tally.NUMBERS.clear()
    assert parallel_map(Tally.add_to_list, range(100)) == list(range(100))
    assert sorted(Tally.NUMBERS) == list(range(100))


class CountsCalls:
    """A decorator."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.function = function
        self.calls = 0

    def __call__(self, number):
        self.calls += 1
        return self.function(number)


@with_gil  # or others would add at the same time
def test_side_effects_on_a_decorator():
    decorated = CountsCalls(spins_long)
    assert parallel_map(decorated, range(50)) == list(range(50))
    assert decorated.calls == 50
    assert parallel_map(lambda number: decorated(number), range(50)) == list(range(50))
    assert decorated.calls == 100


class CountsInstances(type):
    made = 0

    def __call__(cls, *arguments):
        spin(0.002)
        CountsInstances.made += 1
        return super().__call__(*arguments)


class Inherited(Tally):
    pass


class Counted(metaclass=CountsInstances):
    def __init__(self, number):
        self.number = number

    @property
    def value(self):
        return self.number

    @value.setter
    def value(self, number):
        COUNTED.append(number)


@with_gil
def test_side_effects_on_what_a_class_has_from_others(monkeypatch):
    monkeypatch.setattr(Tally, "NUMBERS", [])
    assert parallel_map(Inherited.add_to_list, range(100)) == list(range(100))
    assert sorted(Tally.NUMBERS) == list(range(100))
    monkeypatch.setattr(CountsInstances, "made", 0)
    assert [each.number for each in parallel_map(Counted, range(100))] == list(range(100))
    assert CountsInstances.made == 100


def test_side_effects_of_setting_a_property():
    counted = Counted(1)
    COUNTED.clear()

    def set_value(number):
        spin(0.002)
        counted.value = number
        return number

    assert parallel_map(set_value, range(100)) == list(range(100))
    assert sorted(COUNTED) == list(range(100))


def test_a_call_of_a_module_that_is_being_imported(run, tmp_path):
    """Another process would import it, too, and run the call again; another thread would wait for it."""
    (tmp_path / "calls_when_imported.py").write_text("""
import os
import time
import gilfree
from gilfree.backends import processes

class Answer:
    def __init__(self, number):
        self.number = number

    def __eq__(self, other):
        return self.number == other.number

def spin(number):
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass
    return number

print("imported")
gilfree.set_workers(2)
gilfree.parallel_map(abs, range(4), backend="processes")
while not processes.is_warm(2):
    time.sleep(0.001)
for options in ({}, {"timeout": 60}):
    assert gilfree.parallel_map(spin, range(100), **options) == list(range(100))
    assert gilfree.parallel_map(lambda number: spin(number), range(100), **options) == list(range(100))
    answers = gilfree.parallel_map(lambda number: Answer(spin(number)), range(100), **options)
    assert [answer.number for answer in answers] == list(range(100))
""")
    script = "import sys\nsys.path.insert(0, sys.argv[1])\nimport calls_when_imported"
    assert run(script, str(tmp_path)).stdout == "imported\n"


def test_what_is_no_plain_module_may_be_loaded_as_one(run):
    script = """
import sys, time, types
import gilfree

class Lib:  # as cffi puts there for a library
    __slots__ = ()
    __class__ = types.ModuleType

class Odd(types.ModuleType):
    @property
    def __dict__(self):
        raise AttributeError("loaded later")

class BadSpec:
    def __getattr__(self, name):
        raise ZeroDivisionError(name)

odd = Odd("odd")
odd.__spec__ = BadSpec()
sys.modules.update({"lib": Lib(), "odd": odd, "none": None, "number": 1})
assert isinstance(sys.modules["lib"], types.ModuleType)

def spin(number):
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass
    return number

assert gilfree.parallel_map(spin, range(100)) == list(range(100))
print("done")
"""
    assert run(script).stdout == "done\n"


def test_what_equals_only_itself_is_not_copied():
    missing, items = object(), [Tally() for _ in range(100)]
    assert parallel_map(lambda _: spin(0.002) or missing, items) == [missing] * 100
    assert parallel_map(lambda _: spin(0.002) or (missing, 1), items) == [(missing, 1)] * 100
    assert parallel_map(lambda item: spin(0.002) or item, items) == items


def test_what_is_printed_reaches_what_stands_in_for_stdout():
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        parallel_map(lambda number: spin(0.002) or print(f"{number} ", end="") or number, range(100))
    assert sorted(map(int, printed.getvalue().split())) == list(range(100))


@pytest.mark.usefixtures("two_workers")
def test_a_chunksize_does_not_keep_all_items_here():
    def place(_):
        spin(0.002)
        return os.getpid(), threading.get_ident()

    for _ in range(20):  # on a busy machine the first items may take all the time
        if len(set(parallel_map(place, range(200), chunksize=100))) > 1:
            return
    raise AssertionError("all items of 20 calls ran in one thread")


@pytest.mark.parametrize("fn", [logs, logs_by_name])
def test_what_is_logged_reaches_the_handlers_here(fn, caplog):
    assert parallel_map(fn, range(100)) == list(range(100))
    assert sorted(record.args for record in caplog.records) == [(number,) for number in range(100)]


def test_side_effects_of_a_bound_builtin():
    seen = []
    lists = [[1] * 300_000 for _ in range(100)]
    parallel_map(seen.extend, lists)
    assert len(seen) == 100 * 300_000


def test_items_that_cannot_be_sent():
    locks = [threading.Lock() for _ in range(100)]
    assert parallel_map(lambda lock: spin(0.002) or lock.locked(), locks) == [False] * 100


def test_later_items_that_cannot_be_sent():
    """The first items have shown nothing of them."""
    lock = threading.Lock()
    items = [lock if number in (60, 61, 99) else number for number in range(100)]
    assert parallel_map(lambda item: spin(0.002) or str(item), items) == list(map(str, items))


def test_later_results_that_cannot_be_sent():
    def find(number):
        spin(0.002)
        return (each for each in [number]) if number in (60, 61, 99) else [number]

    assert [list(found) for found in parallel_map(find, range(100))] == [[number] for number in range(100)]


@with_gil
@pytest.mark.usefixtures("two_workers")
def test_after_a_result_that_cannot_come_back_no_other_process_runs_items(tmp_path):
    """What they did in files is done again here: for those only that had been handed out."""
    path = tmp_path / "ran"

    def note(number):
        spin(0.002)
        with path.open("a") as file:
            file.write(f"{number}\n")
        return (each for each in [number]) if number >= 60 else [number]

    assert [list(found) for found in parallel_map(note, range(500))] == [[number] for number in range(500)]
    numbers = path.read_text().split()
    assert set(map(int, numbers)) == set(range(500))
    assert len(numbers) < 550


def test_a_later_exception_that_cannot_be_sent():
    def fail(number):
        spin(0.002)
        if number == 60:
            raise KeyError(threading.Lock())
        return number

    with pytest.raises(KeyError) as caught:
        parallel_map(fail, range(100))
    assert not caught.value.args[0].locked()


def test_errors_after_the_first_items():
    def fail(number):
        spin(0.002)
        return 1 / (number - 90)

    with pytest.raises(ZeroDivisionError):
        parallel_map(fail, range(100))
    with pytest.raises(RuntimeError, match=r"^item 90: "):
        parallel_map(lambda number: spin(0.002) or (next(iter([])) if number == 90 else number), range(100))


def test_an_iterator_goes_on_where_the_trial_ended():
    assert parallel_map(spins_long, iter(range(10))) == list(range(10))
    assert parallel_map(spins_long, itertools.chain(range(10))) == list(range(10))


@pytest.mark.parametrize("options", [{"workers": 1}, {}], ids=str)
def test_a_single_item_can_be_left_alone(options):
    with pytest.raises(TimeoutError, match="0 items"):
        parallel_map(time.sleep, [10_000], timeout=0.1, **options)


# ---- explain -----------------------------------------------------------------------------------------


def test_a_kernel():
    plan = explain(kernels.fib, [5])
    assert type(plan) is Plan
    assert plan.backend == "native"
    assert str(plan) == f"native: {plan.reason}"


@with_gil
@pytest.mark.parametrize(
    ("fn", "items", "backend", "why"),
    [
        (spins_long, range(100), "processes", "holds the GIL"),
        (lambda _: time.sleep(0.02), range(100), "threads", "leaves the GIL"),
        (lambda _: hashlib.sha256(BIG).digest(), range(100), "threads", "leaves the GIL"),
        (lambda _: kernels.fib(36), range(100), "threads", "leaves the GIL"),
        (abs, range(100), "serial", "too little"),
        (abs, range(1), "serial", "no second item"),
        (abs, [], "serial", "no second item"),
        (lambda _: spin(), range(100), "serial", "returns None"),
        (lambda number: spin() or COUNTED.append(number) or 1, range(100), "serial", "changes its own state"),
        (lambda each: spin() or each.append(1) or 1, [[1]] * 100, "serial", "its item"),
        (lambda lock: spin() or 1, [threading.Lock()] * 100, "serial", "can't be looked at"),
        (lambda _: spin() or threading.Lock(), range(100), "serial", "can't be sent"),
        (lambda _: spin() or 1, [Secret()] * 100, "serial", "whose text can't be had"),
        (lambda _: spin() or BIG, range(100), "serial", "big"),
        *(
            (spins_long, [np.zeros(size)] * 100, "processes", "holds the GIL")
            for size in (10, 10_000, 30_000)
        ),
        (spins_long, [np.zeros(40_000)] * 100, "serial", "is big"),
        (lambda _: spin() or np.zeros(20_000), range(100), "processes", "holds the GIL"),
        (lambda _: spin() or np.zeros(40_000), range(100), "serial", "are big"),
        (lambda number: spin(0.001) or number, range(100_000), "auto", "while the call runs"),
    ],
)
def test_what_it_says(fn, items, backend, why):
    """Soon: on a busy machine another process may have the core for which the GIL is waited."""
    for _ in range(10):
        plan = explain(fn, items)
        if plan.backend == backend and why in plan.reason:
            return
    pytest.fail(str(plan))


def test_what_computes_goes_to_threads_only_without_the_gil():
    assert (explain(spins_long, range(100)).backend == "threads") != HAS_GIL
    if not HAS_GIL:
        assert len(set(parallel_map(lambda _: spin(0.002) or threading.get_ident(), range(100)))) == 2


def test_one_worker_is_serial():
    with gilfree.set_workers(1):
        assert explain(spins_long, range(100)) == ("serial", "there is one worker")


def test_it_calls_the_function_once_at_most_and_leaves_iterators_alone():
    called = []
    explain(called.append, range(10))
    assert called == ([0] if HAS_GIL else [])
    numbers = iter(range(10))
    plan = explain(called.append, numbers)
    assert list(numbers) == list(range(10))
    assert called == ([0] if HAS_GIL else [])
    if HAS_GIL:
        assert "argument 1 is an iterator" in plan.reason


def test_what_it_refuses():
    with pytest.raises(TypeError, match="fn is 5; accepted"):
        explain(5, [1])
    with pytest.raises(TypeError, match="at least one iterable"):
        explain(abs)


def test_a_fork_after_little_work(run):
    """A thread has looked on. It ends before the fork, as from 3.12 on Python warns of one beside others; but
    Python may not know that a thread has only just ended, or one is late on a busy machine."""
    run("""
import os, warnings
from gilfree import parallel_map
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(20):
        parallel_map(lambda number: number + 1, range(10_000))
        child = os.fork()
        if child == 0:
            os._exit(parallel_map(abs, [-5])[0])
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
assert len(caught) < 10, len(caught)
""")
