"""What this process has to work with, and how that was found."""

from __future__ import annotations

import os
import sys

from gilfree import _core

# The module typing costs more to import than all of gilfree.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def cpu_count() -> int:
    """The CPUs this process may use: the least of those online, its affinity, and its cgroup's quota.

    The quota is that of cgroup v2, the tightest of the process's own group and its ancestors, rounded up.
    ``info()["cpus"]`` says how each was found.
    """
    return int(_core.cpus()["count"])


def get_include() -> str:
    """The folder that holds gilfree.h, for the compiler's -I."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")


def info() -> dict[str, Any]:
    """Versions, the state of the GIL, the CPUs and why so many, the pool, the kernels."""
    from gilfree import __version__

    return {
        "gilfree": __version__,
        "python": sys.version.split()[0],
        "platform": f"{sys.implementation.name} on {sys.platform}",
        "core": _core.__file__,
        "gil": _gil(),
        "cpus": _cpus(),
        "pool": _core.pool(),
        "kernels": {kernel.__name__: list(kernel.signatures) for kernel in _core.kernels},
    }


def mpi() -> dict[str, str | None]:
    """The MPI that gilfree.pypar would use, or why it has none. It is asked in a process of its own, so that
    nothing is loaded or initialised in this one."""
    import subprocess

    asked = subprocess.run([sys.executable, "-c", _ASK_MPI], capture_output=True, text=True)
    if asked.returncode != 0:
        why = asked.stderr.strip().rpartition("\n")[2] or f"exit status {asked.returncode}"
        return {
            "library": None,
            "why": f"{why}; 'python -m pip install gilfree[mpi]' installs mpi4py and MPICH",
        }
    library, file, mpi4py = asked.stdout.splitlines()
    return {"library": library, "file": file or None, "mpi4py": mpi4py}


_ASK_MPI = """
import mpi4py
mpi4py.rc.initialize = False
from mpi4py import MPI
name, version = MPI.get_vendor()
print(name, ".".join(map(str, version)))
try:
    files = {line.split()[-1] for line in open("/proc/self/maps") if "/libmpi" in line}
except OSError:
    files = set()
print(min(files, key=len, default=""))
print(mpi4py.__version__)
"""


def gil_is_enabled() -> bool:
    is_enabled = getattr(sys, "_is_gil_enabled", None)
    return is_enabled is None or bool(is_enabled())


def _gil() -> dict[str, bool]:
    return {"free_threaded_build": "t" in sys.abiflags, "enabled": gil_is_enabled()}


def _cpus() -> dict[str, Any]:
    cpus = _core.cpus()
    quota = f"a cgroup quota of {cpus['quota']:g}" if cpus["quota"] else "no cgroup quota"
    why = f"{cpus['online']} online, {cpus['affinity']} in the affinity mask, {quota}"
    if os.environ.get("GILFREE_WORKERS"):
        why += f"; GILFREE_WORKERS={os.environ['GILFREE_WORKERS']} sets the pool's size"
    return {**cpus, "quota": cpus["quota"] or None, "why": why}
