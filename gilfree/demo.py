"""The fib list, one way after another, in one run: results checked, times, speedups."""

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import gilfree
from gilfree import _core, kernels


def fib(n: int) -> int:
    """The n-th Fibonacci number, by the recursion that the kernel follows too."""
    return 1 if n <= 2 else fib(n - 1) + fib(n - 2)


def _with_pool(numbers: list[int], workers: int) -> list[int]:
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        return pool.map(fib, numbers, chunksize=1)


def _with_processes(numbers: list[int], workers: int) -> list[int]:
    return gilfree.parallel_map(fib, numbers, workers=workers, backend="processes")


def _with_executor(numbers: list[int], workers: int) -> list[int]:
    with ThreadPoolExecutor(workers) as executor:
        return list(executor.map(kernels.fib, numbers))


def run(numbers: list[int], workers: int | None = None) -> None:
    """Print a table of the ways to map fib over the numbers. RuntimeError if two ways differ."""
    expected = gilfree.parallel_map(kernels.fib, numbers, workers=workers)
    count = _core.check_options(workers, None, None, None)
    ways: dict[str, Callable[[], list[int]]] = {
        "Python, sequential": lambda: list(map(fib, numbers)),
        f"multiprocessing.Pool({count}), Python": lambda: _with_pool(numbers, count),
        f"gilfree, {count} processes, Python": lambda: _with_processes(numbers, count),
        "gilfree, 1 worker": lambda: gilfree.parallel_map(kernels.fib, numbers, workers=1),
        f"ThreadPoolExecutor({count}), kernels.fib": lambda: _with_executor(numbers, count),
        f"gilfree, {count} workers": lambda: gilfree.parallel_map(kernels.fib, numbers, workers=count),
    }
    print(f"fib over {numbers} = {expected}\n")
    print(f"{'way':<40}{'seconds':>10}{'times as fast as Python':>26}")
    first = 0.0
    for name, way in ways.items():
        began = perf_counter()
        results = way()
        seconds = perf_counter() - began
        if results != expected:
            raise RuntimeError(f"{name} returned {results}, and gilfree {expected}")
        first = first or seconds
        print(f"{name:<40}{seconds:>10.3f}{first / seconds:>26.1f}")
        sys.stdout.flush()
