"""peers - what one would use instead of gilfree: one file for each way."""

from types import ModuleType

from contest import LeftOut


def with_numba() -> ModuleType:
    try:
        from . import jit
    except ImportError as error:
        raise LeftOut(f"needs {error.name}, which is not installed") from None
    return jit
