"""A counter: an integer that many raise."""

from __future__ import annotations

from gilfree.scripts.sync.connection import Participant
from gilfree.scripts.sync.lock import Lock, guard

# name, amount. Through a Lua number, what is above 2^53 would lose its last digits.
ADD = """
local sum = redis.pcall('INCRBY', key('counter', arg(1)), arg(2))
if type(sum) == 'table' then return {'overflow'} end
touch(key('counter', arg(1)))
return {'ok', redis.call('GET', key('counter', arg(1)))}
"""

VALUE = "return {'ok', redis.call('GET', key('counter', arg(1))) or '0'}"

SET = """
redis.call('SET', key('counter', arg(1)), arg(2))
touch(key('counter', arg(1)))
return {'ok'}
"""

AMOUNT_ACCEPTED = "an int of 64 bits, with a sign"


class Counter:
    """An integer of 64 bits that begins at 0; made by connection.counter(name)."""

    def __init__(self, participant: Participant, name: str, lock: Lock | None) -> None:
        self._participant, self._lock = participant, lock
        self.name = name

    def add(self, amount: int = 1) -> int:
        """Raise it; its value then. No two that raise it by 1 get the same. OverflowError beyond 64 bits."""
        amount = self._check(amount)
        answer = self._participant.step(ADD, self.name, amount, guard=guard(self._lock))
        if answer[0] == b"overflow":
            raise OverflowError(
                f"counter {self.name!r} plus {amount} does not fit; accepted: {AMOUNT_ACCEPTED}"
            )
        return int(answer[1])

    @property
    def value(self) -> int:
        return int(self._participant.step(VALUE, self.name)[1])

    @value.setter
    def value(self, value: int) -> None:
        self._participant.step(SET, self.name, self._check(value), guard=guard(self._lock))

    def _check(self, amount: int) -> int:
        if isinstance(amount, bool) or not isinstance(amount, int):
            raise TypeError(f"counter {self.name!r} was given {amount!r:.80}; accepted: {AMOUNT_ACCEPTED}")
        if not -(2**63) <= amount < 2**63:
            raise OverflowError(f"counter {self.name!r} was given {amount:#x}; accepted: {AMOUNT_ACCEPTED}")
        return amount
