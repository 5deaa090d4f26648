"""The backends: one file each, whose name is the backend's name and whose ``map`` runs a call.

A backend's ``map`` keeps the law of parallel_map: the results of ``list(map(fn, *iterables))`` in order,
or the exception of the lowest failing index. It checks its options before it runs anything. Backends are
imported on first use and know nothing of one another.
"""

import importlib
import pkgutil
from typing import Any, Protocol, cast

from gilfree._core import Cancel


class Map(Protocol):
    """The contract: parallel_map's arguments, by position."""

    def __call__(
        self,
        fn: Any,
        iterables: tuple[Any, ...],
        workers: int | None,
        chunksize: int | None,
        strict: bool,
        timeout: float | None,
        cancel: Cancel | None,
        out: Any,
        /,
    ) -> Any: ...


def names() -> list[str]:
    """The names of all backends."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str) -> Map:
    """The map function of the backend with this name, or ValueError."""
    if name not in names():
        raise ValueError(f"backend is {name!r}; accepted: 'auto', {', '.join(map(repr, names()))}")
    return cast(Map, importlib.import_module(f"{__name__}.{name}").map)
