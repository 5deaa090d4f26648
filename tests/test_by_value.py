"""What a script defines, in worker processes that do not run it: what comes back is the script's own."""

import os

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are reached by pipes of POSIX")

# auto may leave the process at once if workers are up.
START = """
import enum, functools, os, time, typing
import gilfree
from gilfree.backends import processes

gilfree.set_workers(2)
gilfree.parallel_map(abs, range(4), backend="processes")
while not processes.is_warm(2):
    time.sleep(0.001)

def spin(result):
    end = time.perf_counter() + 0.01
    while time.perf_counter() < end:
        pass
    return result

def map_(fn, items=range(40)):
    return gilfree.parallel_map(fn, items, backend=BACKEND)
"""

each = pytest.mark.parametrize("backend", ["auto", "processes"])


@pytest.fixture
def script(run, backend):
    return lambda code: run(f"BACKEND = {backend!r}" + START + code)


@each
def test_classes_with_slots(script):
    script("""
import dataclasses

@dataclasses.dataclass(slots=True)
class Point:
    x: int

class Base:
    __slots__ = "a",

class Sub(Base):
    __slots__ = ["b", "__c"]
    def __init__(self, number):
        self.a, self.b, self.__c = number, 2, 3
    def sum(self):
        return self.a + self.b + self.__c

class Pair(typing.NamedTuple):
    x: int
    y: int = 2

class Empty:
    __slots__ = ()

def fail(number):
    raise ValueError(Point(spin(number)))

assert map_(lambda number: Point(spin(number))) == list(map(Point, range(40)))
made = map_(lambda number: spin(Sub(number)))
assert all(type(each) is Sub and not hasattr(each, "__dict__") for each in made)
assert [each.sum() for each in made] == [number + 5 for number in range(40)]
points = list(map(Point, range(40)))
assert map_(lambda point: spin(point), points) == points
assert map_(lambda number: Pair(spin(number))) == list(map(Pair, range(40)))
assert {type(each) for each in map_(lambda _: spin(Empty()))} == {Empty}
try:
    map_(fail)
except ValueError as error:
    assert error.args == (Point(0),)
""")


@each
def test_a_cached_property(script):
    script("""
class Doubled:
    def __init__(self, number):
        self.number = number
    @functools.cached_property
    def value(self):
        return spin(2 * self.number)

assert map_(lambda number: Doubled(number).value) == [2 * number for number in range(40)]
assert [each.value for each in map_(lambda number: spin(Doubled(number)), range(10))] == list(range(0, 20, 2))
""")


@each
def test_classes_are_those_of_the_script(script):
    script("""
class Point:
    def __init__(self, x):
        self.x = x
class Colour(enum.Enum):
    RED = 1
class Failed(Exception):
    pass

class Number(int):
    pass

def make(number):
    if number == 30:
        raise Failed(number)
    return spin((Point(number), Colour.RED, Number(number), os.getpid()))

made = map_(make, range(30))
assert all(type(point) is Point and point.x == number for number, (point, *_) in enumerate(made))
assert all(colour is Colour.RED for _, colour, *_ in made)
assert all(type(number) is Number for *_, number, _ in made)
assert os.getpid() not in {pid for *_, pid in made} or BACKEND == "auto"

moved = map_(lambda point: spin(Point(point.x + 1)), [point for point, *_ in made])
assert all(type(point) is Point and point.x == number + 1 for number, point in enumerate(moved))

try:
    map_(make)
except Failed as error:
    assert error.args == (30,)
else:
    assert False
""")


@each
def test_results_do_not_change_the_classes_of_the_script(script):
    """Nor do they what else is defined in it."""
    script("""
class Point:
    tag = "first"
    def where(self):
        return "as defined"

def numbers(count):
    for number in range(count):
        if number == count // 2:
            Point.tag = "set while the call ran"
            Point.where = lambda self: "set while the call ran"
        yield number

def make(number):
    return spin((Point(), Point.tag, os.getpid()))

made = map_(make, numbers(40))
assert os.getpid() not in {pid for *_, pid in made} or BACKEND == "auto"
assert Point.tag == "set while the call ran"
assert made[0][0].where() == "set while the call ran"

Point.tag = "set between two calls"
assert [tag for _, tag, _ in map_(make)] == ["set between two calls"] * 40
assert Point.tag == "set between two calls"
""")


@each
def test_a_class_that_a_worker_changes(script):
    script("""
class Point:
    tag = "the script's"

def make(number):
    if os.getpid() != PARENT:
        Point.tag = "the worker's"
    return spin((Point(), os.getpid()))

PARENT = os.getpid()
made = map_(make)
assert all(type(point) is Point for point, _ in made)
assert PARENT not in {pid for _, pid in made} or BACKEND == "auto"
assert Point.tag == "the script's"
""")


WATCHED_CLASS = """
class Point:
    known = {}
    def count(self):
        global COUNT
        COUNT += 1

COUNT = 0
BEFORE = dict(vars(Point))

def make(number):
    class Inner:
        before = list(range(3))
    point = Point()
    point.inner, point.before = Inner, Inner.before
    return spin(point)

def check():
    assert Point.count.__globals__ is globals()
    assert all(vars(Point)[name] is BEFORE[name] for name in BEFORE)
"""


@each
def test_a_call_leaves_the_classes_of_the_script_as_they_are(script):
    script(
        WATCHED_CLASS
        + """
made = map_(make)
check()
# Where they were made here, the classes are those that were made.
assert all(point.inner.before == [0, 1, 2] for point in made)
assert made[0].inner.before is made[0].before or BACKEND != "auto"
"""
    )


def test_explain_leaves_the_classes_of_the_script_as_they_are(run):
    run(
        START
        + WATCHED_CLASS
        + """
plan = gilfree.explain(make, range(100))
assert plan.backend in ("processes", "threads"), plan
check()
"""
    )


@each
def test_functions_with_a_cache(script):
    script("""
@functools.lru_cache(maxsize=None)
def fib(number):
    return number if number < 2 else fib(number - 1) + fib(number - 2)

@functools.lru_cache(maxsize=7, typed=True)
def cached(number):
    return spin((number * number, os.getpid()))

# Without a cache in the worker, it would take for ever.
assert map_(fib, range(80, 90)) == [fib(number) for number in range(80, 90)]
squares = map_(cached)
assert [square for square, _ in squares] == [number * number for number in range(40)]
assert os.getpid() not in {pid for _, pid in squares} or BACKEND == "auto"
assert map_(lambda _: spin(cached.cache_parameters())) == [{"maxsize": 7, "typed": True}] * 40
""")
