"""serial: every item in the calling thread, in order. The reference that the other backends are held to."""

from time import monotonic
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
    _core.check_options(workers, chunksize, timeout, cancel)
    if type(fn) is _core.Kernel:
        # A kernel's result is an array where an argument is one, on every backend.
        return _core.parallel_map(
            fn,
            *iterables,
            workers=1,
            chunksize=chunksize,
            strict=strict,
            timeout=timeout,
            cancel=cancel,
            out=out,
        )
    if out is not None:
        raise TypeError(
            "out was given; it is accepted with a kernel only: a function in Python returns a list"
        )
    if strict:
        _check_lengths(iterables)
    deadline = None if timeout is None else monotonic() + timeout
    results: list[Any] = []
    for index, arguments in enumerate(zip(*iterables, strict=strict)):
        if cancel is not None and cancel.is_set():
            from concurrent.futures import CancelledError

            raise CancelledError(f"the call was cancelled; {index} items were finished")
        if deadline is not None and monotonic() >= deadline:
            raise TimeoutError(f"the timeout of {timeout} s passed; {index} items were finished")
        try:
            results.append(fn(*arguments))
        except StopIteration as error:
            # list(map(...)) would take it for the end of the input, and lose what follows.
            raise RuntimeError(f"item {index}: the function raised StopIteration") from error
    return results


def _check_lengths(iterables: tuple[Any, ...]) -> None:
    """Refuse unequal lengths before anything runs, where they are known."""
    exact = (list, tuple, range)
    lengths = [len(iterable) if type(iterable) in exact else None for iterable in iterables]
    known = {length for length in lengths if length is not None}
    if len(known) > 1:
        raise ValueError(f"the iterables have lengths {lengths}; strict=True accepts iterables of one length")
