"""What can go wrong where children meet."""

from __future__ import annotations

import threading


class ServerLost(ConnectionError):  # noqa: N818 - as BrokenBarrier
    """The server ended, cannot be reached, or no longer has what the children shared."""


class BrokenBarrier(threading.BrokenBarrierError):
    """The barrier will not open: a participant died (`participant`, its name), timed out, or aborted it."""

    def __init__(self, message: str, participant: str | None = None) -> None:
        super().__init__(message)
        self.participant = participant


class LockLost(RuntimeError):  # noqa: N818
    """The lock is not held any more, as its expiry has passed: what it guards was not written."""
