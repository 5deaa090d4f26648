"""Nothing of a run outlives it: not a child, not a grandchild, not a zombie, descriptor or file."""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

import gilfree
from gilfree import scripts

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/environ"), reason="processes are looked for in /proc"
)

# Until what has been killed is gone, on a busy machine.
PATIENCE = 60


class Family:
    """The processes whose environment has this token, as those have that a process with it starts."""

    def __init__(self):
        self.token = uuid.uuid4().hex

    def alive(self):
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"FAMILY={self.token}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((int(folder.name), (folder / "cmdline").read_bytes()))
            except OSError:
                continue
        return found

    def wait_for(self, count):
        """Until there are so many."""
        deadline = time.monotonic() + PATIENCE
        while len(alive := self.alive()) != count:
            assert time.monotonic() < deadline, (count, alive)
            time.sleep(0.01)

    def kill(self):
        for pid, _ in self.alive():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def family():
    family = Family()
    yield family
    family.kill()


@pytest.fixture
def parent(family):
    """Start a script in a process of the family."""
    started = []

    def start(code, *arguments):
        environment = {
            **os.environ,
            "FAMILY": family.token,
            "PYTHONPATH": str(Path(gilfree.__file__).parents[1]),
        }
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", code, *arguments], env=environment, stdout=subprocess.PIPE, text=True
            )
        )
        return started[-1]

    yield start
    family.kill()
    for process in started:
        process.wait()
        process.stdout.close()


# Children with grandchildren: in the group, out of it, and deaf to TERM; each a process that never ends.
TREES = """
from gilfree import scripts
deaf = "trap '' TERM HUP; while :; do sleep 1000; done"
trees = [
    "sleep 1000 & sleep 1000",
    "setsid sleep 1000 & sleep 1000",
    "sh -c \\"" + deaf + "\\" & " + deaf,
    "(setsid sh -c 'sleep 1000 & sleep 1000' &) ; sleep 1000",
]
"""
RUN_TREES = TREES + "scripts.run([['sh', '-c', tree] for tree in trees] * 2, workers=8)"


def test_nothing_survives_the_kill_of_the_parent_at_any_moment(family, parent):
    """20 times. Half of the parents start short children all the time."""
    short = "[['sh', '-c', 'sleep 1000 & setsid sleep 1000 &'], ['true']] * 5000"
    churn = f"{TREES}scripts.run({short}, workers=4)"
    parents = [parent(code) for code in (RUN_TREES, churn) * 10]
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    for process in rng.sample(parents, len(parents)):
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
    for process in parents:
        assert process.wait() == -signal.SIGKILL, seed
    family.wait_for(0)


def test_a_forked_process_that_holds_the_channel_open_does_not_matter(family, parent, tmp_path):
    code = """
import os, signal, sys, threading
from gilfree import scripts
child = [["sh", "-c", "echo >begun; exec sleep 1000"]]
threading.Thread(target=scripts.run, args=(child,), kwargs={"cwd": sys.argv[1]}).start()
while not os.path.exists(sys.argv[1] + "/begun"):
    pass
if os.fork() == 0:
    print(os.getpid(), flush=True)
    signal.pause()
"""
    process = parent(code, str(tmp_path))
    forked = int(process.stdout.readline())
    process.kill()
    family.wait_for(1)
    assert [pid for pid, _ in family.alive()] == [forked]


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def supervisor_of(process, family, count):
    """Once the family has so many members."""
    family.wait_for(count)
    (supervisor,) = children_of(process.pid)
    return supervisor


CAUGHT = """
try:
    scripts.run([["sleep", "1000"], ["setsid", "sleep", "1000"]], workers=2)
except {} as error:
    print(type(error).__name__, error)
"""


def test_the_kill_of_the_supervisor(family, parent):
    process = parent("from gilfree import scripts" + CAUGHT.format("RuntimeError"))
    os.kill(supervisor_of(process, family, 4), signal.SIGKILL)
    said, _ = process.communicate(timeout=PATIENCE)
    assert said == (
        "RuntimeError the run's supervisor process ended with exit code -9 before its work did; what it had "
        "started was killed, and results that are not here are lost\n"
    )
    assert family.alive() == []


def test_the_supervisor_asked_to_end(family, parent):
    process = parent("from gilfree import scripts" + CAUGHT.format("RuntimeError"))
    os.kill(supervisor_of(process, family, 4), signal.SIGTERM)
    said, _ = process.communicate(timeout=PATIENCE)
    assert said.startswith("RuntimeError the run's supervisor process was sent SIGTERM; it stopped what was")
    assert family.alive() == []


def test_an_interrupt(family, parent):
    process = parent("from gilfree import scripts" + CAUGHT.format("KeyboardInterrupt"))
    family.wait_for(4)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (0, "KeyboardInterrupt \n")
    assert family.alive() == []


def test_an_interrupt_of_the_command_line(family, parent):
    code = """
import sys
from gilfree.__main__ import main
sys.exit(main(["run", "sleep", ":::", "1000", "1001"]))
"""
    process = parent(code)
    family.wait_for(2 + min(2, gilfree.cpu_count()))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert family.alive() == []


def environment_of(family):
    return {**os.environ, "FAMILY": family.token}


def test_an_iterator_that_is_closed(family):
    results = scripts.iter([["true"], ["sleep", "1000"]], workers=2, env=environment_of(family))
    assert next(results).ok
    results.close()
    assert family.alive() == []


def test_what_a_child_leaves_behind_ends_with_the_run(family):
    behind = "sleep 1000 >/dev/null 2>&1 & setsid sleep 1000 >/dev/null 2>&1 & echo done"
    (result,) = scripts.run([["sh", "-c", behind]], env=environment_of(family))
    assert (result.returncode, result.stdout) == (0, "done\n")
    assert family.alive() == []


def test_what_holds_the_outputs_open_is_not_waited_for(family):
    (result,) = scripts.run([["sh", "-c", "sleep 1000 & echo done"]], env=environment_of(family))
    assert (result.returncode, result.stdout) == (0, "done\n")
    assert family.alive() == []


def test_a_process_without_the_mark_may_outlive_the_run(family):
    """The way out that the documentation names."""
    daemon = "env -u GILFREE_RUN setsid sleep 1000 >/dev/null 2>&1 &"
    scripts.run([["sh", "-c", daemon]], env=environment_of(family))
    family.wait_for(1)


def test_a_run_inside_a_run(family):
    """The outer one's end is the inner one's end."""
    inner = "from gilfree import scripts; scripts.run([['setsid', 'sleep', '1000']] * 2, workers=2)"
    env = {**environment_of(family), "PYTHONPATH": str(Path(gilfree.__file__).parents[1])}
    results = scripts.iter([["true"], [sys.executable, "-c", inner]], workers=2, env=env)
    assert next(results).ok
    family.wait_for(4)  # the inner parent, its supervisor, two children
    results.close()
    assert family.alive() == []


def test_a_child_carries_the_marks_of_all_runs_around_it():
    """So the outer run finds it even if the inner one's processes are killed."""
    (result,) = scripts.run([["sh", "-c", "echo $GILFREE_RUN"]], env={"GILFREE_RUN": "outer"})
    assert result.stdout.startswith("outer:")


# ---- timeouts ---------------------------------------------------------------------------------------


def test_a_timeout_ends_the_whole_group(tmp_path):
    """Then, not at the end of the run: the second child sees its group go."""
    tree = "echo $$ >group; sleep 1000 & sh -c 'trap \"\" TERM; sleep 1000' & echo begun; wait"
    look = "while kill -0 -$(cat group); do sleep 0.01; done"
    first, second = scripts.run([["sh", "-c", tree], ["sh", "-c", look]], workers=1, timeout=3, cwd=tmp_path)
    assert (first.timed_out, first.returncode, first.stdout) == (True, -15, "begun\n")
    assert (first.attempts, first.ok) == (1, False)
    assert second.ok


def test_a_timeout_of_a_child_that_ignores_term(family):
    deaf = "trap '' TERM; while :; do sleep 0.1; done"
    (result,) = scripts.run([["sh", "-c", deaf]], timeout=3, env=environment_of(family))
    assert (result.timed_out, result.returncode) == (True, -9)
    assert family.alive() == []


def test_a_timeout_of_a_child_that_ends_well_on_term():
    cleaning = "trap 'echo cleaned up; exit 0' TERM; echo begun; while :; do sleep 0.05; done"
    (result,) = scripts.run([["sh", "-c", cleaning]], timeout=3)
    assert (result.timed_out, result.returncode, result.ok) == (True, 0, False)
    assert result.stdout == "begun\ncleaned up\n"


def test_a_timeout_is_retried():
    (result,) = scripts.run([["sleep", "1000"]], timeout=0.1, retries=1)
    assert (result.timed_out, result.attempts) == (True, 2)


# ---- 10,000 children --------------------------------------------------------------------------------


def test_ten_thousand_children_leave_nothing(family, parent, tmp_path):
    code = """
import os, sys, tempfile
from gilfree import scripts
tempfile.tempdir = sys.argv[1]
def state():
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        return sorted(os.listdir("/proc/self/fd")), children.read(), os.listdir(sys.argv[1])
scripts.run([["true"]])
before = state()
results = scripts.run([["true"]] * 10_000, workers=8)
assert [result.returncode for result in results] == [0] * 10_000
results = scripts.run([["sh", "-c", "yes | head -n 100000"]] * 50)
assert [len(result.stdout) for result in results] == [200_000] * 50
del results
assert state() == before, state()
print("as before")
"""
    said, _ = parent(code, str(tmp_path)).communicate()
    assert said == "as before\n"
    assert family.alive() == []


def test_more_workers_than_descriptors(parent):
    code = """
import resource
from gilfree import scripts
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
assert all(result.ok for result in scripts.run([["sleep", "0.05"]] * 200, workers=200))
print("ran")
"""
    said, _ = parent(code).communicate()
    assert said == "ran\n"


def test_a_full_disk_is_an_error(parent):
    """A limit on the size of files stands in for it."""
    code = """
import resource, signal
from gilfree import scripts
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    scripts.run([["sh", "-c", "yes | head -n 1000000"], ["sleep", "1000"]], workers=2)
except OSError as error:
    print(error)
"""
    said, _ = parent(code).communicate()
    assert said == "[Errno 27] File too large\n"
