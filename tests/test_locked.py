"""What runs under a lock leaves it released, however it ends."""

import gc
import sys
import threading
import traceback
import weakref

import pytest

from gilfree import _core
from gilfree.locked import locked


class CustomError(Exception):
    pass


class Account:
    def __init__(self):
        self._lock = threading.RLock()
        self.sum = 0

    @locked
    def add(self, number):
        if number < 0:
            raise CustomError(number)
        self.sum += number
        return self.sum

    @locked
    def add_twice(self, number):
        return self.add(number), self.add(number)


def is_free(lock):
    """For another thread: an RLock is always free for its own."""
    free = []

    def look():
        free.append(lock.acquire(blocking=False))
        if free[0]:
            lock.release()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return free[0]


def test_a_method_that_returns_or_raises():
    account = Account()
    assert account.add(2) == 2
    assert account.add_twice(3) == (5, 8)
    assert is_free(account._lock)
    for add in (account.add, account.add_twice):
        with pytest.raises(CustomError) as caught:
            add(-1)
        assert caught.value.args == (-1,)
        assert is_free(account._lock)


def test_it_holds_the_lock_meanwhile():
    lock = threading.RLock()
    assert _core.call_locked(lock, is_free, lock) is False
    assert is_free(lock)


def test_one_at_a_time():
    account = Account()
    threads = [threading.Thread(target=lambda: [account.add(1) for _ in range(5000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert account.sum == 20_000


class Broken:
    """A lock that can't be taken, or given back."""

    def __init__(self, method):
        self.method = method

    def acquire(self):
        self.do("acquire")

    def release(self):
        self.do("release")

    def do(self, method):
        if method == self.method:
            raise CustomError(method)


def test_a_lock_that_fails():
    called = []
    for method, calls in (("acquire", 0), ("release", 1)):
        called.clear()
        with pytest.raises(CustomError, match=method):
            _core.call_locked(Broken(method), called.append, 1)
        assert len(called) == calls


def fail():
    raise CustomError("the function's own")


def test_a_lock_that_fails_after_the_function_did():
    """As in a `with` statement: neither error is lost, or kept for ever."""
    with pytest.raises(CustomError, match="release") as caught:
        _core.call_locked(Broken("release"), fail)
    first = caught.value.__context__
    assert first.args == ("the function's own",)
    assert traceback.extract_tb(first.__traceback__)[-1].name == "fail"
    assert sys.exc_info() == (None, None, None)
    is_left = weakref.ref(first)
    del first, caught
    gc.collect()
    assert is_left() is None


def test_what_it_refuses():
    with pytest.raises(TypeError, match="takes a lock and a function at least, 1 given"):
        _core.call_locked(threading.RLock())
