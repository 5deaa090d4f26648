"""Where progress is heard of, and told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from gilfree.progress import Bar, check


class Progress:
    """Tells a function, or a bar, how many of `total` commands are done. A context, for the bar's end."""

    def __init__(self, wanted: bool | Callable[[Any, int], object], total: int) -> None:
        self._done, self._total = 0, total
        self._shares: dict[int, float] = {}  # of the commands that run, by index
        self._finished: set[int] = set()
        check(wanted)
        self._bar = Bar(unit="job") if wanted is True else None
        self._tell = wanted if callable(wanted) else self._bar

    def __enter__(self) -> Progress:
        if self._bar:
            self._show()  # before the first command is done
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
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
        if self._tell:
            self._tell(done, self._total)
