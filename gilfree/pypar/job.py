"""The job: the ranks that one mpiexec started, from the import of gilfree.pypar to finalize().

No rank is left waiting for one that failed. An uncaught exception, in any thread, and the end of the program
by sys.exit with a status other than 0 abort the job; what the rank has to say is written first.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from array import array
from fcntl import ioctl
from opcode import opname
from termios import FIONREAD
from time import monotonic, sleep
from types import FrameType, TracebackType
from typing import Any, NoReturn

try:
    import mpi4py

    # MPI is finalized here, where it is known how the program ended.
    mpi4py.rc.finalize = False
    from mpi4py import MPI
except (ImportError, RuntimeError) as error:
    raise ImportError(
        f"gilfree.pypar stands on mpi4py and an MPI library, and can't load them: {error}. Install both with "
        "'python -m pip install gilfree[mpi]'; or install mpi4py alone to use the MPI of the system, and "
        "name its library in MPI4PY_LIBMPI if it is not found (MPI4PY_LIBMPI=/path/to/libmpi.so)."
    ) from error

FINALIZED = "MPI was finalized in this process: nothing can be sent or received after finalize()"


class Ended:
    """What stands in for a communicator after finalize(). MPI itself would end the process."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(FINALIZED)


if MPI.Is_finalized():
    raise ImportError(FINALIZED)
if not MPI.Is_initialized():
    MPI.Init_thread(MPI.THREAD_MULTIPLE)

# Communicators that nobody else sends on, so that every tag is the user's. A message starts on the first;
# what is long follows on the second; memory that nobody looks at goes on the third.
messages: Any = MPI.COMM_WORLD.Dup()
payloads: Any = MPI.COMM_WORLD.Dup()
bypasses: Any = MPI.COMM_WORLD.Dup()

ranks: int = messages.Get_size()
own_rank: int = messages.Get_rank()
node: str = MPI.Get_processor_name()
process = os.getpid()

max_tag: int = messages.Get_attr(MPI.TAG_UB)


def refuse_after_finalize() -> None:
    if MPI.Is_finalized():
        raise RuntimeError(FINALIZED)


def size() -> int:
    """How many ranks the job has."""
    return ranks


def rank() -> int:
    """This process's number in the job, from 0 to size() - 1."""
    return own_rank


def get_processor_name() -> str:
    """The name of the machine that this rank runs on."""
    return node


def time() -> float:
    """Seconds on MPI's clock, of which differences are of use. RuntimeError after finalize()."""
    refuse_after_finalize()
    return float(MPI.Wtime())


def barrier() -> None:
    """Wait until every rank has called barrier()."""
    messages.Barrier()


def init(arguments: object = None) -> None:
    """Does nothing: importing gilfree.pypar has initialised MPI. RuntimeError after finalize()."""
    refuse_after_finalize()


def initialized() -> bool:
    """Was MPI initialised? It stays so after finalize()."""
    return bool(MPI.Is_initialized())


def finalize() -> None:
    """Leave MPI: waits for the other ranks to do so too. A second call does nothing.

    Called at the program's end if the program did not.
    """
    global messages, payloads, bypasses
    if MPI.Is_finalized():
        return
    if not _has_arrived:
        messages.Ibarrier().Wait()
    for communicator in (messages, payloads, bypasses):
        communicator.Free()
    messages = payloads = bypasses = Ended()
    MPI.Finalize()


def abort(status: int = 1) -> NoReturn:
    """End every process of the job at once; mpiexec ends with `status`."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
            _wait_until_read(stream)
    if not MPI.Is_finalized():
        MPI.COMM_WORLD.Abort(status)
    os._exit(status)  # where MPI lets its caller live on for a moment


def _wait_until_read(stream: Any) -> None:
    """The launcher throws away what it has not read when the job is aborted. A second is enough for one that
    reads at all; what is no pipe needs no waiting."""
    unread = array("i", [0])
    limit = monotonic() + 1
    try:
        while not ioctl(stream.fileno(), FIONREAD, unread) and unread[0] and monotonic() < limit:
            sleep(0.001)
    except (OSError, ValueError):
        return


# ---- the end of a rank ------------------------------------------------------------------------------


def _is_over() -> bool:
    """Nothing to abort: MPI has ended, or this is a process that a rank has forked."""
    return bool(MPI.Is_finalized()) or os.getpid() != process


def _name() -> str:
    return f"rank {own_rank} of {ranks} on node {node}"


def _write(line: str) -> None:
    if sys.stderr is not None:
        print(line, file=sys.stderr, flush=True)


def _abort_after_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if _is_over():
        _previous_hook(kind, error, trace)
        return
    _write(f"gilfree.pypar: {_name()} ended with an exception, and the job with it:")
    try:
        _previous_hook(kind, error, trace)
    finally:
        abort()


def _abort_after_thread(arguments: threading.ExceptHookArgs) -> None:
    if _is_over() or arguments.exc_type is SystemExit:
        _previous_thread_hook(arguments)
        return
    _write(f"gilfree.pypar: a thread of {_name()} ended with an exception, and the job with it:")
    try:
        _previous_thread_hook(arguments)
    finally:
        abort()


def _exit(status: Any = None, /) -> NoReturn:
    """sys.exit, noting the status: Python tells nobody with which one it ends."""
    global _exit_status
    if threading.current_thread() is threading.main_thread():
        _exit_status = status
    _previous_exit(status)
    raise AssertionError("sys.exit returned")


def _finalize_or_abort() -> None:
    """At exit, where Python tells nobody with which status."""
    if _is_over():
        return
    if _program is None or _returned(_program) or _exit_status in (None, 0):
        finalize()
    elif _exit_status is not _UNKNOWN:
        _write(f"gilfree.pypar: {_name()} ended with sys.exit({_exit_status!r}), and the job with it")
        abort(_exit_status if isinstance(_exit_status, int) else 1)
    elif hasattr(sys, "last_value"):
        # Shown by a hook that was set since.
        _write(f"gilfree.pypar: {_name()} ended with an exception, and the job with it")
        abort()
    elif _others_finalize_within(PATIENCE):
        finalize()
    else:
        _write(
            f"gilfree.pypar: {_name()} ended by SystemExit, whose status is not known, and the other ranks "
            f"have not ended within {PATIENCE} s. They may be waiting for it, so the job is aborted: call "
            "finalize() or sys.exit(status), which leave no doubt"
        )
        abort()


def _others_finalize_within(seconds: float) -> bool:
    global _has_arrived
    arrival, limit, _has_arrived = messages.Ibarrier(), monotonic() + seconds, True
    while not arrival.Test():
        if monotonic() > limit:
            return False
        sleep(0.001)
    return True


def _outermost_frame() -> FrameType | None:
    """That of the program, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return None
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
    return frame


def _returned(frame: FrameType) -> bool:
    """Did it come to its end? Otherwise an exception left it."""
    return opname[frame.f_code.co_code[frame.f_lasti]].startswith("RETURN_")


# Seconds that a rank waits for the others at its end when it is not known whether it failed.
PATIENCE = 60.0

_has_arrived = False  # at the barrier before the end
_UNKNOWN = object()
_exit_status: Any = _UNKNOWN
_program: FrameType | None = None
_previous_hook, _previous_thread_hook, _previous_exit = sys.excepthook, threading.excepthook, sys.exit

atexit.register(_finalize_or_abort)
if ranks > 1:
    # Nobody waits for a rank that is alone.
    _program = _outermost_frame()
    sys.excepthook, threading.excepthook, sys.exit = _abort_after_exception, _abort_after_thread, _exit
