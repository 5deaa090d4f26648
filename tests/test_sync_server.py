"""The private server: who can reach it, and what it leaves."""

import logging
import os
import shutil
import signal
import tempfile

import pytest

from gilfree import scripts

LOOK = """
import json, os, re, sys
from pathlib import Path
from gilfree.scripts import sync
meeting = sync.connect()
address = json.loads(os.environ["GILFREE_SYNC"])
"""


@pytest.fixture
def look(tmp_path):
    """What a child prints that looks around in a run with a private server."""

    def run(code):
        path = tmp_path / "look.py"
        path.write_text(LOOK + code)
        (result,) = scripts.run([path], sync=True)
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout.splitlines()

    return run


LISTENING = """
def family(pid):
    found = [pid]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found += family(int(folder.name))
    return found

(parent,) = re.findall(r"PPid:\\s+(\\d+)", Path(f"/proc/{os.getppid()}/status").read_text())
sockets = set()
for pid in family(int(parent)):
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            sockets.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    except OSError:
        continue
for table in ("tcp", "tcp6", "udp", "udp6"):
    path = Path(f"/proc/net/{table}")
    for line in path.read_text().splitlines()[1:] if path.exists() else ():
        fields = line.split()
        if fields[3] in ("0A", "07") and f"socket:[{fields[9]}]" in sockets:
            print(table, fields[1].partition(":")[0])
"""


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="sockets are looked up in /proc")
def test_nothing_listens_beyond_a_unix_socket_or_the_loopback_interface(look, kind):
    """Of all that this process has started, and itself."""
    assert look(LISTENING) == ([] if kind == "redis" else ["tcp 0100007F"])


has_server = pytest.mark.skipif(
    not (shutil.which("redis-server") or shutil.which("valkey-server")),
    reason="no redis-server or valkey-server on PATH",
)


@has_server
def test_the_servers_own_word(look):
    lines = look("""
import redis
server = redis.Redis.from_url(address["url"])
for name in ("port", "tls-port", "save", "appendonly"):
    print(name, server.config_get(name).get(name))
""")
    assert lines == ["port 0", "tls-port 0", "save ", "appendonly no"]


def test_the_folder_and_the_sockets_are_the_users_own(look, kind):
    lines = look("""
import stat
folder = Path(address["presence"]).parent
for path in (folder, folder / "redis.sock"):
    if path.exists():
        print(oct(stat.S_IMODE(path.stat().st_mode)), path.stat().st_uid == os.getuid())
""")
    assert lines == ["0o700 True"] * (2 if kind == "redis" else 1)


CLIENT = shutil.which("redis-cli") or shutil.which("valkey-cli")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(CLIENT is None, reason="no redis-cli or valkey-cli on PATH")
@has_server
def test_another_user_cannot_connect(look):
    ours, theirs = look(f"""
import pwd, subprocess
path = address["url"].removeprefix("unix://")
other = pwd.getpwnam("nobody")
for options in ({{}}, dict(user=other.pw_uid, group=other.pw_gid, extra_groups=[])):
    words = [{CLIENT!r}, "-s", path, "ping"]
    ended = subprocess.run(words, capture_output=True, text=True, cwd="/", **options)
    print(ended.stdout.strip() or ended.stderr.strip())
""")
    assert ours == "PONG"
    assert "Permission denied" in theirs


def test_nothing_is_left_after_a_run(look, kind, monkeypatch, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = set(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else set()
    assert look("print(Path(address['presence']).parent.exists())") == ["True"]
    assert list(folder.iterdir()) == []
    if before:
        assert set(os.listdir("/proc/self/fd")) <= before


def test_the_fallback_is_said_once(look, kind, caplog):
    with caplog.at_level(logging.INFO, logger="gilfree"):
        look("")
    lines = [record.getMessage() for record in caplog.records if record.name == "gilfree"]
    if kind == "redis":
        assert lines == []
    else:
        (line,) = lines
        assert line.startswith(
            "no redis-server or valkey-server on PATH: sync=True uses fakeredis at redis://127.0.0.1:"
        )


def test_a_server_that_does_not_start_is_an_error_with_its_words(monkeypatch, tmp_path):
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho no such luck; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(
        RuntimeError, match=r"redis-server did not start: no such luck; repair that, or give the URL"
    ):
        scripts.run([["touch", str(tmp_path / "ran")]], sync=True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("letter", "length"), [("x", 72), ("x", 73), ("x", 77), ("x", 80), ("x", 110), ("é", 60), ("?#%41@ ", 60)]
)
def test_a_temporary_folder_with_a_long_path(look, monkeypatch, letter, length):
    """Its path is as long as one of a socket may be, or longer; or one that URLs write otherwise."""
    begin = tempfile.mkdtemp(prefix="t", dir="/tmp")
    folder = os.path.join(begin, (letter * length)[: length - len(begin) - 1])
    os.mkdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", folder)
    assert look("print(meeting.counter('n').add())") == ["1"]
    os.rmdir(folder)
    os.rmdir(begin)


@has_server
def test_what_a_private_server_has_does_not_expire(look):
    """Or it would be lost while the machine is suspended."""
    (left,) = look("""
import redis
meeting.counter("n").add()
server = redis.Redis.from_url(address["url"])
print(min(server.ttl(name) for name in server.keys()))
""")
    assert int(left) > 365 * 24 * 3600


def test_ctrl_c_while_the_server_starts(popen, tmp_path):
    program, started = tmp_path / "redis-server", tmp_path / "started"
    program.write_text(f"#!/bin/sh\ntouch {started}\nexec sleep 1000\n")
    program.chmod(0o755)
    code = "from gilfree import scripts; scripts.run([['true']], sync=True)"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    with popen(code, env=environment) as process:
        while not started.exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)  # the server has 30 s to start
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["redis-server", "started"]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no /proc")
def test_deaths_are_told_late_where_too_many_files_are_open(run, kind, tmp_path):
    victim, waiter = tmp_path / "victim.py", tmp_path / "waiter.py"
    begin = """
import os, signal, sys
from gilfree.scripts import sync
while not os.path.exists(sys.argv[1]):
    pass
meeting = sync.connect()
barrier = meeting.barrier("b", 2)
"""
    victim.write_text(begin + "os.kill(os.getpid(), signal.SIGKILL)")
    waiter.write_text(
        begin + "try: barrier.wait(60)\nexcept sync.BrokenBarrier as error: print(error.participant)"
    )
    code = """
import logging, os, resource, sys
from gilfree import scripts
limits = resource.getrlimit(resource.RLIMIT_NOFILE)

class Raise(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), flush=True)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

folder = sys.argv[1]
log = logging.getLogger("gilfree")
names = ("victim", "waiter")
children = [scripts.Script(f"{folder}/{name}.py", f"{folder}/go", name=name) for name in names]
for result in scripts.iter([[sys.executable, "-c", ""], *children], workers=3, sync=True):
    print(result.stdout, result.stderr, end="", flush=True)
    if result.index == 0:
        log.handlers = [Raise()]
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
        os.mkdir(f"{folder}/go")
"""
    said = run(code, str(tmp_path), code=0 if kind == "redis" else None).stdout.split("\n")
    assert said[0].lstrip().startswith("deaths are told late, as the parent can't be connected to: ")
    assert said[1].strip() == "victim"


def test_the_gil_stays_off(kind, run, tmp_path):
    """fakeredis, which turns it on, is in a process of its own."""
    path = tmp_path / "child.py"
    path.write_text("from gilfree.scripts import sync; sync.connect().counter('n').add()")
    code = """
import sys, warnings
from gilfree import scripts
gil = getattr(sys, "_is_gil_enabled", lambda: True)
before = gil()
assert scripts.run([sys.argv[1]], sync=True)[0].ok
print(gil() == before, "fakeredis" in sys.modules)
"""
    said = run(code, str(path), code=0 if kind == "redis" else None).stdout
    assert said == "True False\n"
