"""A lock that expires, with a fencing token."""

from __future__ import annotations

import threading
from types import TracebackType

from gilfree.scripts.sync.connection import Later, Participant, check_timeout
from gilfree.scripts.sync.errors import LockLost

# name, expiry in ms, inbox or ''
ACQUIRE = """
local lock = key('lock', arg(1))
local deadline, now = redis.call('HGET', lock, 'deadline'), clock()
if deadline and tonumber(deadline) > now then
  if arg(3) ~= '' then await('lock', arg(1), arg(3)) end
  return {'held', tonumber(deadline) - now}
end
local token = redis.call('HINCRBY', lock, 'tokens', 1)
redis.call('HSET', lock, 'token', integer(token), 'deadline', integer(now + tonumber(arg(2))))
touch(lock)
return {'ok', token}
"""

# name; guarded
RELEASE = """
redis.call('HDEL', key('lock', arg(1)), 'token', 'deadline')
wake('lock', arg(1))
return {'ok'}
"""

# name, expiry in ms; guarded
EXTEND = """
redis.call('HSET', key('lock', arg(1)), 'deadline', integer(clock() + tonumber(arg(2))))
return {'ok'}
"""

STATE = """
local deadline = redis.call('HGET', key('lock', arg(1)), 'deadline')
return {deadline and tonumber(deadline) > clock() and 1 or 0}
"""


class Lock:
    """As threading.Lock, among processes, but for `expiry` seconds; made by connection.lock(name, expiry).

    Whoever holds it may be stopped, and go on after the expiry, when another holds it. So its `token`, a
    number that is higher each time the lock is acquired, goes with each write: dict(name, lock=lock) and
    counter(name, lock=lock) refuse those of a late holder. Not reentrant; each thread holds it for itself.
    """

    def __init__(self, participant: Participant, name: str, expiry: float) -> None:
        self._participant = participant
        self.name, self.expiry = name, expiry
        self._held = threading.local()

    @property
    def token(self) -> int:
        """Of this thread's last acquire(). RuntimeError if there was none, or it has released the lock."""
        token: int | None = getattr(self._held, "token", None)
        if token is None:
            raise RuntimeError(f"lock {self.name!r} is not acquired by this thread; acquire() it first")
        return token

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Whether this acquired it; waits for it, `timeout` seconds at most (-1: without end)."""
        if not blocking and timeout != -1:
            raise ValueError(f"timeout is {timeout!r:.80} with blocking=False; accepted: one of them")
        wanted = check_timeout(None if timeout == -1 else timeout)
        milliseconds = max(1, round(self.expiry * 1000))

        def token(inbox: str) -> int | Later:
            answer = self._participant.step(ACQUIRE, self.name, milliseconds, inbox)
            number = int(answer[1])
            return number if answer[0] == b"ok" else Later((number + 1) / 1000)

        found = self._participant.wait(token, wanted) if blocking else token("")
        if found is None or isinstance(found, Later):
            return False  # the token of an earlier acquire() stays
        self._held.token = found
        return True

    def release(self) -> None:
        """LockLost if it has expired: others may have held it since."""
        held = guard(self)
        self._held.token = None
        self._participant.step(RELEASE, self.name, guard=held)

    def extend(self) -> None:
        """Hold it for `expiry` seconds from now. LockLost if it has expired."""
        self._participant.step(EXTEND, self.name, max(1, round(self.expiry * 1000)), guard=guard(self))

    def locked(self) -> bool:
        """Whether anyone holds it."""
        return bool(self._participant.step(STATE, self.name)[0])

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.release()
        except LockLost:
            if error is None:
                raise


def guard(lock: Lock | None) -> tuple[str, int] | None:
    """What a step is given, to be taken only while this thread holds the lock."""
    return (lock.name, lock.token) if lock else None
