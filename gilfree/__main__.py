"""The command line: python -m gilfree demo | map | run | info."""

import argparse
import json
import re
import sys
from typing import Any

import gilfree
from gilfree import _core
from gilfree.facts import mpi
from gilfree.scripts import command_line


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gilfree", description="Every core from plain threads.")
    commands = parser.add_subparsers(dest="command", required=True)

    demo = commands.add_parser("demo", help="the fib list, one way after another: results, times, speedups")
    demo.add_argument("numbers", nargs="*", type=int, default=[38, 37, 36, 35, 34, 33], metavar="N")
    demo.add_argument("--workers", type=int, help="workers for the parallel rows (the pool's size)")
    demo.set_defaults(run=_demo)

    names = [kernel.__name__ for kernel in _core.kernels]
    apply = commands.add_parser("map", help="apply a kernel to numbers: one result a line")
    apply.add_argument("kernel", choices=names, metavar="KERNEL", help=", ".join(names))
    apply.add_argument(
        "numbers",
        nargs="+",
        metavar="ARG",
        help="a number; for a kernel of several arguments, or of an array, as in 1,2,3",
    )
    apply.add_argument("--workers", type=int, help="threads at work at most (the pool's size; -1: all CPUs)")
    apply.add_argument("--timeout", type=float, help="seconds until the call is stopped")
    # Also -1,2,3 and -1e5: argparse takes them for options otherwise, and has no public name for this.
    apply._negative_number_matcher = re.compile(r"-[\d.,einf+-]+$")
    apply.set_defaults(run=_map)

    command_line.add_parser(commands)

    info = commands.add_parser(
        "info", help="versions, the GIL, the CPUs and why so many, the pool, the kernels, the MPI"
    )
    info.add_argument("--json", action="store_true", help="as JSON")
    info.set_defaults(run=_info)

    options = parser.parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except (ArithmeticError, LookupError, TimeoutError, TypeError, ValueError) as error:
        print(f"{parser.prog} {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _demo(options: argparse.Namespace) -> None:
    from gilfree import demo

    demo.run(options.numbers, options.workers)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _map(options: argparse.Namespace) -> None:
    kernel = getattr(gilfree.kernels, options.kernel)
    items = [[_number(part) for part in argument.split(",")] for argument in options.numbers]
    if kernel.pattern == "reduce":
        columns: list[Any] = [items]
    elif len({len(item) for item in items}) > 1:
        raise ValueError(f"the arguments {' '.join(options.numbers)} differ in how many numbers each holds")
    else:
        columns = list(zip(*items, strict=True))
    for result in gilfree.parallel_map(kernel, *columns, workers=options.workers, timeout=options.timeout):
        print(result)


def _info(options: argparse.Namespace) -> None:
    facts = {**gilfree.info(), "mpi": mpi()}
    print(json.dumps(facts, indent=2) if options.json else "\n".join(_lines(facts)))


def _first(value: Any) -> Any:
    """Of a list, the first item, and how many more there are."""
    if not isinstance(value, list) or len(value) == 1:
        return value[0] if isinstance(value, list) else value
    return f"{value[0]} and {len(value) - 1} more"


def _lines(facts: dict[str, Any]) -> list[str]:
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key}: {_first(item)}" for key, item in value.items())
        lines.append(f"{name:10}{value}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
