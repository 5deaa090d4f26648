"""Backend threads: who runs what, in which context, and what is left behind."""

import contextvars
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gilfree import Cancel, parallel_map

HANG = 60
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE")


def wait_until_idle(threads):
    """Until they, which were at work, wait for something to do."""
    deadline = time.monotonic() + HANG
    while any(
        ident in threads and frame.f_code.co_name != "_live" for ident, frame in sys._current_frames().items()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def map_(fn, *iterables, **options):
    return parallel_map(fn, *iterables, backend="threads", **options)


@pytest.mark.parametrize("workers", [2, 3, 8])
@pytest.mark.parametrize("options", [{}, {"timeout": HANG}, {"cancel": Cancel()}], ids=str)
def test_items_run_side_by_side_in_as_many_threads(workers, options):
    """Each item waits for all others: one thread less, and none would end."""
    barrier = threading.Barrier(workers)

    def meet(_):
        barrier.wait(HANG)
        return threading.get_ident()

    for _ in range(20):
        assert len(set(map_(meet, range(workers), workers=workers, **options))) == workers
    # The last item of a first run is not kept from others that could run it.
    assert len(set(map_(meet, iter(range(3 * workers)), workers=workers, chunksize=1, **options))) == workers


def test_the_calling_thread_works_too_unless_it_has_to_watch():
    """Nor where it would slow the others: the main one, without the GIL."""
    barrier = threading.Barrier(2)

    def meet(_):
        barrier.wait(HANG)
        return threading.get_ident()

    def check(works):
        own = threading.get_ident()
        assert (own in map_(meet, range(2), workers=2)) == works
        assert own not in map_(meet, range(2), workers=2, timeout=HANG)
        assert set(map_(lambda _: threading.get_ident(), range(100), workers=1)) == {own}

    check(works=getattr(sys, "_is_gil_enabled", lambda: True)())
    with ThreadPoolExecutor(1) as executor:
        executor.submit(check, works=True).result()


def test_what_looks_at_all_threads_looks_at_these_too(run):
    """threading.settrace, as what measures coverage does; and they have a name."""
    run("""
import sys, threading
from gilfree import parallel_map
seen = set()
def trace(frame, event, argument):
    if frame.f_code.co_name == "item":  # in threading's own code there may be no current thread
        seen.add(threading.current_thread().name)
threading.settrace(trace)
def item(number):
    meeting.wait(60)
    return threading.current_thread().daemon
meeting = threading.Barrier(3)
threading.Thread(target=lambda: meeting.wait(60), daemon=True).start()
assert True in parallel_map(item, range(2), backend="threads", workers=2)
assert "gilfree python" in seen, seen
""")


def test_a_slow_item_does_not_hold_up_the_others():
    """Item 0 ends when all others have."""
    ended = threading.Semaphore(0)

    def item(number):
        if number == 0:
            for _ in range(99):
                assert ended.acquire(timeout=HANG)
        else:
            ended.release()
        return number

    assert map_(item, range(100), workers=2) == list(range(100))


def test_threads_are_used_again():
    before = threading.active_count()
    for _ in range(50):
        map_(abs, range(1000), workers=3)
    assert threading.active_count() <= before + 16


def test_context_variables_are_those_of_the_caller():
    barrier = threading.Barrier(2)

    def look(_):
        barrier.wait(HANG)
        return VARIABLE.get("none")

    token = VARIABLE.set("the caller's")
    try:
        assert map_(look, range(2), workers=2) == ["the caller's"] * 2
    finally:
        VARIABLE.reset(token)
    assert map_(look, range(2), workers=2) == ["none"] * 2


def test_an_exception_is_the_one_that_was_raised():
    error = KeyError("this one")

    def fail(number):
        if number == 500:
            raise error
        return number

    with pytest.raises(KeyError) as caught:
        map_(fail, range(1000), workers=3)
    assert caught.value is error
    assert caught.value.__cause__ is None


def test_exceptions_of_every_kind():
    for kind in (SystemExit, KeyboardInterrupt, GeneratorExit):

        def fail(number, kind=kind):
            raise kind(number)

        with pytest.raises(kind):
            map_(fail, range(10), workers=2)


def test_an_iterator_is_read_by_one_thread_at_a_time():
    def numbers():
        yield from range(20_000)  # "generator already executing" otherwise

    assert map_(abs, numbers(), workers=4) == list(range(20_000))


def test_nested_calls_with_a_timeout_do_not_wait_for_one_another():
    def inner(number):
        return sum(map_(abs, range(number), workers=4, timeout=HANG))

    expected = [sum(range(number)) for number in range(50)]
    assert map_(inner, range(50), workers=4, timeout=HANG) == expected


def test_an_abandoned_item_does_not_keep_the_process(run):
    run(
        """
        import time
        from gilfree import parallel_map
        try:
            parallel_map(time.sleep, [10_000] * 4, backend="threads", workers=2, timeout=0.1)
        except TimeoutError:
            print("stopped")
        """
    )


def test_no_new_item_starts_after_a_timeout():
    begun, threads = [], set()

    def item(number):
        begun.append(number)
        threads.add(threading.get_ident())
        gate.wait(HANG)

    for timeout in (0.1, 1, 10):  # on a busy machine the other thread may come too late for a short one
        gate = threading.Event()
        begun.clear()
        with pytest.raises(TimeoutError):
            map_(item, range(100), workers=2, timeout=timeout, chunksize=1)
        gate.set()
        wait_until_idle(threads)
        assert begun == [0, 1][: len(begun)]
        if len(begun) == 2:
            return
    pytest.fail(f"of 2 threads {len(begun)} began within 10 s")


@pytest.mark.parametrize("backend", ["threads", "auto"])
def test_no_new_item_starts_after_another_end_of_the_call(backend):
    begun, threads = [], set()

    def item(number):
        begun.append(number)
        threads.add(threading.get_ident())
        while not gate.is_set():  # holds the GIL, or auto would leave it to other threads at once
            pass

    def tell(done, total):
        raise LookupError("nobody listens")

    gate = threading.Event()
    with pytest.raises(LookupError):
        parallel_map(item, iter(range(100)), backend=backend, workers=2, chunksize=1, progress=tell)
    gate.set()
    wait_until_idle(threads)
    assert sorted(begun) in ([0], [0, 1])


@pytest.mark.parametrize("backend", ["threads", "auto"])
@pytest.mark.parametrize("read", [0, 1, 100])
def test_a_timeout_while_the_input_blocks(backend, read):
    def numbers():
        yield from range(read)
        gate.wait(HANG)

    gate = threading.Event()
    with pytest.raises(TimeoutError, match=f"{read} items were finished"):
        parallel_map(abs, numbers(), backend=backend, workers=2, timeout=0.2, chunksize=1)
    gate.set()
    assert map_(abs, range(10), workers=2) == list(range(10))


def test_abandoned_items_leave_all_workers_to_the_next_call():
    gate = threading.Event()
    with pytest.raises(TimeoutError):
        map_(lambda _: gate.wait(), range(8), workers=4, timeout=0.1, chunksize=1)
    barrier = threading.Barrier(4)
    for options in ({}, {"timeout": HANG}):
        assert map_(lambda _: barrier.wait(HANG) >= 0, range(4), workers=4, **options) == [True] * 4
    gate.set()


@pytest.mark.parametrize("options", [{}, {"timeout": 1000}], ids=str)
def test_where_no_thread_can_be_started(run, options):
    """The calling one does it; and what else went wrong is raised, not waited for."""
    run(f"""
import threading
from gilfree import parallel_map

def refuse(self):
    raise error

threading.Thread.start, start = refuse, threading.Thread.start
error = RuntimeError("can't start new thread")
assert parallel_map(abs, [-1, -2, -3], backend="threads", workers=2, **{options}) == [1, 2, 3]
error = MemoryError("no stack")
try:
    parallel_map(abs, range(3), backend="threads", workers=2, **{options})
except MemoryError as raised:
    assert raised is error
else:
    raise AssertionError
threading.Thread.start = start
assert parallel_map(abs, [-1, -2, -3], backend="threads", workers=2, **{options}) == [1, 2, 3]
""")
