"""Jobs of several ranks, by the mpiexec that belongs to this Python."""

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
    """The one beside this Python, which belongs to the library that mpi4py finds first; or the system's."""
    beside = Path(sys.executable).parent
    found = shutil.which("mpiexec", path=f"{beside}{os.pathsep}{os.environ['PATH']}")
    assert found, "no mpiexec: install gilfree[mpi]"
    return found


def launch(ranks, *arguments, env=None, launcher=()):
    """Run a Python program on so many ranks: exit code, standard output, standard error."""
    command = [mpiexec(), *launcher, "-n", str(ranks), sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(FOLDER)]), **(env or {})}
    environment.pop("PYTHONUNBUFFERED", None)  # it tears the ranks' lines apart
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
