"""native: a kernel over a range of items on worker threads, the GIL released once for the whole call."""

from typing import Any

from gilfree import _core


def map(
    fn: Any,
    iterables: tuple[Any, ...],
    workers: int | None,
    chunksize: int | None,
    strict: bool,
    timeout: float | None,
    cancel: _core.Cancel | None,
    out: Any,
    /,
) -> Any:
    if type(fn) is not _core.Kernel:
        raise TypeError(f"fn is {fn!r}; backend 'native' accepts a kernel, as gilfree.kernels.fib is one")
    return _core.parallel_map(
        fn,
        *iterables,
        workers=workers,
        chunksize=chunksize,
        strict=strict,
        timeout=timeout,
        cancel=cancel,
        out=out,
    )
