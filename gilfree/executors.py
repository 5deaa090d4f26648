"""executor=: runs of items on an executor of the caller's, whatever it stands on."""

from __future__ import annotations

import os
from time import monotonic
from typing import Any

from gilfree import _core, child
from gilfree.loop import Call, Loop, Run, Runner, attempt, items_of

# What a "concurrent.futures executor" has to have.
METHODS = ("submit", "map", "shutdown")
AIM = 5e-3  # seconds a run should take: executors send each one to another process, or machine

# Unlike in any other process or interpreter, forked children excepted.
_HERE = object()


def _place() -> tuple[int, int]:
    return os.getpid(), id(_HERE)


def _run(place: tuple[int, int], runner: Runner, fn: Any, items: list[Any]) -> child.Answer:
    """What the executor is given to do: a run."""
    results: list[Any] = []
    began = monotonic()
    error = attempt(runner, fn, items, results)
    seconds = monotonic() - began
    if place == _place():
        return child.Answer(results, error, seconds)
    return child.answer_of(results, error, seconds)


def map(call: Call, executor: Any) -> list[Any]:
    """Run a call on an executor. TypeError if it is none, or fn is a kernel."""
    if isinstance(executor, type) or not all(callable(getattr(executor, name, None)) for name in METHODS):
        raise TypeError(
            f"executor is {executor!r}; accepted: a concurrent.futures executor, with {', '.join(METHODS)}"
        )
    if type(call.fn) is _core.Kernel:
        raise TypeError(
            f"executor was given and fn is {call.fn!r}; accepted with executor: a function in Python; a "
            "kernel has workers of its own, and can be called from any"
        )
    workers = getattr(executor, "_max_workers", None)
    if call.workers is None and isinstance(workers, int) and 0 < workers <= 1024:
        call = call._replace(workers=workers)
    return Loop(call).complete(lambda loop: _work(loop, executor))


def _work(loop: Loop, executor: Any) -> None:
    from concurrent.futures import FIRST_COMPLETED, wait

    if loop.is_empty():
        return
    flying: dict[Any, Run] = {}
    place = _place()
    try:
        while True:
            # One run more than there are workers: none is idle while its answer is on its way.
            while len(flying) <= loop.workers and (run := loop.claim(AIM)) is not None:
                flying[executor.submit(_run, place, loop.runner, loop.fn, run.items)] = run
            if loop.is_over():
                return
            for future in wait(flying, loop.pause(), FIRST_COMPLETED).done:
                _finish(loop, flying.pop(future), future)
            loop.look()
    finally:
        for future in flying:
            future.cancel()


def _finish(loop: Loop, run: Run, future: Any) -> None:
    try:
        answer = child.Answer(*future.result())
    except Exception as error:  # the executor's own: a worker died, something could not be sent
        loop.finish(run, error, 0.0, items_of(run))
        return
    child.settle(loop, run, answer)
