"""The backends: one file each, whose name is the backend's name and whose ``map`` runs a call.

A backend's ``map`` keeps the law of parallel_map: the results of ``list(map(fn, *iterables))`` in order,
or the exception of the lowest failing index. It checks its options before it runs anything. Backends are
imported on first use and know nothing of one another. Those that run functions in Python also have
``work(loop)``, which runs what is left of a loop: gilfree.loop keeps the books for them.
"""

import importlib
import pkgutil
from functools import cache
from typing import Any, Protocol, cast

from gilfree.loop import Call, Loop


class Backend(Protocol):
    """The contract of a backend for functions in Python; that of one for kernels is ``map`` alone."""

    def map(self, call: Call, /) -> Any: ...

    def work(self, loop: Loop, /) -> None: ...


@cache
def _names() -> tuple[str, ...]:
    """Looked up once, in the file system: a call that names its backend may be a short one."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def names() -> list[str]:
    """The names of all backends."""
    return list(_names())


def find(name: str) -> Backend:
    """The backend with this name, or ValueError."""
    if name not in _names():
        raise ValueError(f"backend is {name!r}; accepted: 'auto', {', '.join(map(repr, names()))}")
    return cast(Backend, importlib.import_module(f"{__name__}.{name}"))
