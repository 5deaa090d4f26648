"""progress=: how far a call is, shown by tqdm or told to a function of the caller's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

EVERY = 0.1  # seconds between two reports


def check(progress: Any) -> None:
    if progress is not None and progress is not True and progress is not False and not callable(progress):
        raise TypeError(
            f"progress is {progress!r:.80}; accepted: True for a bar, or a callable that takes (done, total)"
        )


class Bar:
    """A tqdm bar as a function of (done, total)."""

    def __init__(self, unit: str = "it") -> None:
        try:
            from tqdm.auto import tqdm  # type: ignore[import-untyped, import-not-found, unused-ignore]
        except ImportError as error:
            raise ImportError(
                "progress=True needs tqdm, which is not installed: "
                "python -m pip install 'gilfree[progress]', or give a callable that takes (done, total)"
            ) from error
        self._new = partial(tqdm, unit=unit)
        self._bar: Any = None

    def __call__(self, done: float, total: int | None) -> None:
        if self._bar is None:
            self._bar = self._new(total=total)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class Reporter:
    """Tells `tell` of (done, total), in the calling thread, at most every 0.1 s and once at the end."""

    def __init__(self, tell: Callable[[int, int | None], object], total: int | None) -> None:
        self._tell = tell
        self._total = total
        self._due = monotonic() + EVERY

    @classmethod
    def of(cls, progress: Any, total: int | None) -> Reporter | None:
        """None if nothing is to be told."""
        check(progress)
        if progress is None or progress is False:
            return None
        return cls(Bar() if progress is True else progress, total)

    def report(self, done: int) -> None:
        now = monotonic()
        if now >= self._due:
            self._due = now + EVERY
            self._tell(done, self._total)

    def finish(self, done: int) -> None:
        self._tell(done, done)

    def close(self) -> None:
        if isinstance(self._tell, Bar):
            self._tell.close()
