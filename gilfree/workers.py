"""The size of the pool."""

from __future__ import annotations

from gilfree import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class set_workers:  # noqa: N801 - called like a function, and used in a with statement
    """Set how many threads work at most, the calling ones included; -1: all CPUs, None: as at the start.

    Takes effect at once, for the whole process. In a ``with`` statement, until its end:

    >>> with gilfree.set_workers(1):
    ...     gilfree.parallel_map(kernels.fib, [30, 31])
    """

    def __init__(self, workers: int | None) -> None:
        self._before = _core.set_workers(workers)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _core.set_workers(self._before)
