"""Every core from plain threads: C kernels that release the GIL, and one parallel map.

>>> import gilfree
>>> from gilfree import kernels
>>> gilfree.parallel_map(kernels.fib, [38, 37, 36, 35, 34, 33])
[39088169, 24157817, 14930352, 9227465, 5702887, 3524578]
"""

import sys

try:
    from gilfree import _core  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"gilfree._core, the compiled part of gilfree, can't be imported by {sys.executable} "
        f"({sys.implementation.cache_tag}): {error}. In a source tree, build it for this interpreter with "
        "'python -m pip install -e .'; elsewhere, install gilfree again with 'python -m pip install "
        "--force-reinstall gilfree'."
    ) from error

from gilfree import kernels
from gilfree._core import Cancel, parallel_map
from gilfree.facts import cpu_count, get_include, info
from gilfree.workers import set_workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gilfree.planner import Plan as Plan
    from gilfree.planner import explain as explain

__version__ = "0.1.0"

__all__ = [
    "Cancel",
    "Plan",
    "cpu_count",
    "explain",
    "get_include",
    "info",
    "kernels",
    "parallel_map",
    "set_workers",
]


def __getattr__(name: str) -> object:
    """What takes more to import than gilfree itself, and is seldom wanted."""
    if name in ("Plan", "explain"):
        from gilfree import planner

        return getattr(planner, name)
    raise AttributeError(f"module 'gilfree' has no attribute {name!r}")
