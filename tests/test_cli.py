"""The command line: python -m gilfree demo | map | info. (Of run: test_scripts_command_line.py.)"""

import json

import pytest

import gilfree
from gilfree import _core
from gilfree.__main__ import main


@pytest.fixture
def cli(capfd):
    """Run a command; its exit code, and what it wrote."""

    def command(*arguments):
        try:
            code = main(list(arguments))
        except SystemExit as ended:
            code = ended.code
        output, errors = capfd.readouterr()
        return code, output, errors

    return command


# ---- map --------------------------------------------------------------------------------------------


def test_map(cli):
    assert cli("map", "fib", "5", "6", "20") == (0, "5\n8\n6765\n", "")
    assert cli("map", "is_prime", "7", "8") == (0, "True\nFalse\n", "")
    assert cli("map", "polynomial", "0", "1.5", "-2") == (0, "1.0\n4.1875\n-0.33333333333333326\n", "")
    assert cli("map", "muladd", "1,2,3", "0.5,4,-1") == (0, "5.0\n1.0\n", "")
    assert cli("map", "fib", "--workers", "1", "5") == (0, "5\n", "")
    assert cli("map", "fib", "--workers", "-1", "5") == (0, "5\n", "")
    assert cli("map", "fib", "5", "--timeout", "60") == (0, "5\n", "")


def test_map_of_negative_numbers(cli):
    assert cli("map", "is_prime", "-7", "7") == (0, "False\nTrue\n", "")
    assert cli("map", "muladd", "-1.5,2,3") == (0, "0.0\n", "")
    assert cli("map", "muladd", "-1e3,2,3", "1,-2,3") == (0, "-1997.0\n1.0\n", "")


BAD = {
    "outside the domain": (
        ["map", "fib", "5", "93"],
        1,
        "map: fib: item 1 of argument 1 (n) is 93; accepted: ",
    ),
    "a float for an integer": (
        ["map", "fib", "2.5"],
        1,
        "map: fib: item 0 of argument 1 (n): a whole number",
    ),
    "no number": (["map", "fib", "x"], 1, "map: could not convert string to float: 'x'"),
    "too many numbers": (["map", "fib", "1,2"], 1, "map: fib takes 1 iterables (int64(int64 n)), 2 given"),
    "unequal numbers": (["map", "muladd", "1,2,3", "1,2"], 1, "map: the arguments 1,2,3 1,2 differ"),
    "an overflow": (
        ["map", "collatz", "9223372036854775807"],
        1,
        "map: collatz: a value does not fit in 64 bits",
    ),
    "too great": (
        ["map", "fib", "9223372036854775808"],
        1,
        "map: fib: item 0 of argument 1 (n): it does not fit",
    ),
    "bad workers": (["map", "fib", "5", "--workers", "0"], 1, "map: workers is 0; accepted: "),
    "a timeout": (["map", "fib", "92", "92", "--timeout", "0.01"], 1, "map: fib: the timeout"),
    "bad timeout": (["map", "fib", "5", "--timeout", "-1"], 1, "map: timeout is -1.0; accepted: "),
    "no such kernel": (["map", "nope", "5"], 2, "argument KERNEL: invalid choice: 'nope'"),
    "no numbers": (["map", "fib"], 2, "the following arguments are required: ARG"),
    "no command": ([], 2, "the following arguments are required: command"),
    "no such command": (["nope"], 2, "invalid choice: 'nope'"),
    "workers no number": (
        ["map", "fib", "5", "--workers", "x"],
        2,
        "argument --workers: invalid int value: 'x'",
    ),
    "demo outside the domain": (["demo", "93"], 1, "demo: fib: item 0 of argument 1 (n) is 93; accepted: "),
}


@pytest.mark.parametrize(("arguments", "code", "words"), BAD.values(), ids=BAD)
def test_bad_input(cli, arguments, code, words):
    given_code, output, errors = cli(*arguments)
    assert given_code == code
    assert output == ""
    assert errors.startswith("python -m gilfree " if code == 1 else "usage: python -m gilfree ")
    assert words in errors
    assert "Traceback" not in errors


def test_every_kernel_is_offered(cli):
    code, output, _ = cli("map", "--help")
    assert code == 0
    for kernel in _core.kernels:
        assert kernel.__name__ in output


@pytest.mark.parametrize("command", ["demo", "map", "run", "info"])
def test_help_names_every_command(cli, command):
    assert cli(command, "--help")[0] == 0
    code, output, errors = cli("--help")
    assert (code, errors) == (0, "")
    assert command in output


def test_an_interrupt_is_no_traceback(cli, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(gilfree, "info", interrupted)
    assert cli("info") == (130, "", "")


# ---- info -------------------------------------------------------------------------------------------


def test_info(cli):
    code, output, errors = cli("info")
    assert (code, errors) == (0, "")
    assert [line.split()[0] for line in output.splitlines()] == [*gilfree.info(), "mpi"]
    for words in (gilfree.__version__, "online", "affinity", "quota", _core.__file__, "fib: int64(int64 n)"):
        assert words in output


def test_info_as_json(cli):
    code, output, errors = cli("info", "--json")
    assert (code, errors) == (0, "")
    facts = json.loads(output)
    assert facts.keys() == {*gilfree.info(), "mpi"}
    assert facts["kernels"] == {kernel.__name__: list(kernel.signatures) for kernel in _core.kernels}


# ---- in a process of its own ------------------------------------------------------------------------


def test_demo(run):
    """Small numbers: the results must agree, the times mean nothing."""
    script = "import runpy, sys; sys.argv[0] = 'gilfree'; runpy.run_module('gilfree', run_name='__main__')"
    output = run(script, "demo", "10", "12", "15", "--workers", "2").stdout
    lines = output.splitlines()
    assert lines[0] == "fib over [10, 12, 15] = [55, 144, 610]"
    assert lines[2].split() == ["way", "seconds", "times", "as", "fast", "as", "Python"]
    ways = [line[:40].strip() for line in lines[3:]]
    assert ways == [
        "Python, sequential",
        "multiprocessing.Pool(2), Python",
        "gilfree, 2 processes, Python",
        "gilfree, 1 worker",
        "ThreadPoolExecutor(2), kernels.fib",
        "gilfree, 2 workers",
    ]
    for line in lines[3:]:
        seconds, times = map(float, line[40:].split())
        assert seconds >= 0
        assert times >= 0
    assert lines[3].split()[-1] == "1.0"


def test_as_a_module(run):
    run(
        """
        import subprocess, sys
        def command(*arguments):
            program = [sys.executable, "-m", "gilfree", *arguments]
            ended = subprocess.run(program, capture_output=True, text=True)
            return ended.returncode, ended.stdout, ended.stderr
        assert command("map", "fib", "20") == (0, "6765\\n", "")
        code, output, errors = command("map", "fib", "0")
        assert (code, output, errors.count("\\n")) == (1, "", 1), errors
        """
    )
