"""What a run is to run: commands, as words. No shell is in between."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

Word = str | bytes | os.PathLike[str] | os.PathLike[bytes] | int | float

ACCEPTED = (
    "a script's path, a list of words (as ['child.py', 'a', 'b']), a Script, or what template() returns; "
    "words are str, bytes, paths or numbers"
)


@dataclass(frozen=True, slots=True)
class Command:
    """`words` as they were given; `arguments`, the first of them the program, as they are run.

    `text` is the command in a joblog, `name` what tags its lines. Made by template(), or from what run() is
    given.
    """

    words: tuple[str, ...]
    arguments: tuple[str, ...]
    text: str
    name: str


class Script:
    """A Python script with its arguments, run by this interpreter, whatever the script is called.

    `name` tags its lines where output="stream"; without one, the command does.
    """

    __slots__ = ("arguments", "name", "path")

    def __init__(self, path: str | os.PathLike[str], /, *arguments: Word, name: str | None = None) -> None:
        self.path = _word(path)
        self.arguments = tuple(_word(argument) for argument in arguments)
        if name is not None and not isinstance(name, str):
            raise TypeError(f"a script's name is {name!r:.80}; accepted: None, or a str")
        if name and "\0" in name:
            raise ValueError(f"a script's name is {name!r:.80}; accepted: a str without a null")
        self.name = name

    def __repr__(self) -> str:
        name = "" if self.name is None else f", name={self.name!r}"
        return f"Script({', '.join(map(repr, (self.path, *self.arguments)))}{name})"

    def command(self) -> Command:
        words = (self.path, *self.arguments)
        text = shlex.join(words)
        return Command(words, (_interpreter(), *words), text, text if self.name is None else self.name)


Given = str | os.PathLike[str] | Sequence[Word] | Script | Command


def parse(command: Given) -> Command:
    if isinstance(command, Command):
        return command
    if isinstance(command, Script):
        return command.command()
    if isinstance(command, str | os.PathLike):
        return _from_words((_word(command),))
    if isinstance(command, list | tuple) and command:
        return _from_words(tuple(_word(word) for word in command))
    raise TypeError(f"a command is {command!r:.200}; accepted: {ACCEPTED}")


def _from_words(words: tuple[str, ...], text: str | None = None, name: str | None = None) -> Command:
    """The one rule about interpreters: what ends in .py is run by this one."""
    text = shlex.join(words) if text is None else text
    arguments = (_interpreter(), *words) if words[0].endswith(".py") else words
    return Command(words, arguments, text, text if name is None else name)


def _word(word: Word) -> str:
    if isinstance(word, bool) or not isinstance(word, str | bytes | os.PathLike | int | float):
        raise TypeError(f"a word of a command is {word!r:.200}; accepted: str, bytes, a path, or a number")
    text = str(word) if isinstance(word, int | float) else os.fsdecode(word)
    if "\0" in text:
        raise ValueError(
            f"a word of a command is {word!r:.200}; accepted: words without a null, as no program can be "
            "given one"
        )
    return text


def _interpreter() -> str:
    if not sys.executable:
        raise RuntimeError(
            "sys.executable is empty: this Python doesn't know its own program, as when it is embedded; give "
            "commands as ['/path/of/python', 'child.py', ...]"
        )
    return sys.executable


# ---- templates --------------------------------------------------------------------------------------

_PLACEHOLDER = re.compile(r"\{(?:(?P<number>\d*)(?P<change>\.|/\.|//|/|)|(?P<sequence>#)|(?P<slot>%))\}")

_CHANGES: dict[str, Callable[[str], str]] = {
    "": lambda text: text,
    ".": lambda text: os.path.splitext(text)[0],
    "/": lambda text: os.path.basename(text),
    "//": lambda text: os.path.dirname(text) or ".",
    "/.": lambda text: os.path.splitext(os.path.basename(text))[0],
}


def template(
    command: str | os.PathLike[str] | Sequence[Word], /, *parameters: Iterable[Word]
) -> list[Command]:
    """One command for each combination of the parameters, the last list's varying fastest, as GNU parallel's.

    In the words, `{}` stands for the parameters, `{1}`, `{2}`, ... for the one of that list, `{#}` for the
    command's number from 1. `{.}` is without its extension, `{/}` the file's name, `{//}` its folder, `{/.}`
    its name without extension; `{1/}` and so on likewise. Without any, the parameters become the last words.

    >>> template(["child.py", "--n={1}", "{2}"], [1, 2], ["a b"])[0].words
    ('child.py', '--n=1', 'a b')
    """
    given: Sequence[Word] = [command] if isinstance(command, str | os.PathLike) else command
    words = [_word(word) for word in given]
    if not words or not parameters:
        raise ValueError(
            f"template({command!r:.200}) was given {len(parameters)} lists of parameters; accepted: a "
            "command of one word or more, and one list or more"
        )
    found = [match for word in words for match in _PLACEHOLDER.finditer(word)]
    for match in found:
        if match["slot"] or int(match["number"] or 1) not in range(1, len(parameters) + 1):
            raise ValueError(
                f"the template has {match[0]}; accepted: {{}}, {{#}}, and {{1}} to {{{len(parameters)}}}, "
                "one for each list of parameters"
            )
    if not any(not match["sequence"] for match in found):
        words.append("{}")
    rows = itertools.product(*([_word(value) for value in values] for values in parameters))
    return [_filled(words, row, number) for number, row in enumerate(rows, 1)]


def _filled(words: list[str], row: tuple[str, ...], number: int) -> Command:
    filled: list[str] = []
    quoted: list[str] = []
    for word in words:
        alone = _PLACEHOLDER.fullmatch(word)
        # A lone {} stands for as many words as there are lists.
        rows = [(value,) for value in row] if alone and not (alone["number"] or alone["sequence"]) else [row]
        for values in rows:
            replace = partial(_value, row=values, number=number)
            filled.append(_PLACEHOLDER.sub(replace, word))
            quoted.append(_quoted_word(word, replace))
    return _from_words(tuple(filled), " ".join(quoted), " ".join(row))


def _value(match: re.Match[str], row: tuple[str, ...], number: int) -> str:
    if match["sequence"]:
        return str(number)
    change = _CHANGES[match["change"]]
    return change(row[int(match["number"]) - 1]) if match["number"] else " ".join(map(change, row))


def _quoted_word(word: str, replace: Callable[[re.Match[str]], str]) -> str:
    """The word in a joblog: its own text as a shell needs it, the parameters as GNU parallel writes them."""
    parts, end = [], 0
    for match in _PLACEHOLDER.finditer(word):
        literal = word[end : match.start()]
        parts += [shlex.quote(literal) if literal else "", _quoted(replace(match))]
        end = match.end()
    rest = word[end:]
    return "".join(parts) + (shlex.quote(rest) if rest or not word else "")


def _quoted(text: str) -> str:
    """Quoted for a shell, in the very characters in which GNU parallel does it."""
    if not text or re.fullmatch(r"[-_.+A-Za-z0-9/]+", text):
        return text or "''"
    quoted = "'" + text.replace("'", "'\"'\"'") + "'"
    return quoted.removeprefix("''").removesuffix("''")


# ---- before anything starts -------------------------------------------------------------------------


def find_programs(
    commands: Sequence[Command], folder: str, environment: Mapping[str, str], must_exist: bool
) -> list[str]:
    """The program of each command, found along PATH as a shell would.

    With `must_exist`, FileNotFoundError or PermissionError for the first command that cannot run. Without,
    such a program is returned as it was given: what becomes of it is the child's own result.
    """
    paths: dict[tuple[str, str], str] = {}
    programs = []
    for command in commands:
        key = command.arguments[0], command.words[0]
        if key not in paths:
            paths[key] = _find_program(command, folder, environment, must_exist)
        programs.append(paths[key])
    return programs


def _find_program(command: Command, folder: str, environment: Mapping[str, str], must_exist: bool) -> str:
    program = command.arguments[0]
    if must_exist and len(command.arguments) > len(command.words):
        _check_script(command, os.path.join(folder, command.words[0]))
        return program
    if "/" not in program:
        found = shutil.which(program, path=environment.get("PATH", os.defpath))
        if found or not must_exist:
            return found or program
    path = os.path.join(folder, program)
    if must_exist and ("/" not in program or not os.path.exists(path)):
        raise FileNotFoundError(f"{_nothing(command, path)}, nor a program {program!r} on PATH")
    if must_exist and not (os.path.isfile(path) and os.access(path, os.X_OK)):
        raise PermissionError(
            f"{path!r}, of the command {command.text!r}, is not an executable file; make it one with chmod "
            "+x, or give Script(path, ...) if it is a Python script"
        )
    return program


def _check_script(command: Command, path: str) -> None:
    if not os.path.exists(path):
        raise FileNotFoundError(_nothing(command, path))
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        raise PermissionError(
            f"{path!r}, of the command {command.text!r}, cannot be read; accepted: a file that "
            f"this user can read"
        )


def _nothing(command: Command, path: str) -> str:
    advice = ""
    if len(command.words) == 1 and len(shlex.split(command.words[0].replace("'", ""))) > 1:
        advice = "; a string is one path: give a command with arguments as a list, as ['child.py', 'a']"
    return f"there is no {path!r}, of the command {command.text!r}{advice}"
