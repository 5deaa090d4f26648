"""Writes what is derived from the rows, the stub gilfree/kernels.pyi and the page docs/kernels.md:
``python tests/stubs.py``. A test holds them together."""

from pathlib import Path
from typing import Any

import gilfree
from gilfree import _core

PATH = Path(gilfree.__file__).with_name("kernels.pyi")
PAGE = Path(__file__).parents[1] / "docs" / "kernels.md"

HEADER = """\
# Written by tests/stubs.py from the tables of rows in csrc/kernels: change those.

from collections.abc import Iterable
from typing import Any, Final, Protocol, SupportsFloat, SupportsIndex, overload

from typing_extensions import Buffer

from gilfree._core import Kernel

class _HasArray(Protocol):
    def __array__(self) -> Any: ...

class _HasDLPack(Protocol):
    def __dlpack__(self) -> Any: ...

class _HasArrayInterface(Protocol):
    @property
    def __array_interface__(self) -> dict[str, Any]: ...

_Array = Buffer | _HasArray | _HasDLPack | _HasArrayInterface
_Numbers = _Array | Iterable[SupportsFloat | SupportsIndex]
"""

ACCEPTED = {"int64": "SupportsIndex", "float64": "SupportsFloat | SupportsIndex", "bool": "object"}
RETURNED = {"bool": "bool"} | dict.fromkeys(["int64", "uint64", "int32", "uint8"], "int")
RETURNED |= dict.fromkeys(["float64", "float32"], "float")

MAP = '''
class _{kind}(Kernel):
    """{doc}"""

    @overload
    def __call__(self, {numbers}, /, *, workers: int | None = None, out: None = None) -> {result}: ...
    @overload
    def __call__(self, {arrays}, /, *, workers: int | None = None, out: Buffer | None = None) -> Any: ...

{name}: Final[_{kind}]
'''

REDUCE = '''
class _{kind}(Kernel):
    """{doc}"""

    def __call__(self, {arrays}, /, {options}*, workers: int | None = None) -> {result}: ...

{name}: Final[_{kind}]
'''


def parse(signature: str) -> tuple[str, list[tuple[str, str]]]:
    """'bool(int64 n)' as ('bool', [('int64', 'n')])."""
    result, _, rest = signature[:-1].rpartition("(")
    return result, [tuple(argument.split()) for argument in rest.split(", ")]


def returned(signatures: tuple[str, ...]) -> str:
    """Of a number that may be an int or a float, float: a checker takes an int for one too."""
    numbers = {RETURNED[parse(signature)[0].strip("()").split(", ")[0]] for signature in signatures}
    number = numbers.pop() if len(numbers) == 1 else "float"
    return f"tuple[{number}, {number}]" if signatures[0].startswith("(") else number


def render() -> str:
    """The text of the stub."""
    parts = [HEADER]
    for kernel in _core.kernels:
        fields = {
            "name": kernel.__name__,
            "kind": kernel.__name__.title().replace("_", ""),
            "doc": kernel.__doc__,
            "result": returned(kernel.signatures),
        }
        arguments = parse(kernel.signatures[0])[1]
        if kernel.pattern == "map":
            numbers = ", ".join(f"{name}: {ACCEPTED[kind]}" for kind, name in arguments)
            arrays = ", ".join(f"{name}: {ACCEPTED[kind]} | _Array" for kind, name in arguments)
            parts.append(MAP.format(numbers=numbers, arrays=arrays, **fields))
        else:
            arrays = ", ".join(f"{name}: _Numbers" for kind, name in arguments if kind.endswith("[]"))
            names = [name.split("=") for _, name in arguments if "=" in name]
            options = "".join(f"{name}: SupportsIndex = {default}, " for name, default in names)
            parts.append(REDUCE.format(arrays=arrays, options=options, **fields))
    return "".join(parts)


PAGE_HEADER = """\
<!-- Written by tests/stubs.py from the tables of rows in csrc/kernels: change those. -->

# The kernels

A kernel of the pattern *map* makes a number of a number: `kernels.fib(38)`; item by item `kernels.fib(array)`
or `gilfree.parallel_map(kernels.fib, iterable)`. One of the pattern *reduce* makes a number of an array:
`kernels.sum(array)`, or `gilfree.parallel_map(kernels.sum, arrays)`, an array an item.

Where a kernel has several types, the first in the list is used that holds every number of the array as it is:
bool, int8, int16, uint16, uint32 and float16 are cast to the next type that does. Integers are never cast to
floats where there is a type for integers. Sums of integers are exact, in 128 bits and more; OverflowError only
if the result does not fit. Floats, float32 too, are added in float64. The bits of a result depend on the array
alone, not on workers or the machine.
"""


def types(kernel: Any) -> str:
    """Results and types of all rows, those with one result together."""
    by_result: dict[str, list[str]] = {}
    for signature in kernel.signatures:
        result, arguments = parse(signature)
        by_result.setdefault(result, []).append(arguments[0][0].removesuffix("[]"))
    return "; ".join(f"{', '.join(names)} → {result}" for result, names in by_result.items())


def page() -> str:
    """The text of the page."""
    parts = [PAGE_HEADER]
    for family in dict.fromkeys(kernel.family for kernel in _core.kernels):
        parts.append(f"\n## {family}\n\n| kernel | types | |\n|---|---|---|\n")
        for kernel in _core.kernels:
            if kernel.family == family:
                names = ", ".join(name for _, name in parse(kernel.signatures[0])[1])
                parts.append(f"| `{kernel.__name__}({names})` | {types(kernel)} | {kernel.__doc__} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PATH.write_text(render())
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
