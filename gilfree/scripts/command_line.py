"""python -m gilfree run: GNU parallel's options, where the meaning is the same, and its exit status.

What differs: no shell is in between (the command is a program and its words), a script that ends in .py is
run by this interpreter, and what GNU parallel would do with options that are not here is not done.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import Any, NoReturn

from gilfree import cpu_count
from gilfree.scripts import commands as command_words
from gilfree.scripts.launcher import Options, Run
from gilfree.scripts.printing import tagged, write
from gilfree.scripts.results import ScriptResult

OTHER_ERROR = 255
ENDLESS = sys.maxsize

_DESCRIPTION = (
    "Run COMMAND once for each ARG, or each combination of them; without ::: and -a, for each line of stdin. "
    "{} stands for ARG, {1}, {2} for the one of that list, {.} {/} {//} {/.} for parts of its path, {#} for "
    "the command's number; without any, ARG becomes the last word. A COMMAND that ends in .py is run by this "
    "Python. Exit status: how many commands failed (101: more than 100), or with --halt WHEN,fail=1 that of "
    "the one that failed; 255 for other errors."
)


def add_parser(commands: Any) -> None:
    """Add the command to those of python -m gilfree."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="run a command many times side by side, as GNU parallel does",
        usage="%(prog)s [options] COMMAND [WORD ...] [::: ARG ... | :::: FILE ...] ...",
        description=_DESCRIPTION,
    )
    add = parser.add_argument
    add("-j", "--jobs", "-P", "--max-procs", default="100%", metavar="N", help="at a time")
    add("--timeout", metavar="SECONDS", help="then a command is ended; also 2m, 1.5h, 1d")
    add("--retries", type=int, default=1, metavar="N", help="start it N times until it succeeds; 0: always")
    add("--halt", "--halt-on-error", default="never", metavar="WHEN", help="never; soon,fail=1; now,done=9%%")
    add("--joblog", metavar="FILE", help="a line for each command that ended")
    add("--resume", action="store_true", help="leave out what the joblog lists")
    add("--resume-failed", action="store_true", help="the same, but run again what it lists as failed")
    add("--tag", action="store_true", help="begin each line with its ARG")
    add("-k", "--keep-order", action="store_true", help="print in the order of the commands")
    add("--lb", "--line-buffer", action="store_true", help="print each line as it comes")
    add("-u", "--ungroup", action="store_true", help="let the commands print themselves: lines may mix")
    add("--bar", action="store_true", help="show the progress")
    add(
        "--sync",
        metavar="URL",
        help="where the commands meet: a Redis server, or 'private' for one of their own",
    )
    add("--dry-run", action="store_true", help="print the commands, run none")
    add("-a", "--arg-file", action="append", default=[], metavar="FILE", help="an ARG a line; - is stdin")
    add("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="a program, or a script that ends in .py")

    def error(message: str) -> NoReturn:
        parser.print_usage(sys.stderr)
        parser.exit(OTHER_ERROR, f"{parser.prog}: error: {message}\n")

    parse_known_args = parser.parse_known_args

    def parse_all(*given: Any) -> Any:
        options, unknown = parse_known_args(*given)
        return error(f"unknown option {unknown[0]}") if unknown else (options, unknown)

    # argparse itself ends with 2, and leaves what is unknown to the parser above.
    parser.error = error  # type: ignore[method-assign]
    parser.parse_known_args = parse_all  # type: ignore[method-assign, assignment]
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    try:
        return _run(options)
    except BrokenPipeError:  # nobody reads on; nor shall Python try to write the rest at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        print(f"python -m gilfree run: {error}", file=sys.stderr)
    return OTHER_ERROR


def _run(options: argparse.Namespace) -> int:
    commands = _commands(options)
    if options.dry_run:
        write(1, (os.fsencode(command.text) + b"\n" for command in commands))
        return 0
    if options.lb and options.ungroup:
        raise ValueError("--line-buffer and --ungroup are both given; accepted: one of them")
    if options.joblog and options.joblog.startswith("+"):
        raise ValueError(
            f"--joblog is {options.joblog!r}; accepted: the name of a file; to append to one, --resume"
        )
    run = Run(
        commands,
        Options(
            workers=_jobs(options.jobs, len(commands)),
            timeout=_seconds(options.timeout),
            retries=options.retries - 1 if options.retries else ENDLESS,
            halt=options.halt,
            ordered=options.keep_order,
            output="stream" if options.lb else "inherit" if options.ungroup else "capture",
            joblog=options.joblog,
            resume="failed" if options.resume_failed else options.resume,
            progress=options.bar,
            sync={None: False, "private": True}.get(options.sync, options.sync),
            programs_must_exist=False,
            tags=options.tag,
        ),
    )
    for result in run.results():
        _print(run, result, options.tag)
    return run.tally.status


def _print(run: Run, result: ScriptResult, tag: bool) -> None:
    command = run.commands[result.index]
    for number in (1, 2):
        chunks = result.outputs[number - 1].chunks()
        write(number, tagged(chunks, command.name) if tag else chunks)
    if result.timed_out and result.attempts:
        print(f"python -m gilfree run: timed out: {command.text}", file=sys.stderr)
    if result is run.tally.trigger:
        how = "succeeded" if result.ok else "failed"
        print(
            f"python -m gilfree run: this command {how}, and no more are run: {command.text}", file=sys.stderr
        )


def _commands(options: argparse.Namespace) -> list[command_words.Command]:
    words, sources = _split(options.words)
    sources = [_lines(path) for path in options.arg_file] + sources
    if not words:
        raise ValueError(
            "there is no command; accepted: a program, or a script that ends in .py, before any :::"
        )
    return command_words.template(words, *(sources or [_lines("-")]))


def _split(given: list[str]) -> tuple[list[str], list[list[str]]]:
    """The command's words, and the lists of arguments after them."""
    parts: list[list[str]] = [[]]
    from_files = []
    for word in given[1:] if given[:1] == ["--"] else given:
        if re.fullmatch(r":::?:?\+", word):
            raise ValueError(f"{word} is given; accepted: ::: and ::::")
        if word in (":::", "::::"):
            parts.append([])
            from_files.append(word == "::::")
        else:
            parts[-1].append(word)
    sources: list[list[str]] = []
    for part, from_file in zip(parts[1:], from_files, strict=True):
        sources += [_lines(path) for path in part] if from_file else [part]
    return parts[0], sources


def _lines(path: str) -> list[str]:
    if path == "-":
        data = sys.stdin.buffer.read()
    else:
        with open(path, "rb") as file:
            data = file.read()
    return [os.fsdecode(line) for line in data.removesuffix(b"\n").split(b"\n")] if data else []


def _jobs(given: str, commands: int) -> int:
    match = re.fullmatch(r"([+-]?)(\d+)(%?)", given)
    if not match or (match[1] and match[3]):
        raise ValueError(
            f"--jobs is {given!r}; accepted: N, +N or -N (more or fewer than the CPUs), N% of them, 0"
        )
    number = int(match[2])
    if match[3]:
        return max(1, cpu_count() * number // 100)
    if match[1]:
        return max(1, cpu_count() + (number if match[1] == "+" else -number))
    return number or max(1, commands)


def _seconds(given: str | None) -> float | None:
    if given is None:
        return None
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)([smhd]?)", given)
    if not match:
        raise ValueError(f"--timeout is {given!r}; accepted: seconds, or a number with s, m, h or d")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
