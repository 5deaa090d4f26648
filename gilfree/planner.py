"""Which backend runs a call: the one place that decides, and says why.

auto: a kernel runs native (the front door sees to that at once, and seldom asks here). A free-threaded build
runs functions in Python on threads. With the GIL the first items are run in the calling thread, and watched:
too little work stays there; a function that lets others have the GIL goes to threads; one that holds it goes
to processes, if it may leave this one. If not it stays in the calling thread: threads could only take turns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from gilfree import _core, backends, child, executors
from gilfree.facts import gil_is_enabled
from gilfree.loop import Call, Loop, map_kernel
from gilfree.progress import check

PROBE = 1e-3  # seconds of work before anything is decided
WATCHED = 12e-3  # seconds of watching the GIL that tell who holds it: two of its switch intervals
LITTLE_FOR_THREADS = 2e-3  # seconds of work left that are not worth a thread
LITTLE_FOR_PROCESSES = 10e-3
LITTLE_FOR_NEW_PROCESSES = 0.25  # starting them takes some 10 ms of the calling thread
WHILE_THEY_START = 20e-3  # seconds of work until it is looked again whether processes are ready
MANY_CORES = 1.5  # kept busy by the calling thread alone: by a BLAS with threads of its own, say
UNKNOWN = "unknown"


class Plan(NamedTuple):
    """The backend that would run a call, and why, in words."""

    backend: str
    reason: str

    def __str__(self) -> str:
        return f"{self.backend}: {self.reason}"


def run(
    fn: Any,
    iterables: tuple[Any, ...],
    workers: int | None = None,
    backend: str = "auto",
    executor: Any = None,
    chunksize: int | None = None,
    strict: bool = False,
    timeout: float | None = None,
    cancel: _core.Cancel | None = None,
    progress: Any = False,
    out: Any = None,
    initializer: Any = None,
) -> Any:
    """parallel_map on the backend that suits, on the one that is named, or on an executor.

    TypeError if fn is not callable, there is nothing to map over, or two options contradict one another;
    ValueError if no backend has that name.
    """
    check_callable(fn)
    if not iterables:
        raise TypeError("parallel_map() takes fn and at least one iterable; only fn was given")
    check(progress)
    call = Call(fn, iterables, workers, chunksize, strict, timeout, cancel, progress, out, initializer)
    if initializer is not None and (backend != "processes" or not callable(initializer)):
        raise TypeError(
            f"initializer is {initializer!r} and backend is {backend!r}; accepted: a callable, with "
            "backend='processes'"
        )
    if executor is not None:
        if backend != "auto":
            raise TypeError(f"both executor and backend={backend!r} were given; accepted: one of them")
        return executors.map(call, executor)
    if backend == "auto":
        return map_kernel(call) if type(fn) is _core.Kernel else Loop(call).complete(work)
    chosen = backends.find(backend)
    if backend == "processes" and child.inside and type(fn) is not _core.Kernel:
        # Workers that start workers would soon be too many: a call in one has that one process.
        from gilfree.backends import processes

        processes.initialize(call)
        chosen = backends.find("threads")
    return chosen.map(call)


def check_callable(fn: Any) -> None:
    if not callable(fn):
        raise TypeError(f"fn is {fn!r}; accepted: a kernel (gilfree.kernels.NAME) or another callable")


def explain(fn: Any, /, *iterables: Any) -> Plan:
    """Say which backend parallel_map(fn, *iterables) would use, and why.

    A function in Python is called once, with the first item, if that says more and the iterables can be
    iterated again: an iterator would lose the item.
    """
    check_callable(fn)
    if not iterables:
        raise TypeError("explain() takes fn and at least one iterable; only fn was given")
    if type(fn) is _core.Kernel:
        return Plan("native", "a kernel runs on worker threads, without the GIL")
    loop = Loop(Call(fn, iterables))
    plan = plan_without_trial(loop)
    if plan is not None:
        return plan
    for number, iterable in enumerate(iterables, start=1):
        if iter(iterable) is iterable:
            return Plan(
                "auto",
                f"argument {number} is an iterator, and would lose the item that shows what the function "
                "does: it is decided while the call runs",
            )
    if loop.is_empty():
        return Plan("serial", "there are no items")
    trial = Trial(loop)
    trial.run_one()
    return trial.plan()


def plan_without_trial(loop: Loop) -> Plan | None:
    if loop.workers == 1:
        return Plan("serial", "there is one worker")
    if loop.total is not None and loop.total <= 1:
        return Plan("serial", "there is no second item to run beside the first")
    if not gil_is_enabled():
        return Plan("threads", "this Python runs without the GIL: threads use all cores")
    return None


class Trial:
    """The first items of a loop, which the calling thread runs."""

    def __init__(self, loop: Loop) -> None:
        from gilfree.trial import Changes, Watch

        self._loop = loop
        self._changes = Changes(loop.fn, loop.peek())
        self.watch = Watch()
        self._reason: str | None = UNKNOWN

    def run_for(self, seconds: float) -> None:
        """Run items, watched while it is not known who holds the GIL."""
        if self.watch.seconds < WATCHED:
            self.watch.run(lambda: self._loop.run_for(seconds))
        else:
            self._loop.run_for(seconds)

    def run_one(self) -> None:
        self.watch.run(lambda: self._loop.run_serially(1))

    def _why_not_leave(self) -> str | None:
        """Asked once: to look through all that a function can change takes time."""
        if self._reason is UNKNOWN:
            loop = self._loop
            self._reason = self._changes.why_not_leave(loop.first_results(64), loop.peek(), loop.cost())
        return self._reason

    def plan(self) -> Plan:
        """For what is left, by what is known so far."""
        loop = self._loop
        left = loop.cost_left()
        work = f"about {left:.2g} s of work " + ("" if loop.total is not None else "or more ") + "is left"
        if left < LITTLE_FOR_THREADS:
            return Plan("serial", f"{work}, too little to share")
        if self.watch.seconds < WATCHED / 2:
            seen = f"{1e3 * self.watch.seconds:.1f} ms"
            return Plan("auto", f"{work}; who holds the GIL is not seen in {seen}, but while the call runs")
        if self.watch.cores > MANY_CORES:
            return Plan("serial", f"{work}, and it keeps {self.watch.cores:.1f} cores busy as it is")
        if self.watch.held < 0.5:
            return Plan("threads", f"{work}, and the function leaves the GIL to others")
        held = f"{work}, and the function holds the GIL"
        if left < LITTLE_FOR_PROCESSES:
            return Plan("serial", f"{held}: too little to send to processes")
        if child.inside:
            return Plan("serial", f"{held}; this is a worker process itself")
        reason = self._why_not_leave()
        if reason:
            return Plan("serial", f"{held}, but must not be run in another process: {reason}")
        return Plan("processes", held)


def work(loop: Loop) -> None:
    """backend="auto": run a loop wherever it is best run, as far as its first items tell."""
    if loop.is_empty():
        return
    plan = plan_without_trial(loop)
    if plan is None:
        from gilfree.backends import threads

        plan = threads.attended(loop, lambda: try_out(loop))
    if plan is not None:
        if plan.backend == "processes":
            try:
                backends.find("processes").work(loop)
                return
            except child.RefusedError:  # no worker has this function: the rest is run here
                plan = Plan("serial", "no worker process can run it")
        # A caller that is to look at the time can't do so from inside an item: a thread runs them for it.
        aside = plan.backend == "serial" and loop.watched
        backends.find("threads" if aside else plan.backend).work(loop)


def try_out(loop: Loop) -> Plan | None:
    """Run the first items here, until it is clear where the others should run; None if none are left."""
    trial = Trial(loop)
    trial.run_for(PROBE)
    while not loop.ended:
        left = loop.cost_left()
        if left < LITTLE_FOR_THREADS:
            trial.run_for(max(left, PROBE))  # and look again, should it be more than it seemed
        elif trial.watch.seconds < WATCHED:
            trial.run_for(WATCHED - trial.watch.seconds)
        else:
            plan = trial.plan()
            if plan.backend == "threads":
                return plan
            if plan.backend == "processes" and is_worth_processes(loop):
                return plan
            trial.run_for(WHILE_THEY_START if plan.backend == "processes" else max(left / 2, PROBE))
    return None


_kept_here = 0.0  # seconds of work, about, that calls have run here for want of processes


def is_worth_processes(loop: Loop) -> bool:
    """Are worker processes ready? If not, and if it is worth it, they start while the work goes on here.

    Worth it is one long call, or many short ones: as in the ski rental problem, what costs as much as
    is paid for having none is bought (Karlin et al., Competitive snoopy caching, 1988).
    """
    global _kept_here
    from gilfree.backends import processes

    if processes.is_warm(loop.workers):
        return True
    left = loop.cost_left()
    _kept_here += min(left, WHILE_THEY_START)
    if left + _kept_here > LITTLE_FOR_NEW_PROCESSES:
        _kept_here = 0.0
        try:
            processes.warm(loop.workers)
        except (OSError, RuntimeError) as error:  # no descriptors, no program to start
            import logging

            logging.getLogger("gilfree").info(
                "auto stays in this process: no worker process starts: %r", error
            )
    return False
