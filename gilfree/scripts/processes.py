"""Processes, as the kernel tells of them: their memory, and which of them belong to a run."""

from __future__ import annotations

import os
import signal
import sys
import time

# The environment variable that holds the run's mark, and those of the runs around it, separated by colons.
MARK_VARIABLE = "GILFREE_RUN"
# In a run whose children meet: which command a child is, by its index and name.
CHILD_VARIABLE = "GILFREE_CHILD"


def peak_memory(pid: int) -> int | None:
    """In bytes; None for a process that has no memory any more. The kernel keeps the highest value."""
    try:
        fd = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.read(fd, 4096)
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)
    _, found, rest = status.partition(b"VmHWM:")
    return int(rest.split(None, 1)[0]) * 1024 if found else None


def signal_group(pid: int, number: int) -> None:
    """Signal the group that this child leads, or led until now."""
    try:  # noqa: SIM105 - contextlib takes its time to import
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # nothing is left of it; or what is left took another user's identity


def marked(mark: str) -> list[int]:
    """The processes whose environment carries the mark, as they do that a child of the run has started."""
    found = []
    wanted, prefix = os.fsencode(mark), os.fsencode(MARK_VARIABLE) + b"="
    for name in os.listdir("/proc") if os.path.exists("/proc/self/environ") else ():
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                environment = file.read().split(b"\0")
        except OSError:  # it ended, or is another user's
            continue
        for entry in environment:
            if entry.startswith(prefix) and wanted in entry[len(prefix) :].split(b":"):
                found.append(int(name))
    return found


def end_marked(mark: str, grace: float) -> None:
    """End what carries the mark: TERM, then KILL after the grace, until nothing is left (Linux)."""
    began, warned, pause = time.monotonic(), set(), 0.002
    while pids := marked(mark):
        late = time.monotonic() - began
        if late > grace + 5:
            sys.stderr.write(f"gilfree: the processes {pids} do not end, though killed\n")
            return
        for pid in pids:
            if late >= grace or pid not in warned:
                warned.add(pid)
                try:  # noqa: SIM105
                    os.kill(pid, signal.SIGKILL if late >= grace else signal.SIGTERM)
                except (ProcessLookupError, PermissionError):
                    pass
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
