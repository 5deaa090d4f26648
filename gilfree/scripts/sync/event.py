"""An event: a flag that many wait for."""

from __future__ import annotations

from gilfree.scripts.sync.connection import Participant, check_timeout

SET = """
redis.call('SET', key('event', arg(1)), '1')
touch(key('event', arg(1)))
wake('event', arg(1))
return {'ok'}
"""

CLEAR = "redis.call('DEL', key('event', arg(1))) return {'ok'}"

# name, inbox or ''
IS_SET = """
local set = redis.call('EXISTS', key('event', arg(1)))
if set == 0 and arg(2) ~= '' then await('event', arg(1), arg(2)) end
return {set}
"""


class Event:
    """As threading.Event, among processes; made by connection.event(name)."""

    def __init__(self, participant: Participant, name: str) -> None:
        self._participant = participant
        self.name = name

    def set(self) -> None:
        self._participant.step(SET, self.name)

    def clear(self) -> None:
        self._participant.step(CLEAR, self.name)

    def is_set(self) -> bool:
        return self._is_set("") or False

    def wait(self, timeout: float | None = None) -> bool:
        """Until it is set, or `timeout` seconds; whether it is set."""
        return self._participant.wait(self._is_set, check_timeout(timeout)) or False

    def _is_set(self, inbox: str) -> bool | None:
        return True if self._participant.step(IS_SET, self.name, inbox)[0] else None
