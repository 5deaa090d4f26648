"""The front door."""

from typing import TYPE_CHECKING, Any, TypeVar, overload

from gilfree import planner

if TYPE_CHECKING:
    from collections.abc import Buffer, Callable, Iterable

    from gilfree._core import Cancel, Kernel

T = TypeVar("T")


@overload
def parallel_map(
    fn: "Kernel",
    *iterables: "Iterable[Any] | Buffer",
    workers: int | None = None,
    backend: str = "auto",
    chunksize: int | None = None,
    strict: bool = False,
    timeout: float | None = None,
    cancel: "Cancel | None" = None,
    out: "Buffer | None" = None,
) -> Any: ...
@overload
def parallel_map(
    fn: "Callable[..., T]",
    *iterables: "Iterable[Any]",
    workers: int | None = None,
    backend: str = "auto",
    chunksize: int | None = None,
    strict: bool = False,
    timeout: float | None = None,
    cancel: "Cancel | None" = None,
    out: None = None,
) -> list[T]: ...
def parallel_map(
    fn: Any,
    *iterables: Any,
    workers: int | None = None,
    backend: str = "auto",
    chunksize: int | None = None,
    strict: bool = False,
    timeout: float | None = None,
    cancel: Any = None,
    out: Any = None,
) -> Any:
    """Equal ``list(map(fn, *iterables))``, computed by all workers.

    fn: a kernel (``gilfree.kernels.NAME``), which runs on worker threads without the GIL, or any function
        in Python, which runs in the calling thread.
    iterables: one for each argument of fn; the shortest ends the call. For a kernel, a contiguous buffer
        of the kernel's type (NumPy, array.array, memoryview) is used in place, whatever its shape;
        everything else is converted once.
    workers: threads at work at most, the calling one included. None: the pool's size (see set_workers);
        -1: all CPUs.
    backend: "auto", "native" (kernels only) or "serial" (in the calling thread).
    chunksize: items a worker claims at once. None: found while running.
    strict: raise ValueError unless all iterables have one length.
    timeout: seconds after which the call stops and raises TimeoutError.
    cancel: a gilfree.Cancel(), whose set() stops the call: concurrent.futures.CancelledError.
    out: for a kernel, a writable buffer of the result's type and shape, one of the arguments (in place)
        or disjoint from all; it is filled and returned.

    Returns a list; for a kernel, what the first buffer among the iterables is (a NumPy array, an
    array.array, or a memoryview), and a list if there is none.

    The exception of the lowest failing index is raised; items after it may have run, and what out holds
    is then unspecified. A bad argument is refused before any item runs.
    """
    return planner.choose(fn, iterables, backend)(
        fn, iterables, workers, chunksize, strict, timeout, cancel, out
    )
