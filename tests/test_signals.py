"""Signals: Ctrl-C, handlers that return, that raise, that call, and that fork."""

import signal

import pytest

HANG = 120

# Prints a line as soon as a call is known to be at work.
ANNOUNCE = """
import signal, sys, threading
from gilfree import Cancel, _core, kernels, parallel_map

def announce(workers=1, action=lambda: print("at work", flush=True)):
    def watch():
        while _core.pool()["busy"] < workers:
            pass
        action()
    threading.Thread(target=watch, daemon=True).start()

"""


def interrupt(popen, script, number=signal.SIGINT):
    """Run a script and send it a signal when it says that it is at work: its exit code, and what it wrote."""
    with popen(ANNOUNCE + script) as process:
        assert process.stdout.readline() == "at work\n", process.stderr.read()
        process.send_signal(number)
        try:
            output, errors = process.communicate(timeout=HANG)
        except BaseException:
            process.kill()
            raise
        return process.returncode, output, errors


@pytest.mark.parametrize(
    "call",
    [
        "parallel_map(kernels.fib, [60] * 8)",
        "parallel_map(kernels.fib, [60] * 8, workers=1)",
        "parallel_map(kernels.fib, [60] * 8, workers=7)",
        "parallel_map(kernels.fib, [60])",
        "parallel_map(kernels.fib, [20] + [60] * 100000)",
        "parallel_map(kernels.fib, [60] * 8, timeout=1000)",
        "parallel_map(kernels.fib, [60] * 8, chunksize=8)",
        "parallel_map(kernels.fib, [60] * 8, backend='serial')",
        "kernels.fib(60)",
        "kernels.fib(numpy.full(16, 60)[::2])",
        "kernels.var(numpy.broadcast_to(1.0, 2**50))",
        "parallel_map(kernels.sum, [numpy.broadcast_to(1.0, 2**50)] * 3)",
        "parallel_map(kernels.argmax, numpy.broadcast_to(1, (2**10, 2**40)))",
    ],
)
def test_ctrl_c_ends_a_call(popen, call):
    code, output, errors = interrupt(popen, f"import numpy\nannounce()\n{call}\n")
    assert code == -signal.SIGINT
    assert output == ""
    assert errors.endswith("KeyboardInterrupt\n")
    assert errors.count("Traceback") == 1


def test_ctrl_c_can_be_caught_and_the_next_call_is_as_always(popen):
    script = """
for _ in range(2):
    try:
        announce()
        parallel_map(kernels.fib, [60] * 8)
    except KeyboardInterrupt as error:
        assert error.__context__ is None
        assert _core.pool()["busy"] == 0
        assert parallel_map(kernels.fib, [20, 25]) == [6765, 75025]
        break
print("went on")
"""
    assert interrupt(popen, script) == (0, "went on\n", "")


def test_ctrl_c_while_an_iterable_is_read(popen):
    script = """
def endless():
    print("at work", flush=True)
    while True:
        yield 1
try:
    parallel_map(kernels.fib, endless())
except KeyboardInterrupt:
    print("went on")
"""
    assert interrupt(popen, script) == (0, "went on\n", "")


def test_ctrl_c_while_an_iterable_in_c_is_read(popen):
    script = """
import itertools
try:
    print("at work", flush=True)
    parallel_map(kernels.fib, itertools.cycle([1]))
except KeyboardInterrupt:
    print("went on")
"""
    assert interrupt(popen, script) == (0, "went on\n", "")


def test_ctrl_c_with_other_threads_in_calls(popen):
    """It reaches the main thread alone; the others go on until they are cancelled."""
    script = """
from concurrent.futures import CancelledError, ThreadPoolExecutor
cancel = Cancel()
def numbers():
    yield from [60] * 8
    print("at work", flush=True)
with ThreadPoolExecutor(2) as executor:
    futures = [executor.submit(parallel_map, kernels.fib, [60] * 4, cancel=cancel) for _ in range(2)]
    while _core.pool()["busy"] < 2:
        pass
    try:
        parallel_map(kernels.fib, numbers())
    except KeyboardInterrupt:
        assert not any(future.done() for future in futures)
    finally:
        cancel.set()
    assert all(type(future.exception()) is CancelledError for future in futures)
print("went on")
"""
    assert interrupt(popen, script) == (0, "went on\n", "")


def test_a_handler_that_raises_ends_the_call_with_its_exception(popen):
    script = """
def handle(number, frame):
    raise LookupError("the handler's own")
signal.signal(signal.SIGUSR1, handle)
announce()
try:
    parallel_map(kernels.fib, [60] * 8)
except LookupError as error:
    print(error)
"""
    assert interrupt(popen, script, signal.SIGUSR1) == (0, "the handler's own\n", "")


def test_a_handler_runs_during_the_call_and_does_not_disturb_it(popen):
    """The handler has run by the time the call ends, since nothing else ends it."""
    script = """
from concurrent.futures import CancelledError
cancel = Cancel()
signal.signal(signal.SIGUSR1, lambda number, frame: cancel.set())
announce()
try:
    parallel_map(kernels.fib, [60] * 8, cancel=cancel)
except CancelledError as error:
    print(error)
"""
    expected = "fib: the call was cancelled; 0 of 8 items were finished\n"
    assert interrupt(popen, script, signal.SIGUSR1) == (0, expected, "")


def test_a_rain_of_signals_changes_no_result(run):
    run(
        """
        import signal, time
        from gilfree import kernels, parallel_map
        count = 0
        def handle(number, frame):
            global count
            count += 1
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        during = 0
        while during < 3:
            before = count
            assert parallel_map(kernels.fib, [30] * 32 + [35]) == [832040] * 32 + [9227465]
            during += count > before
        signal.setitimer(signal.ITIMER_REAL, 0)
        """
    )


def test_a_handler_that_calls(popen):
    script = """
from concurrent.futures import CancelledError
cancel = Cancel()
def handle(number, frame):
    print(parallel_map(kernels.fib, [20, 21] * 2000) == [6765, 10946] * 2000)
    try:
        parallel_map(kernels.fib, [60] * 8, timeout=0.1)
    except TimeoutError as error:
        print(error)
    cancel.set()
signal.signal(signal.SIGUSR1, handle)
announce(workers=2)
try:
    parallel_map(kernels.fib, [60] * 8, cancel=cancel, workers=2)
except CancelledError as error:
    print(error)
"""
    code, output, errors = interrupt(popen, script, signal.SIGUSR1)
    assert (code, errors) == (0, "")
    first, second, third = output.splitlines()
    assert first == "True"
    assert second.startswith("fib: the timeout")
    assert third == "fib: the call was cancelled; 0 of 8 items were finished"


def test_a_handler_that_forks(popen):
    """The parent's call goes on. The child has no workers for its copy, and is told so."""
    script = """
import os, warnings
from concurrent.futures import CancelledError
warnings.simplefilter("ignore", DeprecationWarning)  # the helpers are at work, and so there are threads
cancel = Cancel()
child = None
def handle(number, frame):
    global child
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print("child", code, flush=True)
        cancel.set()
signal.signal(signal.SIGUSR1, handle)
announce(workers=2)
try:
    parallel_map(kernels.fib, [60] * 8, cancel=cancel, workers=2)
except CancelledError as error:
    print("parent", error)
except RuntimeError as error:
    assert child == 0 and "forked" in str(error), error
    assert parallel_map(kernels.fib, [20, 21] * 2000) == [6765, 10946] * 2000
    sys.exit(7)
"""
    code, output, errors = interrupt(popen, script, signal.SIGUSR1)
    assert (code, errors) == (0, "")
    assert output == "child 7\nparent fib: the call was cancelled; 0 of 8 items were finished\n"


def test_helpers_take_no_signals(popen):
    """A signal for the process goes to a thread that Python knows, even while helpers are at work."""
    script = """
announce(workers=3)
signal.signal(signal.SIGUSR1, lambda number, frame: sys.exit(3))
parallel_map(kernels.fib, [60] * 8, workers=3)
"""
    code, _, errors = interrupt(popen, script, signal.SIGUSR1)
    assert (code, errors) == (3, "")


def test_interrupt_main_from_another_thread(run):
    """As some debuggers and servers do."""
    run(
        """
        import _thread, threading
        from gilfree import _core, kernels, parallel_map
        def watch():
            while not _core.pool()["busy"]:
                pass
            _thread.interrupt_main()
        threading.Thread(target=watch).start()
        try:
            parallel_map(kernels.fib, [60] * 8)
        except KeyboardInterrupt:
            pass
        else:
            raise SystemExit("no KeyboardInterrupt")
        """
    )
