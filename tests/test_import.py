"""What `import gilfree` does: little, and nothing that lasts."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import gilfree

PACKAGE = Path(gilfree.__file__).parent

# All that it may add to an interpreter that has loaded nothing but its own core. Each one costs every user of
# every program that imports gilfree.
MODULES = {
    "gilfree": {"gilfree", "gilfree._core", "gilfree.facts", "gilfree.kernels", "gilfree.workers"},
    "annotations as text, so that typing is not imported for them": {"__future__"},
    "what Python itself loads at its start, unless told not to": {
        "os",
        "os.path",
        "posixpath",
        "ntpath",
        "genericpath",
        "errno",
    }
    | {"stat", "_stat", "_collections_abc", "abc", "_abc", "io", "site", "collections", "collections.abc"},
    "atexit, which the core registers with": {"atexit"},
}


def modules_added(*flags, before=""):
    script = f"""
import sys
sys.path.insert(0, {str(PACKAGE.parent)!r})
{before}
before = set(sys.modules)
import gilfree
print(*sorted(set(sys.modules) - before))
"""
    ended = subprocess.run(
        [sys.executable, "-I", *flags, "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stderr == ""
    return set(ended.stdout.split())


def test_the_modules_that_it_adds():
    assert modules_added("-S") <= set().union(*MODULES.values())


NEVER = (
    "numpy cffi loky tqdm multiprocessing concurrent.futures inspect dataclasses threading typing re asyncio "
    "subprocess gilfree.scripts logging argparse ctypes json importlib.util pkgutil"
)


@pytest.mark.parametrize("name", NEVER.split())
def test_what_it_never_adds(name):
    assert not any(module == name or module.startswith(name + ".") for module in modules_added("-S"))


def test_it_starts_nothing_and_changes_nothing(run):
    run(
        """
        import gc, os, signal, sys, threading, warnings
        def state():
            tasks = "/proc/self/task"
            return (
                dict(os.environ),
                os.getcwd(),
                os.listdir(tasks) if os.path.exists(tasks) else None,
                threading.active_count(),
                [signal.getsignal(number) for number in sorted(signal.valid_signals())],
                signal.pthread_sigmask(signal.SIG_BLOCK, ()),
                os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None,
                sys.getswitchinterval(),
                list(warnings.filters),
                list(sys.path),
                gc.isenabled(),
            )
        before = state()
        import gilfree
        from gilfree import kernels
        assert state() == before
        """
    )


def test_what_a_call_leaves_as_it_was(run):
    run(
        """
        import os, signal, sys
        from gilfree import kernels, parallel_map
        before = dict(os.environ), signal.pthread_sigmask(signal.SIG_BLOCK, ())
        affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        for workers in (None, 3):
            parallel_map(kernels.fib, [28] * 32, workers=workers)
        assert (dict(os.environ), signal.pthread_sigmask(signal.SIG_BLOCK, ())) == before
        if affinity is not None:
            assert os.sched_getaffinity(0) == affinity
        """
    )


def test_importing_the_core_twice(run):
    """A second copy of the module has its own types and kernels, and does not disturb the first."""
    run(
        """
        import importlib.util, sys
        import gilfree
        from gilfree import kernels
        first, spec = gilfree._core, gilfree._core.__spec__
        second = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(second)
        assert second is not first
        assert second.Cancel is not first.Cancel
        assert second.parallel_map(second.kernels[0], [20]) == [6765]
        assert gilfree.parallel_map(kernels.fib, [20]) == [6765]
        del second
        import gc
        gc.collect()
        assert gilfree.parallel_map(kernels.fib, [20] * 3) == [6765] * 3
        """
    )


@pytest.fixture
def copy_of_the_package(tmp_path):
    ignore = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    return Path(shutil.copytree(PACKAGE, tmp_path / "gilfree", ignore=ignore))


def import_from(folder):
    script = f"import sys; sys.path.insert(0, {str(folder)!r}); import gilfree"
    return subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True)


def test_a_missing_core_says_what_to_do(copy_of_the_package):
    ended = import_from(copy_of_the_package.parent)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("ImportError: gilfree._core, the compiled part of gilfree, can't be imported by ")
    for words in (
        sys.executable,
        sys.implementation.cache_tag,
        "python -m pip install -e .",
        "--force-reinstall",
    ):
        assert words in last


def test_a_core_that_cannot_be_loaded_says_why(copy_of_the_package):
    (copy_of_the_package / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}").write_bytes(b"not a library")
    ended = import_from(copy_of_the_package.parent)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("ImportError: gilfree._core, the compiled part of gilfree, can't be imported by ")
    assert "_core" in last.split("imported by")[1]


def test_the_package_holds_what_it_ships():
    assert (PACKAGE / "py.typed").is_file()
    assert (Path(gilfree.get_include()) / "gilfree.h").is_file()
    assert isinstance(gilfree.__version__, str)
    assert gilfree.__doc__.count("parallel_map") >= 1
