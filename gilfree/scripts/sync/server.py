"""Which server a run has: one that is named, a private one, or fakeredis'."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO

from gilfree.scripts.sync.connection import ANSWER_SECONDS, URL_ACCEPTED, check_url, import_redis

PROGRAMS = ("redis-server", "valkey-server")
# The path of a Unix socket, in a folder in the temporary folder, is shorter than 104 bytes (on Linux 108).
LONGEST_PLACE = 103 - len("/gilfree-xxxxxxxxxxxx/presence.sock")

log = logging.getLogger("gilfree")


def check(sync: bool | str) -> bool | str:
    """What run() and iter() take as `sync`. ImportError before anything is started."""
    if sync is True:
        import_redis()
    else:
        check_url(sync, f"False, True for a server of the run's own, or the URL of one, as {URL_ACCEPTED}")
    return sync


class Keeper:
    """A folder for sockets that only this user can enter, and the server; both end with this process.

    A context. `url` is the server's.
    """

    def __init__(self, sync: bool | str) -> None:
        self._named = sync if isinstance(sync, str) else ""
        self.private = not self._named
        self.url = self._named

    def __enter__(self) -> Keeper:
        kind, program = ("none", "") if self._named else _find()
        self.kind = kind
        place = tempfile.gettempdir()
        if len(os.fsencode(place)) > LONGEST_PLACE:
            place = "/tmp"
        # Made by the keeper: a folder is never without one who removes it.
        self.folder = os.path.join(place, f"gilfree-{os.urandom(6).hex()}")
        path = [os.path.abspath(folder) for folder in sys.path]
        start = f"import runpy, sys; sys.path[:] = {path!r}; sys.argv = sys.argv[1:]; "
        start += "runpy.run_path(sys.argv[0], run_name='__main__')"
        script = str(Path(__file__).with_name("keeper.py"))
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", start, script, kind, program, self.folder, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # the terminal's Ctrl-C is not for it
        )
        try:
            self._begin(kind, program)
        except BaseException:
            self.close()
            raise
        return self

    def _begin(self, kind: str, program: str) -> None:
        assert self._process.stdout
        said = self._process.stdout.readline()
        if not said:
            assert self._process.stderr
            errors = self._process.stderr.read().decode(errors="replace").strip()
            raise RuntimeError(
                f"no server for sync=True: {errors or 'the process that keeps it was killed'}; repair that, "
                "or give the URL of a server that runs, as sync='redis://HOST:PORT'"
            )
        self.url = self._named or said.decode().strip()
        if kind == "fake":
            log.warning(
                "no %s on PATH: sync=True uses fakeredis at %s, which is slower, and open to all users of "
                "this machine; install Redis or Valkey, or name a server",
                " or ".join(PROGRAMS),
                self.url,
            )

    @property
    def lifeline(self) -> IO[bytes]:
        """Can be read from once the keeper has ended."""
        assert self._process.stdout
        return self._process.stdout

    def end_server(self) -> None:
        """When the keeper was killed: with it, nobody would end the server if this process were killed."""
        if self.private and self.url:
            # Not by a signal: Redis writes over its environment, by which it could be found.
            redis = import_redis()
            with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                redis.Redis.from_url(self.url, socket_timeout=ANSWER_SECONDS).shutdown(nosave=True)

    def close(self) -> None:
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"\0")  # a forked process may hold it open: closing it is not enough
        self._process.stdin.close()
        if self._process.wait() != 0:
            self.end_server()
        for stream in (self._process.stdout, self._process.stderr):
            if stream:
                stream.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _find() -> tuple[str, str]:
    for name in PROGRAMS:
        program = shutil.which(name)
        if program:
            return "redis", program
    if importlib.util.find_spec("fakeredis") is None:
        raise RuntimeError(
            f"sync=True found no server: no {' or '.join(PROGRAMS)} on PATH, and fakeredis is not installed; "
            "accepted: one of these (python -m pip install 'gilfree[redis]' has fakeredis), or a server's URL"
        )
    return "fake", ""
