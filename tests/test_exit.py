"""The interpreter's exit: nothing outlives it, and nothing holds it up."""

import pytest

ENDLESS = """
import atexit, os, sys, threading
import gilfree
from gilfree import _core, kernels, parallel_map

def endless(n=4):
    parallel_map(kernels.fib, [60] * n)

def at_work(workers):
    while _core.pool()["busy"] < workers:
        pass

"""


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("end", ["", "sys.exit()", "raise SystemExit(0)"])
def test_under_a_call_from_a_daemon_thread(run, threads, end):
    run(
        ENDLESS
        + f"""
for _ in range({threads}):
    threading.Thread(target=endless, daemon=True).start()
at_work({threads} + 1 if {threads} == 1 else {threads})
{end}
"""
    )


def test_under_a_plain_call_from_a_daemon_thread(run):
    run(ENDLESS + "threading.Thread(target=kernels.fib, args=(60,), daemon=True).start()\nat_work(1)\n")


def test_under_a_call_over_a_big_array(run):
    run(
        ENDLESS
        + """
from array import array
numbers = array("q", [60]) * 100000
threading.Thread(target=lambda: parallel_map(kernels.fib, numbers, out=numbers), daemon=True).start()
at_work(2)
del numbers
"""
    )


def test_under_a_daemon_thread_that_begins_again_and_again(run):
    run(
        ENDLESS
        + """
def again():
    while True:
        try:
            parallel_map(kernels.fib, [25] * 100)
            endless()
        except RuntimeError:
            pass
threading.Thread(target=again, daemon=True).start()
at_work(2)
"""
    )


def test_with_an_exit_code(run):
    run(ENDLESS + "threading.Thread(target=endless, daemon=True).start()\nat_work(2)\nsys.exit(3)", code=3)


def test_an_error_of_the_main_thread_is_all_that_is_said(run):
    ended = run(
        ENDLESS + "threading.Thread(target=endless, daemon=True).start()\nat_work(2)\nraise LookupError('x')",
        code=1,
    )
    assert ended.stderr.endswith("LookupError: x\n")
    assert ended.stderr.count("Traceback") == 1


@pytest.mark.parametrize("registered", ["before", "after"])
def test_calls_in_atexit_functions(run, registered):
    """Registered before the import, it runs after gilfree's own function has stopped what was running."""
    output = run(
        f"""
import atexit, sys, threading
def at_exit():
    import gilfree
    from gilfree import kernels
    assert gilfree.parallel_map(kernels.fib, [20, 21] * 1000, workers=3) == [6765, 10946] * 1000
    print("called", flush=True)
if {registered!r} == "before":
    atexit.register(at_exit)
from gilfree import _core, kernels, parallel_map
if {registered!r} == "after":
    atexit.register(at_exit)
threading.Thread(target=parallel_map, args=(kernels.fib, [60] * 4), daemon=True).start()
while _core.pool()["busy"] < 2:
    pass
sys.exit()
"""
    ).stdout
    assert output == "called\n"


def test_what_runs_is_stopped_at_exit(run):
    """Seen by a function that runs later than gilfree's own, having been registered earlier."""
    output = run(
        """
import atexit, threading
def at_exit():
    while _core.pool()["busy"]:
        pass
    print("stopped")
atexit.register(at_exit)
from gilfree import _core, kernels, parallel_map
for _ in range(3):
    threading.Thread(target=parallel_map, args=(kernels.fib, [60] * 4), daemon=True).start()
while _core.pool()["busy"] < 3:
    pass
"""
    ).stdout
    assert output == "stopped\n"


def test_an_executor_is_waited_for(run):
    output = run(
        ENDLESS
        + """
from concurrent.futures import ThreadPoolExecutor
executor = ThreadPoolExecutor(2)
for _ in range(4):
    executor.submit(lambda: os.write(1, b"%d %d\\n" % tuple(parallel_map(kernels.fib, [30, 31]))))
"""
    ).stdout
    assert output == "832040 1346269\n" * 4


def test_a_thread_that_is_no_daemon_is_waited_for(run):
    output = run(
        ENDLESS + "threading.Thread(target=lambda: print(parallel_map(kernels.fib, [33, 34]))).start()"
    ).stdout
    assert output == "[3524578, 5702887]\n"


def test_with_idle_helpers(run):
    run(ENDLESS + "parallel_map(kernels.fib, [28] * 16, workers=8)")


def test_at_once_after_the_call_began(run):
    run(
        ENDLESS
        + """
started = threading.Event()
def numbers():
    started.set()
    yield from [60] * 4
threading.Thread(target=lambda: parallel_map(kernels.fib, numbers()), daemon=True).start()
started.wait()
"""
    )
