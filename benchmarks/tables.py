"""tables - results as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Container, Iterable, Sequence

from contest import GILFREE, Result

ABSENT = "-"

Row = list[str]


def markdown(rows: Sequence[Row]) -> str:
    """The first row is the header; the first column holds words, the others numbers."""
    head, *body = rows
    ruler = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ruler, *body])


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def spread(ratios: Sequence[float]) -> str:
    """The median, and the quartiles behind it."""
    if not ratios:
        return ABSENT
    median = number(statistics.median(ratios))
    if len(ratios) < 2:
        return median
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{median} ({number(low)} to {number(high)})"


def names(results: Iterable[Result]) -> list[str]:
    """Everybody who took part in any of them, in order of appearance."""
    return list(dict.fromkeys(name for result in results for name in result.samples))


def header(corner: str, results: Sequence[Result]) -> Row:
    return [corner] + [result.title for result in results]


def contender_rows(results: Sequence[Result], cell: Callable[[Result, str], str]) -> list[Row]:
    return [
        [name] + [cell(result, name) if name in result.samples else ABSENT for result in results]
        for name in names(results)
    ]


def ratio_row(label: str, results: Sequence[Result], name: str, to: str) -> Row:
    return [label] + [spread(result.ratios(name, to)) for result in results]


def fastest_peer_row(results: Sequence[Result], yardsticks: Container[str] = ()) -> Row:
    return [f"**{GILFREE} / fastest peer**"] + [
        against_fastest_peer(result, yardsticks) for result in results
    ]


def against_fastest_peer(result: Result, yardsticks: Container[str]) -> str:
    peers = [name for name in result.samples if not name.startswith(GILFREE) and name not in yardsticks]
    if not peers:
        return ABSENT
    fastest = min(peers, key=result.median)
    return f"{spread(result.ratios(GILFREE, fastest))} {fastest}"


def milliseconds(result: Result, name: str) -> str:
    return number(result.median(name) * 1e3)


def microseconds(result: Result, name: str) -> str:
    return number(result.median(name) * 1e6)


def footnotes(results: Sequence[Result]) -> list[str]:
    return notes(results) + absences(results)


def notes(results: Sequence[Result]) -> list[str]:
    return [f"{result.title}: {result.note}." for result in results if result.note]


def absences(results: Sequence[Result]) -> list[str]:
    """Who was left out, and why: never silently."""
    titles: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for name, reason in result.left_out.items():
            titles.setdefault((name, reason), []).append(result.title)
    return [
        f"Left out{at(where, len(results))}: {name}, which {reason}."
        for (name, reason), where in titles.items()
    ]


def at(where: Sequence[str], out_of: int) -> str:
    return "" if len(where) == out_of else f" at {', '.join(where)}"


def block(title: str, text: str, rows: Sequence[Row], below: Sequence[str] = ()) -> str:
    parts = [f"### {title}", text, markdown(rows)]
    if below:
        parts.append("  \n".join(below))
    return "\n\n".join(parts) + "\n"
