"""python -m gilfree run beside GNU parallel, on the same job lists; and the joblog both resume from."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gilfree
from gilfree import scripts
from gilfree.__main__ import main

HEADER = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand"


def run_here(folder, program, arguments, stdin=""):
    """Exit status, output, errors, and the joblog with its times checked and blanked."""
    ended = subprocess.run(
        [*program, *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(gilfree.__file__).parents[1])},
    )
    log = folder / "log"
    return ended.returncode, ended.stdout, ended.stderr, columns(log.read_text()) if log.exists() else None


def columns(text):
    lines = []
    for line in text.split("\n"):
        fields = line.split("\t")
        if fields[0].isdigit():
            assert re.fullmatch(r"\d+\.\d{1,3}", fields[2])
            assert re.fullmatch(r" *\d+\.\d{3}", fields[3])
            assert len(fields[3]) == 10
            fields[2:4] = "", ""
        lines.append(fields)
    return lines


@pytest.fixture
def ours(tmp_path):
    folder = _job_folder(tmp_path / "ours")
    program = [sys.executable, "-W", "error", "-m", "gilfree", "run"]
    return lambda *arguments, **options: run_here(folder, program, arguments, **options)


@pytest.fixture
def gnu(tmp_path):
    program = shutil.which("parallel")
    if (
        program is None
        or "GNU" not in subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    ):
        pytest.skip("GNU parallel is not installed (Debian: apt-get install parallel)")
    folder = _job_folder(tmp_path / "gnu")
    return lambda *arguments, **options: run_here(folder, [program, "--will-cite"], arguments, **options)


def _job_folder(folder):
    """Where a job list is run: what its commands need."""
    folder.mkdir()
    for name, text in {
        "end": 'exit "$1"',
        "die": 'kill -"$1" $$',
        "say": 'echo out "$@"; echo err "$@" >&2',
        "wait": 'sleep "$1"; exit "$2"',
        "flaky": 'echo >>"tries$1"; test "$(wc -l <"tries$1")" -ge "$1"',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    (folder / "lines").write_text("l1\n\nl 2\n")
    (folder / "data").write_text("not a program")
    return folder


# Job lists, each a sequence of command lines in one folder.
LOG = ("-j1", "-k", "--joblog", "log")
LISTS = {
    "arguments": [
        (*LOG, "echo", ":::", "a", "b c", "", "$HOME;ls", "it's", "é", "a=b", "*", "'", "x@y", "-n x")
    ],
    "failures": [(*LOG, "./end", ":::", "0", "3", "0", "255")],
    "signals": [(*LOG, "./die", ":::", "TERM", "KILL", "SEGV")],
    "more than 100 failures": [("-j2", "./end", ":::", *["1"] * 120)],
    "two sources": [(*LOG, "echo", "{2}-{1}", "{#}", ":::", "a", "b", ":::", "1", "2")],
    "two sources at the end": [(*LOG, "echo", ":::", "a", "b", ":::", "1", "2")],
    "parts of paths": [(*LOG, "echo", "{.}", "{/}", "{//}", "{/.}", "x{}", ":::", "d/a.b.c", "x", "/e/f.g")],
    "numbered parts": [(*LOG, "echo", "{1/}", "{2.}", "{1//}", ":::", "d/a.b", ":::", "e/f.g")],
    "tags": [("-j1", "-k", "--tag", "./say", ":::", "a", "b c")],
    "tags of two sources": [("-j1", "-k", "--tag", "echo", ":::", "a b", ":::", "1")],
    "keep order": [("-j3", "-k", "./wait", ":::", "0.3", "0", "0.1", ":::", "0")],
    "files": [(*LOG, "-a", "lines", "echo", "{}")],
    "files after": [(*LOG, "echo", "{1}", "{2}", "::::", "lines", ":::", "a")],
    "resume": [
        (*LOG, "echo", ":::", "a"),
        (*LOG, "--resume", "echo", ":::", "a", "b"),
        (*LOG, "--resume", "echo", ":::", "a", "b"),
    ],
    "resume leaves failures": [
        (*LOG, "./end", ":::", "0", "1"),
        (*LOG, "--resume", "./end", ":::", "0", "1", "2"),
    ],
    "resume failures": [
        (*LOG, "./flaky", ":::", "1", "2", "3"),
        (*LOG, "--resume-failed", "./flaky", ":::", "1", "2", "3"),
        (*LOG, "--resume-failed", "./flaky", ":::", "1", "2", "3"),
        (*LOG, "--resume-failed", "./flaky", ":::", "1", "2", "3"),
    ],
    "resume without a log yet": [(*LOG, "--resume", "echo", ":::", "a")],
    "a log begun anew": [(*LOG, "echo", ":::", "a"), (*LOG, "echo", ":::", "b")],
    "retries": [(*LOG, "--retries", "3", "./flaky", ":::", "1", "2", "3", "4")],
    "halt soon": [(*LOG, "--halt", "soon,fail=1", "./end", ":::", "0", "7", "0")],
    "halt now": [
        ("-j2", "--joblog", "log", "--halt", "now,fail=1", "./wait", ":::", "9", "0.2", "9", ":::", "5")
    ],
    "halt by a signal": [(*LOG, "--halt", "now,fail=1", "./die", ":::", "KILL", "TERM")],
    "halt after two": [(*LOG, "--halt", "soon,fail=2", "./end", ":::", "3", "0", "4", "5")],
    "halt at success": [(*LOG, "--halt", "now,success=1", "./end", ":::", "3", "0", "4")],
    "halt at done": [(*LOG, "--halt", "now,done=2", "./end", ":::", "3", "0", "4")],
    "halt at a share": [(*LOG, "--halt", "soon,fail=30%", "./end", ":::", "3", "0", "4", "5")],
    "halt in vain": [(*LOG, "--halt", "soon,fail=5", "./end", ":::", "3", "0", "4")],
    "halt by number": [(*LOG, "--halt", "2", "./end", ":::", "3", "0")],
    "halt at one done": [(*LOG, "--halt", "soon,done=1", "./end", ":::", "9", "0")],
    "timeout": [(*LOG, "--timeout", "1", "./wait", ":::", "0", "60", ":::", "0")],
    "a missing program": [(*LOG, "./missing", ":::", "a")],
    "a file that is no program": [(*LOG, "./data", ":::", "a")],
    "dry run": [("--dry-run", "-k", "echo", "{1}", "x{2}", ":::", "a b", ":::", "1", "$x")],
    "resume without a joblog": [("--resume", "echo", ":::", "a")],
    "a bad halt": [("--halt", "later", "echo", ":::", "a")],
    "a bad timeout": [("--timeout", "x", "echo", ":::", "a")],
    "a bad number of jobs": [("-j", "x", "echo", ":::", "a")],
    "an unknown option": [("--nonesuch", "echo", ":::", "a")],
    "a missing file of arguments": [("-a", "missing", "echo")],
    "as many jobs as there are": [("-j0", "-k", "echo", ":::", "1", "2")],
}


@pytest.mark.parametrize("command_lines", LISTS.values(), ids=LISTS)
def test_as_gnu_parallel(ours, gnu, command_lines):
    """The same exit status, output, order and joblog."""
    for arguments in command_lines:
        status, output, errors, log = ours(*arguments)
        expected = gnu(*arguments)
        assert (status, log) == (expected[0], expected[3])
        assert "Traceback" not in errors
        if status != 255:
            assert output == expected[1]
        if "./say" in arguments:
            assert errors == expected[2]


def test_arguments_from_stdin_as_gnu_parallel(ours, gnu):
    for arguments in ((*LOG, "echo", "x{}"), (*LOG, "-a", "-", "echo")):
        stdin = "a b\n\n  c\nd"
        assert ours(*arguments, stdin=stdin) == gnu(*arguments, stdin=stdin)


@pytest.mark.parametrize("first", ["ours", "gnu"])
def test_either_resumes_the_others_joblog(tmp_path, ours, gnu, first):
    both = {"ours": ours, "gnu": gnu}
    second = ({"ours", "gnu"} - {first}).pop()
    arguments = ["x y", "", "it's", "é", "a=b", "c"]
    both[first](*LOG, "./say", "-{}", ":::", *arguments[:4])
    shutil.copy(tmp_path / first / "log", tmp_path / second / "log")
    status, output, _, log = both[second](*LOG, "--resume", "./say", "-{}", ":::", *arguments)
    assert (status, output) == (0, "out -a=b\nout -c\n")
    assert [line[0] for line in log] == ["Seq", "1", "2", "3", "4", "5", "6", ""]


# ---- where they differ, and what only this one does -------------------------------------------------


@pytest.fixture
def cli(capfd):
    def command(*arguments):
        try:
            code = main(["run", *map(str, arguments)])
        except SystemExit as ended:
            code = ended.code
        output, errors = capfd.readouterr()
        return code, output, errors

    return command


def test_a_script_is_run_by_this_interpreter_and_no_shell_is_in_between(cli, tmp_path):
    path = tmp_path / "child.py"
    path.write_text("import sys; print(sys.argv[1:])")
    assert cli("-k", path, "$HOME", ":::", "a b", ";") == (0, "['$HOME', 'a b']\n['$HOME', ';']\n", "")


def test_lines_as_they_come_and_ungrouped(cli):
    assert cli("--line-buffer", "echo", ":::", "a") == (0, "a\n", "")
    assert cli("--lb", "--tag", "echo", ":::", "a") == (0, "a\ta\n", "")
    assert cli("--ungroup", "echo", ":::", "a") == (0, "a\n", "")
    code, _, errors = cli("--lb", "-u", "echo", ":::", "a")
    assert code == 255
    assert "--line-buffer and --ungroup are both given" in errors


def test_a_tagged_line_without_an_end_is_ended(cli):
    assert cli("-j1", "--tag", "printf", ":::", r"a\nb", "c") == (0, "a\\nb\ta\na\\nb\tb\nc\tc\n", "")


def test_a_bar(cli):
    code, output, errors = cli("--bar", "true", ":::", "1", "2")
    assert (code, output) == (0, "")
    assert "2/2" in errors


def test_what_a_halt_and_a_timeout_say(cli):
    said = "python -m gilfree run: this command failed, and no more are run: false 1\n"
    assert cli("-j1", "--halt", "soon,fail=1", "false", ":::", "1", "2") == (1, "", said)
    code, _, errors = cli("--timeout", "0.1", "sleep", ":::", "100")
    assert (code, errors) == (1, "python -m gilfree run: timed out: sleep 100\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([":::", "a"], "there is no command; accepted: a program"),
        (["echo", ":::+", "a"], ":::+ is given; accepted: ::: and ::::"),
        (["echo", "{2}", ":::", "a"], "the template has {2}; accepted: "),
        (["-j", "1.5", "echo", ":::", "a"], "--jobs is '1.5'; accepted: "),
        (["--timeout", "50%", "echo", ":::", "a"], "--timeout is '50%'; accepted: "),
        (["--retries", "-1", "echo", ":::", "a"], "retries is -2; accepted: "),
        (["--joblog", "+log", "echo", ":::", "a"], "--joblog is '+log'; accepted: "),
        (
            ["--joblog", "/nonexistent/log", "echo", ":::", "a"],
            "No such file or directory: '/nonexistent/log'",
        ),
    ],
)
def test_bad_input(cli, arguments, words):
    code, output, errors = cli(*arguments)
    assert (code, output) == (255, "")
    assert words in errors
    assert errors.splitlines()[-1].startswith("python -m gilfree run: ")


def test_nobody_reads_on(tmp_path):
    """As in `python -m gilfree run ... | head -1`."""
    with subprocess.Popen(
        [sys.executable, "-m", "gilfree", "run", "-j1", "echo", ":::", *map(str, range(200))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 255


# ---- the joblog, from Python ------------------------------------------------------------------------


def test_a_joblog(tmp_path):
    log = tmp_path / "log"
    scripts.run([["printf", "a\nb"], ["false"], ["sh", "-c", "kill -9 $$"]], workers=1, joblog=log)
    lines = log.read_text().splitlines()
    assert lines[0] == HEADER
    assert [line.split("\t")[4:] for line in lines[1:]] == [
        ["0", "3", "0", "0", "printf 'a\0b'"],
        ["0", "0", "1", "0", "false"],
        ["0", "0", "0", "9", "sh -c 'kill -9 $$'"],
    ]


def test_resume(tmp_path):
    commands = [["sh", "-c", "echo x >>one; exit 3"], ["sh", "-c", "echo x >>two"]]
    log = tmp_path / "log"
    first = scripts.run(commands[:1], joblog=log, cwd=tmp_path)
    told = []
    results = scripts.run(
        commands,
        joblog=log,
        resume=True,
        cwd=tmp_path,
        progress=lambda done, total: told.append((done, total)),
    )
    assert [(result.returncode, result.attempts) for result in results] == [(3, 0), (0, 1)]
    assert abs(results[0].started - first[0].started) < 0.01
    assert told == [(1, 2), (2, 2)]
    assert scripts.run(commands, joblog=log, resume="failed", cwd=tmp_path)[0].attempts == 1
    assert (tmp_path / "one").read_text() == "x\nx\n"
    assert (tmp_path / "two").read_text() == "x\n"


def test_a_line_without_an_end_counts_as_not_done(tmp_path):
    """Whoever wrote it was killed."""
    log = tmp_path / "log"
    commands = [["echo", "a"], ["echo", "b"]]
    scripts.run(commands, workers=1, joblog=log)
    whole = log.read_text()
    log.write_text(whole[:-4])
    results = scripts.run(commands, joblog=log, resume=True)
    assert [result.attempts for result in results] == [0, 1]
    assert columns(log.read_text()) == columns(whole)


def test_what_was_stopped_is_not_logged(tmp_path):
    log = tmp_path / "log"
    os.mkfifo(tmp_path / "pipe")
    fail, wait = ["sh", "-c", "read line <pipe; false"], ["sh", "-c", "echo >pipe; exec sleep 1000"]
    results = scripts.run([fail, wait], workers=2, halt="now", joblog=log, cwd=tmp_path)
    assert [result.stopped for result in results] == [False, True]
    assert [line[0] for line in columns(log.read_text())] == ["Seq", "1", ""]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "1\t:\t1.0\t0.1\t0\t0\t0\t0\techo other\n",
            "is about 'echo other', but command 'echo a' is in its place",
        ),
        ("nonsense\n", r"line 2 of the joblog .* is b'nonsense'; accepted: nine columns"),
        ("x\t:\t1.0\t0.1\t0\t0\t0\t0\techo a\n", "accepted: nine columns"),
    ],
)
def test_a_joblog_of_something_else_is_refused(tmp_path, text, words):
    log = tmp_path / "log"
    log.write_text(f"{HEADER}\n{text}")
    with pytest.raises(ValueError, match=words):
        scripts.run([["echo", "a"]], joblog=log, resume=True)
    assert log.read_text() == f"{HEADER}\n{text}"


def test_commands_meet(ours, tmp_path, kind):
    child = tmp_path / "child.py"
    child.write_text("from gilfree.scripts import sync; print(sync.connect().barrier('b', 2).wait() >= 0)")
    status, output, _, _ = ours("--sync", "private", "-j", "2", str(child), ":::", "a", "b")
    assert (status, output) == (0, "True\nTrue\n")


def test_a_server_that_cannot_be_reached(ours):
    status, output, errors, _ = ours("--sync", "", "echo", ":::", "a")
    assert (status, output) == (255, "")
    assert "the server's URL is ''" in errors
    status, output, errors, _ = ours("--sync", "redis://127.0.0.1:1", "echo", ":::", "a")
    assert (status, output) == (255, "")
    assert errors.startswith("python -m gilfree run: the server redis://127.0.0.1:1 is lost")
