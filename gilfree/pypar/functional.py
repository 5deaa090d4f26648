"""Iterables spread over the ranks, and brought back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from gilfree.pypar import job
from gilfree.pypar.balancer import balance
from gilfree.pypar.point import any_tag, receive, send

ITEM, END = 0, 1  # tags


def distributed(iterable: Iterable[Any]) -> Iterator[Any]:
    """This rank's share of rank 0's iterable: an interval of a sequence, every size()'th item of the rest.

    Every rank must give the same sort.
    """
    return distributed_slice(iterable) if isinstance(iterable, Sequence) else distributed_generator(iterable)


def distributed_slice(iterable: Iterable[Any]) -> Iterator[Any]:
    """This rank's interval, as balance() divides them; only rank 0 looks at `iterable`."""
    if job.own_rank != 0:
        yield from receive(0)
        return
    items = list(iterable)
    for rank in range(1, job.ranks):
        begin, end = balance(len(items), job.ranks, rank)
        send(items[begin:end], rank)
    yield from items[: balance(len(items), job.ranks, 0)[1]]


def distributed_generator(iterable: Iterable[Any]) -> Iterator[Any]:
    """Items 0, size(), ... for rank 0, 1, size() + 1, ... for rank 1; rank 0 sends while it goes on."""
    if job.own_rank != 0:
        while True:
            item, status = receive(0, tag=any_tag, return_status=True)
            if status.tag == END:
                return
            yield item
    for index, item in enumerate(iterable):
        if index % job.ranks == 0:
            yield item
        else:
            send(item, index % job.ranks, tag=ITEM)
    for rank in range(1, job.ranks):
        send(None, rank, tag=END)


def collected(iterable: Iterable[Any]) -> Iterator[Any]:
    """On rank 0: the items of every rank's iterable, in the order of the ranks. On the others: none."""
    if job.own_rank != 0:
        send(list(iterable), 0)
        return
    yield from list(iterable)
    for rank in range(1, job.ranks):
        yield from receive(rank)


def balanced(iterable: Iterable[Any]) -> Iterator[Any]:
    """Every size()'th item, from the rank()'th on: every rank has the iterable itself, nothing is sent."""
    return islice(iterable, job.own_rank, None, job.ranks)
