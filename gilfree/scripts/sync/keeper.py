"""The keeper: a process that holds a run's folder, and its private server, as long as the parent lives.

It runs as a script, python -I keeper.py KIND PROGRAM FOLDER PARENT, and imports nothing of gilfree. It says
the server's URL on stdout once that can be connected to. What holds: when its stdin closes or is written to,
or the parent's process ends, whatever the reason, the server is killed and the folder removed.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import quote

START_SECONDS = 30.0
POLL_SECONDS = 0.1


class RedisServer:
    """redis-server, or valkey-server, on a Unix socket in the folder, and on nothing else."""

    def __init__(self, program: str, folder: str, end: select.poll) -> None:
        path = os.path.join(folder, "redis.sock")
        self.url = f"unix://{quote(path)}"
        options = {
            "port": "0",
            "unixsocket": path,
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "dir": folder,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._log = os.path.join(folder, "log")
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [program, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers(path):
            if self.ended() or time.monotonic() > deadline:
                with open(self._log, errors="replace") as log_text:
                    said = log_text.read().strip()
                self.end()
                raise SystemExit(f"{program} did not start: {said[-2000:]}")
            if end.poll(2):
                self.end()
                raise SystemExit(f"{program} was not waited for")

    @staticmethod
    def _answers(path: str) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(path)
            except OSError:
                return False
        return True

    def ended(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


class FakeServer:
    """fakeredis' server, in this process, on a port of the loopback interface."""

    def __init__(self) -> None:
        from fakeredis import TcpFakeServer

        self._server = TcpFakeServer(("127.0.0.1", 0))
        self._server.socket.listen(128)  # its own 5 would turn away children that start together
        self._server.daemon_threads = True
        self.url = f"redis://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def ended(self) -> bool:
        return False

    def end(self) -> None:
        pass  # it ends with this process


class NoServer:
    """The folder only: the server is one that the user named."""

    url = ""

    def ended(self) -> bool:
        return False

    def end(self) -> None:
        pass


def main(kind: str, program: str, folder: str, parent: int) -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda number, frame: sys.exit(1))
    server: RedisServer | FakeServer | NoServer | None = None
    os.mkdir(folder, 0o700)
    try:
        poll = select.poll()
        poll.register(0, select.POLLIN)
        if hasattr(os, "pidfd_open"):
            try:
                poll.register(os.pidfd_open(parent), select.POLLIN)
            except OSError:  # it ended already, or the kernel is older than 5.3, or forbids it
                if os.getppid() != parent:
                    return
        if kind == "redis":
            server = RedisServer(program, folder, poll)
        else:
            server = FakeServer() if kind == "fake" else NoServer()
        os.write(1, server.url.encode() + b"\n")
        # Nobody reads on: what fakeredis says of connections that broke would fill the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        while not poll.poll(POLL_SECONDS * 1000) and not server.ended():
            pass
    finally:
        if server:
            server.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
    sys.stdout.flush()
    os._exit(0)  # connections of a fake server would be waited for
