"""PyPar's calls under mpiexec: one job for each number of ranks and each module of checks, one test for each check.

Each job has as many ranks as it says, on however many CPUs there are.
"""

import functools
import importlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "pypar"
ROOT = FOLDER.parents[1]
HANG = 240


def mpiexec():
    """The one beside this Python, which belongs to the library that mpi4py finds first; or that of the system."""
    beside = Path(sys.executable).parent
    found = shutil.which("mpiexec", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    assert found, "no mpiexec: install gilfree[mpi]"
    return found


def launch(ranks, *arguments, env=None, launcher=()):
    """Run a Python program on so many ranks: exit code, standard output, standard error."""
    command = [mpiexec(), *launcher, "-n", str(ranks), sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(FOLDER)]), **(env or {})}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as job:
        try:
            output, errors = job.communicate(timeout=HANG)
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            output, errors = job.communicate()
            pytest.fail(f"{arguments} on {ranks} ranks did not end: {output!r}, {errors!r}")
    return job.returncode, output, errors


# ---- checks -----------------------------------------------------------------------------------------

JOBS = [("checks_point", ranks) for ranks in (2, 3, 4)]


def checks(module):
    text = (FOLDER / f"{module}.py").read_text()
    return [line.split()[1].partition("(")[0] for line in text.splitlines() if line.startswith("def check_")]


@functools.cache
def passed(module, ranks, folder):
    """The checks that passed on every rank, and the job's last words."""
    folder.mkdir()
    code, output, errors = launch(ranks, FOLDER / "program.py", module, folder)
    logs = [folder / str(rank) for rank in range(ranks)]
    each = [set(log.read_text().split()) if log.exists() else set() for log in logs]
    return set.intersection(*each), (code, output[-2000:], errors[-6000:])


@pytest.fixture(scope="session")
def jobs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    return lambda module, ranks: passed(module, ranks, folder / f"{module}-{ranks}")


@pytest.mark.parametrize(
    ("module", "ranks", "check"),
    [(module, ranks, check) for module, ranks in JOBS for check in checks(module)],
    ids=lambda value: str(value).removeprefix("check_").removeprefix("checks_"),
)
def test_check(jobs, module, ranks, check):
    names, words = jobs(module, ranks)
    assert check in names, words


@pytest.mark.parametrize(("module", "ranks"), JOBS)
def test_the_job_ends_well(jobs, module, ranks):
    names, words = jobs(module, ranks)
    assert words == (0, "", "")
    assert sorted(names) == sorted(checks(module))
