"""Which backend runs a call: the one place that decides.

auto: a kernel runs native (the front door sees to that at once, and never asks here); a function in
Python runs serial.
"""

from typing import Any

from gilfree import backends
from gilfree._core import Cancel


def run(
    fn: Any,
    iterables: tuple[Any, ...],
    workers: int | None = None,
    backend: str = "auto",
    chunksize: int | None = None,
    strict: bool = False,
    timeout: float | None = None,
    cancel: Cancel | None = None,
    out: Any = None,
) -> Any:
    """parallel_map on the backend that suits, or on the one that is named.

    TypeError if fn is not callable or there is nothing to map over, ValueError if no backend has that name.
    """
    if not callable(fn):
        raise TypeError(f"fn is {fn!r}; accepted: a kernel (gilfree.kernels.NAME) or another callable")
    if not iterables:
        raise TypeError("parallel_map() takes fn and at least one iterable; only fn was given")
    chosen = backends.find("serial" if backend == "auto" else backend)
    return chosen(fn, iterables, workers, chunksize, strict, timeout, cancel, out)
