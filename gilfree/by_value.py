"""Pickles, by cloudpickle, of what another process can't import: from __main__, lambdas, closures.

cloudpickle sends a class in full, and where it is known already sets all its attributes anew. A worker's
results must not do that to the classes of its parent: one that came from there is named in what goes back.
"""

from __future__ import annotations

import functools
import io
import pickle
import sys
from collections.abc import Callable
from typing import Any

from cloudpickle import cloudpickle  # type: ignore[import-untyped, import-not-found, unused-ignore]

from gilfree.fingerprint import MAINS

LRU_CACHE = type(functools.lru_cache(int))
TYPE_KWARGS = 3  # of the arguments of _make_skeleton_class

received: set[str] = set()  # classes of the parent's, in a worker: by cloudpickle's numbers for them


def known_classes() -> set[str]:
    """Those that were sent or received so far."""
    return set(cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID)


def _received_class(number: str) -> type:
    found: type = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID[number]
    return found


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    cached: Callable[..., Any] = functools.lru_cache(**parameters)(function)
    return cached


def _cached_property(function: Callable[[Any], Any], name: str) -> functools.cached_property[Any]:
    made = functools.cached_property(function)
    made.__set_name__(object, name)
    return made


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, type):
            number = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS.get(thing)
            if number in received:
                return _received_class, (number,)
        elif type(thing) is LRU_CACHE and thing.__module__ in MAINS:
            return _cached, (thing.__wrapped__, thing.cache_parameters())
        elif type(thing) is functools.cached_property:  # it has a lock before Python 3.12
            return _cached_property, (thing.func, thing.attrname)
        reduced = super().reducer_override(thing)
        is_class_by_value = isinstance(reduced, tuple) and reduced[0] is cloudpickle._make_skeleton_class
        # cloudpickle makes the other class without. A NamedTuple, whose are empty, is made with its own.
        if is_class_by_value and (slots := vars(thing).get("__slots__")):
            reduced[1][TYPE_KWARGS]["__slots__"] = slots
        return reduced


class _PicklerForHere(_Pickler):
    """Names all classes, as a worker names those of its parent."""

    def reducer_override(self, thing: Any) -> Any:
        reduced = super().reducer_override(thing)
        if isinstance(thing, type) and thing in cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS:
            return _received_class, (cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS[thing],)
        return reduced


def dumps(thing: Any, for_here: bool = False) -> bytes:
    mp_main = sys.modules.get("__mp_main__")
    if mp_main is not None and mp_main.__name__ not in cloudpickle.list_registry_pickle_by_value():
        cloudpickle.register_pickle_by_value(mp_main)
    file = io.BytesIO()
    (_PicklerForHere if for_here else _Pickler)(file, pickle.HIGHEST_PROTOCOL).dump(thing)
    return file.getvalue()
