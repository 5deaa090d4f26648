"""The stubs say what is there."""

import subprocess
import sys
from pathlib import Path

import stubs

import gilfree
from gilfree import _core

USE = """
from typing import assert_type
from concurrent.futures import ThreadPoolExecutor
import gilfree
import gilfree.pypar as pp
from gilfree import kernels

assert_type(pp.balance(10, pp.size(), pp.rank()), tuple[int, int])
total: int = pp.reduce(gilfree.cpu_count(), pp.SUM, root=0)
assert_type(kernels.fib(38), int)
assert_type(kernels.polynomial(0.5), float)
assert_type(kernels.is_prime(7), bool)
assert_type(kernels.sum([1, 2.5]), float)
assert_type(kernels.argmin(b"12"), int)
assert_type(kernels.minmax([1, 2]), tuple[float, float])
assert_type(kernels.var([1, 2], ddof=1, workers=2), float)
assert_type(gilfree.parallel_map(len, ["a"], workers=2), list[int])
assert_type(list(ThreadPoolExecutor(2).map(kernels.fib, [1, 2])), list[int])
with gilfree.set_workers(2):
    gilfree.parallel_map(kernels.fib, range(1, 9), timeout=1.0, cancel=gilfree.Cancel())
count: int = gilfree.cpu_count()
"""

MISUSE = {
    "kernels.fib('x')": "call-overload",
    "kernels.muladd(1.0)": "call-overload",
    "kernels.sum(1.0)": "arg-type",
    "kernels.sum([1], ddof=1)": "call-arg",
    "gilfree.parallel_map(len, ['a'], workers='2')": "call-overload",
    "gilfree.Cancel().clear()": "attr-defined",
    "gilfree.pypar.send('x')": "call-arg",
}


def check(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """mypy --strict over a program that uses the installed package."""
    path = folder / "program.py"
    path.write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={folder}", str(path)]
    source = str(Path(gilfree.__file__).parents[1])
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={"MYPYPATH": source, "PATH": ""}
    )


def test_stub_of_kernels_is_the_one_the_rows_give():
    assert stubs.PATH.read_text() == stubs.render(), "run python tests/stubs.py"
    assert stubs.PAGE.read_text() == stubs.page(), "run python tests/stubs.py"


def test_stub_of_the_core_names_what_the_core_has():
    names = {name for name in vars(_core) if not name.startswith("__")} - {"fail_allocations_after"}
    text = (Path(gilfree.__file__).parent / "_core.pyi").read_text()
    missing = {name for name in names if f"def {name}(" not in text and f"class {name}" not in text}
    assert missing <= {"kernels", "stress"}
    for kind in (_core.Kernel, _core.Cancel):
        for name in vars(kind):
            if not name.startswith("__"):
                assert f"def {name}(" in text


def test_mypy_strict_accepts_right_use(tmp_path):
    done = check(tmp_path, USE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_strict_refuses_wrong_use(tmp_path):
    lines = "".join(f"{line}\n" for line in MISUSE)
    done = check(tmp_path, f"import gilfree.pypar\nfrom gilfree import kernels\n{lines}")
    assert done.returncode == 1, done.stdout + done.stderr
    for number, code in enumerate(MISUSE.values(), start=3):
        lines = done.stdout.splitlines()
        assert any(f":{number}:" in line and f"[{code}]" in line for line in lines), done.stdout
