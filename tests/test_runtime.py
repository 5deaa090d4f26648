"""The C runtime and the kernels without Python: every program tests/runtime/test_*.c, in every kind of build.

To add a test, write a function in the program of its noun; to add a program, write its file.
"""

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*ROOT.glob("csrc/runtime/*.c"), *ROOT.glob("csrc/kernels/*.c")])
PROGRAMS = sorted(ROOT.glob("tests/runtime/test_*.c"))

FLAGS = [
    *["-std=c11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"],
    *["-ffp-contract=off", "-pthread", "-Wno-missing-field-initializers"],
    *[f"-I{ROOT / folder}" for folder in ("gilfree/include", "csrc/runtime", "csrc/kernels")],
]
ADDRESS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
THREAD = ["-fsanitize=thread"]
STRESS = ["-DGILFREE_STRESS"]
NO_FUTEX = ["-DGILFREE_NO_FUTEX"]
BUILDS = {
    "plain": [],
    "address": ADDRESS,
    "thread": THREAD,
    "stress-address": STRESS + ADDRESS,
    "stress-thread": STRESS + THREAD,
    "nofutex": NO_FUTEX,
    "nofutex-thread": NO_FUTEX + THREAD,
}

ENVIRONMENT = {
    # The programs fork while threads run: by default ThreadSanitizer ends a child that starts one, and lets
    # every process with threads sleep for a second before it ends.
    "TSAN_OPTIONS": "halt_on_error=1 die_after_fork=0 atexit_sleep_ms=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}

# Guards against a hang, generous for a busy machine.
HANG = 120


def compiler(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*os.environ.get("CC", "cc").split(), *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="session", params=BUILDS)
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """The folder with all programs, the runtime compiled once for them, and what was said of each."""
    folder = tmp_path_factory.mktemp(request.param)
    flags = FLAGS + BUILDS[request.param]
    objects = [folder / f"{source.stem}.o" for source in SOURCES]

    def compile_source(source: Path, result: Path) -> subprocess.CompletedProcess[str]:
        return compiler(*flags, "-c", source, "-o", result)

    def compile_program(program: Path) -> subprocess.CompletedProcess[str]:
        return compiler(*flags, program, *objects, "-o", folder / program.stem, "-lm")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = [done.stdout for done in pool.map(compile_source, SOURCES, objects) if done.returncode]
        if failures:
            pytest.fail("\n".join(failures), pytrace=False)
        return folder, dict(zip(PROGRAMS, pool.map(compile_program, PROGRAMS), strict=True))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem.removeprefix("test_"))
def test_runtime(build, program):
    folder, compiled = build
    if compiled[program].returncode:
        pytest.fail(compiled[program].stdout, pytrace=False)
    environment = {**os.environ, **ENVIRONMENT}
    environment.pop("GILFREE_WORKERS", None)
    with subprocess.Popen(
        [folder / program.stem],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=environment,
        start_new_session=True,  # so that the children it forked end with it
    ) as process:
        try:
            output, _ = process.communicate(timeout=HANG)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            output += f"\nkilled after {HANG} s"
    if process.returncode:
        pytest.fail(f"{program.stem} ended with {process.returncode}:\n{output}", pytrace=False)
