"""Values of every kind that can be sent, and how to tell that what came back is the same."""

import array
import math
from dataclasses import dataclass

import numpy as np

NUMERIC = [np.dtype(code) for code in "?bBhHiIlLqQefdgFDG"]
SHAPES = [(), (7,), (3, 4), (2, 3, 4), (2, 1, 3, 2), (2, 2, 1, 2, 3), (0,), (3, 0, 2)]
LONG = 30_000  # elements: too long to travel in a head


def filled(shape, dtype, start=0):
    dtype = np.dtype(dtype)
    x = (np.arange(start, start + math.prod(shape)) % 100).reshape(shape)
    if dtype.kind == "b":
        return np.asarray(x % 3 == 0)
    return np.asarray(x.astype(dtype) * dtype.type(1 + 2j if dtype.kind == "c" else 1))


@dataclass
class Point:
    x: float
    y: float


OBJECTS = {
    "None": None,
    "bool": True,
    "int": -7,
    "large int": 3**400,
    "float": math.pi,
    "nan": math.nan,
    "complex": 1 - 2j,
    "empty str": "",
    "str": "P0P1",
    "str that is not ASCII": "grüße \N{SNOWMAN} \N{MATHEMATICAL BOLD CAPITAL A}",
    "str with half a surrogate": "a\udc80b",
    "long str": "xyz" * LONG,
    "long str with half a surrogate": "a\udc80b" * LONG,
    "long str that is not ASCII": "\N{SNOWMAN}é" * LONG,
    "empty bytes": b"",
    "bytes": bytes(range(256)),
    "long bytes": bytes(range(256)) * 300,
    "bytearray": bytearray(b"abc"),
    "long bytearray": bytearray(LONG * 2),
    "empty list": [],
    "list": [1, 2.5, "three", None, [4]],
    "tuple": (1, "B", 1, (2,), False, b"x", 0),  # as long as a head is
    "dict": {"a": 1, (2, 3): [4.5], None: {"b": b"c"}},
    "set": {1, 2, 3},
    "range": range(3, 30, 4),
    "instance": Point(1.5, -2.0),
    "class": Point,
    "NumPy scalar": np.float32(1.5),
    "objects with long arrays": {"x": filled((LONG,), "d"), "y": [filled((200, 300), "f"), "z"] * 2},
    "objects with short arrays": [filled((5,), "i")] * 3,
    "array.array": array.array("d", [1.5, -2.0]),
    "empty array.array": array.array("q"),
    "long array.array": array.array("i", range(LONG)),
    "array of objects": np.array([1, "two", None], dtype=object),
    "structured array": np.array([(1, 2.5), (3, 4.5)], dtype=[("a", "i4"), ("b", "f8")]),
    "subclass": np.rec.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
    "masked array": np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False]),
    "dates": np.array(["2001-02-03", "NaT"], dtype="M8[D]"),
    "durations": np.arange(3).astype("m8[ms]"),
    "words": np.array(["a", "bcd", ""]),
    "byte words": np.array([b"a", b"bcd"]),
}
for _dtype in NUMERIC:
    for _shape in SHAPES:
        OBJECTS[f"{_dtype} {_shape}"] = filled(_shape, _dtype)
    OBJECTS[f"{_dtype} long"] = filled((LONG,), _dtype)
for _shape in SHAPES:
    OBJECTS[f"Fortran order {_shape}"] = np.asfortranarray(filled(_shape, "d"))
    OBJECTS[f"foreign bytes {_shape}"] = filled(_shape, "d").astype(">f8")
OBJECTS["long, Fortran order"] = np.asfortranarray(filled((100, 200), "d"))
OBJECTS["scattered"] = filled((20, 30), "d")[::2, 1::3]
OBJECTS["long, scattered"] = filled((400, 300), "d")[::2, ::3]
OBJECTS["long, scattered in one dimension"] = filled((3 * LONG,), "d")[::3]
OBJECTS["long, backwards"] = filled((LONG,), "d")[::-1]
OBJECTS["read-only"] = filled((9,), "d")
OBJECTS["read-only"].flags.writeable = False
OBJECTS["long, read-only"] = filled((LONG,), "d")
OBJECTS["long, read-only"].flags.writeable = False

VIEWS = {
    "doubles": memoryview(array.array("d", [1.5, 2.5])),
    "in two dimensions": memoryview(bytes(range(24))).cast("B", (4, 6)),
    "long": memoryview(array.array("i", range(LONG))),
    "scattered": memoryview(bytes(range(24)))[::3],
    "empty": memoryview(b""),
    "of a 0-d array": memoryview(np.array(1.5)),
}


def same(a, b):
    """The same value of the same type; for arrays also element type, shape and order."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        in_order = {flags.c_contiguous - flags.f_contiguous for flags in (a.flags, b.flags) if flags.forc}
        if a.dtype != b.dtype or a.shape != b.shape or len(in_order) > 1:
            return False
        # The bytes of a long double are not all its own.
        return np.array_equal(a, b, equal_nan=True) if a.dtype.kind in "fc" else a.tolist() == b.tolist()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)
