"""Modules that are in a worker process not what they are here: set, loaded again, or made up."""

import importlib
import itertools
import os
import sys

import pytest

from gilfree import parallel_map

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are reached by pipes of POSIX"),
    pytest.mark.usefixtures("two_workers"),
]
HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
NUMBERS = itertools.count()
ITEMS = range(100)

each = pytest.mark.parametrize("backend", ["auto", "processes"])

TEXT = """
import argparse
import collections
import datetime
import decimal
import enum
import os
import pathlib
import re
import time
import types
import numpy
import {settings} as settings

FACTOR = 1

class Scale:
    factor = 1

def unit():
    return 1

class Config:
    def __init__(self):
        self.factor, self.itself = 1, self

class Slotted(Config):
    __slots__ = ("factor", "itself")

class Table(dict):
    pass

class Holder:
    factors = [1]

class Colour(enum.Enum):
    RED = 1

CONFIG, SLOTTED, SPACE = Config(), Slotted(), types.SimpleNamespace(factor=1)
ARRAY, OPTIONS, RING = numpy.ones(3), argparse.Namespace(factor=1), [Config() for _ in range(6)]
for each in RING:
    each.itself = RING
TABLE, ORDERED, CHOICES, RAW = Table(factor=1), collections.OrderedDict(factor=1), set("a"), bytearray(b"a")

def held():
    return (
        CONFIG.factor * SLOTTED.factor * SPACE.factor * TABLE["factor"] * ORDERED["factor"]
        * OPTIONS.factor * int(ARRAY[0]) * len(RING[0].itself) // 6
        * Holder.factors[0] * (77 if "x" in CHOICES else 1) * (77 if b"x" in RAW else 1)
    )

# What is the same in every process that imports it, however it looks there.
PATTERN, NAMES = re.compile("a"), {{"a", "b", "c", "d", ("e", 1)}}
PLACE, EXACT, DAY = pathlib.Path("a"), decimal.Decimal("1.5"), datetime.date(2026, 1, 2)

def constants():
    return hasattr(settings, "LOCK") and settings.LOCK, PATTERN, NAMES, PLACE, EXACT, DAY, Colour.RED

def scaled(number):
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass
    return number * FACTOR * Scale.factor * unit() * held() * settings.FACTOR, len(constants()), os.getpid()
"""


class Modules:
    """One with a function, and one with settings that it reads; with new names, as workers keep modules."""

    def __init__(self, folder):
        self._folder = folder
        number = next(NUMBERS)
        self._names = f"with_a_function_{number}", f"with_settings_{number}"
        self.write()
        self.function, self.settings = map(importlib.import_module, self._names)

    def write(self, old="", new="", setting=1):
        """A change must be one of the file's size: compiled files tell times only to a second."""
        name, settings = self._names
        (self._folder / f"{name}.py").write_text(TEXT.format(settings=settings).replace(old, new))
        (self._folder / f"{settings}.py").write_text(
            f"import threading\nFACTOR = {setting}\nLOCK = threading.Lock()\n"
        )
        importlib.invalidate_caches()


@pytest.fixture
def modules(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return Modules(tmp_path)


def check_elsewhere(fn, backend, check):
    """What fn answers passes the check, and is of other processes if `backend` can use them: the last part of
    an answer is its process.

    `auto` measures: on a busy machine it may find at first that other processes gain nothing.
    """
    for _ in range(20):
        answers = parallel_map(fn, ITEMS, backend=backend)
        check(answers)
        if {pid for *_, pid in answers} != {os.getpid()} or (backend == "auto" and not HAS_GIL):
            return
    raise AssertionError(f"{backend} left all to the calling process, 20 times")


def factor_in(answers):
    """By what the numbers were multiplied."""
    (factor,) = {answer / number for (answer, *_), number in list(zip(answers, ITEMS, strict=True))[1:]}
    return factor


def scaled(modules, backend):
    """By what the numbers were multiplied, and did other processes do it?"""
    answers = parallel_map(modules.function.scaled, ITEMS, backend=backend)
    return factor_in(answers), {pid for *_, pid in answers} != {os.getpid()}


def check_scaled_elsewhere(modules, backend, expected):
    def check(answers):
        assert factor_in(answers) == expected

    check_elsewhere(modules.function.scaled, backend, check)


@pytest.mark.parametrize(
    "change",
    [
        lambda modules: setattr(modules.function, "FACTOR", 77),
        lambda modules: setattr(modules.function.Scale, "factor", 77),
        lambda modules: setattr(modules.function, "unit", lambda: 77),
        lambda modules: setattr(modules.settings, "FACTOR", 77),
        lambda modules: setattr(modules.function.CONFIG, "factor", 77),
        lambda modules: setattr(modules.function.SLOTTED, "factor", 77),
        lambda modules: setattr(modules.function.SPACE, "factor", 77),
        lambda modules: setattr(modules.function.OPTIONS, "factor", 77),
        lambda modules: modules.function.TABLE.update(factor=77),
        lambda modules: modules.function.ORDERED.update(factor=77),
        lambda modules: modules.function.ARRAY.fill(77),
        lambda modules: modules.function.CHOICES.add("x"),
        lambda modules: modules.function.RAW.extend(b"x"),
        lambda modules: modules.function.Holder.factors.insert(0, 77),
    ],
    ids=[
        "value",
        "class attribute",
        "function",
        "value elsewhere",
        "attribute",
        "slot",
        "namespace",
        "options",
        "subclass of dict",
        "ordered dict",
        "array",
        "set",
        "bytearray",
        "list of a class",
    ],
)
def test_auto_computes_with_what_was_set_here(modules, change):
    check_scaled_elsewhere(modules, "auto", 1)
    change(modules)
    assert scaled(modules, "auto") == (77, False)


ODD = """
import ctypes
import decimal
import enum
import functools
import random
import threading
import weakref

class Slotted:
    __slots__ = ("attributes",)
    def __getattr__(self, name):
        return self.attributes[name]

class Hidden:
    @property
    def __dict__(self):
        raise RuntimeError

class Proxy:
    @property
    def __class__(self):
        return list

class Flags(enum.Flag):
    READ = 1
    WRITE = 2

class Computed:
    @functools.cached_property
    def value(self):
        return 1

class Node:
    def __init__(self):
        self.neighbours = set()

def used(number):
    Flags.READ | Flags.WRITE
    CONTEXT.divide(1, 3)
    RANDOM.random()
    return number * COMPUTED.value

SLOTTED, HIDDEN, PROXY = Slotted(), Hidden(), Proxy()
CONTEXT, COMPUTED, RANDOM, LOCK = decimal.Context(), Computed(), random.Random(), threading.Lock()
random_of_another = random.Random().random
LIBRARY, REFERENCES, HUGE = ctypes.CDLL(None), weakref.WeakSet([Slotted]), 3**20_000
WORDS = {str(number) for number in range(20_000)}
NODES = [Node() for _ in range(6)]
for node in NODES:
    node.neighbours.update(NODES)
LOOP = [1]
LOOP.append(LOOP)
NAMELESS = type("Nameless", (), {"__module__": None})()
"""

USES_ODD = """
import os
import time
import {odd} as odd

def scaled(number):
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass
    return odd.used(number), {names}, os.getpid()

def alone(number):
    return scaled(number)[0]
"""


@each
def test_what_cannot_be_compared_and_what_use_changes(tmp_path, monkeypatch, backend):
    odd, user = f"odd_{next(NUMBERS)}", f"user_{next(NUMBERS)}"
    (tmp_path / f"{odd}.py").write_text(ODD)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = [name for name in vars(importlib.import_module(odd)) if not name.startswith("__")]
    named = " and ".join(f"odd.{name} is not None" for name in names)
    (tmp_path / f"{user}.py").write_text(USES_ODD.format(odd=odd, names=named))
    importlib.invalidate_caches()
    module = importlib.import_module(user)
    assert module.alone(3) == 3

    def check(answers):
        assert [answer[:2] for answer in answers] == [(number, True) for number in ITEMS]

    check_elsewhere(module.scaled, backend, check)


def test_a_submodule_that_the_function_imports(tmp_path, monkeypatch):
    name = f"package_{next(NUMBERS)}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "inner.py").write_text("FACTOR = 1\n")
    (tmp_path / f"{name}_user.py").write_text(f"""
import os
import time
import {name}

def scaled(number):
    from {name} import inner
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass
    return number * inner.FACTOR, {name}.__name__, os.getpid()
""")
    monkeypatch.syspath_prepend(str(tmp_path))
    user = importlib.import_module(f"{name}_user")

    def check(answers):
        assert [answer for answer, *_ in answers] == list(ITEMS)

    check_elsewhere(user.scaled, "auto", check)


def test_auto_computes_with_what_was_set_in_a_submodule(tmp_path, monkeypatch):
    name = f"package_{next(NUMBERS)}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    (tmp_path / name / "settings.py").write_text("FACTOR = 1\n")
    (tmp_path / name / "work.py").write_text(f"""
import time
import {name}.settings

def scaled(number):
    end = time.perf_counter() + 0.002
    while time.perf_counter() < end:
        pass
    return number * {name}.settings.FACTOR
""")
    monkeypatch.syspath_prepend(str(tmp_path))
    work = importlib.import_module(f"{name}.work")
    importlib.import_module(f"{name}.settings").FACTOR = 77
    assert parallel_map(work.scaled, ITEMS) == [77 * number for number in ITEMS]


@each
@pytest.mark.parametrize(
    ("changed", "loaded"),
    [
        ({"old": "FACTOR = 1", "new": "FACTOR = 77"}, "function"),
        ({"old": "factor = 1", "new": "factor = 77"}, "function"),
        ({"old": "return 1", "new": "return 77"}, "function"),
        ({"setting": 77}, "settings"),
    ],
    ids=["value", "class attribute", "function", "value elsewhere"],
)
def test_a_module_that_was_loaded_again(modules, backend, changed, loaded):
    check_scaled_elsewhere(modules, backend, 1)
    modules.write(**changed)
    importlib.reload(getattr(modules, loaded))
    check_scaled_elsewhere(modules, backend, 77)


def test_what_was_set_here_is_no_reason_for_new_workers(modules):
    pids = set()
    for factor in (1, 2, 3):
        modules.function.FACTOR = factor
        pids |= {pid for *_, pid in parallel_map(modules.function.scaled, ITEMS, backend="processes")}
    assert len(pids) <= 2


@pytest.fixture
def made_up(monkeypatch):
    module = type(sys)("made_up")
    exec(TEXT.format(settings="time").replace("settings.FACTOR", "1"), module.__dict__)
    monkeypatch.setitem(sys.modules, "made_up", module)
    return module


def test_a_module_that_no_other_process_can_import(made_up):
    with pytest.raises(RuntimeError, match=r"function can't be loaded in a worker process: .*'made_up'"):
        parallel_map(made_up.scaled, ITEMS, backend="processes")
    answers = parallel_map(made_up.scaled, ITEMS)
    assert answers == [(number, 7, os.getpid()) for number in ITEMS]
