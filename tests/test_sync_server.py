"""The private server: who can reach it, and what it leaves."""

import logging
import os
import shutil
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
    before = sorted(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else []
    assert look("print(Path(address['presence']).parent.exists())") == ["True"]
    assert list(folder.iterdir()) == []
    if before:
        assert sorted(os.listdir("/proc/self/fd")) == before


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


def test_a_temporary_folder_with_a_long_path(look, kind, monkeypatch, tmp_path):
    """Longer than the path of a socket may be."""
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert look("print(meeting.counter('n').add())") == ["1"]


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
