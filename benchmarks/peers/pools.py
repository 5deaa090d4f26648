"""pools - the standard library's pools, each started once and kept: starting one is not measured."""

from __future__ import annotations

import atexit
import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.pool import Pool

import gilfree


@functools.cache
def workers() -> int:
    """What gilfree uses, every peer is given."""
    return gilfree.cpu_count()


@functools.cache
def pool() -> Pool:
    started = multiprocessing.Pool(workers())
    atexit.register(started.terminate)
    return started


@functools.cache
def threads() -> ThreadPoolExecutor:
    return started_executor(ThreadPoolExecutor(workers()))


@functools.cache
def processes() -> ProcessPoolExecutor:
    return started_executor(ProcessPoolExecutor(workers()))


def started_executor(executor):
    atexit.register(executor.shutdown)
    list(executor.map(abs, range(4 * workers())))
    return executor
