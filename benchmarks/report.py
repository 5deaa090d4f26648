"""report - gilfree beside its peers, as Markdown tables.

    python benchmarks/report.py                          everything, in a few minutes
    python benchmarks/report.py --quick                  everything, in under a minute, on smaller work
    python benchmarks/report.py --only fib,latency

The ratios are the claim: they compare medians of one interleaved run. The times are for orientation.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import contest
from peers import native, pools

SUBJECTS = [
    *["fib", "polynomial", "collatz", "sums", "extrema", "latency", "burst", "uneven"],
    *["python", "auto", "scripts"],
]


def main() -> None:
    arguments = parse()
    print(preamble(), flush=True)
    for subject in arguments.only:
        for text in tables(importlib.import_module(f"bench_{subject}"), arguments.quick):
            print(text, flush=True)


def parse() -> argparse.Namespace:
    as_it_is = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=as_it_is)
    parser.add_argument("--quick", action="store_true", help="smaller work, fewer rounds")
    parser.add_argument("--only", type=subjects, default=SUBJECTS, help=f"some of {','.join(SUBJECTS)}")
    return parser.parse_args()


def subjects(text: str) -> list[str]:
    wanted = text.split(",")
    for subject in wanted:
        if subject not in SUBJECTS:
            raise argparse.ArgumentTypeError(f"{subject!r} is not one of {', '.join(SUBJECTS)}")
    return wanted


def tables(module: ModuleType, quick: bool) -> list[str]:
    groups = module.contests(quick)
    results = {group: [hold(one, quick) for one in contests] for group, contests in groups.items()}
    return list(module.report(**results))


def hold(one: contest.Contest, quick: bool) -> contest.Result:
    print(f"... {one.title}", file=sys.stderr, flush=True)
    return contest.hold(one, contest.effort_for(one, quick))


def preamble() -> str:
    command = " ".join(["python", "benchmarks/report.py", *sys.argv[1:]])
    return f"{machine()}\n\nMade by `{command}`. Medians of interleaved rounds; in brackets the quartiles.\n"


def machine() -> str:
    facts = [
        cpu_model(),
        f"{os.cpu_count()} cores, {pools.workers()} workers",
        f"{platform.python_implementation()} {platform.python_version()}",
        compiler_version(),
        *map(package_version, ("gilfree", "numpy", "numba", "cffi")),
    ]
    return "; ".join(facts)


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else 'CPU'} ({platform.machine()})"


def compiler_version() -> str:
    command = [native.compiler(), "--version"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return f"no {native.compiler()}"
    return answer.splitlines()[0]


def package_version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


if __name__ == "__main__":
    main()
