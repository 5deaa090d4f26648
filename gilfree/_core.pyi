from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, final, overload

from typing_extensions import Buffer

T = TypeVar("T")

class Kernel:
    """A C function over numbers and buffers, which runs without the GIL.

    Each kernel is typed as a class of its own, in kernels.pyi, which says how it is called.
    """

    __name__: Final[str]
    __qualname__: Final[str]
    @property
    def signatures(self) -> tuple[str, ...]: ...
    @property
    def pattern(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def domain(self) -> tuple[int, int] | None: ...

@final
class Cancel:
    """Stops calls from another thread."""

    def __init__(self) -> None: ...
    def set(self) -> None: ...
    def is_set(self) -> bool: ...

kernels: Final[tuple[Kernel, ...]]
stress: Final[int]

@overload
def parallel_map(
    fn: Kernel,
    /,
    *iterables: Iterable[Any] | Buffer,
    workers: int | None = None,
    backend: str = "auto",
    executor: Executor | None = None,
    chunksize: int | None = None,
    strict: bool = False,
    timeout: float | None = None,
    cancel: Cancel | None = None,
    progress: bool | Callable[[int, int | None], object] | None = False,
    out: Buffer | None = None,
    initializer: None = None,
) -> Any: ...
@overload
def parallel_map(
    fn: Callable[..., T],
    /,
    *iterables: Iterable[Any],
    workers: int | None = None,
    backend: str = "auto",
    executor: Executor | None = None,
    chunksize: int | None = None,
    strict: bool = False,
    timeout: float | None = None,
    cancel: Cancel | None = None,
    progress: bool | Callable[[int, int | None], object] | None = False,
    out: None = None,
    initializer: Callable[[], object] | None = None,
) -> list[T]: ...
def check_options(
    workers: int | None, chunksize: int | None, timeout: float | None, cancel: Cancel | None, /
) -> int: ...
def call_locked(lock: Any, function: Callable[..., T], /, *args: Any) -> T: ...
def end_with_parent(fd: int, /) -> None: ...
def set_at_work(is_at_work: bool, /) -> None: ...
def cpus() -> dict[str, Any]: ...
def set_workers(workers: int | None, /) -> int | None: ...
def pool() -> dict[str, int]: ...
def stop() -> None: ...
