"""Where progress is heard of, and told."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any


class Progress:
    """Tells a function, or a bar, how many of `total` commands are done. A context, for the bar's end."""

    def __init__(self, wanted: bool | Callable[[Any, int], object], total: int) -> None:
        self._done, self._total = 0, total
        self._shares: dict[int, float] = {}  # of the commands that run, by index
        self._finished: set[int] = set()
        self._bar: Any = None
        self._make_bar: Any = None
        self._tell = wanted if callable(wanted) else None
        if wanted is True:
            self._make_bar = _tqdm()
        elif wanted is not False and self._tell is None:
            raise TypeError(
                f"progress is {wanted!r:.80}; accepted: True, False, or a function of (done, total)"
            )

    def __enter__(self) -> Progress:
        if self._make_bar:
            self._bar = self._make_bar(total=self._total, unit="job")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def finished(self, index: int) -> None:
        self._done += 1
        self._finished.add(index)
        self._shares.pop(index, None)
        self._show()

    def reported(self, reports: Mapping[int, tuple[float, float]]) -> None:
        """By commands that run: (done, total), of each by its index."""
        # A report may come in after the end of its command.
        running = {index: report for index, report in reports.items() if index not in self._finished}
        if running:
            self._shares.update({index: done / total for index, (done, total) in running.items()})
            self._show()

    def _show(self) -> None:
        # Exact sums: what a command added is taken away again.
        done = self._done + math.fsum(self._shares.values()) if self._shares else self._done
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        if self._tell is not None:
            self._tell(done, self._total)


def _tqdm() -> Any:
    try:
        return importlib.import_module("tqdm").tqdm
    except ImportError as error:
        raise ImportError(
            "progress=True needs tqdm, which is not installed: python -m pip install 'gilfree[progress]', or "
            "give a function of (done, total)"
        ) from error
