"""A barrier: so many participants wait until all are there."""

from __future__ import annotations

import contextlib

from gilfree.scripts.sync.connection import Participant, check_timeout
from gilfree.scripts.sync.errors import BrokenBarrier, ServerLost

# name, parties
JOIN = """
local barrier = key('barrier', arg(1))
local parties = redis.call('HGET', barrier, 'parties')
if parties and parties ~= arg(2) then return {'other', parties} end
if not parties then
  redis.call('HSET', barrier, 'parties', arg(2), 'generation', '0', 'resets', '0')
  touch(barrier)
end
remember('barrier - ' .. arg(1))
return {'ok'}
"""

# name, inbox
ARRIVE = """
local barrier, arrived = key('barrier', arg(1)), key('barrier.arrived', arg(1))
local state = redis.call('HMGET', barrier, 'parties', 'generation', 'resets', 'why', 'who')
if state[4] then return {'broken', state[4], state[5]} end
-- The lowest place that no other has. It may have arrived before, and lost the connection while it waited.
local others, taken, place = 0, {}, 0
local arrivals = redis.call('HGETALL', arrived)
for number = 1, #arrivals, 2 do
  if arrivals[number] ~= arg(2) then
    others = others + 1
    taken[tonumber(string.match(arrivals[number + 1], '^%d+'))] = true
  end
end
while taken[place] do place = place + 1 end
if others + 1 == tonumber(state[1]) then
  redis.call('HINCRBY', barrier, 'generation', 1)
  redis.call('DEL', arrived)
  wake('barrier', arg(1))
  return {'passed', place}
end
redis.call('HSET', arrived, arg(2), integer(place) .. ' ' .. me)
touch(arrived)
await('barrier', arg(1), arg(2))
return {'waiting', place, state[2], state[3]}
"""

# name, generation and resets at arrival, inbox
CHECK = """
local state = redis.call('HMGET', key('barrier', arg(1)), 'generation', 'resets', 'why', 'who')
if state[1] ~= arg(2) then return {'passed'} end
if state[2] ~= arg(3) then return {'broken', 'reset', ''} end
if state[3] then return {'broken', state[3], state[4]} end
await('barrier', arg(1), arg(4))
return {'waiting'}
"""

# name, generation and resets at arrival, who. One step: it may have been passed, or broken, a moment ago.
GIVE_UP = """
local state = redis.call('HMGET', key('barrier', arg(1)), 'generation', 'resets', 'why', 'who')
if state[1] ~= arg(2) then return {'passed'} end
if state[2] ~= arg(3) then return {'broken', 'reset', ''} end
if state[3] then return {'broken', state[3], state[4]} end
break_barrier(arg(1), 'timed out', arg(4))
return {'broken', 'timed out', arg(4)}
"""

# name, why, who
BREAK = "break_barrier(arg(1), arg(2), arg(3)) return {'ok'}"

RESET = """
local barrier = key('barrier', arg(1))
redis.call('HINCRBY', barrier, 'resets', 1)
redis.call('HDEL', barrier, 'why', 'who')
redis.call('DEL', key('barrier.arrived', arg(1)))
wake('barrier', arg(1))
return {'ok'}
"""

STATE = """
local barrier = key('barrier', arg(1))
return {redis.call('HEXISTS', barrier, 'why'), redis.call('HLEN', key('barrier.arrived', arg(1)))}
"""


class Barrier:
    """As threading.Barrier, among processes; made by connection.barrier(name, parties).

    A process takes part from when it has made the barrier, until it leaves: it closes its connection, or ends
    without an uncaught exception. If it dies instead, the barrier is broken for all others, now and later,
    until reset().
    """

    def __init__(self, participant: Participant, name: str, parties: int) -> None:
        self._participant = participant
        self.name, self.parties = name, parties
        answer = participant.step(JOIN, name, parties)
        if answer[0] == b"other":
            raise ValueError(
                f"barrier {name!r} is made with parties={parties}, but has {int(answer[1])} already"
            )

    def wait(self, timeout: float | None = None) -> int:
        """Wait until `parties` have called this; from 0 up to parties - 1, different for each.

        BrokenBarrier if it is, or gets, broken: by the death of one that takes part (`participant` is its
        name), by abort() or reset(), or as a wait took longer than its timeout in seconds. An
        exception in here, as of Ctrl-C, aborts it.
        """
        timeout = check_timeout(timeout)
        place: list[bytes] = []  # how many were there before, generation, resets

        def arrived(inbox: str) -> int | None:
            if place:
                answer = self._participant.step(CHECK, self.name, *place[1:], inbox)
            else:
                answer = self._participant.step(ARRIVE, self.name, inbox)
                if answer[0] == b"passed":
                    return int(answer[1])
            place[:] = place or answer[1:]
            return self._passed(answer, place)

        try:
            found = self._participant.wait(arrived, timeout)
            if found is None:
                me = self._participant.name
                found = self._passed(self._participant.step(GIVE_UP, self.name, *place[1:], me), place)
        except (BrokenBarrier, ServerLost):
            raise
        except BaseException:
            with contextlib.suppress(ServerLost, RuntimeError):  # then nobody can be told
                self.abort()
            raise
        assert found is not None
        return found

    def abort(self) -> None:
        """Break it: waits raise BrokenBarrier."""
        self._participant.step(BREAK, self.name, "aborted", self._participant.name)

    def reset(self) -> None:
        """Make it whole and empty: those that wait get BrokenBarrier."""
        self._participant.step(RESET, self.name)

    @property
    def broken(self) -> bool:
        return bool(self._participant.step(STATE, self.name)[0])

    @property
    def n_waiting(self) -> int:
        return int(self._participant.step(STATE, self.name)[1])

    def _passed(self, answer: list[bytes], place: list[bytes]) -> int | None:
        if answer[0] == b"broken":
            raise self._broken(answer[1].decode(), answer[2].decode())
        return int(place[0]) if answer[0] == b"passed" else None

    def _broken(self, why: str, who: str) -> BrokenBarrier:
        reason = {
            "died": f"{who!r}, which takes part in it, died",
            "timed out": f"{who!r} waited longer than its timeout",
            "aborted": f"{who!r} aborted it",
            "reset": "it was reset",
        }[why]
        return BrokenBarrier(f"barrier {self.name!r} is broken: {reason}", who or None)
