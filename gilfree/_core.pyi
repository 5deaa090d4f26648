from collections.abc import Buffer, Iterable
from typing import Any, Final, final

class Kernel:
    """A C function over numbers and buffers, which runs without the GIL."""

    __name__: Final[str]
    __qualname__: Final[str]
    @property
    def signature(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def domain(self) -> tuple[int, int] | None: ...
    def __call__(self, *args: Any, workers: int | None = None, out: Buffer | None = None) -> Any: ...

@final
class Cancel:
    """Stops calls from another thread."""

    def __init__(self) -> None: ...
    def set(self) -> None: ...
    def is_set(self) -> bool: ...

kernels: Final[tuple[Kernel, ...]]
stress: Final[int]

def map(
    kernel: Kernel,
    iterables: tuple[Iterable[Any] | Buffer, ...],
    workers: int | None,
    chunksize: int | None,
    strict: bool,
    timeout: float | None,
    cancel: Cancel | None,
    out: Buffer | None,
    /,
) -> Any: ...
def check_options(
    workers: int | None, chunksize: int | None, timeout: float | None, cancel: Cancel | None, /
) -> int: ...
def cpus() -> dict[str, Any]: ...
def set_workers(workers: int | None, /) -> int | None: ...
def pool() -> dict[str, int]: ...
def stop() -> None: ...
