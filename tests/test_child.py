"""What a worker process shares with its parent, and what becomes of what is printed there."""

import os
import signal
import subprocess
import sys
import traceback
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import dedent

import pytest

from gilfree import parallel_map

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are reached by pipes of POSIX")


def map_(fn, *iterables, **options):
    return parallel_map(fn, *iterables, backend="processes", **options)


# ---- what can change between two calls ---------------------------------------------------------------


@contextmanager
def folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    yield


@contextmanager
def variable(monkeypatch, tmp_path):
    monkeypatch.setenv("GILFREE_TEST", "set")
    yield


@contextmanager
def no_variable(monkeypatch, tmp_path):
    monkeypatch.delenv("PATH")
    yield


@contextmanager
def bytes_variable(monkeypatch, tmp_path):
    monkeypatch.setitem(os.environb, b"GILFREE_TEST", b"\xff\xfe")
    yield


@contextmanager
def import_path(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(tmp_path))
    yield


@contextmanager
def arguments(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["program", "x" * 3_000_000])
    yield


@contextmanager
def recursion_limit(monkeypatch, tmp_path):
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(5000)
    yield
    sys.setrecursionlimit(before)


@contextmanager
def digits_limit(monkeypatch, tmp_path):
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(6000)
    yield
    sys.set_int_max_str_digits(before)


@contextmanager
def other_warnings(monkeypatch, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if warn(0) else "error", ImportWarning)
        yield


def depth(number=0):
    with suppress(RecursionError):
        return depth(number + 1)
    return number


def deep(_):
    return depth() > 3000


def many_digits(_):
    try:
        return len(str(10**5000))
    except ValueError:
        return None


def warn(_):
    try:
        warnings.warn("what is told", ImportWarning, stacklevel=1)
    except ImportWarning as warning:
        return str(warning)
    return None


@pytest.mark.parametrize(
    ("change", "look"),
    [
        (folder, lambda _: os.path.abspath("file")),
        (variable, lambda _: os.environ.get("GILFREE_TEST")),
        (no_variable, lambda _: os.environ.get("PATH")),
        (bytes_variable, lambda _: os.environb.get(b"GILFREE_TEST")),
        (import_path, lambda _: list(sys.path)),
        (arguments, lambda _: list(sys.argv)),
        (recursion_limit, deep),
        (digits_limit, many_digits),
        (other_warnings, warn),
    ],
    ids=lambda thing: thing.__name__,
)
def test_a_worker_is_told_of_what_has_changed_since_the_last_call(change, look, monkeypatch, tmp_path):
    def is_shared():
        here = look(0)
        assert map_(look, range(2), workers=2) == [here] * 2
        return here

    before = is_shared()
    with change(monkeypatch, tmp_path):
        assert is_shared() != before
    monkeypatch.undo()
    assert is_shared() == before


def test_where_the_last_call_went_is_not_where_the_next_begins(tmp_path):
    def go(path):
        os.chdir(path)
        return os.getcwd()

    assert map_(go, [str(tmp_path)] * 2, workers=2) == [str(tmp_path)] * 2
    assert map_(lambda _: os.getcwd(), range(2), workers=2) == [os.getcwd()] * 2


def test_what_a_module_has_set_when_it_was_imported_stays(tmp_path, monkeypatch, own_pool):
    (tmp_path / "sets_a_variable.py").write_text(
        "import os\nos.environ['GILFREE_TEST'] = 'set'\ndef look(): return os.environ['GILFREE_TEST']\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    def look(_):
        import sets_a_variable

        return sets_a_variable.look()

    for _ in range(3):
        assert map_(look, range(2), workers=2) == ["set"] * 2


def test_what_the_initializer_has_set_stays(tmp_path, own_pool):
    def go():
        os.chdir(tmp_path)
        os.environ["GILFREE_TEST"] = "set"

    look = lambda _: (os.getcwd(), os.environ.get("GILFREE_TEST"))  # noqa: E731
    for _ in range(3):
        found = parallel_map(look, range(2), backend="processes", workers=2, initializer=go)
        assert found == [(str(tmp_path), "set")] * 2


def test_a_filter_of_warnings_from_a_module_that_is_found_now(tmp_path, monkeypatch):
    map_(abs, [-1])
    (tmp_path / "with_a_warning.py").write_text("class Told(UserWarning): pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import with_a_warning

    def tell(_):
        with pytest.raises(with_a_warning.Told):
            warnings.warn("what is told", with_a_warning.Told, stacklevel=1)
        return "it was an error"

    with warnings.catch_warnings():
        warnings.simplefilter("error", with_a_warning.Told)
        assert map_(tell, [0]) == ["it was an error"]


def test_a_filter_of_warnings_that_no_worker_can_have(monkeypatch):
    module = type(sys)("made_up")
    exec("class Told(UserWarning): pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "made_up", module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", module.Told)
        with pytest.raises(RuntimeError, match=r"filters of warnings can't be loaded .*'made_up'"):
            map_(abs, [-1])
    assert map_(abs, [-1]) == [1]


def test_programs_that_a_worker_starts_have_the_variables_of_now(monkeypatch):
    def told_by_a_shell(_):
        return subprocess.check_output(["/bin/sh", "-c", "echo $GILFREE_TEST"], text=True)

    for value in ("one", "another"):
        monkeypatch.setenv("GILFREE_TEST", value)
        assert map_(told_by_a_shell, [0]) == [value + "\n"]


def test_a_folder_that_is_gone(tmp_path, monkeypatch, own_pool):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert map_(abs, [-1]) == [1]


def test_an_import_path_with_what_is_no_str(tmp_path, monkeypatch, own_pool):
    """A new worker is given it when it starts, an old one later; import itself passes over it."""
    (tmp_path / "found_behind.py").write_text("def quadruple(number):\n    return 4 * number\n")
    for entry in (Path("/nowhere"), b"/nowhere", None):
        monkeypatch.setattr(sys, "path", [entry, str(tmp_path), *sys.path])
        import found_behind

        assert map_(found_behind.quadruple, [4]) == [16]


# ---- streams -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(closed, tmp_path):
    """Their numbers are the next that pipes get."""
    (tmp_path / "script.py").write_text(
        dedent("""
        from pathlib import Path
        from gilfree import parallel_map
        def square(number):
            return number * number
        results = parallel_map(square, range(100), backend="processes", workers=2)
        Path("results").write_text(str(sum(results)))
        """)
    )
    shell = ["/bin/sh", "-c", f'exec "$0" "$1" {closed}', sys.executable, "script.py"]
    root = str(Path(__file__).parents[1])
    subprocess.run(
        shell, cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, check=True, stdin=subprocess.DEVNULL
    )
    assert (tmp_path / "results").read_text() == "328350"


class Tee:
    """As programs put it in the place of sys.stdout; it has no closed."""

    def __init__(self, error=None):
        self.error = error

    def write(self, text):
        return len(text)

    def flush(self):
        if self.error is not None:
            error, self.error = self.error, None
            raise error


class OnlyWrites:
    def write(self, text):
        return len(text)


@pytest.mark.parametrize("stream", [Tee(), OnlyWrites(), None], ids=["tee", "only writes", "None"])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_streams_of_the_functions_own(own_pool, name, stream):
    def replace(number):
        if number == 3:
            setattr(sys, name, stream)
        print(number, file=getattr(sys, name))
        return number

    assert map_(replace, range(100), workers=1) == list(range(100))


@pytest.mark.parametrize(("chunksize", "last"), [(1, 0), (100, 4)])
@pytest.mark.parametrize("error", [LookupError("the stream's own"), SystemExit(3)], ids=["error", "exit"])
def test_a_stream_that_can_not_be_written(own_pool, error, chunksize, last):
    """It is an error of the last item that was run with it, unless that has one already."""

    def replace(number, fails):
        sys.stdout = Tee(error)
        return 1 / (number - 3) if fails else number

    with pytest.raises(type(error)) as caught:
        map_(replace, range(5), [False] * 5, workers=1, chunksize=chunksize)
    assert caught.value.args == error.args
    assert f"item {last}" in "".join(traceback.format_exception(caught.value))
    with pytest.raises(ZeroDivisionError):
        map_(replace, range(3, 6), [True] * 3, workers=1, chunksize=chunksize)
    assert map_(abs, [-1]) == [1]


@pytest.mark.parametrize(
    ("victim", "error"), [("os.getpid()", "a worker died\n"), ("os.getppid()", "")], ids=["worker", "parent"]
)
def test_what_was_printed_is_seen_though_its_process_is_killed(popen, victim, error):
    script = f"""
    import os, signal, sys, time
    from concurrent.futures.process import BrokenProcessPool
    from gilfree import parallel_map
    def speak(number):
        if number == 3:
            os.kill({victim}, signal.SIGKILL)
            time.sleep(10_000)
        print("item", number)
        print("error", number, file=sys.stderr)
    try:
        parallel_map(speak, range(4), backend="processes", workers=1, chunksize=1)
    except BrokenProcessPool:
        print("a worker died")
    """
    with popen(script, env={"PYTHONUNBUFFERED": None}) as process:
        output, errors = process.communicate(timeout=120)
    assert output == "item 0\nitem 1\nitem 2\n" + error
    assert errors == "error 0\nerror 1\nerror 2\n"
    assert process.returncode == (0 if error else -signal.SIGKILL)
