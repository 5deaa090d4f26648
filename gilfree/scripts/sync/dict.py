"""A dict that many read and write."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from gilfree.scripts.sync import values
from gilfree.scripts.sync.connection import Participant
from gilfree.scripts.sync.lock import Lock, guard

GET = "return {'ok', redis.call('HGET', key('dict', arg(1)), arg(2))}"

# name, key, value
SET = """
redis.call('HSET', key('dict', arg(1)), arg(2), arg(3))
touch(key('dict', arg(1)))
return {'ok'}
"""

SET_DEFAULT = """
redis.call('HSETNX', key('dict', arg(1)), arg(2), arg(3))
touch(key('dict', arg(1)))
return {'ok', redis.call('HGET', key('dict', arg(1)), arg(2))}
"""

POP = """
local value = redis.call('HGET', key('dict', arg(1)), arg(2))
redis.call('HDEL', key('dict', arg(1)), arg(2))
return {'ok', value}
"""

CLEAR = "redis.call('DEL', key('dict', arg(1))) return {'ok'}"

# name, then keys and values by turns
UPDATE = """
for number = 2, #ARGV - 5, 2 do redis.call('HSET', key('dict', arg(1)), arg(number), arg(number + 1)) end
touch(key('dict', arg(1)))
return {'ok'}
"""

ALL = "return {'ok', redis.call('HGETALL', key('dict', arg(1)))}"
KEYS = "return {'ok', redis.call('HKEYS', key('dict', arg(1)))}"
SIZE = "return {'ok', redis.call('HLEN', key('dict', arg(1)))}"

_MISSING: Any = object()


class Dict(MutableMapping[str, Any]):
    """A dict of str to values, among processes; made by connection.dict(name).

    Each call is one step; `shared[key] += 1` is two, and others may come in between. A value that was read is
    a copy.
    """

    def __init__(self, participant: Participant, name: str, lock: Lock | None) -> None:
        self._participant, self._lock = participant, lock
        self.name = name

    def __getitem__(self, key: str) -> Any:
        return self._found(self._participant.step(GET, self.name, self._check(key)), key)

    def __setitem__(self, key: str, value: object) -> None:
        self._write(SET, self._check(key), values.encode(value))

    def __delitem__(self, key: str) -> None:
        self._found(self._write(POP, self._check(key)), key)

    def __iter__(self) -> Iterator[str]:
        """Over the keys at this moment."""
        return iter([key.decode() for key in self._participant.step(KEYS, self.name)[1]])

    def __len__(self) -> int:
        return int(self._participant.step(SIZE, self.name)[1])

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        answer = self._write(POP, self._check(key))
        return default if self._none(answer) and default is not _MISSING else self._found(answer, key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        return self._found(self._write(SET_DEFAULT, self._check(key), values.encode(default)), key)

    def update(self, other: Any = (), /, **more: Any) -> None:
        """All of it in one step."""
        items = dict(other, **more).items()
        pairs = [part for key, value in items for part in (self._check(key), values.encode(value))]
        self._write(UPDATE, *pairs)

    def popitem(self) -> tuple[str, Any]:
        """Any of it; no two get the same."""
        for key in self:
            answer = self._write(POP, key)
            if not self._none(answer):
                return key, values.decode(answer[1])
        raise KeyError(f"dict {self.name!r} is empty")

    def clear(self) -> None:
        self._write(CLEAR)

    def copy(self) -> dict[str, Any]:
        """All of it, as it is at one moment."""
        flat = self._participant.step(ALL, self.name)[1]
        return {key.decode(): values.decode(value) for key, value in zip(flat[::2], flat[1::2], strict=True)}

    def items(self) -> Any:
        """Of a copy, as is values()."""
        return self.copy().items()

    def values(self) -> Any:
        return self.copy().values()

    def __repr__(self) -> str:
        return f"<Dict {self.name!r}>"

    def _write(self, script: str, *arguments: Any) -> list[Any]:
        return self._participant.step(script, self.name, *arguments, guard=guard(self._lock))

    def _check(self, key: object) -> str:
        if not isinstance(key, str):
            raise TypeError(f"a key of dict {self.name!r} is {key!r:.80}; accepted: a str")
        try:
            key.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"a key of dict {self.name!r} is {key!r:.80}; accepted: a str in Unicode"
            ) from error
        return key

    @staticmethod
    def _none(answer: list[Any]) -> bool:
        return len(answer) < 2 or answer[1] is None

    def _found(self, answer: list[Any], key: str) -> Any:
        if self._none(answer):
            raise KeyError(key)
        return values.decode(answer[1])
