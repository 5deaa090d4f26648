"""Methods under a lock that Ctrl-C can't leave held."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from gilfree import _core

P = ParamSpec("P")
Self = TypeVar("Self")
T = TypeVar("T")


def locked(method: Callable[Concatenate[Self, P], T]) -> Callable[Concatenate[Self, P], T]:
    """A method that runs under its object's `_lock`.

    An RLock: a signal handler may call it while the thread it interrupts holds the lock.
    """

    @wraps(method)
    def under_lock(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        assert not kwargs
        return _core.call_locked(self._lock, method, self, *args)

    return under_lock
