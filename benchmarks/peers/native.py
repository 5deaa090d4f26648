"""native - the peers in C, built on the spot and called through cffi in API mode, its fastest way."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from contest import Call, LeftOut

from .pools import workers

FLAGS = ["-O3", "-march=native", "-fopenmp", "-fPIC"]
SOURCES = {
    "native.c": ["-ffp-contract=off"],
    "reductions.c": ["-ffast-math"],
    "memory.c": [],
}
MODULE = "gilfree_peers"
HERE = Path(__file__).parent
C_TYPES = {"int64": "int64_t[]", "uint64": "uint64_t[]", "float64": "double[]"}


def compiler() -> str:
    return os.environ.get("CC", "gcc")


def c(name: str) -> Callable[[Any], Call]:
    """Makes the call of a function in native.h on NumPy arrays, which it turns into pointers each time."""

    def make(work: Any) -> Call:
        module = build()
        function, from_buffer = getattr(module.lib, name), module.ffi.from_buffer
        x, out, c_type = work.x, work.out, C_TYPES[work.x.dtype.name]
        return lambda: function(from_buffer(c_type, out), from_buffer(c_type, x), len(x))

    return make


def c_reduction(name: str) -> Callable[[Any], Call]:
    """The same for a function that returns what becomes of the arrays: a number."""

    def make(work: Any) -> Call:
        module = build()
        function, from_buffer = getattr(module.lib, name), module.ffi.from_buffer
        x, *others = work.arrays
        c_type = C_TYPES[x.dtype.name]
        if not others:
            return lambda: function(from_buffer(c_type, x), len(x))
        (y,) = others
        return lambda: function(from_buffer(c_type, x), from_buffer(c_type, y), len(x))

    return make


def c_pair(name: str) -> Callable[[Any], Call]:
    """Or a pair of numbers."""

    def make(work: Any) -> Call:
        function = c_reduction(name)(work)

        def call():
            pair = function()
            return pair.first, pair.second

        return call

    return make


def c_read(name: str) -> Callable[[Any], Call]:
    """Makes the call that reads one array after the other."""

    def make(work: Any) -> Call:
        module = build()
        function, from_buffer = getattr(module.lib, name), module.ffi.from_buffer
        arrays = [array.view("uint64") for array in work.arrays]
        return lambda: [function(from_buffer("uint64_t[]", array), len(array)) for array in arrays]

    return make


def build() -> ModuleType:
    module = build_once()
    if isinstance(module, LeftOut):
        raise module
    return module


@functools.cache
def build_once() -> ModuleType | LeftOut:
    folder = Path(tempfile.mkdtemp(prefix="gilfree-peers-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        module = load(compiled(folder))
    except ImportError as error:
        return LeftOut(f"needs {error.name}, which is not installed")
    except OSError as error:
        return LeftOut(f"needs {compiler()}, which does not run: {error.strerror}")
    except subprocess.CalledProcessError as error:
        return LeftOut(
            f"`{compiler()} {' '.join(FLAGS)}` refuses: {error.stderr.partition(chr(10))[0] or 'no word'}"
        )
    module.lib.use_threads(workers())
    return module


def compiled(folder: Path) -> Path:
    binding, target = folder / "binding.c", folder / f"{MODULE}{sysconfig.get_config_var('EXT_SUFFIX')}"
    write_binding(binding)
    python = f"-I{sysconfig.get_path('include')}"
    objects = [compiled_object(HERE / name, flags, folder) for name, flags in SOURCES.items()]
    objects.append(compiled_object(binding, [python], folder))
    # Linked without -ffast-math: with it, loading the library would flush denormals to zero for everybody.
    run_compiler(["-shared", *objects, "-o", str(target)])
    return target


def compiled_object(source: Path, flags: list[str], folder: Path) -> str:
    target = folder / f"{source.stem}.o"
    run_compiler([*flags, "-c", str(source), "-o", str(target)])
    return str(target)


def run_compiler(arguments: list[str]) -> None:
    subprocess.run([compiler(), *FLAGS, *arguments], check=True, capture_output=True, text=True)


def write_binding(target: Path) -> None:
    import cffi

    declarations = (HERE / "native.h").read_text()
    ffi = cffi.FFI()
    ffi.cdef(declarations)
    ffi.set_source(MODULE, f"#include <stdint.h>\n{declarations}")
    with contextlib.redirect_stdout(None):  # it announces the file
        ffi.emit_c_code(str(target))


def load(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(MODULE, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
