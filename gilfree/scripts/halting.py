"""When a run stops early, and what its exit status is: both as GNU parallel has them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from gilfree.scripts.results import ScriptResult

ACCEPTED = (
    "'never', 'soon', 'now', or as for GNU parallel's --halt: 'soon,fail=3', 'now,success=1', 'now,done=10%'"
)

_SHORT = {
    "soon": "soon,fail=1",
    "now": "now,fail=1",
    "0": "never",
    "1": "soon,fail=1",
    "2": "now,fail=1",
    "-1": "soon,success=1",
    "-2": "now,success=1",
}


@dataclass(frozen=True, slots=True)
class Halt:
    """Halt `when` ('never', 'soon', 'now') so many commands did `why` ('fail', 'success', 'done')."""

    when: str
    why: str
    number: float
    percent: bool


def parse(given: str, total: int) -> Halt:
    """`total` commands are 100 %."""
    if not isinstance(given, str):
        raise TypeError(f"halt is {given!r}; accepted: {ACCEPTED}")
    text = re.sub(r"^(\d+%)$", r"soon,fail=\1", _SHORT.get(given, given))
    if text == "never":
        return Halt("never", "fail", math.inf, False)
    match = re.fullmatch(r"(soon|now),(fail|success|done)=(\d+)(%?)", text)
    if not match or int(match[3]) == 0:
        raise ValueError(f"halt is {given!r}; accepted: {ACCEPTED}")
    number = int(match[3])
    return Halt(match[1], match[2], total * number / 100 if match[4] else number, bool(match[4]))


class Tally:
    """Counts the results in the order in which they come; `status` is GNU parallel's exit status for them."""

    def __init__(self, halt: Halt, total: int) -> None:
        self._halt, self._total = halt, total
        self._failed = self._done = 0
        self._halted: int | None = None
        self.trigger: ScriptResult | None = None  # the one at which the run halts

    def add(self, result: ScriptResult) -> None:
        if result.stopped:
            return
        self._done += 1
        self._failed += not result.ok
        count = {"fail": self._failed, "success": self._done - self._failed, "done": self._done}
        triggers = self._halt.why == "done" or (self._halt.why == "success") == result.ok
        if self._halted is None and triggers and count[self._halt.why] >= self._halt.number:
            self._halted, self.trigger = self._status_at_halt(result), result

    def _status_at_halt(self, result: ScriptResult) -> int:
        if self._halt.why == "success":
            return 0
        if self._halt.number == 1:
            return exit_status(result)
        if self._halt.percent:
            return math.ceil(self._failed / self._total * 100)
        return min(self._failed, 101)

    @property
    def status(self) -> int:
        if self._halted is not None:
            return self._halted
        if self._halt.percent:
            return math.ceil(self._failed / (self._done or 1) * 100)
        return min(self._failed, 101)


def exit_status(result: ScriptResult) -> int:
    """Of one command, as a shell has it."""
    if result.timed_out:
        return 255
    code = result.returncode or 0
    return 128 - code if code < 0 else code
