"""Which backend runs a call: the one place that decides.

auto: a kernel runs native; a function in Python runs serial.
"""

from typing import Any

from gilfree import backends
from gilfree._core import Kernel, map as native_map
from gilfree.backends import Map


def choose(fn: Any, iterables: tuple[Any, ...], backend: str) -> Map:
    """The map function of the backend that runs this call.

    TypeError if fn is not callable or there is nothing to map over, ValueError if no backend has that name.
    """
    if type(fn) is Kernel:
        if backend == "auto":
            return native_map
    elif not callable(fn):
        raise TypeError(f"fn is {fn!r}; accepted: a kernel (gilfree.kernels.NAME) or another callable")
    if not iterables:
        raise TypeError("parallel_map takes fn and at least one iterable; only fn was given")
    if backend == "auto":
        backend = "serial"
    return backends.find(backend)
