"""What children are told when one of them, the server, or the parent dies: each 20 times, at random times."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

import gilfree
from gilfree import scripts
from gilfree.scripts import sync

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/environ"), reason="processes are looked for in /proc"
)

TIMES = 20
# So many of them side by side, where each has to wait.
LANES = 2
# Until what has been killed is gone, on a busy machine.
PATIENCE = 60


@pytest.fixture
def seed():
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return seed


@pytest.fixture
def child(tmp_path):
    """A function that makes a child script, with `meeting` in it, and returns its path."""
    numbers = itertools.count()

    def make(code):
        path = tmp_path / f"child{next(numbers)}.py"
        path.write_text(
            "import os, random, signal, sys, threading, time\n"
            "from gilfree.scripts import sync\n"
            "meeting = sync.connect()\n"
            "shared = meeting.dict('shared')\n"
            "def look_up(name):\n"
            "    while name not in shared: time.sleep(0.001)\n"
            "    return shared[name]\n" + code
        )
        return str(path)

    return make


def outputs(results):
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * len(results)
    return [result.stdout for result in results]


# ---- the death of a child ---------------------------------------------------------------------------

BARRIER_VICTIM = """
number = sys.argv[1]
barrier = meeting.barrier(f"b{number}", 4)
shared[f"victim {number}"] = os.getpid()
barrier.wait()
"""
BARRIER_WAITER = f"""
for number in range({TIMES}):
    barrier = meeting.barrier(f"b{{number}}", 4)
    try:
        barrier.wait()
    except sync.BrokenBarrier as error:
        told = time.monotonic()
        print(error.participant, told - look_up(f"killed {{number}}"))
"""
BARRIER_KILLER = f"""
rng = random.Random(int(sys.argv[1]))
for number in range({TIMES}):
    pid = look_up(f"victim {{number}}")
    time.sleep(rng.uniform(0, 0.05))
    moment = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    shared[f"killed {{number}}"] = moment
"""


def test_the_kill_of_a_child_in_a_barrier_is_told_to_the_others_within_a_second(child, kind, seed):
    victim, waiter = child(BARRIER_VICTIM), child(BARRIER_WAITER)
    commands = [[waiter], [waiter], [child(BARRIER_KILLER), seed]]
    victims = [scripts.Script(victim, number, name=f"victim {number}") for number in range(TIMES)]
    results = scripts.run([*commands, *victims], workers=3 + TIMES, sync=True)
    assert [result.returncode for result in results[3:]] == [-signal.SIGKILL] * TIMES
    for output in outputs(results[:2]):
        lines = [line.rsplit(" ", 1) for line in output.splitlines()]
        assert [name for name, _ in lines] == [f"victim {number}" for number in range(TIMES)]
        assert max(float(seconds) for _, seconds in lines) < 1


def test_a_child_that_is_stopped_or_keeps_the_gil_is_alive(child, kind):
    stopped = child("""
barrier = meeting.barrier("b", 3)
shared["stopped"] = os.getpid()
os.kill(os.getpid(), signal.SIGSTOP)
barrier.wait()
""")
    busy = child("""
import re
barrier = meeting.barrier("b", 3)
re.match("(a*)*b", "a" * 25)  # a second or more without letting go of the GIL
os.kill(look_up("stopped"), signal.SIGCONT)
barrier.wait()
""")
    waiter = child("meeting.barrier('b', 3).wait()")
    outputs(scripts.run([[stopped], [busy], [waiter]], workers=3, sync=True))


def test_a_child_that_fails_or_is_killed_while_another_is_retried(child, kind):
    """The participant is the attempt: the barrier can be reset for the next one."""
    path = child("""
if sys.argv[1] == "once" and meeting.counter("attempts").add() == 1:
    meeting.barrier("b", 2)
    shared["joined"] = True
    os.kill(os.getpid(), signal.SIGKILL)
barrier = meeting.barrier("b", 2)
if sys.argv[1] != "once":
    look_up("joined")
    try:
        barrier.wait()
    except sync.BrokenBarrier as error:
        barrier.reset()
        shared["reset"] = error.participant
else:
    look_up("reset")
print(barrier.wait() >= 0, shared["reset"])
""")
    commands = [scripts.Script(path, word, name=word) for word in ("once", "waits")]
    results = scripts.run(commands, workers=2, sync=True, retries=1)
    assert outputs(results) == ["True once\n"] * 2
    assert [result.attempts for result in results] == [2, 1]


def test_an_uncaught_exception_is_a_death(child, kind):
    failing = child("meeting.barrier('b', 2); raise ZeroDivisionError")
    waiting = child("""
try:
    meeting.barrier("b", 2).wait()
except sync.BrokenBarrier as error:
    print(error)
""")
    results = scripts.run([scripts.Script(failing, name="fails"), [waiting]], workers=2, sync=True)
    assert outputs(results[1:]) == ["barrier 'b' is broken: 'fails', which takes part in it, died\n"]


def test_what_killed_children_took_from_a_queue_is_done_by_others(child, kind, seed):
    worker = child("""
items, done = meeting.queue("q"), meeting.dict("done")
if meeting.counter("first").add() == 1:
    for number in range(200):
        items.put(number)
    meeting.event("filled").set()
meeting.event("filled").wait()
shared[f"worker {os.getpid()}"] = os.getpid()
for number in items:
    time.sleep(0.002)
    done[str(number)] = os.getpid()
""")
    killer = child(f"""
rng = random.Random(int(sys.argv[1]))
meeting.event("filled").wait()
killed = set()
while len(killed) < {TIMES}:
    workers = sorted(pid for name, pid in shared.items() if pid not in killed)
    if workers:
        pid = rng.choice(workers)
        killed.add(pid)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            break
    time.sleep(rng.uniform(0, 0.03))
meeting.queue("q").join()
print(sorted(map(int, meeting.dict("done"))) == list(range(200)), len(killed))
""")
    results = scripts.run([[killer, seed], *[[worker]] * 4], workers=5, sync=True, retries=TIMES)
    said, number = outputs(results)[0].split()
    assert said == "True"
    assert int(number) > 3
    assert sum(result.attempts for result in results) > 5


def test_the_lock_of_a_killed_child_expires(child, kind, seed):
    victim = child("""
number, lane = sys.argv[1:]
meeting.event(f"turn {number}").wait()
lock = meeting.lock(lane, expiry=0.2)
lock.acquire()
guarded = meeting.dict(lane, lock=lock)
shared[f"victim {number}"] = os.getpid()
while True:
    guarded["by"] = number
    lock.extend()
""")
    killer = child(f"""
seed, lane = sys.argv[1:]
rng = random.Random(seed)
lock = meeting.lock(lane, expiry=60)
tokens = []
for number in range(int(lane), {TIMES}, {LANES}):
    meeting.event(f"turn {{number}}").set()
    pid = look_up(f"victim {{number}}")
    time.sleep(rng.uniform(0, 0.05))
    os.kill(pid, signal.SIGKILL)
    with lock:
        tokens.append(lock.token)
        guarded = meeting.dict(lane, lock=lock)
        guarded["by"] = "killer"
        assert guarded["by"] == "killer"
print(tokens == sorted(set(tokens)), len(tokens))
""")
    killers = [[killer, f"{seed} {lane}", lane] for lane in range(LANES)]
    victims = [[victim, number, number % LANES] for number in range(TIMES)]
    results = scripts.run([*killers, *victims], workers=4 * LANES, sync=True)
    assert outputs(results[:LANES]) == [f"True {TIMES // LANES}\n"] * LANES
    assert [result.returncode for result in results[LANES:]] == [-signal.SIGKILL] * TIMES


def test_a_write_of_a_stopped_holder_of_a_lock_is_refused(child, kind, seed):
    holder = child(f"""
lock = meeting.lock("l", expiry=0.1)
for number in range({TIMES}):
    lock.acquire()
    guarded = meeting.dict("d", lock=lock)
    shared[f"held {{number}}"] = os.getpid()
    try:
        while True:  # stopped in here
            guarded["by"] = "holder"
    except sync.LockLost as error:
        print(error)
    shared[f"refused {{number}}"] = True
    look_up(f"next {{number}}")
""")
    other = child(f"""
rng = random.Random(int(sys.argv[1]))
lock = meeting.lock("l", expiry=60)
for number in range({TIMES}):
    pid = look_up(f"held {{number}}")
    time.sleep(rng.uniform(0, 0.05))
    os.kill(pid, signal.SIGSTOP)
    with lock:
        meeting.dict("d", lock=lock)["by"] = "other"
        os.kill(pid, signal.SIGCONT)
        look_up(f"refused {{number}}")
        assert meeting.dict("d")["by"] == "other"
    shared[f"next {{number}}"] = True
""")
    said, _ = outputs(scripts.run([[holder], [other, seed]], workers=2, sync=True))
    assert said.count("nothing was written: the lock 'l' is not held with token") == TIMES


def test_who_gives_no_sign_of_life_is_dead_after_its_lease(run, kind, url):
    """On another machine, say, where no parent of the run is."""
    code = """
import os, signal, sys
from gilfree.scripts import sync
meeting = sync.connect(sys.argv[1], run="r", name="far away", lease=0.5)
meeting.barrier("b", 2)
meeting.queue("q").get()
os.kill(os.getpid(), signal.SIGKILL)
"""
    with sync.connect(url, run="r") as meeting:
        meeting.queue("q").put("item")
        barrier = meeting.barrier("b", 2)
        run(code, url, code=-signal.SIGKILL)
        with pytest.raises(sync.BrokenBarrier, match="'far away', which takes part in it, died"):
            barrier.wait()
        assert meeting.queue("q").get() == "item"


def test_who_gives_signs_of_life_outlives_its_lease(url):
    with sync.connect(url, run="r", lease=0.4) as first, sync.connect(url, run="r", lease=0.4) as second:
        waits = threading.Thread(target=second.barrier("b", 2).wait)
        waits.start()
        with pytest.raises(sync.BrokenBarrier, match="timeout"):
            first.barrier("other", 2).wait(timeout=1.5)
        first.barrier("b", 2).wait()
        waits.join()


def test_one_that_was_taken_for_dead_is_told_so(url):
    """It was stopped for longer than its lease."""
    code = """
import sys
from gilfree.scripts import sync
meeting = sync.connect(sys.argv[1], run="r", name="late", lease=0.3)
meeting.barrier("b", 2)
print("joined", flush=True)
sys.stdin.read()
try:
    meeting.counter("n").add()
except sync.ServerLost as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(gilfree.__file__).parents[1])}
    with (
        sync.connect(url, run="r") as meeting,
        subprocess.Popen(
            [sys.executable, "-c", code, url],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout.readline() == "joined\n"
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(sync.BrokenBarrier, match="'late'"):
            meeting.barrier("b", 2).wait()
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate()
        assert said.startswith("this process counts as dead in the run 'r'")
        assert meeting.counter("n").value == 0


# ---- the death of the server ------------------------------------------------------------------------

USES = """
def use(work):
    try:
        work()
    except sync.ServerLost as error:
        errors.append(str(error))

errors = []

def count():
    while True:
        meeting.counter("n").add()

meeting.lock("l", 60).acquire()
barrier = meeting.barrier("b", 99)
works = [count, barrier.wait, meeting.lock("l", 60).acquire, meeting.queue("q").get, meeting.event("e").wait]
threads = [threading.Thread(target=use, args=(work,)) for work in works]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*errors, sep="\\n")
"""


def processes():
    """(pid, parent's pid, command) of all."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        found.append((int(folder.name), parent, command))
    return found


def keeper_and_server(kind, folder=""):
    """Their processes, of the run of this process that has the folder."""
    found = processes()
    (keeper,) = [
        own
        for own, parent, command in found
        if parent == os.getpid() and "keeper.py" in command and folder in command
    ]
    if kind == "fakeredis":
        return keeper, keeper
    (server,) = [own for own, parent, _ in found if parent == keeper]
    return keeper, server


def test_the_kill_of_the_server_is_an_error_in_every_child(child, kind, seed, caplog):
    begin = """
import json
folder = os.path.dirname(json.loads(os.environ["GILFREE_SYNC"])["presence"])
begun = sys.argv[1]
with open(f"{begun}.{os.getpid()}", "w") as file:
    file.write(folder)
os.rename(file.name, begun)
"""
    path = child(begin + USES)

    def kill_one(number):
        rng = random.Random(f"{seed} {number}")
        begun = Path(f"{path}.{number}")
        with ThreadPoolExecutor(1) as thread:
            run = thread.submit(scripts.run, [[path, begun]] * 2, workers=2, sync=True)
            while not begun.exists():
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.2))
            os.kill(keeper_and_server(kind, begun.read_text())[1], signal.SIGKILL)
            return run.result(PATIENCE)

    with ThreadPoolExecutor(2 * LANES) as lanes:
        runs = list(lanes.map(kill_one, range(TIMES)))
    for result in itertools.chain(*runs):
        if result.returncode == 0:
            lines = result.stdout.splitlines()
            assert len(lines) == 5
        else:  # it was not at its threads yet
            last = result.stderr.splitlines()[-1]
            assert last.startswith("gilfree.scripts.sync.errors.ServerLost: "), result.stderr
            lines = [last.partition(": ")[2]]
        for line in lines:
            assert line.startswith("the server ")
            assert "is lost (" in line
            assert "scripts.run started it for this run, and it ended or hangs" in line
    assert "is lost" in caplog.text


def test_a_death_is_told_once_a_server_that_hung_answers(child, kind, url, monkeypatch, caplog, tmp_path):
    monkeypatch.setattr("gilfree.scripts.sync.connection.ANSWER_SECONDS", 1.0)
    victim = child("""
meeting.barrier(sys.argv[1], 2)
shared[sys.argv[1]] = os.getpid()
meeting.event('never').wait()
""")
    waiter = child("""
barrier = meeting.barrier("second", 2)
with open(sys.argv[1] + "~", "w") as file:
    print(look_up("first"), look_up("second"), file=file)
os.rename(file.name, sys.argv[1])
try:
    barrier.wait()
except sync.BrokenBarrier as error:
    print(error.participant)
""")
    ready = tmp_path / "ready"
    _, server = keeper_and_server(kind)
    commands = [*(scripts.Script(victim, name, name=name) for name in ("first", "second")), [waiter, ready]]
    with ThreadPoolExecutor(1) as thread:
        run = thread.submit(scripts.run, commands, workers=3, sync=url)
        while not ready.exists():
            time.sleep(0.01)
        os.kill(server, signal.SIGSTOP)
        try:
            first, second = map(int, ready.read_text().split())
            os.kill(first, signal.SIGKILL)
            while "is lost (" not in caplog.text:
                time.sleep(0.01)
            os.kill(second, signal.SIGKILL)
        finally:
            os.kill(server, signal.SIGCONT)
        assert outputs(run.result(PATIENCE)[2:]) == ["second\n"]


def test_a_server_that_hangs_is_lost(child, monkeypatch):
    """Its port is open, but nothing answers."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr("gilfree.scripts.sync.connection.ANSWER_SECONDS", 0.2)
        with pytest.raises(sync.ServerLost, match="Timeout"):
            sync.connect(f"redis://127.0.0.1:{server.getsockname()[1]}", run="r")


# ---- the death of the parent ------------------------------------------------------------------------


def with_token(token):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"FAMILY={token}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((int(folder.name), (folder / "cmdline").read_bytes()))
        except OSError:
            continue
    return found


def test_the_kill_of_the_parent_leaves_no_server_and_no_folder(child, kind, seed, tmp_path):
    rng = random.Random(seed)
    path = child("meeting.event('never').wait()")
    token = uuid.uuid4().hex
    folders = tmp_path / "folders"
    folders.mkdir()
    environment = {
        **os.environ,
        "FAMILY": token,
        "TMPDIR": str(folders),
        "PYTHONPATH": str(Path(gilfree.__file__).parents[1]),
    }
    code = "import sys; from gilfree import scripts; scripts.run([sys.argv[1]] * 2, workers=2, sync=True)"
    parents = []
    for _ in range(TIMES):
        parents.append(
            subprocess.Popen([sys.executable, "-c", code, path], env=environment, stderr=subprocess.DEVNULL)
        )
        time.sleep(rng.uniform(0, 0.3))
        if len(parents) > 3:
            parents[rng.randrange(len(parents) - 3)].kill()
    for parent in parents:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + PATIENCE
    while alive := with_token(token):
        assert time.monotonic() < deadline, alive
        time.sleep(0.01)
    # tempfile tries out its folder by a file, which stays if it is killed just then.
    assert [path for path in folders.iterdir() if path.is_dir() or "gilfree" in path.name] == []


def test_the_kill_of_the_keeper_is_the_end_of_the_server(child, kind, tmp_path):
    path = child("""
open(sys.argv[1], "w").close()
try:
    meeting.event("never").wait()
except sync.ServerLost:
    print("lost")
""")
    begun = tmp_path / "begun"
    results = []
    run = threading.Thread(target=lambda: results.extend(scripts.run([[path, begun]], sync=True)))
    run.start()
    while not begun.exists():
        time.sleep(0.01)
    keeper, server = keeper_and_server(kind)
    os.kill(keeper, signal.SIGKILL)
    run.join(PATIENCE)
    assert not run.is_alive()
    assert [result.stdout for result in results] == ["lost\n"]
    deadline = time.monotonic() + PATIENCE
    while any(own == server and command for own, _, command in processes()):  # a zombie has no command
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_a_killed_parent_leaves_on_a_named_server_expires(child, url):
    path = child("meeting.counter('n').add(); meeting.event('never').wait()")
    code = "import sys; from gilfree import scripts; scripts.run([sys.argv[1]], sync=sys.argv[2])"
    environment = {**os.environ, "PYTHONPATH": str(Path(gilfree.__file__).parents[1])}
    server = redis.Redis.from_url(url)
    with subprocess.Popen([sys.executable, "-c", code, path, url], env=environment) as parent:
        while not server.keys("gilfree:*:counter:n"):
            time.sleep(0.01)
        parent.kill()
    for name in server.keys("*"):
        assert 0 < server.pttl(name) <= 600_000, name
