"""Writes gilfree/kernels.pyi from the rows: ``python tests/stubs.py``. A test holds the two together."""

from pathlib import Path

import gilfree
from gilfree import _core

PATH = Path(gilfree.__file__).with_name("kernels.pyi")

HEADER = """\
# Written by tests/stubs.py from the tables of rows in csrc/kernels: change those.

from typing import Any, Final, SupportsFloat, SupportsIndex, overload

from typing_extensions import Buffer

from gilfree._core import Kernel
"""

ACCEPTED = {"int64": "SupportsIndex", "float64": "SupportsFloat | SupportsIndex", "bool": "object"}
RETURNED = {"int64": "int", "float64": "float", "bool": "bool"}

CLASS = '''
class _{kind}(Kernel):
    """{doc}"""

    @overload
    def __call__(self, {numbers}, /, *, workers: int | None = None, out: None = None) -> {result}: ...
    @overload
    def __call__(self, {buffers}, /, *, workers: int | None = None, out: Buffer | None = None) -> Any: ...

{name}: Final[_{kind}]
'''


def parse(signature: str) -> tuple[str, list[tuple[str, str]]]:
    """'bool(int64 n)' as ('bool', [('int64', 'n')])."""
    result, _, rest = signature.partition("(")
    pairs = [argument.split() for argument in rest.rstrip(")").split(",")]
    return result, [(kind, name) for kind, name in pairs]


def render() -> str:
    """The text of the stub."""
    parts = [HEADER]
    for kernel in _core.kernels:
        result, arguments = parse(kernel.signature)
        parts.append(
            CLASS.format(
                name=kernel.__name__,
                kind=kernel.__name__.title().replace("_", ""),
                doc=kernel.__doc__,
                numbers=", ".join(f"{name}: {ACCEPTED[kind]}" for kind, name in arguments),
                buffers=", ".join(f"{name}: {ACCEPTED[kind]} | Buffer" for kind, name in arguments),
                result=RETURNED[result],
            )
        )
    return "".join(parts)


if __name__ == "__main__":
    PATH.write_text(render())
