"""The joblog: a line for each command that ended, in GNU parallel's format, which either can resume from."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from gilfree.scripts.commands import Command
from gilfree.scripts.results import ScriptResult

HEADER = b"Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n"


class JobLog:
    """`resume`: False begins the file anew; True takes what it lists as done; "failed", what succeeded."""

    def __init__(
        self, path: str | os.PathLike[str], commands: Sequence[Command], resume: bool | str = False
    ) -> None:
        self._path = os.fspath(path)
        self._commands = commands
        self.done: dict[int, ScriptResult] = {}
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o666)
        try:
            if resume:
                self._read(failed_too=resume is True)
            else:
                os.ftruncate(self._fd, 0)
            if os.fstat(self._fd).st_size == 0:
                os.write(self._fd, HEADER)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        os.close(self._fd)

    def _read(self, failed_too: bool) -> None:
        with open(self._path, "rb") as file:
            data = file.read()
        whole = data.rfind(b"\n") + 1
        # A line without an end: whoever wrote it was killed. Its command counts as not done.
        os.ftruncate(self._fd, whole)
        for number, line in enumerate(data[:whole].split(b"\n")[:-1], 1):
            if line + b"\n" != HEADER:
                result = self._parse(number, line)
                if result and (failed_too or result.ok):
                    self.done[result.index] = result

    def _parse(self, number: int, line: bytes) -> ScriptResult | None:
        fields = line.split(b"\t", 8)
        try:
            sequence, _, started, duration, _, _, exitval, number_of_signal, text = fields
            index, status, signal = int(sequence) - 1, int(exitval), int(number_of_signal)
            began, seconds = float(started), float(duration)
        except ValueError as error:
            raise ValueError(
                f"line {number} of the joblog {self._path!r} is {line!r:.200}; accepted: nine columns with "
                "tabs between them, as GNU parallel writes; give another joblog, or resume=False "
                "to begin it anew"
            ) from error
        if index not in range(len(self._commands)):
            return None
        command = self._commands[index]
        self._check_same(number, command, os.fsdecode(text.replace(b"\0", b"\n")))
        return ScriptResult(
            command.words, index, -signal if signal else status, began, seconds, timed_out=status == -1
        )

    def _check_same(self, number: int, command: Command, logged: str) -> None:
        try:
            same = logged == command.text or shlex.split(logged) == shlex.split(command.text)
        except ValueError:  # no closing quotation
            same = False
        if not same:
            raise ValueError(
                f"line {number} of the joblog {self._path!r} is about {logged!r}, but command "
                f"{command.text!r} is in its place now; resume needs the commands, and their "
                f"order, as they were"
            )

    def add(self, result: ScriptResult) -> None:
        """One write, so that a kill leaves a whole line or none. What was stopped is not done: left out."""
        code = result.returncode or 0
        status, signal = (0, -code) if code < 0 else (code, 0)
        line = "\t".join(
            [
                str(result.index + 1),
                ":",
                f"{result.started or 0:.3f}",
                f"{result.duration:10.3f}",
                "0",
                str(result.outputs[0].size),
                "-1" if result.timed_out else str(status),
                str(signal),
                self._commands[result.index].text.replace("\n", "\0"),
            ]
        )
        if not result.stopped:
            os.write(self._fd, os.fsencode(line) + b"\n")
