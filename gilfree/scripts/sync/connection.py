"""A child's connection to where the children of its run meet."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib
import json
import os
import re
import shlex
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from urllib.parse import SplitResult, parse_qs, urlsplit

from gilfree.scripts.processes import CHILD_VARIABLE
from gilfree.scripts.sync import lua
from gilfree.scripts.sync.errors import LockLost, ServerLost

# How a parent tells its children where they meet.
ADDRESS_VARIABLE = "GILFREE_SYNC"

# No answer of the server takes longer, or it is lost.
ANSWER_SECONDS = 10.0
# A blocking wait looks again that often, also if nothing wakes it.
SLICE_SECONDS = 0.5
# A named server forgets a run so long after the last sign of life of its parent, or of its participants.
EXPIRY_SECONDS = 600.0
# A private one ends with its run. So it forgets nothing, also while the parent, or the machine, is suspended.
PRIVATE_EXPIRY_SECONDS = 1e9
# So often, of an expiry.
RENEWALS = 20
# Of a participant that no parent watches: so long after its last sign of life it counts as dead.
LEASE_SECONDS = 10.0

URL_ACCEPTED = "'redis://HOST:PORT/DATABASE', 'rediss://...' or 'unix:///PATH'"
NAME_ACCEPTED = "a str that is not empty"

T = TypeVar("T")


def import_redis() -> Any:
    try:
        return importlib.import_module("redis")
    except ImportError as error:
        raise ImportError(
            "scripts.sync needs redis-py, which is not installed: python -m pip install 'gilfree[redis]'"
        ) from error


def check_url(url: object, accepted: str = URL_ACCEPTED) -> str:
    if not isinstance(url, str):
        raise TypeError(f"the server's URL is {url!r:.200}; accepted: {accepted}")
    try:
        parts = urlsplit(url)
        scheme, path = parts.scheme, parts.path
        if scheme not in ("redis", "rediss", "unix"):
            raise ValueError(f"the scheme {scheme!r} is unknown")
        if scheme == "unix" and not path:
            raise ValueError("the path is missing")
        if scheme != "unix" and not (_has_port(parts) and re.fullmatch(r"/?|/\d+/?", path)):
            # Not what is there instead: it may be of a password.
            raise ValueError(
                "its port or its database is no number; in a password, /, ? and # are %2F, %3F, %23"
            )
        _pool(url)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the server's URL is {without_password(url)!r:.200} ({error}); accepted: {accepted}"
        ) from error
    return url


def _has_port(parts: SplitResult) -> bool:
    try:
        parts.port  # noqa: B018
    except ValueError:
        return False
    return True


def _pool(url: str) -> Any:
    """redis-py's connections to it; none is made yet."""
    redis = import_redis()
    backoff = importlib.import_module("redis.backoff").NoBackoff()
    options: dict[str, Any] = {
        "socket_timeout": ANSWER_SECONDS,
        # None: whether a step was taken before its answer got lost cannot be known.
        "retry": importlib.import_module("redis.retry").Retry(backoff, 0),
        "protocol": 2,
        "decode_responses": False,
        "encoding": "utf-8",
    }
    if not url.startswith("unix"):
        options["socket_connect_timeout"] = ANSWER_SECONDS
    ours = sorted(options.keys() & parse_qs(urlsplit(url).query))
    if ours:  # redis-py would prefer the URL's
        raise ValueError(f"its option {ours[0]!r} is not free")
    pool = redis.ConnectionPool.from_url(url, **options)
    pool.connection_class(**pool.connection_kwargs)  # TypeError for unknown options
    return pool


def without_password(url: str) -> str:
    scheme, _, rest = url.rpartition("://")
    login, at, place = rest.rpartition("@")
    place, _, options = place.partition("?")
    return f"{scheme}{'://' if scheme else ''}{'...' if login else ''}{at}{place}{'?...' if options else ''}"


def check_name(name: object, what: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the {what} is {name!r:.80}; accepted: {NAME_ACCEPTED}")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the {what} is {name!r:.80}; accepted: {NAME_ACCEPTED}, in Unicode") from error
    if not name or "\n" in name:
        raise ValueError(f"the {what} is {name!r:.80}; accepted: {NAME_ACCEPTED}, of one line")
    return name


def check_timeout(timeout: object) -> float | None:
    accepted = "None, or a number of seconds from 0"
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout is {timeout!r:.80}; accepted: {accepted}")
    if not timeout >= 0:
        raise ValueError(f"timeout is {timeout!r}; accepted: {accepted}")
    return float(timeout)


class Later(NamedTuple):
    """An attempt's answer: look again after so many seconds, also if nothing wakes."""

    seconds: float


class Server:
    """Scripts run on a server, for one run. Safe to use from many threads."""

    def __init__(
        self, url: str, run: str, me: str = "", *, identity: str = "", private: bool = False
    ) -> None:
        self.url, self.run, self.me, self.private = url, run, me, private
        self.root = f"gilfree:{run}"
        self.identity = identity
        self._redis = import_redis()
        self._pool = _pool(url)
        self.client = self._redis.Redis(connection_pool=self._pool)
        self._milliseconds = int(1000 * (PRIVATE_EXPIRY_SECONDS if private else EXPIRY_SECONDS))
        self._digests: dict[str, str] = {}  # of the scripts that the server has
        self._closed = False

    def open(self, must_be_new: bool) -> None:
        """Make the run's key, or take the identity of the one that is there."""
        identity = os.urandom(8).hex()
        with self.losing():
            new = self.client.set(self.root, identity, px=self._milliseconds, nx=True)
            if not new and must_be_new:
                raise RuntimeError(f"{self.root!r} is on the server {self.where} already")
            kept = identity.encode() if new else self.client.get(self.root)
        self.identity = (kept or b"").decode()

    @property
    def where(self) -> str:
        return without_password(self.url)

    def step(self, script: str, *arguments: Any, guard: tuple[str, int] | None = None) -> list[Any]:
        """Run a script as a participant; its answer."""
        return self.run_script(lua.ALIVE + script, *arguments, guard=guard)

    def run_script(self, script: str, *arguments: Any, guard: tuple[str, int] | None = None) -> list[Any]:
        lock, token = guard or ("", "")
        given = (1, self.root, self.identity, self._milliseconds, self.me, lock, token, *arguments)
        with self.losing():
            answer = self._evaluate(lua.PRELUDE + script, given)
        if answer[0] == b"gone":
            raise ServerLost(
                f"the server {self.where} has nothing of the run {self.run!r} any more: the run ended, or "
                "the server was restarted or emptied; what was shared is lost; start the run again"
            )
        if answer[0] == b"dead":
            raise ServerLost(
                f"this process counts as dead in the run {self.run!r}: it left, or gave no sign of life for "
                f"longer than its lease; the others go on without it; connect() again to take part"
            )
        if answer[0] == b"late":
            raise LockLost(
                f"nothing was written: the lock {lock!r} is not held with token {token} any more, as its "
                "expiry has passed or it was released; acquire it again, and read anew what it guards"
            )
        return answer

    def _evaluate(self, script: str, arguments: tuple[Any, ...]) -> list[Any]:
        # Not by way of an error, as redis-py's scripts: fakeredis' server closes a connection after one.
        answer: list[Any]
        digest = self._digests.get(script)
        if digest:
            try:
                answer = self.client.evalsha(digest, *arguments)
                return answer
            except self._redis.exceptions.NoScriptError:
                # Its scripts were flushed. Not on a connection that fakeredis is about to close.
                self._pool.disconnect(inuse_connections=False)
        answer = self.client.eval(script, *arguments)
        self._digests[script] = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        return answer

    @contextlib.contextmanager
    def losing(self) -> Any:
        """What redis-py raises as ServerLost; as RuntimeError, if the server is there, but refuses."""
        try:
            yield
        except self._redis.AuthenticationError as error:
            raise ServerLost(
                f"the server {self.where} lets nobody in ({error}); accepted: its URL with the password, "
                "or with the user and the password: 'redis://USER:PASSWORD@HOST'"
            ) from error
        except (self._redis.ConnectionError, self._redis.TimeoutError, OSError) as error:
            advice = (
                "scripts.run started it for this run, and it ended or hangs; start the run again"
                if self.private
                else "see that it runs and can be reached from here, and start the run again"
            )
            raise ServerLost(
                f"the server {self.where} is lost ({error}); whether the last step was taken is not known, "
                f"and what the children of the run {self.run!r} share cannot be reached: {advice}"
            ) from error
        except self._redis.RedisError as error:
            raise RuntimeError(
                f"the server {self.where} refuses a step ({error}); accepted: Redis 6 or later, or Valkey, "
                "that is no cluster and no replica, has memory left, and lets the user run scripts"
            ) from error
        finally:
            if self._closed:
                self.close()

    def wait(self, attempt: Callable[[str], T | Later | None], timeout: float | None) -> T | None:
        """Until the attempt gives something, or None after the timeout. It is given where to be woken."""
        deadline = None if timeout is None else time.monotonic() + timeout
        inbox = f"{self.root}:inbox:{self.me}.{threading.get_ident()}"
        while True:
            found = attempt(inbox)
            left = SLICE_SECONDS
            if isinstance(found, Later):
                left = min(left, found.seconds)
            elif found is not None:
                return found
            if deadline is not None:
                left = min(left, deadline - time.monotonic())
            if left <= 0:
                return None
            with self.losing():
                # Redis takes a timeout of 0 for ever.
                self.client.blpop([inbox], timeout=max(left, 0.001))

    def close(self) -> None:
        # Not from under other threads that wait for an answer: each closes what it had when it is back.
        self._closed = True
        self._pool.disconnect(inuse_connections=False)


_open: weakref.WeakSet[Participant] = weakref.WeakSet()


class Participant:
    """A process that takes part in a run: what all the things that are shared stand on."""

    def __init__(self, server: Server, name: str, presence: socket.socket | None, lease: float) -> None:
        self.server, self.name = server, name
        self._presence = presence
        self._sending = threading.Lock()
        self._pid = os.getpid()
        self._ended = threading.Event()
        self._lease = "" if presence else str(int(lease * 1000))
        # Nobody has it any more, and it was not closed: it has left, and did not die.
        self._farewell = weakref.finalize(self, _say_farewell, presence)
        self._farewell.atexit = False
        server.run_script(lua.JOIN, name, self._lease)
        _open.add(self)
        if not presence:
            pause = min(lease / 4, EXPIRY_SECONDS / RENEWALS)
            threading.Thread(target=self._renew, args=(pause,), name="gilfree-sync", daemon=True).start()

    def _renew(self, pause: float) -> None:
        while not self._ended.wait(pause):
            # If the server is lost, whoever uses the connection is told.
            with contextlib.suppress(ServerLost, RuntimeError):
                self.server.run_script(lua.RENEW, self._lease)

    def step(self, script: str, *arguments: Any, guard: tuple[str, int] | None = None) -> list[Any]:
        self.check()
        return self.server.step(script, *arguments, guard=guard)

    def wait(self, attempt: Callable[[str], T | Later | None], timeout: float | None) -> T | None:
        self.check()
        return self.server.wait(attempt, timeout)

    @property
    def here(self) -> bool:
        """Not closed, and not of another process."""
        return self._pid == os.getpid() and not self._ended.is_set()

    def check(self) -> None:
        if self._pid != os.getpid():
            raise RuntimeError(
                "this connection is of the process from which this one was forked; connect() here"
            )
        if self._ended.is_set():
            raise RuntimeError("this connection is closed; connect() again")

    def report(self, done: float, total: float) -> None:
        self.check()
        if self._presence is None:
            raise RuntimeError(
                "report() has no parent to tell: this process is not connected to one that runs scripts on "
                "this machine; accepted: report() in a child of scripts.run(..., sync=True)"
            )
        try:
            with self._sending:
                self._presence.sendall(json.dumps({"report": [done, total]}).encode() + b"\n")
        except OSError as error:
            raise ServerLost(f"the parent of the run {self.server.run!r} is gone ({error})") from error

    def close(self, cleanly: bool = True) -> None:
        if not self.here:
            return
        self._ended.set()
        self._farewell.detach()
        try:
            self.server.run_script(lua.PART, self.server.me, int(cleanly))
        finally:
            if self._presence:
                self._presence.close()
            self.server.close()

    def forget(self) -> None:
        """In a forked process: the socket would say that its parent is alive."""
        self._farewell.detach()
        if self._presence:
            self._presence.close()


def _say_farewell(presence: socket.socket | None) -> None:
    """To the parent only: it runs when garbage is collected, in whatever the thread is about."""
    if presence:
        with contextlib.suppress(OSError):  # the parent is gone
            presence.sendall(b'{"left": true}\n')
        presence.close()


def _at_exit() -> None:
    # An exception that nobody caught is a death: its participant would be waited for. (3.12 has last_exc.)
    if getattr(sys, "last_value", None) is None:
        for participant in list(_open):
            with contextlib.suppress(ServerLost):
                participant.close()


def _after_fork() -> None:
    for participant in list(_open):
        participant.forget()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)


def join(url: str | None, run: str | None, name: str | None, lease: float) -> Participant:
    import_redis()
    if (url is None) != (run is None):
        raise TypeError(
            f"connect() was given url={url!r:.80}, run={run!r:.80}; accepted: both, or neither in a child"
        )
    index, _, given_name = os.environ.get(CHILD_VARIABLE, "").partition(" ")
    if name is None:
        name = (given_name if run is None else "") or f"{shlex.join(sys.argv) or 'python'} ({os.getpid()})"
        name = name.replace("\n", " ").encode(errors="replace").decode()
    name = check_name(name, "participant's name")
    me = f"{os.getpid()}.{os.urandom(6).hex()}"
    if url is not None and run is not None:
        server = Server(check_url(url), check_name(run, "run"), me)
        server.open(must_be_new=False)
        return Participant(server, name, None, lease)
    text = os.environ.get(ADDRESS_VARIABLE)
    if text is None:
        raise RuntimeError(
            f"connect() is called outside of a run ({ADDRESS_VARIABLE} is not in the environment); accepted: "
            "in a child of scripts.run(..., sync=True), or connect('redis://HOST', run='NAME')"
        )
    address = json.loads(text)
    server = Server(
        address["url"], address["run"], me, identity=address["identity"], private=address["private"]
    )
    presence = _be_present(address["presence"], me, int(index or -1))
    return Participant(server, name, presence, lease)


def _be_present(path: str, me: str, index: int) -> socket.socket | None:
    """A socket to the parent: it closes when this process ends, however it ends. None if out of its reach."""
    presence = socket.socket(socket.AF_UNIX)
    try:
        presence.connect(path)
        hello = {"me": me, "index": index}
        presence.sendall(json.dumps(hello).encode() + b"\n")
    except OSError:
        presence.close()
        return None
    return presence


def leave(participant: Participant, error: BaseException | None) -> None:
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        participant.close()
        return
    # The error that is under way says more than that the server is lost, too.
    with contextlib.suppress(ServerLost):
        participant.close(cleanly=False)
