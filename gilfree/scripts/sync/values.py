"""What can be shared: bytes, and what JSON has. It comes back equal, and of the same type."""

from __future__ import annotations

import json
from typing import Any

ACCEPTED = "None, bool, int, float, str, bytes, and lists and dicts (with keys that are str) of all but bytes"


def encode(value: object) -> bytes:
    if isinstance(value, bytes):
        return b"b" + value
    _check(value, value)
    return b"j" + json.dumps(value).encode()


def decode(data: bytes) -> Any:
    return data[1:] if data[:1] == b"b" else json.loads(data[1:])


def _check(value: object, whole: object) -> None:
    # The types themselves: what is derived from them (an Enum, a named tuple) would come back as another.
    if value is None or type(value) in (bool, int, float, str):
        return
    if type(value) is list:
        for item in value:
            _check(item, whole)
    elif type(value) is dict and all(type(key) is str for key in value):
        for item in value.values():
            _check(item, whole)
    else:
        where = "" if value is whole else f", in {whole!r:.200}"
        raise TypeError(f"a value to be shared is {value!r:.200}{where}; accepted: {ACCEPTED}")
