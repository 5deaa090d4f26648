"""scripts.run and scripts.iter: what children are given, what they print, and what is said of them."""

import io
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gilfree import scripts

# Words that a program can be given: any bytes but nulls.
WORDS = st.one_of(
    st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])),
    st.binary().map(lambda data: data.replace(b"\0", b"")),
)


@pytest.fixture
def child(tmp_path):
    """A function that makes a child script, and returns its path."""

    def make(code, name="child.py"):
        path = tmp_path / name
        path.write_text(code)
        return str(path)

    return make


@pytest.fixture(scope="session")
def echo(tmp_path_factory):
    """A script that prints the length and the bytes of each of its arguments."""
    path = tmp_path_factory.mktemp("echo") / "echo.py"
    path.write_text(
        "import os, sys\n"
        "for word in map(os.fsencode, sys.argv[1:]):\n"
        "    sys.stdout.buffer.write(b'%d:%s;' % (len(word), word))\n"
    )
    return str(path)


def echoed(words):
    data = [os.fsencode(word) for word in words]
    return b"".join(b"%d:%s;" % (len(word), word) for word in data)


@pytest.fixture(autouse=True)
def _a_pipe(tmp_path):
    """In the folder of each test, for children to wait at."""
    os.mkfifo(tmp_path / "pipe")


# ---- what children are given ------------------------------------------------------------------------

AWKWARD = [
    "a b",
    "$HOME",
    "`id`",
    "; exit 9",
    "*",
    "'",
    '"',
    "\\",
    "a\nb",
    "\t",
    "",
    b"\xff\xfe",
    "é",
    "{}",
    "-n",
]


def test_awkward_arguments_arrive_as_given(echo):
    (result,) = scripts.run([[echo, *AWKWARD]])
    assert (result.returncode, result.stderr) == (0, "")
    assert b"".join(result.chunks()) == echoed(AWKWARD)
    assert result.command == (echo, *map(os.fsdecode, AWKWARD))


@settings(max_examples=10)
@given(lists=st.lists(st.lists(WORDS, max_size=5), min_size=1, max_size=4))
def test_any_arguments_arrive_as_given(echo, lists):
    results = scripts.run([[echo, *words] for words in lists], workers=2)
    assert [b"".join(result.chunks()) for result in results] == [echoed(words) for words in lists]


def test_the_kinds_of_commands(child, tmp_path):
    path = child("import sys; print(sys.argv[1:], sys.executable)")
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\necho "$0" "$@"\n')
    shell.chmod(0o755)
    odd = child("import sys; print(sys.argv[1:], sys.executable)", "without_an_ending")
    python = f"[] {sys.executable}\n"
    results = scripts.run(
        [
            path,
            Path(path),
            [path],
            [Path(path), 1, 2.5, b"x"],
            scripts.Script(odd, "a"),
            shell,
            [shell, "a"],
            [sys.executable, path],
            *scripts.template([path, "{1}-{2}"], ["a"], [1, 2]),
        ]
    )
    assert [result.stdout for result in results] == [
        python,
        python,
        python,
        f"['1', '2.5', 'x'] {sys.executable}\n",
        f"['a'] {sys.executable}\n",
        f"{shell}\n",
        f"{shell} a\n",
        python,
        f"['a-1'] {sys.executable}\n",
        f"['a-2'] {sys.executable}\n",
    ]
    assert all(result.ok for result in results)


def test_environment_and_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEEN", "yes")
    monkeypatch.delenv("GILFREE_RUN", raising=False)
    show = ["/bin/sh", "-c", 'echo "$SEEN" "$OWN"; pwd -P']
    here, there = Path.cwd().resolve(), tmp_path.resolve()
    assert scripts.run([show])[0].stdout == f"yes \n{here}\n"
    result = scripts.run([show], env={"OWN": "é x"}, cwd=tmp_path)[0]
    assert result.stdout == f" é x\n{there}\n"
    program = tmp_path / "here.py"
    program.write_text("print('found')")
    assert scripts.run(["here.py"], cwd=tmp_path)[0].stdout == "found\n"


def test_a_program_is_looked_for_along_the_path_of_the_children(tmp_path):
    program = tmp_path / "some-program"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)
    assert scripts.run([["some-program"]], env={"PATH": str(tmp_path)})[0].stdout == "ran\n"


def test_stdin_is_empty():
    assert scripts.run([["cat"]])[0].stdout == ""


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="descriptors are looked up in /proc")
@pytest.mark.parametrize("output", ["capture", "inherit"])
def test_children_are_given_no_descriptor_of_ours(child, output):
    # Listing the folder takes one more.
    path = child("import os; raise SystemExit(len(os.listdir('/proc/self/fd')) != 4)")
    assert scripts.run([path], output=output)[0].returncode == 0


def test_children_start_with_the_usual_signals(child):
    path = child("import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        assert scripts.run([path])[0].stdout == "set()\n"
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    # Ended by SIGPIPE, which Python ignores and children must not.
    (result,) = scripts.run([["sh", "-c", "kill -PIPE $$; echo alive"]])
    assert (result.returncode, result.stdout) == (-signal.SIGPIPE, "")


# ---- what is said of them ---------------------------------------------------------------------------


def test_a_result():
    before = time.time()
    (result,) = scripts.run([["sh", "-c", "echo out; echo err >&2; exit 3"]])
    assert (result.stdout, result.stderr, result.returncode) == ("out\n", "err\n", 3)
    assert before - 1 <= result.started <= time.time() + 1
    assert 0 <= result.duration <= time.time() - before + 1
    assert (result.index, result.attempts, result.ok) == (0, 1, False)
    assert (result.timed_out, result.stopped) == (False, False)
    assert result.command == ("sh", "-c", "echo out; echo err >&2; exit 3")


def test_the_end_by_a_signal():
    results = scripts.run([["sh", "-c", f"kill -{number} $$"] for number in (9, 15, 11)])
    assert [result.returncode for result in results] == [-9, -15, -11]


def test_cpu_time_is_the_childs(child):
    path = child("import time\nwhile time.process_time() < 0.3: pass")
    busy, idle = scripts.run([path, ["sleep", "0.3"]])
    assert busy.cpu_time >= 0.3
    assert idle.cpu_time < 0.1


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is sampled in /proc")
def test_peak_memory_is_the_childs(child):
    big = child("import time; x = b'x' * 200_000_000; del x; time.sleep(1.5)", "big.py")
    small = child("import time; time.sleep(1.5)", "small.py")
    ballast = b"x" * 300_000_000
    large, little = scripts.run([big, small], workers=2)
    assert large.peak_memory > 200_000_000 > little.peak_memory > 1_000_000
    assert len(ballast)


def test_the_order_of_results(tmp_path):
    """The first can end only once the second's result is here."""

    def release(done, total):
        if done == 1:
            (tmp_path / "pipe").write_text("go on\n")

    def indices(start, **options):
        results = start([["cat", "pipe"], ["true"]], workers=2, cwd=tmp_path, progress=release, **options)
        return [result.index for result in results]

    assert indices(scripts.run) == [0, 1]
    assert indices(scripts.run, ordered=False) == [1, 0]
    assert indices(scripts.iter) == [1, 0]
    assert indices(scripts.iter, ordered=True) == [0, 1]


def test_a_result_comes_while_others_run(tmp_path):
    results = scripts.iter([["cat", "pipe"], ["echo", "early"]], workers=2, cwd=tmp_path)
    assert next(results).stdout == "early\n"
    (tmp_path / "pipe").write_text("late\n")
    assert [result.stdout for result in results] == ["late\n"]


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_at_a_time(child, tmp_path, workers):
    """None ends before so many have begun; each counts those that run with it."""
    path = child(
        "import os, sys, time\n"
        "name, workers = sys.argv[1], int(sys.argv[2])\n"
        "os.mkdir('begun/' + name)\n"
        "os.mkdir('running/' + name)\n"
        "while len(os.listdir('begun')) < workers: pass\n"
        "time.sleep(0.1)  # a chance for one too many to begin\n"
        "print(len(os.listdir('running')))\n"
        "os.rmdir('running/' + name)\n"
    )
    _made(tmp_path / "begun")
    _made(tmp_path / "running")
    commands = [[path, number, workers] for number in range(9)]
    results = scripts.run(commands, workers=workers, cwd=tmp_path, timeout=60)
    assert all(result.ok for result in results)
    assert max(int(result.stdout) for result in results) <= workers


def test_nothing_to_run():
    assert scripts.run([]) == []
    assert list(scripts.iter([])) == []


# ---- what they print --------------------------------------------------------------------------------


def test_bytes_that_are_no_text():
    (result,) = scripts.run([["printf", r"\377a\r\n"]])
    assert result.stdout == "\udcffa\r\n"
    assert result.stdout.encode(errors="surrogateescape") == b"\xffa\r\n"


def test_a_child_that_closes_its_outputs(child):
    path = child("import os, time; os.close(1); os.close(2); time.sleep(0.2); os._exit(5)")
    (result,) = scripts.run([path])
    assert (result.returncode, result.stdout, result.stderr) == (5, "", "")
    assert result.duration >= 0.2


@pytest.mark.parametrize("size", [64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 3_000_000])
def test_output_beyond_what_is_kept_in_memory(child, size):
    """Two streams of two children at once, each in a pattern of its own."""
    path = child(
        "import sys, threading\n"
        "name, size = sys.argv[1], int(sys.argv[2])\n"
        "def write(file, word):\n"
        "    file.write((word * size)[:size])\n"
        "threads = [threading.Thread(target=write, args=pair) for pair in\n"
        "           ((sys.stdout, name + 'out'), (sys.stderr, name + 'err'))]\n"
        "for thread in threads: thread.start()\n"
    )
    for result, name in zip(
        scripts.run([[path, "x", size], [path, "y", size]], workers=2), "xy", strict=True
    ):
        assert result.stdout == (f"{name}out" * size)[:size]
        assert result.stderr == (f"{name}err" * size)[:size]


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read in /proc")
def test_a_gigabyte(run, tmp_path):
    """Neither this process nor the supervisor holds it."""
    run(
        """
        import os, resource, sys
        from gilfree import scripts
        (result,) = scripts.run([["head", "-c", str(10**9), "/dev/zero"]])
        assert result.ok
        assert sum(map(len, result.chunks())) == 10**9
        assert not any(chunk.strip(bytes(1)) for chunk in result.chunks())
        # Not this process's ru_maxrss, which begins with that of the process that started it.
        with open("/proc/self/status") as status:
            (mine,) = (line.split()[1] for line in status if line.startswith("VmHWM"))
        assert int(mine) < 150_000, mine
        others = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        assert others < 150_000, others
        assert os.listdir(sys.argv[1]) == []
        """,
        str(tmp_path / "temporary"),
        env={"TMPDIR": str(_made(tmp_path / "temporary"))},
    )


def _made(folder):
    folder.mkdir()
    return folder


def test_a_file_for_each_child(tmp_path):
    folder = tmp_path / "new" / "outputs"
    commands = [["sh", "-c", f"echo out {i}; echo err {i} >&2"] for i in (1, 2)]
    results = scripts.run(commands, output=folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "1.out": "out 1\n",
        "1.err": "err 1\n",
        "2.out": "out 2\n",
        "2.err": "err 2\n",
    }
    assert [(result.stdout, result.stderr) for result in results] == [
        ("out 1\n", "err 1\n"),
        ("out 2\n", "err 2\n"),
    ]


def test_inherited_output(run):
    ended = run(
        """
        from gilfree import scripts
        (result,) = scripts.run([["sh", "-c", "echo out; echo err >&2; exit 4"]], output="inherit")
        assert (result.returncode, result.stdout, result.stderr) == (4, "", "")
        raise SystemExit(4)
        """,
        code=4,
    )
    assert (ended.stdout, ended.stderr) == ("out\n", "err\n")


PIECEMEAL = """
import os, sys
for line in range(200):
    for piece in (sys.argv[1] * 50, f" {line}", "\\n"):
        os.write(1, piece.encode())
os.write(2, b"no newline")
"""


def test_streamed_lines_are_tagged_and_do_not_mix(child, capfdbinary):
    path = child(PIECEMEAL)
    commands = [scripts.Script(path, name, name=f"<{name}>") for name in "abcd"]
    results = scripts.run(commands, workers=4, output="stream")
    output, errors = capfdbinary.readouterr()
    lines = output.decode().splitlines()
    for name in "abcd":
        mine = [line for line in lines if line.startswith(f"<{name}>\t")]
        assert mine == [f"<{name}>\t{name * 50} {number}" for number in range(200)]
    assert len(lines) == 800
    assert sorted(errors.decode().splitlines()) == [f"<{name}>\tno newline" for name in "abcd"]
    assert [result.stdout for result in results] == [""] * 4


def test_the_tags(capfd):
    scripts.run(scripts.template(["echo", "x"], ["a b"], [1]), output="stream")
    scripts.run([["echo", "x y"]], output="stream")
    assert capfd.readouterr().out == "a b 1\tx a b 1\necho 'x y'\tx y\n"


def test_lines_are_streamed_to_a_stdout_without_bytes(monkeypatch):
    """As in a notebook."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    scripts.run([["printf", r"\377\n"]], output="stream")
    assert sys.stdout.getvalue() == "printf '\\377\\n'\t\ufffd\n"


def test_a_long_line_is_streamed_in_pieces(child, capfd):
    path = child("print('x' * 10_000_000); print('y')")
    scripts.run([scripts.Script(path, name="t")], output="stream")
    *pieces, last = capfd.readouterr().out.splitlines()
    assert last == "t\ty"
    assert all(piece.startswith("t\tx") for piece in pieces)
    assert "".join(piece[2:] for piece in pieces) == "x" * 10_000_000


def test_lines_are_not_hoarded(run):
    """While nobody takes the lines, the child waits, and the supervisor's memory does not grow."""
    run(
        """
        import resource, time
        from gilfree import scripts
        commands = [["echo", "first"], ["sh", "-c", "yes | head -n 60000000"]]
        results = scripts.iter(commands, workers=2, output="stream")
        assert next(results).index == 0
        time.sleep(2)
        results.close()
        assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 100_000
        """
    )


# ---- trying again, and halting ----------------------------------------------------------------------


def test_retries(child, tmp_path):
    path = child(
        "import os\n"
        "tries = len(os.listdir('tries')) + 1\n"
        "open(f'tries/{tries}', 'w').close()\n"
        "print('try', tries)\n"
        "raise SystemExit(tries < 3)\n"
    )
    for retries, attempts, code in ((0, 1, 1), (1, 2, 1), (2, 3, 0), (9, 3, 0)):
        tries = _made(tmp_path / "tries")
        (result,) = scripts.run([path], retries=retries, cwd=tmp_path)
        assert (result.attempts, result.returncode, result.stdout) == (attempts, code, f"try {attempts}\n")
        for file in tries.iterdir():
            file.unlink()
        tries.rmdir()


EXIT = ["sh", "-c", 'exit "$1"', "sh"]


def codes(results):
    return [result.returncode for result in results]


@pytest.mark.parametrize(
    ("halt", "given", "expected"),
    [
        ("never", [1, 0, 1], [1, 0, 1]),
        ("soon", [0, 1, 0], [0, 1, None]),
        ("now", [0, 1, 0], [0, 1, None]),
        ("soon,fail=2", [1, 0, 1, 0], [1, 0, 1, None]),
        ("now,success=1", [1, 0, 1], [1, 0, None]),
        ("soon,done=2", [1, 0, 1], [1, 0, None]),
        ("soon,fail=50%", [1, 0, 1, 0], [1, 0, 1, None]),
        ("2", [1, 0], [1, None]),
        ("soon,fail=9", [1, 1], [1, 1]),
    ],
)
def test_halt(halt, given, expected):
    results = scripts.run([[*EXIT, code] for code in given], workers=1, halt=halt)
    assert codes(results) == expected
    assert [result.attempts for result in results] == [int(code is not None) for code in expected]


def test_halt_now_stops_what_runs_and_soon_does_not(tmp_path):
    fail = ["sh", "-c", "read line <pipe; exit 7"]
    started = ["sh", "-c", "echo >pipe; {}"]
    wait, quick = (["sh", "-c", started[2].format(rest)] for rest in ("exec sleep 1000", "sleep 0.3; exit 4"))
    now = scripts.run([fail, wait, ["true"]], workers=2, halt="now", retries=0, cwd=tmp_path)
    assert codes(now) == [7, -15, None]
    assert [result.stopped for result in now] == [False, True, False]
    soon = scripts.run([fail, quick, ["true"]], workers=2, halt="soon", cwd=tmp_path)
    assert codes(soon) == [7, 4, None]
    assert not any(result.stopped for result in soon)


# ---- progress ---------------------------------------------------------------------------------------


def test_progress():
    told = []
    scripts.run([["true"], ["false"], ["true"]], progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_bar(capfd):
    scripts.run([["true"]] * 3, progress=True)
    assert "3/3" in capfd.readouterr().err


def test_no_bar_without_tqdm(monkeypatch, tmp_path):
    for module in ("tqdm", "tqdm.auto"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"tqdm, which is not installed.*gilfree\[progress\]"):
        scripts.run([["touch", tmp_path / "ran"]], progress=True)
    assert not (tmp_path / "ran").exists()


def test_an_error_in_progress_stops_the_run():
    def fail(done, total):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        scripts.run([["true"], ["sleep", "1000"]], workers=2, progress=fail)


# ---- bad input --------------------------------------------------------------------------------------

BAD = {
    "no workers": ({"workers": 0}, ValueError, "workers is 0; accepted: None"),
    "workers below": ({"workers": -2}, ValueError, "workers is -2; accepted: None"),
    "workers no number": ({"workers": "2"}, TypeError, "workers is '2'; accepted: None"),
    "timeout 0": ({"timeout": 0}, ValueError, "timeout is 0; accepted: None, or a number of seconds above 0"),
    "timeout nan": ({"timeout": float("nan")}, ValueError, "timeout is nan; accepted: "),
    "timeout no number": ({"timeout": "1"}, TypeError, "timeout is '1'; accepted: "),
    "retries": ({"retries": -1}, ValueError, "retries is -1; accepted: a number from 0"),
    "halt": ({"halt": "later"}, ValueError, "halt is 'later'; accepted: 'never', 'soon', 'now'"),
    "halt at none": ({"halt": "soon,fail=0"}, ValueError, "halt is 'soon,fail=0'; accepted: "),
    "output": (
        {"output": "files"},
        ValueError,
        "output is 'files'; accepted: 'capture', 'stream', 'inherit', or",
    ),
    "output no folder": ({"output": Path(__file__)}, NotADirectoryError, "which is no folder"),
    "resume": ({"resume": True}, ValueError, "resume is True without a joblog"),
    "resume what": ({"resume": "all", "joblog": "x"}, ValueError, "resume is 'all'; accepted: "),
    "cwd": ({"cwd": "/nonexistent"}, NotADirectoryError, "cwd is '/nonexistent'; accepted: "),
    "progress": ({"progress": 1}, TypeError, "progress is 1; accepted: "),
    "env name": ({"env": {"a=b": "c"}}, ValueError, "env has 'a=b': 'c'; accepted: "),
    "env value": ({"env": {"a": 1}}, TypeError, "env has 'a': 1; accepted: "),
}


@pytest.mark.parametrize("start", [scripts.run, scripts.iter])
@pytest.mark.parametrize(("options", "kind", "words"), BAD.values(), ids=BAD)
def test_bad_options_are_refused_before_anything_runs(tmp_path, start, options, kind, words):
    with pytest.raises(kind) as error:
        start([["touch", tmp_path / "ran"]], **options)
    assert words in str(error.value)
    assert not (tmp_path / "ran").exists()


BAD_COMMANDS = {
    "missing script": (
        "missing.py",
        FileNotFoundError,
        "there is no '/.*missing.py', of the command 'missing.py'",
    ),
    "missing in a list": (["no/such.py", "a"], FileNotFoundError, "there is no '/.*no/such.py'"),
    "missing program": (
        ["no-such-program", "a"],
        FileNotFoundError,
        "nor a program 'no-such-program' on PATH",
    ),
    "a string of words": (
        "child.py a b",
        FileNotFoundError,
        r"a string is one path: .* as \['child.py', 'a'\]",
    ),
    "not executable": (["./data"], PermissionError, r"data', .*is not an executable file; .*Script\(path"),
    "a folder": (["./folder"], PermissionError, "is not an executable file"),
    "a folder.py": (["./folder.py"], PermissionError, "cannot be read; accepted: a file"),
    "no words": ([], TypeError, r"a command is \[\]; accepted: a script's path, a list of words"),
    "no command": (5, TypeError, "a command is 5; accepted: "),
    "no word": (
        ["echo", None],
        TypeError,
        "a word of a command is None; accepted: str, bytes, a path, or a number",
    ),
    "a null": (["echo", "a\0b"], ValueError, "accepted: words without a null"),
}


@pytest.mark.parametrize(("command", "kind", "words"), BAD_COMMANDS.values(), ids=BAD_COMMANDS)
def test_bad_commands_are_refused_before_anything_runs(tmp_path, command, kind, words):
    (tmp_path / "data").write_text("not a program")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(kind, match=words):
        scripts.run([["touch", "ran"], command], cwd=tmp_path)
    assert not (tmp_path / "ran").exists()


def test_one_command_is_no_list_of_commands():
    for command in ("child.py", Path("child.py"), scripts.Script("child.py")):
        with pytest.raises(TypeError, match=r"accepted: a list of commands, as \["):
            scripts.run(command)


def test_a_program_that_vanishes_or_cannot_run_is_the_childs_result(tmp_path):
    broken, vanishing = tmp_path / "broken", tmp_path / "vanishing"
    for path in (broken, vanishing):
        path.write_text("no program at all")
        path.chmod(0o755)
    removed, cannot, after = scripts.run([["rm", vanishing], [broken], [vanishing]], workers=1)
    assert (removed.returncode, cannot.returncode, after.returncode) == (0, 126, 127)
    assert cannot.stderr == f"gilfree: cannot run {str(broken)!r}: Exec format error\n"
    assert after.stderr == f"gilfree: cannot run {str(vanishing)!r}: No such file or directory\n"


# ---- templates --------------------------------------------------------------------------------------

TEMPLATES = [
    (["c", "{}"], [["a", "b"]], [("c", "a"), ("c", "b")]),
    (["c"], [["a b"]], [("c", "a b")]),
    (["c"], [["a"], [1, 2]], [("c", "a", "1"), ("c", "a", "2")]),
    (["c", "x{2}y{1}"], [["a"], ["b", "d"]], [("c", "xbya"), ("c", "xdya")]),
    (["c", "-{}-"], [["a"], ["b"]], [("c", "-a b-")]),
    (["c", "{.}", "{/}", "{//}", "{/.}"], [["d/e.f.g"]], [("c", "d/e.f", "e.f.g", "d", "e.f")]),
    (["c", "{1/.}{2.}"], [["d/e.f"], ["g.h"]], [("c", "eg")]),
    (["c", "{#}"], [["a", "b"]], [("c", "1", "a"), ("c", "2", "b")]),
    (["{}", "{#}"], [["a"]], [("a", "1")]),
    (["c", "{x}", "{}"], [["{}"]], [("c", "{x}", "{}")]),
    ("c", [["a"]], [("c", "a")]),
    (["c"], [[]], []),
]


@pytest.mark.parametrize(("command", "parameters", "expected"), TEMPLATES)
def test_template(command, parameters, expected):
    assert [made.words for made in scripts.template(command, *parameters)] == expected


@pytest.mark.parametrize("word", ["{3}", "{0}", "{3/.}", "{%}"])
def test_a_bad_template(word):
    with pytest.raises(ValueError, match=r"the template has \{.*; accepted: \{\}, \{#\}, and \{1\} to \{2\}"):
        scripts.template(["c", word], ["a"], ["b"])
    with pytest.raises(ValueError, match="was given 0 lists of parameters"):
        scripts.template(["c", "a"])
