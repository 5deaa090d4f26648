"""run and iter: what is given is checked, run by a supervisor, and handed out as results."""

from __future__ import annotations

import atexit
import contextlib
import operator
import os
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gilfree import _core
from gilfree.scripts import commands as command_words
from gilfree.scripts import halting
from gilfree.scripts.commands import Command, Given
from gilfree.scripts.joblog import JobLog
from gilfree.scripts.printing import tagged, write
from gilfree.scripts.processes import MARK_VARIABLE
from gilfree.scripts.progress import Progress
from gilfree.scripts.results import FileOutput, KeptOutput, Output, ScriptResult
from gilfree.scripts.supervision import Supervision

if TYPE_CHECKING:
    from gilfree.scripts.sync.meeting import Meeting

WORKERS_ACCEPTED = "None for the pool's size, a number from 1, or -1 for all CPUs"
OUTPUT_ACCEPTED = "'capture', 'stream', 'inherit', or a Path, the folder for a file of each child's"

Path = os.PathLike[str]


class Options(NamedTuple):
    """What run and iter take; documented there."""

    workers: int | None = None
    timeout: float | None = None
    retries: int = 0
    halt: str = "never"
    env: Mapping[str, str] | None = None
    cwd: str | Path | None = None
    ordered: bool = True
    output: str | Path = "capture"
    joblog: str | Path | None = None
    resume: bool | str = False
    progress: bool | Callable[[Any, int], object] = False
    sync: bool | str = False
    programs_must_exist: bool = True
    tags: bool = True  # where lines are streamed


def run(
    commands: Iterable[Given],
    *,
    workers: int | None = None,
    timeout: float | None = None,
    retries: int = 0,
    halt: str = "never",
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    ordered: bool = True,
    output: Literal["capture", "stream", "inherit"] | Path = "capture",
    joblog: str | Path | None = None,
    resume: bool | Literal["failed"] = False,
    progress: bool | Callable[[Any, int], object] = False,
    sync: bool | str = False,
) -> list[ScriptResult]:
    """Run the commands side by side, and return a result for each.

    A command is the path of a script, a list of words, a Script, or comes from template(). Its first word is
    the program; one that ends in .py is run by this interpreter. No shell is in between: arguments arrive as
    given. Children read nothing from stdin. A command that fails is no error: look at `returncode`, or `ok`.

    workers    children at a time; None: the pool's size, -1: all CPUs
    timeout    seconds for each attempt; then its group of processes gets TERM, and KILL 2 s later
    retries    how often a command that failed is started again
    halt       "never"; "soon": after a failure none is started any more; "now": and those that run are
               stopped; or as for GNU parallel: "soon,fail=3", "now,success=1", "soon,done=10%"
    env, cwd   their environment and folder; None: this process's
    ordered    results in the order of the commands, else as they finish
    output     "capture": kept in the results, the first 64 KiB of each stream in memory, the rest in a
               temporary file; "stream": passed on to sys.stdout and sys.stderr line by line, tagged (lines of
               more than 64 KiB in pieces); "inherit": written to this process's own; a Path: a folder for
               files 1.out, 1.err, 2.out, ..., numbered as the commands
    joblog     a file for a line about each command that ended, in GNU parallel's format
    resume     take from the joblog what it lists, and run the rest; "failed": what it lists as failed, too
    progress   called with (commands done, commands in all), or True for a bar (tqdm); a command that reports
               (see sync) counts by its share while it runs: the first number is a float then
    sync       where the children meet, by scripts.sync.connect(): True for a server of the run's own, or the
               URL of a Redis server; needs gilfree[redis]

    When the call ends, whatever the reason, its children are gone, and what they started (it is found by the
    variable GILFREE_RUN in its environment). So too after Ctrl-C, which raises KeyboardInterrupt, and if this
    process is killed. FileNotFoundError or PermissionError before anything runs if a program is missing or
    not executable; RuntimeError if the supervisor process is killed. With sync: ImportError without redis-py,
    ConnectionError if the server cannot be reached, both before anything runs.
    """
    options = Options(
        workers, timeout, retries, halt, env, cwd, ordered, output, joblog, resume, progress, sync
    )
    return list(Run(commands, options).results())


def iter(
    commands: Iterable[Given],
    *,
    workers: int | None = None,
    timeout: float | None = None,
    retries: int = 0,
    halt: str = "never",
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    ordered: bool = False,
    output: Literal["capture", "stream", "inherit"] | Path = "capture",
    joblog: str | Path | None = None,
    resume: bool | Literal["failed"] = False,
    progress: bool | Callable[[Any, int], object] = False,
    sync: bool | str = False,
) -> Generator[ScriptResult, None, None]:
    """As run(), but yield each result as its command finishes; with `ordered`, in the order of the commands.

    The first next() starts the children. Closing the iterator stops them. Lines are streamed, the joblog is
    written and `progress` is called while it is iterated over.
    """
    options = Options(
        workers, timeout, retries, halt, env, cwd, ordered, output, joblog, resume, progress, sync
    )
    return Run(commands, options).results()


_open: weakref.WeakSet[Generator[ScriptResult, None, None]] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    # Later, while the interpreter is taken down, no thread can be waited for, and what is needed may be gone.
    for results in list(_open):
        with contextlib.suppress(ValueError):  # it is iterated over by a thread that nobody waits for
            results.close()


class Run:
    """A checked run. Nothing is started, written or created before results() is iterated over."""

    def __init__(self, commands: Iterable[Given], options: Options) -> None:
        if isinstance(commands, str | bytes | os.PathLike | command_words.Script | Command):
            raise TypeError(
                f"commands is {commands!r:.200}; accepted: a list of commands, as [{commands!r:.200}]"
            )
        self.commands = [command_words.parse(command) for command in commands]
        self.options = options
        self.folder = _folder(options.cwd)
        self.mark = os.urandom(8).hex()
        self.environment = _environment(options.env, self.mark)
        self.halt = halting.parse(options.halt, len(self.commands))
        self.tally = halting.Tally(self.halt, len(self.commands))
        self.workers = _workers(options.workers)
        self.timeout = _timeout(options.timeout)
        self.retries = _whole(options.retries, "retries", 0, "a number from 0")
        self.output, self.output_folder = _output(options.output)
        _check_resume(options.resume, options.joblog)
        self.sync = _sync(options.sync)
        self.progress = Progress(options.progress, len(self.commands))
        self.programs = command_words.find_programs(
            self.commands, self.folder, self.environment, options.programs_must_exist
        )

    def results(self) -> Generator[ScriptResult, None, None]:
        results = self._results()
        _open.add(results)
        return results

    def _results(self) -> Generator[ScriptResult, None, None]:
        with contextlib.ExitStack() as stack:
            log = self._open_log(stack)
            done = dict(log.done) if log else {}
            stack.enter_context(self.progress)
            arrived = self._arrive(log, done)
            stack.callback(arrived.close)
            yield from _in_order(arrived) if self.options.ordered else arrived

    def _open_log(self, stack: contextlib.ExitStack) -> JobLog | None:
        if self.options.joblog is None:
            return None
        log = JobLog(self.options.joblog, self.commands, self.options.resume)
        stack.callback(log.close)
        return log

    def _arrive(
        self, log: JobLog | None, done: dict[int, ScriptResult]
    ) -> Generator[ScriptResult, None, None]:
        """Every result, in the order of arrival: those of an earlier run, of this run, and of no run."""
        for result in done.values():
            self.progress.finished(result.index)
            yield result
        todo = [index for index in range(len(self.commands)) if index not in done]
        with contextlib.ExitStack() as stack:
            if todo:
                meeting = self._meet(stack)
                supervision = stack.enter_context(
                    Supervision(self._plan(todo), meeting.wakeup if meeting else None)
                )
                for message in supervision:
                    if message[0] == "lines":
                        self._pass_on(*message[1:])
                        continue
                    if message[0] == "reports":
                        assert meeting
                        self.progress.reported(meeting.reports())
                        continue
                    result = self._result(message, supervision)
                    done[result.index] = result
                    self.tally.add(result)
                    if log:
                        log.add(result)
                    self.progress.finished(result.index)
                    yield result
        for index, command in enumerate(self.commands):
            if index not in done:
                yield ScriptResult(command.words, index, None)

    def _meet(self, stack: contextlib.ExitStack) -> Meeting | None:
        if not self.sync:
            return None
        from gilfree.scripts.sync.connection import ADDRESS_VARIABLE
        from gilfree.scripts.sync.meeting import Meeting

        meeting = stack.enter_context(Meeting(self.sync, self.mark))
        self.environment[ADDRESS_VARIABLE] = meeting.address
        return meeting

    def _plan(self, todo: list[int]) -> dict[str, Any]:
        if self.output_folder is not None:
            os.makedirs(self.output_folder, exist_ok=True)
        programs = zip(self.programs, self.commands, strict=True)
        return {
            "commands": [
                (os.fsencode(program), [os.fsencode(word) for word in command.arguments])
                for program, command in programs
            ],
            "todo": todo,
            "environment": {
                os.fsencode(name): os.fsencode(self.environment[name]) for name in self.environment
            },
            "folder": self.folder,
            "workers": self.workers,
            "timeout": self.timeout,
            "retries": self.retries,
            "halt": (self.halt.when, self.halt.why, self.halt.number),
            "output": self.output,
            "files": [self._files(index) for index in range(len(self.commands))],
            "mark": self.mark,
            "names": [os.fsencode(command.name) for command in self.commands] if self.sync else None,
        }

    def _files(self, index: int) -> tuple[str, ...]:
        if self.output_folder is None:
            return ()
        return tuple(os.path.join(self.output_folder, f"{index + 1}.{kind}") for kind in ("out", "err"))

    def _result(self, message: Any, supervision: Supervision) -> ScriptResult:
        _, index, facts, flags, kept = message
        returncode, started, duration, attempts, cpu_time, peak_memory = facts
        timed_out, stopped = flags
        if self.output == "files":
            outputs: list[Output] = [FileOutput(path) for path in self._files(index)]
        elif self.output == "lines":
            outputs = [Output(size) for size, _, _ in kept]
        elif self.output == "inherit":
            outputs = [Output(), Output()]
        else:
            outputs = [KeptOutput(size, head, extents, supervision.spill) for size, head, extents in kept]
        return ScriptResult(
            command=self.commands[index].words,
            index=index,
            returncode=returncode,
            started=started,
            duration=duration,
            attempts=attempts,
            cpu_time=cpu_time,
            peak_memory=peak_memory,
            timed_out=timed_out,
            stopped=stopped,
            outputs=(outputs[0], outputs[1]),
        )

    def _pass_on(self, index: int, number: int, data: bytes) -> None:
        """Whole lines, or a piece of a long one."""
        chunks = [data] if data.endswith(b"\n") else [data, b"\n"]
        write(number, tagged(chunks, self.commands[index].name) if self.options.tags else chunks)


def _in_order(arrived: Iterator[ScriptResult]) -> Iterator[ScriptResult]:
    early: dict[int, ScriptResult] = {}
    wanted = 0
    for result in arrived:
        early[result.index] = result
        while wanted in early:
            yield early.pop(wanted)
            wanted += 1


# ---- what is given, checked -------------------------------------------------------------------------


def _environment(env: Mapping[str, str] | None, mark: str) -> dict[str, str]:
    """The children's variables: those given, and the run's own."""
    given = dict(os.environ if env is None else env)
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"env has {name!r}: {value!r:.80}; accepted: names and values that are str")
        if not name or "=" in name or "\0" in name + value:
            raise ValueError(
                f"env has {name!r}: {value!r:.80}; accepted: names without '=' that are not empty, "
                f"and no nulls"
            )
    around = given.get(MARK_VARIABLE, os.environ.get(MARK_VARIABLE))
    given[MARK_VARIABLE] = f"{around}:{mark}" if around else mark
    return given


def _folder(cwd: str | Path | None) -> str:
    folder = os.path.abspath(os.getcwd() if cwd is None else cwd)
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"cwd is {cwd!r}; accepted: None, or a folder that exists")
    return folder


def _whole(given: object, name: str, least: int, accepted: str) -> int:
    try:
        number = operator.index(given)  # type: ignore[arg-type]
    except TypeError as error:
        raise TypeError(f"{name} is {given!r:.80}; accepted: {accepted}") from error
    if number < least:
        raise ValueError(f"{name} is {number}; accepted: {accepted}")
    return number


def _workers(workers: int | None) -> int:
    if workers is None or workers == -1:
        return _core.check_options(workers, None, None, None)
    return _whole(workers, "workers", 1, WORKERS_ACCEPTED)


def _timeout(timeout: float | None) -> float | None:
    accepted = "None, or a number of seconds above 0"
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout is {timeout!r:.80}; accepted: {accepted}")
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout!r}; accepted: {accepted}")
    # A century: beyond it, the clock's arithmetic is not ours to try.
    return min(float(timeout), 3.2e9)


def _output(output: str | Path) -> tuple[str, str | None]:
    """How the supervisor calls it, and the folder for files."""
    kinds = {"capture": "pipes", "stream": "lines", "inherit": "inherit"}
    if isinstance(output, str) and output in kinds:
        return kinds[output], None
    if isinstance(output, os.PathLike):
        folder = os.path.abspath(os.fspath(output))
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise NotADirectoryError(f"output is {output!r}, which is no folder; accepted: {OUTPUT_ACCEPTED}")
        return "files", folder
    raise (ValueError if isinstance(output, str) else TypeError)(
        f"output is {output!r:.200}; accepted: {OUTPUT_ACCEPTED}"
    )


def _sync(sync: bool | str) -> bool | str:
    if sync is False:
        return False
    from gilfree.scripts.sync import server  # what no other run needs

    return server.check(sync)


def _check_resume(resume: bool | str, joblog: str | Path | None) -> None:
    if not isinstance(resume, bool) and resume != "failed":
        raise ValueError(f"resume is {resume!r}; accepted: True, False, or 'failed'")
    if resume and joblog is None:
        raise ValueError(
            f"resume is {resume!r} without a joblog; accepted: resume with joblog=, the file to look in"
        )
