"""Calls kernels with all sorts of arguments, and compares what comes back with NumPy and plain Python.

    python tests/fuzz.py [CALLS [SEED]]

No call may crash, leak, or give a wrong answer; what it refuses, it must refuse by an exception. To be run
over a core built with sanitizers as well.
"""

import gc
import itertools
import math
import os
import random
import sys
from array import array
from collections import Counter
from typing import Any

import numpy as np
from reductions import REDUCTIONS
from references import REFERENCES

import gilfree
from gilfree import _core

NUMBERS = ["?", "b", "B", "h", "H", "i", "I", "q", "Q", "e", "f", "d"]
OTHERS = ["D", "O", "S3", "U2", "M8[s]", "g", [("a", "i4"), ("b", "f8")]]
LARGEST = 25  # whatever takes longer than fib(25) must be refused, or nobody sees the end
REFUSALS = (TypeError, ValueError, OverflowError, BufferError)


class Hostile:
    """A number, an iterable, or neither, that does something unexpected when it is used."""

    def __init__(self, act):
        self.act = act

    def __index__(self):
        return self.act()

    __float__ = __index__

    def __iter__(self):
        return self.act()

    def __len__(self):
        return self.act()


class Lends:
    """An array by one protocol alone."""

    def __init__(self, numbers, protocol):
        if protocol == "__array_interface__":
            self.__array_interface__ = numbers.__array_interface__
        self.numbers, self.protocol = numbers, protocol

    def __getattr__(self, name):
        if name == self.__dict__.get("protocol") or (name, self.protocol) == (
            "__dlpack_device__",
            "__dlpack__",
        ):
            return getattr(self.numbers, name)
        raise AttributeError(name)


def fail():
    raise ValueError("on purpose")


class Fuzzer:
    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.tally: Counter[str] = Counter()

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    # ---- arguments

    def number(self) -> Any:
        return self.pick(
            *[
                self.random.randint(-5, LARGEST),
                self.random.uniform(-9, 9),
                2**63 - 1,
                -(2**63),
                2**64 - 1,
                2**70,
                0,
                True,
            ],
            *[
                math.nan,
                math.inf,
                1e300,
                np.float32(2.5),
                np.int8(-7),
                np.uint64(2**63),
                np.array(3),
                "7",
                None,
                2j,
            ],
        )

    def numpy(self, shape: Any = None) -> Any:
        if shape is None:
            shape = self.pick(
                0, 1, 2, 3, 7, 40, 4096, 5000, (3, 4), (0, 2), (2, 0), (5, 1, 3), (2, 2600), (1,) * 6
            )
        dtype = np.dtype(self.pick(*NUMBERS) if self.chance(0.93) else self.pick(*OTHERS))
        count = int(np.prod(shape))
        if dtype.kind in "fiub":
            low, high = (
                (0, 2)
                if dtype.kind == "b"
                else (1, LARGEST)
                if self.chance(0.8)
                else (0 if dtype.kind == "u" else -60, LARGEST)
            )
            numbers = np.array([self.random.randrange(low, high) for _ in range(min(count, 60))] or [1])
            x = np.resize(numbers, shape).astype(dtype)
            if dtype.kind == "f" and self.chance(0.2) and count:
                x.flat[self.random.randrange(count)] = self.pick(math.nan, math.inf, -math.inf, -0.0, 1e300)
            if dtype.itemsize == 8 and dtype.kind in "iu" and self.chance(0.1) and count:
                x.flat[self.random.randrange(count)] = np.iinfo(dtype).max
        else:
            x = np.zeros(shape, dtype)
        return self.turned(x)

    def turned(self, x: np.ndarray) -> np.ndarray:
        for _ in range(self.random.randrange(3)):
            turn = self.random.randrange(9)
            if turn == 0 and x.ndim:
                x = x[:: self.pick(-1, 2, -2, 3)]
            elif turn == 1:
                x = x.T
            elif turn == 2 and x.dtype.kind in "iuf":
                x = x.astype(x.dtype.newbyteorder())
            elif turn == 3 and x.dtype.kind in "iuf":
                x = np.frombuffer(b"x" + x.tobytes(), x.dtype, offset=1).reshape(x.shape)
            elif turn == 4 and x.ndim:
                x = np.repeat(x, 2, axis=-1)[..., ::2]
            elif turn == 5:
                x = np.asfortranarray(x)
            elif turn == 6 and x.ndim:
                x = np.broadcast_to(x[:1], x.shape)
            elif turn == 7:
                x = np.ma.array(x) if self.chance(0.1) else x
            elif turn == 8:
                x.flags.writeable = False
        return x

    def lender(self, x: np.ndarray) -> Any:
        if (
            x.dtype.char not in [*NUMBERS, "l", "L"]
            or isinstance(x, np.ma.MaskedArray)
            or not x.dtype.isnative
        ):
            return x
        return self.pick(
            x, x, x, Lends(x, self.pick("__array_interface__", "__array__", "__dlpack__")), memoryview(x)
        )

    def iterable(self, length: int | None = None) -> Any:
        length = self.pick(0, 1, 2, 5, 70, 5000) if length is None else length
        kind = self.random.randrange(8)
        numbers = [self.random.randint(1, LARGEST) for _ in range(min(length, 50))]
        numbers = (numbers * (length // max(1, len(numbers)) + 1))[:length]
        if self.chance(0.15) and length:
            numbers[self.random.randrange(length)] = self.number()
        if kind == 0:
            return numbers
        if kind == 1:
            return tuple(numbers)
        if kind == 2:
            return range(1, min(length, LARGEST) + 1)
        if kind == 3:
            return iter(numbers)
        if kind == 4:
            return itertools.repeat(self.pick(3, 2.5, 1), *self.pick((), (length,)))
        if kind == 5:
            return array(self.pick("q", "d", "B", "f"), [7] * length)
        if kind == 6 and self.chance(0.3):
            return self.hostile(numbers)
        return self.lender(self.numpy(length))

    def hostile(self, numbers: list[Any]) -> Any:
        if numbers and self.chance(0.7):
            act = self.pick(numbers.clear, lambda: numbers.append(3), fail, lambda: "nonsense", lambda: 2**70)
            numbers[self.random.randrange(len(numbers))] = Hostile(
                act if self.chance(0.3) else lambda: act() or 5
            )
            return numbers
        return Hostile(self.pick(fail, lambda: iter(numbers), lambda: 5, lambda: "nonsense"))

    # ---- calls

    def step(self) -> None:
        kernel = self.pick(*_core.kernels)
        options: dict[str, Any] = {"workers": self.pick(None, 1, 2, 3)} if self.chance(0.5) else {}
        by_map = self.chance(0.5)
        count = len(kernel.signatures[0].rpartition("(")[2].split(", "))
        count = count + self.pick(-1, 1) if self.chance(0.02) else count
        if kernel.pattern == "map":
            arguments = self.of_map(count, by_map)
            if self.chance(0.3):
                options["out"] = self.out(arguments)
        else:
            arguments = self.of_reduce(kernel, count, by_map)
            if by_map and self.chance(0.2):
                options["out"] = self.out(arguments)
        call = (lambda *a, **o: gilfree.parallel_map(kernel, *a, **o)) if by_map else kernel
        kept = [self.frozen(argument) for argument in arguments]
        try:
            result = call(*arguments, **options)
        except REFUSALS:
            self.tally["refused"] += 1
            return
        self.tally["answered"] += 1
        if all(item is not None for item in kept):
            self.check(kernel, by_map, kept, result)

    def of_map(self, count: int, by_map: bool) -> list[Any]:
        shape = self.pick(None, 3, 70, 3000, (3, 4), (20, 60))
        length = shape if isinstance(shape, int) else None
        if by_map:
            return [
                self.iterable(length) if self.chance(0.7) else self.lender(self.numpy(shape))
                for _ in range(count)
            ]
        return [self.number() if self.chance(0.3) else self.lender(self.numpy(shape)) for _ in range(count)]

    def of_reduce(self, kernel: Any, count: int, by_map: bool) -> list[Any]:
        arrays = REDUCTIONS[kernel.__name__].arrays
        length, rows = self.pick(None, 5, 40, 4100), self.random.randrange(4)
        whole = self.chance(0.3)
        arguments: list[Any] = []
        for which in range(count):
            if which >= arrays:
                if self.chance(0.5):
                    break
                ddof = self.pick(0, 1, 2)
                arguments.append([ddof] * rows if by_map else ddof)
            elif not by_map:
                arguments.append(self.iterable(length))
            elif whole:
                arguments.append(self.lender(self.numpy((rows, length or 7))))
            else:
                arguments.append([self.iterable(length) for _ in range(rows)])
        return arguments

    def out(self, arguments: list[Any]) -> Any:
        if arguments and self.chance(0.3):
            return self.pick(*arguments)
        if arguments and isinstance(arguments[0], np.ndarray) and self.chance(0.5):
            like = arguments[0]
            if like.dtype.names:  # a mask of records has no counterpart in plain numbers
                like = np.asarray(like)
            return np.empty_like(like, dtype=self.pick("q", "d", "?"))
        return self.numpy()

    # ---- what must come back

    def frozen(self, argument: Any) -> Any:
        """A copy to compare with, in Python's own numbers; None of what is hostile or read only once."""
        if isinstance(argument, Lends):
            argument = argument.numbers
        if isinstance(argument, (np.ndarray, array, memoryview)):
            x = np.asarray(argument)
            return x.astype(x.dtype.newbyteorder("=")) if x.dtype.kind in "iufb" else None
        if isinstance(argument, (list, tuple, range)):
            parts = [self.frozen(part) for part in argument]
            return None if any(part is None for part in parts) else parts
        if isinstance(argument, (int, float)) and not isinstance(argument, bool):
            return argument
        return None

    def check(self, kernel: Any, by_map: bool, arguments: list[Any], result: Any) -> None:
        if kernel.pattern == "map":
            shapes = [np.shape(argument) for argument in arguments]
            if by_map and len(set(shapes)) == 1:
                columns = [np.ravel(argument).tolist() for argument in arguments]
            elif by_map:
                columns = [list(argument) for argument in arguments]
            else:
                shape = next((shape for shape in shapes if shape), ())
                columns = [np.broadcast_to(argument, shape).ravel().tolist() for argument in arguments]
            function = REFERENCES[kernel.__name__].function
            expected = [function(*item) for item in zip(*map(self.typed(kernel), columns), strict=False)]
            np.testing.assert_array_equal(
                np.ravel(np.asarray(result)), np.array(expected, np.asarray(result).dtype)
            )
        elif by_map:
            items = list(zip(*arguments, strict=False))
            assert len(result) == len(items)
            for item, one in zip(items, result, strict=True):
                self.check_reduction(kernel, item, one)
        else:
            self.check_reduction(kernel, arguments, result)
        self.tally["compared"] += 1

    def typed(self, kernel: Any) -> Any:
        kind = float if "float64" in kernel.signatures[0] else int
        return lambda column: [kind(number) for number in column]

    def check_reduction(self, kernel: Any, arguments: Any, result: Any) -> None:
        arrays = [np.ravel(argument) for argument in arguments[: REDUCTIONS[kernel.__name__].arrays]]
        ddof = int(arguments[1]) if len(arguments) > 1 and len(arrays) == 1 else 0
        whole = all(x.dtype.kind in "iub" or x.size == 0 for x in arrays)
        expected = reference(kernel.__name__, arrays, ddof, whole)
        if whole and kernel.__name__ in ("sum", "dot", "min", "max", "minmax", "argmin", "argmax"):
            assert result == expected, (kernel, result, expected)
        else:
            # Where an exact number is near 0 by cancellation, the error is one of what was added.
            size = max(
                (float(np.nanmax(np.abs(x[np.isfinite(x)]), initial=0.0)) for x in arrays), default=0.0
            )
            size = size * size if kernel.__name__ in ("dot", "var", "mean_var") else size
            tolerance = min(1e-9 * size * max((x.size for x in arrays), default=1), sys.float_info.max)
            np.testing.assert_allclose(result, expected, rtol=1e-9, atol=tolerance)


def reference(name: str, arrays: list[np.ndarray], ddof: int, whole: bool) -> Any:
    x = arrays[0]
    if whole and name == "sum":
        return sum(x.tolist())
    if whole and name == "dot":
        return sum(a * b for a, b in zip(*[y.tolist() for y in arrays], strict=True))
    if name in ("min", "max", "argmin", "argmax"):
        return getattr(np, name)(x)
    if name == "minmax":
        return np.min(x), np.max(x)
    x, y = x.astype(float), arrays[-1].astype(float)
    var = np.nan if not x.size else np.sum(np.abs(x - np.mean(x)) ** 2) / np.float64(max(x.size - ddof, 0))
    if name == "mean_var":
        return (np.mean(x), var) if x.size else (np.nan, np.nan)
    if name in ("var", "std"):
        return var if name == "var" else np.sqrt(var)
    if name == "mean":
        return np.mean(x) if x.size else np.nan
    if name == "norm":
        scale = np.max(np.abs(x), initial=0.0)
        return scale * np.sqrt(np.sum((x / scale) ** 2)) if 0 < scale < np.inf else np.sqrt(np.sum(x * x))
    return np.sum(x) if name == "sum" else np.sum(x * y)


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(calls: int, seed: int) -> None:
    fuzzer = Fuzzer(seed)
    middle, used = calls // 2, 0
    np.seterr(all="ignore")
    for call in range(calls):
        state = fuzzer.random.getstate()
        try:
            fuzzer.step()
        except BaseException:
            print(f"call {call} of seed {seed}: see what Fuzzer.random.setstate makes of it", file=sys.stderr)
            fuzzer.random.setstate(state)
            raise
        if call == middle:
            gc.collect()
            used = resident()
    gc.collect()
    grown = resident() - used
    print(f"{calls} calls, {dict(fuzzer.tally)}, {grown // 1024} kB more after the second half")
    if grown > 30_000_000:
        sys.exit("memory is lost")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
