"""Builds gilfree._core from csrc/; everything else stands in pyproject.toml.

The environment variable GILFREE_BUILD changes how, by a comma-separated list of:
  debug     no optimisation, assertions, full debug information
  sanitize  AddressSanitizer and UndefinedBehaviorSanitizer (preload libasan to run it)
  stress    tiny chunks, no spinning, and allocations that fail on demand: gives bugs a chance
"""

import os
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SANITIZERS = "-fsanitize=address,undefined"
BUILDS = {
    "debug": ["-O0", "-g3", "-UNDEBUG"],
    "sanitize": ["-O1", SANITIZERS, "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"],
    "stress": ["-DGILFREE_STRESS"],
}
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

builds = [build for build in os.environ.get("GILFREE_BUILD", "").split(",") if build]
for build in builds:
    if build not in BUILDS:
        raise SystemExit(f"GILFREE_BUILD is {','.join(builds)!r}; accepted: a list of {', '.join(BUILDS)}")


class BuildCore(build_ext):
    """Names abi3 only what goes into a wheel: in the tree, a free-threaded interpreter would load it too."""

    def finalize_options(self):
        super().finalize_options()
        abi3 = not FREE_THREADED and not self.inplace and not self.editable_mode
        for extension in self.extensions:
            extension.py_limited_api = abi3


core = Extension(
    "gilfree._core",
    sources=sorted(str(path) for path in Path("csrc").glob("*/*.c")),
    depends=sorted(str(path) for path in [*Path("csrc").glob("*/*.h"), *Path("gilfree/include").glob("*.h")]),
    include_dirs=["gilfree/include", "csrc/runtime", "csrc/kernels", "csrc/binding"],
    define_macros=[("_GNU_SOURCE", "1")] + ([] if FREE_THREADED else [("Py_LIMITED_API", "0x030B0000")]),
    extra_compile_args=[
        *["-std=c11", "-O3", "-g", "-fvisibility=hidden", "-pthread"],
        # The same bits on every machine and for every number of workers.
        "-ffp-contract=off",
        *["-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Wno-missing-field-initializers"],
        *[flag for build in builds for flag in BUILDS[build]],
    ],
    libraries=["m"],
    extra_link_args=["-pthread", *([SANITIZERS] if "sanitize" in builds else [])],
)

setup(
    ext_modules=[core],
    cmdclass={"build_ext": BuildCore},
    options={} if FREE_THREADED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
