"""serial: every item in the calling thread, in order. The reference that the other backends are held to."""

from typing import Any

from gilfree import _core
from gilfree.loop import Call, Loop, map_kernel


def map(call: Call, /) -> Any:
    if type(call.fn) is _core.Kernel:
        # A kernel's result is an array where an argument is one, on every backend.
        _core.check_options(call.workers, call.chunksize, call.timeout, call.cancel)
        return map_kernel(call._replace(workers=1))
    return Loop(call).complete(work)


def work(loop: Loop, /) -> None:
    if not loop.watched:
        loop.run_serially(None)
    # Between items is when a call is stopped, and told about.
    while run := loop.claim(0, 1):
        loop.look()
        loop.run(run)
