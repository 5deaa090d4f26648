"""What processes share: each thing by itself, and where many use it at the same time."""

import contextlib
import enum
import itertools
import math
import os
import queue
import random
import socket
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gilfree import scripts
from gilfree.scripts import sync


@pytest.fixture
def meet(url):
    """A function that takes part in the test's run once more."""
    with contextlib.ExitStack() as stack:
        names = itertools.count()
        run = uuid.uuid4().hex
        yield lambda **options: stack.enter_context(
            sync.connect(url, run=run, **{"name": f"participant {next(names)}", **options})
        )


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


# ---- counter, dict, values --------------------------------------------------------------------------


def test_a_counter_counts_exactly(meet, pool):
    def raise_it(meeting):
        return [meeting.counter("n").add() for _ in range(100)]

    seen = list(pool.map(raise_it, [meet() for _ in range(8)]))
    assert sorted(itertools.chain(*seen)) == list(range(1, 801))


def test_a_counter_has_64_bits(meet):
    counter = meet().counter("n")
    assert counter.value == 0
    counter.value = 2**63 - 2
    assert counter.add() == 2**63 - 1 == counter.value
    with pytest.raises(OverflowError, match="plus 1 does not fit; accepted: an int of 64 bits"):
        counter.add()
    assert counter.add(-(2**63)) == -1
    for wrong in (True, 1.0, "1", None):
        with pytest.raises(TypeError, match="accepted: an int"):
            counter.add(wrong)
    with pytest.raises(OverflowError, match="accepted: an int of 64 bits"):
        counter.value = 2**63


VALUES = st.one_of(
    st.binary(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    ),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
def test_what_is_shared_comes_back_the_same(meet_once, value):
    shared, items = meet_once.dict("d"), meet_once.queue("q")
    shared["key"] = value
    items.put(value)
    for back in (shared["key"], items.get()):
        assert repr(back) == repr(value)


@pytest.fixture
def meet_once(meet):
    return meet()


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "value", [(1, 2), {1: 2}, {1}, object(), 1j, [b"x"], {"a": (1,)}, Colour.RED, bytearray(b"x")]
)
def test_what_would_not_come_back_the_same_is_refused(meet_once, value):
    for put in (meet_once.queue("q").put, lambda value: meet_once.dict("d").update(key=value)):
        with pytest.raises(TypeError, match=r"a value to be shared is .*; accepted: None, bool, int"):
            put(value)
    assert (meet_once.queue("q").qsize(), len(meet_once.dict("d"))) == (0, 0)


def test_a_dict(meet):
    ours, theirs = meet().dict("d"), meet().dict("d")
    assert (len(ours), list(ours), ours.copy(), "a" in ours, ours.get("a", 5)) == (0, [], {}, False, 5)
    ours["a"] = 1
    ours.update({"b": None}, c=[1, {}], é="")
    assert theirs.copy() == dict(theirs) == {"a": 1, "b": None, "c": [1, {}], "é": ""}
    assert (theirs.pop("a"), theirs.pop("a", 7), theirs.setdefault("b", 8), theirs.setdefault("z", 9)) == (
        1,
        7,
        None,
        9,
    )
    del theirs["z"]
    assert sorted(ours) == ["b", "c", "é"]
    for fail in (lambda: ours["a"], lambda: ours.pop("a"), lambda: ours.__delitem__("a")):
        with pytest.raises(KeyError, match="a"):
            fail()
    with pytest.raises(TypeError, match="a key of dict 'd' is 1; accepted: a str"):
        ours[1] = 2
    ours.clear()
    assert len(theirs) == 0


def test_no_two_pop_the_same(meet, pool):
    meet().dict("d").update({str(number): number for number in range(100)})

    def pop_all(meeting):
        shared, popped = meeting.dict("d"), []
        while True:
            try:
                popped.append(shared.popitem())
            except KeyError:
                assert len(shared) == 0
                return popped

    popped = pool.map(pop_all, [meet() for _ in range(4)])
    assert sorted(itertools.chain(*popped)) == sorted((str(number), number) for number in range(100))


def test_things_of_the_same_name_are_apart_by_kind_and_run(meet, url):
    meeting = meet()
    meeting.counter("x").add()
    meeting.dict("x")["a"] = 1
    meeting.queue("x").put(1)
    meeting.event("x").set()
    meeting.barrier("x", 1)
    with sync.connect(url, run="another") as other:
        assert other.counter("x").value == len(other.dict("x")) == other.queue("x").qsize() == 0
        assert not other.event("x").is_set()
        other.barrier("x", 2)


# ---- event, barrier ---------------------------------------------------------------------------------


def test_an_event(meet, pool):
    waits = [pool.submit(meet().event("e").wait) for _ in range(4)]
    event = meet().event("e")
    assert (event.is_set(), event.wait(timeout=0), event.wait(timeout=0.05)) == (False, False, False)
    event.set()
    assert [wait.result() for wait in waits] == [True] * 4
    assert event.is_set()
    assert event.wait(timeout=0)
    event.clear()
    assert not event.is_set()


def test_a_barrier_is_passed_together_again_and_again(meet, pool):
    rounds, parties = 20, 4
    arrived = [0] * parties

    def walk(number):
        barrier = meet().barrier("b", parties)
        places = []
        for step in range(1, rounds + 1):
            arrived[number] = step
            places.append(barrier.wait())
            # None is behind, and none is further than the next one.
            assert all(step <= other <= step + 1 for other in arrived), arrived
        return places

    meetings = list(pool.map(walk, range(parties)))
    assert all(sorted(places) == list(range(parties)) for places in zip(*meetings, strict=True))


def test_a_barrier_that_is_aborted_or_reset(meet, pool):
    barriers = [meet().barrier("b", 3) for _ in range(3)]

    def waiting():
        waits = [pool.submit(barrier.wait) for barrier in barriers[:2]]
        while barriers[2].n_waiting != 2:
            pass
        return waits

    waits = waiting()
    barriers[2].abort()
    for wait in waits:
        with pytest.raises(sync.BrokenBarrier, match="'b' is broken: 'participant 2' aborted it") as raised:
            wait.result()
        assert raised.value.participant == "participant 2"
        assert isinstance(raised.value, threading.BrokenBarrierError)
    assert barriers[0].broken
    with pytest.raises(sync.BrokenBarrier, match="aborted"):
        barriers[0].wait()
    barriers[1].reset()
    assert not barriers[0].broken
    waits = waiting()
    barriers[1].reset()
    for wait in waits:
        with pytest.raises(sync.BrokenBarrier, match="it was reset"):
            wait.result()
    waits = waiting()
    assert sorted([barriers[2].wait(), *(wait.result() for wait in waits)]) == [0, 1, 2]


def test_a_barrier_breaks_when_a_wait_takes_too_long(meet, pool):
    first, second = (meet().barrier("b", 3) for _ in range(2))
    wait = pool.submit(first.wait)
    with pytest.raises(sync.BrokenBarrier, match="'participant 1' waited longer than its timeout"):
        second.wait(timeout=0.1)
    with pytest.raises(sync.BrokenBarrier, match="'participant 1' waited longer"):
        wait.result()


def test_a_wait_that_takes_too_long_passes_or_breaks_for_all(meet, pool):
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    barriers = [meet().barrier("b", 2) for _ in range(2)]

    def passes(barrier, timeout):
        try:
            return barrier.wait(timeout) >= 0
        except sync.BrokenBarrier:
            return False

    for _ in range(150):
        other = pool.submit(passes, barriers[0], rng.uniform(0, 0.002))
        passed = passes(barriers[1], None if rng.random() < 0.5 else rng.uniform(0, 0.002))
        assert other.result() == passed, seed
        barriers[0].reset()


@pytest.mark.parametrize("kind", ["redis"], indirect=True)  # fakeredis has no CLIENT KILL
def test_one_that_comes_again_after_a_lost_connection_is_one(meet, pool, url):
    barrier, *others = (meet().barrier("b", 3) for _ in range(3))
    lost, again = threading.Event(), threading.Event()

    def wait_twice():
        with pytest.raises(sync.ServerLost):
            barrier.wait()
        lost.set()
        again.wait()
        return barrier.wait()

    with redis.Redis.from_url(url) as server:

        def waiting():
            return [client["id"] for client in server.client_list() if client["cmd"].startswith("blpop")]

        waits = [pool.submit(wait_twice)]
        while not lost.is_set():
            for number in waiting():
                server.client_kill_filter(_id=number)
        waits.append(pool.submit(others[0].wait))
        while len(waiting()) != 1:
            pass
        again.set()
        while len(waiting()) != 2:
            pass
    assert others[1].n_waiting == 2
    assert sorted([others[1].wait(), *(wait.result() for wait in waits)]) == [0, 1, 2]


def test_one_that_leaves_does_not_break_a_barrier_and_one_that_fails_does(meet, pool):
    barrier = meet().barrier("b", 2)
    with meet() as leaver:
        leaver.barrier("b", 2)
    wait = pool.submit(barrier.wait)
    meet().barrier("b", 2).wait()
    wait.result()
    wait = pool.submit(barrier.wait)

    def fail():
        with meet(name="the one that fails") as failing:
            failing.barrier("b", 2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with pytest.raises(sync.BrokenBarrier, match="'the one that fails', which takes part in it, died"):
        wait.result()


def test_the_exit_code_0_is_no_failure(meet):
    barrier = meet().barrier("b", 2)

    def leave(code):
        with meet() as leaver:
            leaver.barrier("b", 2)
            sys.exit(code)

    for code, broken in ((0, False), (None, False), (1, True)):
        with pytest.raises(SystemExit):
            leave(code)
        assert barrier.broken == broken


def test_parties_are_the_same_for_all(meet):
    meet().barrier("b", 2)
    with pytest.raises(ValueError, match="made with parties=3, but has 2 already"):
        meet().barrier("b", 3)


# ---- lock -------------------------------------------------------------------------------------------


def test_a_lock_excludes(meet, pool):
    inside = []

    def work(meeting):
        lock, shared = meeting.lock("l", expiry=60), meeting.dict("d")
        for _ in range(10):
            with lock:
                inside.append(1)
                assert len(inside) == 1
                shared["n"] = shared.get("n", 0) + 1
                inside.pop()

    meetings = [meet() for _ in range(4)]
    list(pool.map(work, meetings))
    assert meetings[0].dict("d")["n"] == 40


def test_acquire(meet):
    ours, theirs = (meet().lock("l", expiry=60) for _ in range(2))
    assert not ours.locked()
    assert ours.acquire()
    assert ours.locked()
    assert theirs.locked()
    assert not theirs.acquire(blocking=False)
    assert not theirs.acquire(timeout=0.05)
    with pytest.raises(RuntimeError, match="lock 'l' is not acquired by this thread"):
        theirs.release()
    assert not ours.acquire(blocking=False)  # not reentrant, and held as before
    assert not ours.acquire(timeout=0.05)
    first = ours.token
    ours.release()
    assert theirs.acquire(timeout=0)
    assert theirs.token > first
    theirs.release()
    with pytest.raises(RuntimeError, match="not acquired"):
        theirs.token  # noqa: B018


def test_a_late_holder_is_refused(meet):
    late, next_one = meet(), meet()
    lock, other = late.lock("l", expiry=0.05), next_one.lock("l", expiry=60)
    lock.acquire()
    late.dict("d", lock=lock)["by"] = "the first"
    late.counter("c", lock=lock).add()
    assert other.acquire()
    next_one.dict("d", lock=other)["by"] = "the second"
    for write in (
        lambda: late.dict("d", lock=lock).update(by="late"),
        lambda: late.dict("d", lock=lock).pop("by"),
        lambda: late.dict("d", lock=lock).clear(),
        lambda: late.dict("d", lock=lock).setdefault("else", "late"),
        late.counter("c", lock=lock).add,
        lock.extend,
        lock.release,
    ):
        with pytest.raises(
            sync.LockLost, match="nothing was written: the lock 'l' is not held with token 1 any"
        ):
            write()
    assert (next_one.dict("d").copy(), next_one.counter("c").value) == ({"by": "the second"}, 1)
    assert other.locked()


def test_a_late_holder_is_refused_before_anyone_else_holds_the_lock(meet):
    meeting = meet()
    lock = meeting.lock("l", expiry=0.05)
    lock.acquire()
    while lock.locked():
        pass
    with pytest.raises(sync.LockLost):
        meeting.dict("d", lock=lock)["by"] = "late"


def test_a_lock_is_extended(meet):
    lock = meet().lock("l", expiry=0.3)
    lock.acquire()
    other = meet().lock("l", expiry=60)
    for _ in range(4):
        assert not other.acquire(timeout=0.1)
        lock.extend()
    lock.release()


# ---- queue ------------------------------------------------------------------------------------------


def test_a_queue(meet):
    ours, theirs = meet().queue("q"), meet().queue("q")
    for item in (1, "a", None, [2.5]):
        ours.put(item)
    assert (theirs.qsize(), theirs.empty()) == (4, False)
    assert [theirs.get(), theirs.get_nowait(), ours.get(timeout=1), theirs.get(timeout=0)] == [
        1,
        "a",
        None,
        [2.5],
    ]
    for get in (ours.get_nowait, lambda: ours.get(timeout=0), lambda: ours.get(timeout=0.05)):
        with pytest.raises(queue.Empty):
            get()
    assert not ours.join(timeout=0.05)
    for taker in (theirs, theirs, ours, theirs):
        taker.task_done()
    assert ours.join()
    with pytest.raises(ValueError, match=r"task_done\(\) is called more often than this thread got"):
        ours.task_done()


def test_a_queue_is_shared_out(meet, pool):
    items = meet().queue("q")
    for item in range(200):
        items.put(item)
    taken = list(pool.map(lambda meeting: list(meeting.queue("q")), [meet() for _ in range(8)]))
    assert sorted(itertools.chain(*taken)) == list(range(200))
    assert items.join(timeout=0)


def test_a_waiting_get_gets_what_comes(meet, pool):
    waits = [pool.submit(meet().queue("q").get) for _ in range(4)]
    items = meet().queue("q")
    for item in range(4):
        items.put(item)
    assert sorted(wait.result() for wait in waits) == [0, 1, 2, 3]


def test_an_item_that_was_not_done_goes_back(meet):
    items = meet().queue("q")
    for item in range(4):
        items.put(item)
    with meet() as leaver:
        assert leaver.queue("q").get() == 0

    def fail():
        with meet() as failing:
            for item in failing.queue("q"):
                assert 1 / item

    with pytest.raises(ZeroDivisionError):
        fail()
    for item in meet().queue("q"):
        assert item == 0
        break
    assert list(items) == [0, 1, 2, 3]


def test_an_item_of_a_loop_is_done_by_the_loop(meet):
    items = meet().queue("q")
    for item in ("a", "b", "c"):
        items.put(item)
    assert items.get() == "a"
    loop = iter(items)
    assert next(loop) == "b"
    items.task_done()  # of the one that get() gave
    with pytest.raises(ValueError, match="those of a `for` loop are done when the next is asked for"):
        items.task_done()
    loop.close()
    assert list(items) == ["b", "c"]


def test_an_item_that_kills_is_handed_out_so_often(meet):
    waiting = meet().queue("q")
    waiting.put("poison")
    waiting.put("good")
    seen = []

    def work():
        with meet() as meeting:
            for item in meeting.queue("q", deliveries=2):
                seen.append(item)
                assert item != "poison"

    for _ in range(2):
        with pytest.raises(AssertionError):
            work()
    assert waiting.failed() == []
    work()
    assert seen == ["poison", "poison", "good"]
    assert waiting.failed() == ["poison"]
    assert waiting.join(timeout=0)


def test_iteration_waits_for_what_others_work_on(meet, pool):
    """What they put, or give back, is still to come."""
    first, second = meet().queue("q"), meet().queue("q")
    first.put("a")
    assert first.get() == "a"
    rest = pool.submit(list, second)
    first.put("b")
    first.task_done()
    assert rest.result() == ["b"]


def test_everything_at_once(meet, pool):
    """Puts and gets of many, some of which fail: nothing is lost."""
    seed = random.randrange(2**32)

    def work(number):
        rng = random.Random(seed + number)
        with meet() as meeting:
            items, done = meeting.queue("q"), meeting.dict("done")
            for item in range(number * 25, number * 25 + 25):
                items.put(item)
        while True:
            try:
                with meet() as meeting:
                    items, done = meeting.queue("q"), meeting.dict("done")
                    for item in items:
                        if rng.random() < 0.1:
                            raise ZeroDivisionError
                        done[str(item)] = 1
                return
            except ZeroDivisionError:
                pass

    list(pool.map(work, range(4)))
    assert sorted(map(int, meet().dict("done"))) == list(range(100)), seed


# ---- connect ----------------------------------------------------------------------------------------


def test_outside_of_a_run(monkeypatch):
    monkeypatch.delenv("GILFREE_SYNC", raising=False)
    with pytest.raises(
        RuntimeError, match=r"connect\(\) is called outside of a run .*sync=True\), or connect\('redis"
    ):
        sync.connect()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"url": "redis://x"}, TypeError, "accepted: both, or neither in a child"),
        ({"run": "x"}, TypeError, "accepted: both, or neither in a child"),
        ({"url": "redis://h:x", "run": "x"}, ValueError, "its port or its database is no number"),
        ({"url": "redis://h/x", "run": "x"}, ValueError, "its port or its database is no number"),
        ({"url": "redis://h?db=x", "run": "x"}, ValueError, "Invalid value for .db.*; accepted: 'redis://H"),
        ({"url": "redis://h?no=1", "run": "x"}, ValueError, "'no'.*; accepted: 'redis://HOST"),
        (
            {"url": "redis://h?protocol=3", "run": "x"},
            ValueError,
            "option 'protocol' is not free.*; accepted",
        ),
        ({"url": "unix://", "run": "x"}, ValueError, "the path is missing.*; accepted: 'redis://HOST"),
        ({"url": "http://x", "run": "x"}, ValueError, "accepted: 'redis://HOST:PORT/DATABASE'"),
        ({"url": 5, "run": "x"}, TypeError, "accepted: 'redis://HOST:PORT/DATABASE'"),
        ({"url": "redis://x", "run": ""}, ValueError, "the run is ''; accepted: a str that is not empty"),
        ({"url": "redis://x", "run": 5}, TypeError, "the run is 5; accepted: a str"),
        (
            {"url": "redis://x", "run": "x", "lease": 0},
            ValueError,
            "lease is 0; accepted: a number of seconds",
        ),
        (
            {"url": "redis://x", "run": "x", "name": 5},
            TypeError,
            "the participant's name is 5; accepted: a str",
        ),
    ],
)
def test_arguments_of_connect_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        sync.connect(**arguments)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda meeting: meeting.barrier("b", 0), ValueError, "parties is 0; accepted: a number from 1"),
        (lambda meeting: meeting.barrier("b", 2.0), TypeError, "parties is 2.0; accepted"),
        (lambda meeting: meeting.barrier("", 1), ValueError, "the barrier's name is ''; accepted"),
        (lambda meeting: meeting.barrier("b", 2).wait("x"), TypeError, "timeout is 'x'; accepted: None, or"),
        (
            lambda meeting: meeting.lock("l", 0),
            ValueError,
            "expiry is 0; accepted: a number of seconds above 0",
        ),
        (lambda meeting: meeting.lock("l", math.inf), ValueError, "expiry is inf; accepted"),
        (lambda meeting: meeting.lock("l", "1"), TypeError, "expiry is '1'; accepted"),
        (lambda meeting: meeting.lock("l", 1).acquire(timeout=-2), ValueError, "timeout is -2; accepted"),
        (
            lambda meeting: meeting.lock("l", 1).acquire(False, 1),
            ValueError,
            "timeout is 1 with blocking=False",
        ),
        (lambda meeting: meeting.queue("q", deliveries=0), ValueError, "deliveries is 0; accepted: None, or"),
        (lambda meeting: meeting.queue("q", deliveries=1.0), TypeError, "deliveries is 1.0; accepted: None"),
        (lambda meeting: meeting.dict("d").get("\udc80"), ValueError, "a key of dict 'd' is .* in Unicode"),
        (lambda meeting: meeting.counter(b"n"), TypeError, "the counter's name is b'n'; accepted: a str"),
        (lambda meeting: meeting.queue("a\nb"), ValueError, "accepted: a str that is not empty, of one line"),
        (
            lambda meeting: meeting.event("\udc80"),
            ValueError,
            "accepted: a str that is not empty, in Unicode",
        ),
        (lambda meeting: meeting.dict("d", lock="l"), TypeError, "lock is 'l'; accepted: None, or what lock"),
        (lambda meeting: meeting.report(2, 1), ValueError, r"report\(\) was given 2, 1; accepted: 0 <= done"),
        (lambda meeting: meeting.report("1", 1), TypeError, "accepted: numbers"),
        (lambda meeting: meeting.report(1, 2), RuntimeError, "has no parent to tell"),
    ],
)
def test_what_is_wrong_is_refused(meet_once, make, error, message):
    with pytest.raises(error, match=message):
        make(meet_once)


def test_a_closed_connection(meet):
    meeting = meet()
    counter = meeting.counter("n")
    meeting.close()
    meeting.close()
    with pytest.raises(RuntimeError, match="this connection is closed"):
        counter.add()


def test_a_server_that_is_not_there(tmp_path):
    with pytest.raises(ConnectionError, match=r"the server unix://.* is lost .*see that it runs") as raised:
        sync.connect(f"unix://{tmp_path}/none", run="x")
    assert isinstance(raised.value, sync.ServerLost)


def test_a_connection_is_closed_while_another_thread_waits(meet, pool):
    other = meet().barrier("b", 2)
    assert other.n_waiting == 0
    open_files = len(os.listdir("/dev/fd"))
    for _ in range(5):
        meeting = meet()
        wait = pool.submit(meeting.barrier("b", 2).wait)
        while not other.n_waiting:
            pass
        meeting.close()
        with pytest.raises(RuntimeError, match="this connection is closed"):
            wait.result()
        assert not other.broken
    assert len(os.listdir("/dev/fd")) <= open_files


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@127.0.0.1:1/0", "redis://...@127.0.0.1:1/0"),
        ("redis://127.0.0.1:1/0?password=secret", "redis://127.0.0.1:1/0?... "),
        ("redis://:sec/ret@127.0.0.1:1/0", "redis://...@127.0.0.1:1/0"),
        ("redis://:1/secret@127.0.0.1:1/0", "redis://...@127.0.0.1:1/0"),
        (":secret@127.0.0.1:1/0", "...@127.0.0.1:1/0"),
    ],
)
def test_passwords_are_not_shown(url, shown):
    with pytest.raises((sync.ServerLost, ValueError)) as raised:
        sync.connect(url, run="x")
    assert shown in str(raised.value)
    assert not any(word in str(raised.value) for word in ("secret", "sec/", "ret@", "'sec'"))


@pytest.mark.parametrize("kind", ["redis"], indirect=True)  # fakeredis' server lets everybody do anything
def test_a_server_that_refuses_is_a_clear_error(url, tmp_path):
    touch = [["touch", str(tmp_path / "ran")]]
    with pytest.raises(
        RuntimeError, match=r"refuses a step \(.*DB index is out of range\); accepted: Redis 6"
    ):
        scripts.run(touch, sync=f"{url}?db=99")
    redis.Redis.from_url(url).config_set("requirepass", "secret")
    for wrong in (url, url.replace("://", "://:terces@")):
        with pytest.raises(
            ConnectionError, match=r"lets nobody in \(.*\); accepted: its URL with the password"
        ):
            scripts.run(touch, sync=wrong)
    assert list(tmp_path.iterdir()) == []
    assert scripts.run(touch, sync=url.replace("://", "://:secret@"))[0].ok


def test_something_else_than_a_server_is_a_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with server.accept()[0] as connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(RuntimeError, match=r"refuses a step .*HTTP.*; accepted: Redis 6 or later"):
            scripts.run([["true"]], sync=f"redis://127.0.0.1:{server.getsockname()[1]}")
        thread.join()


def test_a_server_that_forgets_is_an_error_and_not_a_new_beginning(meet, url):
    meeting = meet()
    meeting.counter("n").add()
    redis.Redis.from_url(url).flushall()
    for fail in (meeting.counter("n").add, meeting.close):
        with pytest.raises(
            sync.ServerLost, match=r"has nothing of the run .* any more: .* was restarted or emp"
        ):
            fail()


def test_scripts_that_are_flushed_are_sent_again(meet, url):
    meeting = meet()
    meeting.counter("n").add()
    redis.Redis.from_url(url).script_flush()
    assert meeting.counter("n").add() == 2


def test_every_name_is_the_runs_own_and_expires(meet, url):
    meeting, other = meet(), meet()
    for connection in (meeting, other):
        connection.barrier("b", 3).abort()
        connection.counter("c").add()
        connection.event("e").set()
        connection.dict("d")["a"] = 1
        connection.queue("q").put(1)
        connection.queue("q").get()
        assert not connection.event("f").wait(timeout=0.01)
        connection.lock("l", 0.01).acquire()
    server = redis.Redis.from_url(url)
    names = server.keys("*")
    assert len(names) > 10
    run = meeting._participant.server.run
    for name in names:
        assert name.decode().startswith(f"gilfree:{run}")
        assert 0 < server.pttl(name) <= 600_000, name


def test_names_do_not_expire_during_a_long_lease(url, monkeypatch):
    monkeypatch.setattr("gilfree.scripts.sync.connection.EXPIRY_SECONDS", 0.6)
    with sync.connect(url, run="r", lease=1000) as meeting:
        meeting.counter("n").add()
        assert not meeting.event("never").wait(timeout=1.5)
        assert meeting.counter("n").add() == 2


def test_who_looks_now_and_then_is_not_woken_for_ever(meet, url):
    event, other = meet().event("e"), meet().event("e")
    for _ in range(20):
        assert not event.wait(timeout=0)
        other.set()
        other.clear()
    server = redis.Redis.from_url(url)
    assert [server.llen(name) for name in server.keys("*:inbox:*")] == [1]


# ---- the command's side -----------------------------------------------------------------------------

CHILD = """
import sys
from gilfree.scripts import sync
meeting = sync.connect()
"""


@pytest.fixture
def child(tmp_path):
    """A function that makes a child script, with `meeting` in it, and returns its path."""
    numbers = itertools.count()

    def make(code):
        path = tmp_path / f"child{next(numbers)}.py"
        path.write_text(CHILD + code)
        return str(path)

    return make


def outputs(results):
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * len(results)
    return [result.stdout for result in results]


def test_children_meet(child, kind):
    path = child("print(meeting.barrier('b', 3).wait(), meeting.name)")
    named = [scripts.Script(path, name=f"child {number}") for number in range(2)]
    lines = outputs(scripts.run([*named, [path, "a b"]], workers=3, sync=True))
    assert sorted(line.split()[0] for line in lines) == ["0", "1", "2"]
    assert [line.split(" ", 1)[1] for line in lines] == ["child 0\n", "child 1\n", f"{path} 'a b'\n"]


def test_children_meet_on_a_named_server_and_leave_nothing_there(child, url):
    path = child(
        "meeting.counter('n').add(); meeting.barrier('b', 2).wait(); print(meeting.counter('n').value)"
    )
    assert outputs(list(scripts.iter([path, path], workers=2, sync=url))) == ["2\n", "2\n"]
    assert redis.Redis.from_url(url).keys("*") == []


def test_two_runs_at_once_are_apart(child, url, pool):
    path = child("print(meeting.counter('n').add(), meeting.barrier('b', 2).wait() >= 0)")
    runs = [pool.submit(scripts.run, [path, path], workers=2, sync=url) for _ in range(2)]
    for run in runs:
        assert sorted(outputs(run.result())) == ["1 True\n", "2 True\n"]


def test_a_process_that_a_child_starts_meets_too(child, kind):
    inner = child("meeting.barrier('b', 2).wait(); print(meeting.name)")
    outer = child(f"""
import subprocess
process = subprocess.Popen([sys.executable, {inner!r}])
meeting.barrier('b', 2).wait()
sys.exit(process.wait())
""")
    assert outputs(scripts.run([scripts.Script(outer, name="outer")], sync=True)) == ["outer\n"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_connects_anew(child, kind):
    path = child("""
import os
if os.fork() == 0:
    try:
        meeting.counter("n").add()
    except RuntimeError as error:
        print(error)
    with sync.connect() as own:
        own.counter("n").add()
    sys.stdout.flush()
    os._exit(0)
os.wait()
print(meeting.counter("n").value)
""")
    said = "this connection is of the process from which this one was forked; connect() here\n"
    assert outputs(scripts.run([path], sync=True)) == [said + "1\n"]


def test_a_child_that_keeps_no_connection_has_left(child, kind):
    path = child("""
import gc
meeting.barrier("b", 1)
meeting.queue("q").put("item")
meeting.queue("q").get()
del meeting
gc.collect()
again = sync.connect()
print(again.queue("q").get(timeout=60), again.barrier("b", 1).wait())
""")
    assert outputs(scripts.run([path], sync=True)) == ["item 0\n"]


def test_a_loop_that_is_left_open_is_no_noise(child, kind):
    path = child("""
items = meeting.queue("q")
items.put(1)
loop = iter(items)
print(next(loop))
""")
    assert outputs(scripts.run([path], sync=True)) == ["1\n"]


def test_a_wait_that_ends_by_an_exception_breaks_the_barrier(child, kind):
    """It would be counted twice if it was called again."""
    path = child("""
import os, signal, threading
def stop(*_):
    raise ZeroDivisionError
signal.signal(signal.SIGUSR1, stop)
barrier = meeting.barrier("b", 2)
def watch():
    while barrier.n_waiting == 0:
        pass
    os.kill(os.getpid(), signal.SIGUSR1)
threading.Thread(target=watch).start()
try:
    barrier.wait()
except ZeroDivisionError:
    print(barrier.broken, barrier.n_waiting)
""")
    assert outputs(scripts.run([scripts.Script(path, name="me")], sync=True)) == ["True 0\n"]


def test_a_flood_of_reports_holds_no_result_up(child, kind, tmp_path):
    """The function that is told takes its time, too."""
    path = child("""
import os, time
end = time.monotonic() + 60
meeting.report(1, 2)
meeting.event("flooded").set()
while not os.path.exists(sys.argv[1]):
    meeting.report(1, 2)
    if time.monotonic() > end:
        sys.exit("held up")
""")
    told = tmp_path / "told"
    progress = lambda done, total: time.sleep(0.02)  # noqa: E731
    quick = child("meeting.event('flooded').wait()")
    results = scripts.iter([[path, told], [quick]], workers=2, sync=True, progress=progress)
    assert next(results).command == (quick,)
    told.touch()
    outputs(results := list(results))
    assert len(results) == 1


def test_a_run_that_is_left_open_ends_with_the_parent(child, url, run):
    path = child("meeting.counter('n').add(); meeting.event('never').wait(float(sys.argv[1]))")
    code = """
import sys
from gilfree import scripts
runs = [scripts.iter([[sys.argv[1], 0], [sys.argv[1], 1e6]], workers=2, sync=sys.argv[2]) for _ in range(2)]
print(*(next(results).ok for results in runs))
"""
    assert run(code, path, url).stdout == "True True\n"
    assert redis.Redis.from_url(url).keys("*") == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_process_forked_from_the_parent_takes_nothing_away(child, kind, run, tmp_path):
    """Neither by its end nor by staying."""
    path = child("""
import os
while not os.path.exists(sys.argv[1]):
    pass
print(meeting.counter("n").add())
""")
    code = """
import os, signal, sys, time
from gilfree import scripts
for result in scripts.iter([[sys.executable, "-c", ""], sys.argv[1:]], workers=2, sync=True):
    print(result.stdout, result.stderr, end="", flush=True)
    if result.index == 0:
        if os.fork() == 0:
            sys.exit()
        os.wait()
        stays = os.fork()
        if stays == 0:
            time.sleep(1000)
        open(sys.argv[2], "w").close()
os.kill(stays, signal.SIGKILL)
"""
    flags = ("-W", "ignore::DeprecationWarning")  # of fork() where there are threads
    ended = run(code, path, str(tmp_path / "go"), flags=flags, code=None)
    assert (ended.returncode, ended.stdout.split()) == (0, ["1"])


@pytest.mark.parametrize(
    ("name", "error"), [(5, TypeError), (b"x", TypeError), ("a\0b", ValueError)], ids=["int", "bytes", "null"]
)
def test_a_scripts_name_is_checked(name, error):
    with pytest.raises(error, match=r"a script's name is .*; accepted: "):
        scripts.Script("child.py", name=name)


def test_reports_arrive_as_shares(child, kind):
    """Called in the thread that iterates."""
    path = child("""
for done in range(1, 4):
    meeting.report(done, 4)
    meeting.barrier("b", 2).wait()
""")
    told = []

    def progress(done, total):
        told.append((done, total))
        assert threading.current_thread() is threading.main_thread()

    outputs(scripts.run([path, path], workers=2, sync=True, progress=progress))
    assert told[-1] == (2, 2)
    assert told == sorted(told)
    assert any(0 < done < 1 for done, _ in told)


def test_reports_move_the_bar(child, kind, capfd):
    path = child("meeting.report(1, 2)")
    outputs(scripts.run([path], sync=True, progress=True))
    assert "1/1" in capfd.readouterr().err.replace("1.0", "1")


@pytest.mark.parametrize("options", [{"sync": 5}, {"sync": None}, {"sync": b"redis://x"}])
def test_sync_is_checked(options):
    with pytest.raises(
        TypeError, match="accepted: False, True for a server of the run's own, or the URL of one"
    ):
        scripts.run([["true"]], **options)
    with pytest.raises(ValueError, match="accepted: False, True"):
        scripts.run([["true"]], sync="x")


def test_a_server_that_cannot_be_reached_is_an_error_before_anything_runs(tmp_path):
    with pytest.raises(ConnectionError, match=r"the server redis://127\.0\.0\.1:1 is lost .*refused"):
        scripts.run([["touch", str(tmp_path / "ran")]], sync="redis://127.0.0.1:1")
    assert list(tmp_path.iterdir()) == []


def test_without_redis_py_is_an_error_before_anything_runs(run, tmp_path):
    code = """
import sys
from gilfree import scripts
assert not {"redis", "fakeredis", "gilfree.scripts.sync"} & set(sys.modules)
sys.modules["redis"] = None
try:
    scripts.run([["touch", sys.argv[1]]], sync=True)
except ImportError as error:
    print(error)
from gilfree.scripts import sync
try:
    sync.connect("redis://x", run="x")
except ImportError as error:
    print(error)
"""
    said = "scripts.sync needs redis-py, which is not installed: python -m pip install 'gilfree[redis]'\n"
    assert run(code, str(tmp_path / "ran")).stdout == 2 * said
    assert list(tmp_path.iterdir()) == []
