"""What the tests share: scripts in a fresh interpreter, the moment at which a call is known to run, pools of
worker processes, and both kinds of private servers where child scripts meet."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from textwrap import dedent

import hypothesis
import pytest

import gilfree
from gilfree import _core
from gilfree.backends import processes
from gilfree.scripts.sync.server import Keeper

# A call takes as long as the machine's other users let it: no test is about time.
hypothesis.settings.register_profile("gilfree", deadline=None, max_examples=100)
hypothesis.settings.load_profile("gilfree")

# Guards against a hang, generous for a busy machine.
HANG = 120

Script = Callable[..., subprocess.CompletedProcess[str]]
WhenBusy = Callable[..., AbstractContextManager[None]]


def _environment(changes: dict[str, str | None]) -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(gilfree.__file__).parents[1])}
    environment.pop("GILFREE_WORKERS", None)
    for name, value in changes.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    return environment


@pytest.fixture(scope="session")
def popen(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.Popen[str]]:
    """Start a script in a fresh interpreter, where every warning is an error."""
    folder = tmp_path_factory.mktemp("scripts")

    def start(code: str, *arguments: str, flags: tuple[str, ...] = ("-W", "error"), env=None, **options):
        return subprocess.Popen(
            [sys.executable, *flags, "-c", dedent(code), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=_environment(env or {}),
            **options,
        )

    return start


@pytest.fixture(scope="session")
def run(popen) -> Script:
    """Run a script in a fresh interpreter until its end. It fails the test unless it ends with `code` and, if
    that is 0, without a word on stderr."""

    def run_to_the_end(script: str, *arguments: str, code: int | None = 0, **options):
        with popen(script, *arguments, **options) as process:
            try:
                output, errors = process.communicate(timeout=HANG)
            except subprocess.TimeoutExpired:
                process.kill()
                output, errors = process.communicate()
                pytest.fail(f"the script did not end: {output!r}, {errors!r}")
        assert code is None or process.returncode == code, (process.returncode, output, errors)
        assert code != 0 or errors == ""
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    return run_to_the_end


@contextmanager
def _when_busy(action: Callable[[], None], workers: int = 1) -> Iterator[None]:
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            if _core.pool()["busy"] >= workers:
                action()
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="session")
def when_busy() -> WhenBusy:
    """Do something in another thread, once a call in the `with` statement is known to be at work with so many
    workers at least. For the first 20 microseconds of a call it is not."""
    return _when_busy


@pytest.fixture
def own_pool(monkeypatch) -> Iterator[processes.Pool]:
    """Worker processes of this test alone, which are started in it."""
    pool = processes.Pool()
    monkeypatch.setattr(processes, "_pool", pool)
    yield pool
    pool.close()


@pytest.fixture
def two_workers() -> Iterator[None]:
    """Worker processes that are up: without them auto seldom leaves this process."""
    with gilfree.set_workers(2):
        gilfree.parallel_map(abs, range(4), backend="processes")
        while not processes.is_warm(2):
            time.sleep(0.001)
        yield


@pytest.fixture(params=["redis", "fakeredis"])
def kind(request, monkeypatch, tmp_path_factory) -> str:
    """The server that sync=True has in this test: Redis or Valkey, or what is used where neither is found."""
    if request.param == "fakeredis":
        monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))
    elif not (shutil.which("redis-server") or shutil.which("valkey-server")):
        pytest.skip("no redis-server or valkey-server on PATH")
    return request.param


@pytest.fixture
def url(kind) -> Iterator[str]:
    """Of a server that runs."""
    with Keeper(True) as keeper:
        yield keeper.url
