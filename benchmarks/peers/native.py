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

FLAGS = ["-O3", "-march=native", "-ffp-contract=off", "-fopenmp"]
MODULE = "gilfree_peers"
HERE = Path(__file__).parent
C_TYPES = {"int64": "int64_t[]", "float64": "double[]"}


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
    sources = [str(HERE / "native.c"), str(binding)]
    python = f"-I{sysconfig.get_path('include')}"
    command = [compiler(), *FLAGS, "-fPIC", "-shared", python, *sources, "-o", str(target)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target


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
