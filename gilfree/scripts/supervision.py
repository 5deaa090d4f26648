"""The parent's end: a supervisor started, told what to run, listened to, and seen off."""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from gilfree.scripts.processes import end_marked
from gilfree.scripts.results import SpillFile
from gilfree.scripts.supervisor import pack

# The packages' own __init__ files would load the core, and much of the standard library.
_START = """
import sys
for name, folder in zip(("gilfree", "gilfree.scripts"), sys.argv[1:3]):
    package = sys.modules[name] = type(sys)(name)
    package.__path__ = [folder]
from gilfree.scripts import supervisor
supervisor.main(*map(int, sys.argv[3:]))
"""


class Supervision:
    """A context: on leaving it, nothing that the run has started is left.

    Iterate over it for the supervisor's messages, and ("reports",) whenever `wakeup`, if there is one, can be
    read from. RuntimeError or OSError if it ended before its work did.
    """

    def __init__(self, plan: dict[str, Any], wakeup: socket.socket | None = None) -> None:
        self._mark = plan["mark"]
        self._owner = os.getpid()
        # Without a name from its first moment: no kill can leave it behind.
        with tempfile.TemporaryFile(buffering=0) as spill:
            self.spill = SpillFile(os.dup(spill.fileno()))
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = self._start(theirs.fileno())
        self._plan = pack(plan)
        self._poll = select.poll()
        self._poll.register(self._channel, select.POLLIN)
        self._wakeup = wakeup
        if wakeup:
            self._poll.register(wakeup, select.POLLIN)

    def _start(self, channel: int) -> subprocess.Popen[bytes]:
        folder = Path(__file__).parent
        arguments = [str(folder.parent), str(folder), str(channel), str(self.spill.fd), str(os.getpid())]
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _START, *arguments],
            stdin=subprocess.DEVNULL,
            pass_fds=(channel, self.spill.fd),
            start_new_session=True,  # the terminal's Ctrl-C is for the parent to pass on
        )

    def __enter__(self) -> Supervision:
        return self

    def __iter__(self) -> Iterator[Any]:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # then there is nothing to receive
            self._channel.sendall(self._plan)
        self._plan = b""
        buffer = bytearray()
        while True:
            if self._wakeup:
                readable = dict(self._poll.poll())
                if self._wakeup.fileno() in readable:
                    yield ("reports",)
                if self._channel.fileno() not in readable:
                    continue
            received = self._receive()
            if not received:
                break
            buffer += received
            begin = 0
            while len(buffer) - begin >= 8:
                end = begin + 8 + int.from_bytes(buffer[begin : begin + 8], "little")
                if len(buffer) < end:
                    break
                message = marshal.loads(memoryview(buffer)[begin + 8 : end])
                begin = end
                if message[0] == "end":
                    self._check_end(message[1])
                    return
                if message[0] == "error":
                    raise OSError(*message[1:])
                yield message
            del buffer[:begin]
        code = self._process.wait()
        raise RuntimeError(
            f"the run's supervisor process ended with exit code {code} before its work did; what it had "
            "started was killed, and results that are not here are lost"
        )

    def _receive(self) -> bytes:
        try:
            return self._channel.recv(1 << 20)
        except ConnectionResetError:
            return b""

    @staticmethod
    def _check_end(number: int) -> None:
        if number:
            name = signal.Signals(number).name
            raise RuntimeError(f"the run's supervisor process was sent {name}; it stopped what was running")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._owner:  # in a process forked from the one that runs it
            self._channel.close()
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._channel.send(b"\0")  # a forked process may hold the channel open: closing it is not enough
        self._channel.close()
        if self._process.wait() != 0:
            end_marked(self._mark, 0)
