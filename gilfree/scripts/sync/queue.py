"""A work queue: what a process took and had not done when it died goes back."""

from __future__ import annotations

import collections
import queue
import threading
from collections.abc import Iterator
from typing import Any

from gilfree.scripts.sync import values
from gilfree.scripts.sync.connection import Participant, check_timeout

# An item in the queue is how often it was handed out, a space, and its value.

# name, value
PUT = """
redis.call('RPUSH', key('queue', arg(1)), '0 ' .. arg(2))
touch(key('queue', arg(1)))
redis.call('HINCRBY', key('queue.state', arg(1)), 'unfinished', 1)
touch(key('queue.state', arg(1)))
wake('queue', arg(1))
return {'ok'}
"""

FINISH = """
local function finish(name)
  if redis.call('HINCRBY', key('queue.state', name), 'unfinished', -1) == 0 then wake('queue', name) end
end
"""

# name, inbox or '', how often an item is handed out or ''
GET = (
    FINISH
    + """
local deliveries = tonumber(arg(3))
local times, value
repeat
  local item = redis.call('LPOP', key('queue', arg(1)))
  if not item then
    if arg(2) ~= '' then await('queue', arg(1), arg(2)) end
    return {'empty', redis.call('HGET', key('queue.state', arg(1)), 'unfinished') or '0'}
  end
  times, value = string.match(item, '^(%d+) (.*)$')
  local failed = deliveries and tonumber(times) >= deliveries
  if failed then
    redis.call('RPUSH', key('queue.failed', arg(1)), value)
    touch(key('queue.failed', arg(1)))
    finish(arg(1))
  end
until not failed
local ticket = integer(redis.call('HINCRBY', key('queue.state', arg(1)), 'tickets', 1))
redis.call('HSET', key('queue.taken', arg(1)), ticket, integer(times + 1) .. ' ' .. value)
touch(key('queue.taken', arg(1)))
remember('queue ' .. ticket .. ' ' .. arg(1))
return {'ok', ticket, value}
"""
)

# name, ticket
DONE = (
    FINISH
    + """
redis.call('SREM', key('holdings', me), 'queue ' .. arg(2) .. ' ' .. arg(1))
redis.call('HDEL', key('queue.taken', arg(1)), arg(2))
finish(arg(1))
return {'ok'}
"""
)

FAILED = "return {'ok', redis.call('LRANGE', key('queue.failed', arg(1)), 0, -1)}"

RETURN = """
redis.call('SREM', key('holdings', me), 'queue ' .. arg(2) .. ' ' .. arg(1))
requeue(arg(1), arg(2))
return {'ok'}
"""

# name, inbox or ''
STATE = """
local unfinished = redis.call('HGET', key('queue.state', arg(1)), 'unfinished') or '0'
if unfinished ~= '0' and arg(2) ~= '' then await('queue', arg(1), arg(2)) end
return {unfinished, redis.call('LLEN', key('queue', arg(1)))}
"""


class Queue:
    """As queue.Queue without a bound, among processes; made by connection.queue(name, deliveries=None).

    An item is taken by one process at a time. If that dies or ends before task_done(), the item goes back to
    the front. So an item may be worked on more than once, but is not lost. One that was taken `deliveries`
    times and is not done, as it kills who works on it, goes to failed() instead, and counts as done.
    """

    def __init__(self, participant: Participant, name: str, deliveries: int | None) -> None:
        self._participant = participant
        self.name, self.deliveries = name, deliveries
        self._taken = threading.local()  # by get(), and not done

    def put(self, item: object) -> None:
        """None, a bool, int, float, str, bytes; or lists and dicts, with keys that are str, without bytes."""
        self._participant.step(PUT, self.name, values.encode(item))

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next item, waiting for one; queue.Empty if there is none, or none for `timeout` seconds."""
        timeout = check_timeout(timeout)
        found = self._participant.wait(self._take, timeout) if block else self._take("")
        if not found:
            raise queue.Empty
        self._tickets().append(found[0])
        return values.decode(found[1])

    def get_nowait(self) -> Any:
        return self.get(block=False)

    def task_done(self) -> None:
        """The item that this thread got first, of those that it has not done, is done."""
        tickets = self._tickets()
        if not tickets:
            raise ValueError(
                f"task_done() is called more often than this thread got items of queue {self.name!r}; those "
                "of a `for` loop are done when the next is asked for"
            )
        self._participant.step(DONE, self.name, tickets[0])
        tickets.popleft()

    def join(self, timeout: float | None = None) -> bool:
        """Until every item that was put is done, or `timeout` seconds; whether they are."""

        def done(inbox: str) -> bool | None:
            return True if int(self._participant.step(STATE, self.name, inbox)[0]) == 0 else None

        return self._participant.wait(done, check_timeout(timeout)) or False

    def failed(self) -> list[Any]:
        """The items that were taken `deliveries` times, and never done."""
        return [values.decode(item) for item in self._participant.step(FAILED, self.name)[1]]

    def qsize(self) -> int:
        return int(self._participant.step(STATE, self.name, "")[1])

    def empty(self) -> bool:
        return self.qsize() == 0

    def __iter__(self) -> Iterator[Any]:
        """Take items, each done when the next is asked for; until all that were put are done, by whomever.

        An item during which the loop is left, by an exception or `break`, goes back.
        """
        while True:
            found = self._participant.wait(lambda inbox: self._take(inbox, or_all_done=True), None)
            if not found:
                return
            ticket, item = found
            try:
                yield values.decode(item)
            except GeneratorExit:
                if self._participant.here:  # otherwise it has gone back
                    self._participant.step(RETURN, self.name, ticket)
                raise
            self._participant.step(DONE, self.name, ticket)

    def _take(self, inbox: str, or_all_done: bool = False) -> list[Any] | None:
        answer = self._participant.step(GET, self.name, inbox, self.deliveries or "")
        if answer[0] == b"empty":
            return [] if or_all_done and int(answer[1]) == 0 else None
        return answer[1:]

    def _tickets(self) -> collections.deque[bytes]:
        if not hasattr(self._taken, "tickets"):
            self._taken.tickets = collections.deque()
        tickets: collections.deque[bytes] = self._taken.tickets
        return tickets
