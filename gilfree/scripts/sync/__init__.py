"""Where the children of a run meet: through a Redis server of their own, or one that is named.

In a child of scripts.run(..., sync=True):

>>> from gilfree.scripts import sync
>>> with sync.connect() as meeting:
...     for item in meeting.queue("pages"):
...         meeting.counter("done").add()
...     meeting.barrier("all done", parties=4).wait()
"""

from __future__ import annotations

import math
from types import TracebackType

from gilfree.scripts.sync import connection as connections
from gilfree.scripts.sync.barrier import Barrier
from gilfree.scripts.sync.connection import LEASE_SECONDS, check_name
from gilfree.scripts.sync.counter import Counter
from gilfree.scripts.sync.dict import Dict
from gilfree.scripts.sync.errors import BrokenBarrier, LockLost, ServerLost
from gilfree.scripts.sync.event import Event
from gilfree.scripts.sync.lock import Lock
from gilfree.scripts.sync.queue import Queue

__all__ = [
    "Barrier",
    "BrokenBarrier",
    "Connection",
    "Counter",
    "Dict",
    "Event",
    "Lock",
    "LockLost",
    "Queue",
    "ServerLost",
    "connect",
]


def connect(
    url: str | None = None, *, run: str | None = None, name: str | None = None, lease: float = LEASE_SECONDS
) -> Connection:
    """Take part in a run, and reach what its processes share.

    In a child of scripts.run(..., sync=...), or in what a child has started, without arguments. Elsewhere, as
    on other machines, with the server's `url` and the same `run`, any name, for all that are to meet.

    name     what others are told if this process dies; None: the command, as it is named in the run
    lease    seconds; a process that no parent on its machine watches counts as dead if it gives no sign of
             life (a thread does) for so long. Others are seen to die at once.

    ImportError without redis-py, RuntimeError outside of a run, ServerLost (a ConnectionError) if the server
    cannot be reached, as all that follows raises if it is lost.
    """
    return Connection(connections.join(url, run, name, _seconds(lease, "lease")))


class Connection:
    """What the processes of a run share, by name. A context: on leaving it without an exception, the process
    has left; with one, or if it is killed, it counts as dead.

    What has one name is the same thing in all of them. Safe to use from many threads, but not in a forked
    process.
    """

    def __init__(self, participant: connections.Participant) -> None:
        self._participant = participant
        self.name = participant.name

    def barrier(self, name: str, parties: int) -> Barrier:
        _number(parties, "parties", "a number from 1")
        return Barrier(self._participant, check_name(name, "barrier's name"), parties)

    def lock(self, name: str, expiry: float) -> Lock:
        """`expiry` in seconds: so long it is held at most, unless it is extended."""
        return Lock(self._participant, check_name(name, "lock's name"), _seconds(expiry, "expiry"))

    def counter(self, name: str, *, lock: Lock | None = None) -> Counter:
        """With a lock: written to only while this thread holds it, else LockLost."""
        return Counter(self._participant, check_name(name, "counter's name"), _lock(lock))

    def event(self, name: str) -> Event:
        return Event(self._participant, check_name(name, "event's name"))

    def queue(self, name: str, *, deliveries: int | None = None) -> Queue:
        """`deliveries`: so often an item is handed out at most, None: without end. Those that were, and are
        not done, are in failed()."""
        if deliveries is not None:
            _number(deliveries, "deliveries", "None, or a number from 1")
        return Queue(self._participant, check_name(name, "queue's name"), deliveries)

    def dict(self, name: str, *, lock: Lock | None = None) -> Dict:
        """With a lock: written to only while this thread holds it, else LockLost."""
        return Dict(self._participant, check_name(name, "dict's name"), _lock(lock))

    def report(self, done: float, total: float) -> None:
        """Tell the parent's `progress` how much of this command is done."""
        for number in (done, total):
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise TypeError(f"report() was given {done!r:.80}, {total!r:.80}; accepted: numbers")
        if not 0 <= done <= total or not 0 < total < math.inf:
            raise ValueError(
                f"report() was given {done!r}, {total!r}; accepted: 0 <= done <= total, total above 0"
            )
        self._participant.report(done, total)

    def close(self) -> None:
        """Leave: what was taken from queues and not done goes back, barriers don't wait for this process."""
        self._participant.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connections.leave(self._participant, error)


def _number(given: object, name: str, accepted: str) -> None:
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"{name} is {given!r:.80}; accepted: {accepted}")
    if given < 1:
        raise ValueError(f"{name} is {given}; accepted: {accepted}")


def _seconds(given: object, name: str) -> float:
    accepted = "a number of seconds above 0, a million at most"
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise TypeError(f"{name} is {given!r:.80}; accepted: {accepted}")
    if not 0 < given <= 1e6:
        raise ValueError(f"{name} is {given!r}; accepted: {accepted}")
    return float(given)


def _lock(lock: object) -> Lock | None:
    if lock is not None and not isinstance(lock, Lock):
        raise TypeError(f"lock is {lock!r:.80}; accepted: None, or what lock() returned")
    return lock
