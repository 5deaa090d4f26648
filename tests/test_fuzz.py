"""All sorts of arguments, at random. CI runs more of them, over a core built with sanitizers."""

import sys

import fuzz
import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="reads its own memory from /proc")
@pytest.mark.parametrize("seed", range(4))
def test_no_call_crashes_leaks_or_is_wrong(run, seed):
    output = run(
        "import fuzz, sys; fuzz.main(1000, int(sys.argv[1]))",
        str(seed),
        env={"PYTHONPATH": FOLDERS},
        flags=(),
    )
    assert output.stdout.startswith("1000 calls")


FOLDERS = ":".join(path for path in sys.path if path)
assert fuzz
