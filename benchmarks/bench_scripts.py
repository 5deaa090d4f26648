"""Children of `true`: what starting a child, and seeing it off, costs beside other launchers."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from contest import GILFREE, Contender, Contest, LeftOut, Result
from peers import pools
from tables import block, contender_rows, footnotes, number, spread

from gilfree import scripts

CHILDREN, QUICK_CHILDREN = 1000, 100


class Children:
    """So many commands that do nothing; a launcher is right if all of them ended well."""

    def __init__(self, count: int):
        self.items = count
        self.note = ""
        self.workers = pools.workers()
        self.commands = [["true", str(index)] for index in range(count)]
        self.lines = "".join(f"{index}\n" for index in range(count)).encode()

    def accepts(self, result: object) -> bool:
        return result == [0] * self.items


def run(work: Children) -> Callable[[], list[int | None]]:
    return lambda: [result.returncode for result in scripts.run(work.commands, workers=work.workers)]


def one_after_the_other(work: Children) -> Callable[[], list[int]]:
    return lambda: [subprocess.run(command, capture_output=True).returncode for command in work.commands]


def program(*words: str) -> Callable[[Children], Callable[[], list[int]]]:
    """A launcher that reads the arguments from stdin, a line each, and ends with 0 if all children did."""

    def make(work: Children) -> Callable[[], list[int]]:
        if not shutil.which(words[0]):
            raise LeftOut(f"is not installed ({words[0]})")
        command = [word.format(workers=work.workers) for word in words]
        return lambda: [subprocess.run(command, input=work.lines, check=True).returncode] * work.items

    return make


PARALLEL = "GNU parallel"
CONTENDERS = (
    Contender(GILFREE, run),
    Contender(
        "python -m gilfree run", program(sys.executable, "-m", "gilfree", "run", "-j{workers}", "true")
    ),
    Contender(PARALLEL, program("parallel", "--will-cite", "-j{workers}", "true")),
    Contender("xargs -P", program("xargs", "-n1", "-P{workers}", "true")),
    Contender("subprocess.run, one after the other", one_after_the_other),
)


def contests(quick: bool) -> dict[str, list[Contest]]:
    count = QUICK_CHILDREN if quick else CHILDREN
    return {"launch": [Contest(f"{count} children", partial(Children, count), CONTENDERS)]}


def report(launch: Sequence[Result]) -> Iterator[str]:
    (result,) = launch
    rows = [[*row, spread(result.ratios(row[0], GILFREE))] for row in contender_rows(launch, rate)]
    yield block(
        f"{result.title} of `true`",
        f"{pools.workers()} at a time; the launcher's own start included.",
        [["", "children a second", "times gilfree's time"], *rows],
        footnotes(launch),
    )


def rate(result: Result, name: str) -> str:
    return number(result.items / result.median(name))


def test_scripts(contender):
    contender()
