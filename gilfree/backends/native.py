"""native: a kernel over a range of items on worker threads, the GIL released once for the whole call."""

from typing import Any

from gilfree import _core
from gilfree.loop import Call, map_kernel


def map(call: Call, /) -> Any:
    if type(call.fn) is not _core.Kernel:
        raise TypeError(f"fn is {call.fn!r}; backend 'native' accepts a kernel, as gilfree.kernels.fib")
    return map_kernel(call)
