"""The parent's end: a meeting place made, told to the children, watched over, and cleared away."""

from __future__ import annotations

import collections
import contextlib
import json
import logging
import os
import selectors
import socket
import threading
import time
from types import TracebackType
from typing import Any

from gilfree.scripts.sync import lua
from gilfree.scripts.sync.connection import EXPIRY_SECONDS, RENEWALS, Server
from gilfree.scripts.sync.errors import ServerLost
from gilfree.scripts.sync.server import Keeper

RENEW_SECONDS = EXPIRY_SECONDS / RENEWALS
# So long after something did not work, it is tried again.
RETRY_SECONDS = 1.0

log = logging.getLogger("gilfree")


class Guest:
    """A participant that is present: its socket is open."""

    def __init__(self) -> None:
        self.me = ""
        self.index = -1
        self.left = False
        self.buffer = b""


class Meeting:
    """A context. What holds: as long as a participant lives its socket here is open, and the kernel closes it
    when the process ends, also if that is killed; then the others are told. A process that is stopped, or
    does not let go of the GIL, is alive.

    One thread does that, and renews what would expire. While the server is lost, what it is to be told waits:
    it may come back with its data. Who uses it is told by an exception; the rest of the children go on.
    `wakeup` is a descriptor that can be read from when reports() has something new.
    """

    def __init__(self, sync: bool | str, run: str) -> None:
        self._sync, self._run = sync, run
        self._stack = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._reports: dict[int, tuple[float, float]] = {}
        self._lost = False
        self._due: collections.deque[tuple[Any, ...]] = collections.deque()  # steps, while it is lost
        self._accepts_from = self._try_again_from = 0.0
        self._said_late = False
        self._owner = os.getpid()

    def __enter__(self) -> Meeting:
        with contextlib.ExitStack() as stack:
            keeper = stack.enter_context(Keeper(self._sync))
            self._server = Server(keeper.url, self._run, private=keeper.private)
            stack.callback(self._server.close)
            self._server.open(must_be_new=True)
            if not keeper.private:  # which ends with the run
                stack.callback(self._clear)
            self.wakeup, self._waker = socket.socketpair()
            for end in (self.wakeup, self._waker):
                end.setblocking(False)
                stack.callback(end.close)
            path = os.path.join(keeper.folder, "presence.sock")
            listener = socket.socket(socket.AF_UNIX)
            stack.callback(listener.close)
            listener.bind(path)
            listener.listen(1024)
            listener.setblocking(False)
            self.address = json.dumps(
                {
                    "url": keeper.url,
                    "run": self._run,
                    "identity": self._server.identity,
                    "private": keeper.private,
                    "presence": path,
                }
            )
            self._selector = selectors.DefaultSelector()
            stack.callback(self._close_selector)
            self._selector.register(listener, selectors.EVENT_READ)
            self._selector.register(keeper.lifeline, selectors.EVENT_READ)
            self._keeper = keeper
            self._stopper, stopping = socket.socketpair()
            stack.callback(self._stopper.close)
            stack.callback(stopping.close)
            self._selector.register(stopping, selectors.EVENT_READ)
            self._listener, self._stopping = listener, stopping
            self._thread = threading.Thread(target=self._watch, name="gilfree-sync", daemon=True)
            self._thread.start()
            stack.callback(self._stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() == self._owner:  # not in a process forked from the one that runs it
            self._stack.close()

    def reports(self) -> dict[int, tuple[float, float]]:
        """(done, total) by the command's index, as far as they are new."""
        with contextlib.suppress(BlockingIOError):
            self.wakeup.recv(4096)
        with self._lock:
            reports, self._reports = self._reports, {}
        return reports

    def _stop(self) -> None:
        self._stopper.send(b"\0")
        self._thread.join()

    def _close_selector(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, Guest):
                key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _clear(self) -> None:
        try:
            self._server.run_script(lua.CLEAR)
        except (ServerLost, RuntimeError) as error:
            if not self._lost:
                log.warning("%s", error)

    def _watch(self) -> None:
        renewal = time.monotonic() + RENEW_SECONDS
        while True:
            pause = max(0.0, renewal - time.monotonic())
            if self._due or self._accepts_from:
                pause = min(pause, RETRY_SECONDS)
            for key, _ in self._selector.select(pause):
                if key.fileobj is self._stopping:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._keeper.lifeline:
                    self._selector.unregister(key.fileobj)
                    self._keeper.end_server()
                else:
                    self._hear(key.fileobj, key.data)
            if self._accepts_from and time.monotonic() >= self._accepts_from:
                self._accepts_from = 0.0
                self._selector.register(self._listener, selectors.EVENT_READ)
            if time.monotonic() >= renewal:
                self._step(lua.RENEW, "")
                renewal = time.monotonic() + RENEW_SECONDS
            elif self._due and time.monotonic() >= self._try_again_from:
                self._catch_up()

    def _accept(self) -> None:
        try:
            guest, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            # Too many files are open. Those that wait are heard later, also what they said before they died.
            if not self._said_late:
                log.error(
                    "deaths are told late, as the parent can't be connected to: %s; raise `ulimit -n`", error
                )
            self._said_late = True
            self._selector.unregister(self._listener)
            self._accepts_from = time.monotonic() + RETRY_SECONDS
            return
        guest.setblocking(False)
        self._selector.register(guest, selectors.EVENT_READ, Guest())

    def _hear(self, connection: Any, guest: Guest) -> None:
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(connection)
            connection.close()
            # One that has left is not known any more: nothing is done.
            self._step(lua.PART, guest.me, int(guest.left))
            return
        *lines, guest.buffer = (guest.buffer + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "me" in message:
                guest.me, guest.index = message["me"], message["index"]
            elif "left" in message:
                guest.left = True
            elif guest.index >= 0:
                done, total = message["report"]
                with self._lock:
                    self._reports[guest.index] = done, total
                with contextlib.suppress(BlockingIOError):
                    self._waker.send(b"\0")

    def _step(self, script: str, *arguments: Any) -> None:
        self._due.append((script, *arguments))
        if not self._lost:  # or each would wait for its answer
            self._catch_up()

    def _catch_up(self) -> None:
        while self._due:
            try:
                self._server.run_script(*self._due[0])
            except (ServerLost, RuntimeError) as error:
                if not self._lost:
                    log.error("%s", error)
                self._lost = True
                self._try_again_from = time.monotonic() + RETRY_SECONDS
                return
            self._lost = False
            self._due.popleft()
