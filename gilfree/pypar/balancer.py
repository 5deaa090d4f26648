"""Dynamic load balancing: rank 0 hands out work items one by one, so that the quicker ranks do more of
them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from gilfree.pypar import job
from gilfree.pypar.point import Status, any_source, any_tag, receive, send

PYPAR_WORKTAG = 1
PYPAR_DIETAG = 2


def balance(N: int, P: int, p: int) -> tuple[int, int]:
    """The p'th of P intervals that divide [0, N), as (begin, end); their lengths differ by one at most.

    (N, N) where p >= P. ValueError: N or p negative, P below 1.
    """
    N, P, p = int(N), int(P), int(p)
    if N < 0 or P < 1 or p < 0:
        raise ValueError(f"balance: N is {N}, P is {P}, p is {p}; accepted: N >= 0, P >= 1, p >= 0")
    if p >= P:
        return N, N
    length, longer = divmod(N, P)
    begin = p * length + min(p, longer)
    return begin, begin + length + (p < longer)


def hand_out(items: int, item: Callable[[int], Any], take: Callable[[int, Any, Status], None]) -> None:
    """Rank 0's part: item(i) for every i < items goes to a rank that is idle; take(i, result, status) gets
    what it sends back, in the order in which the results come."""
    idle, begun = list(range(job.ranks - 1, 0, -1)), 0
    busy: dict[int, int] = {}
    while begun < items or busy:
        while idle and begun < items:
            worker = idle.pop()
            send(item(begun), worker, tag=PYPAR_WORKTAG)
            busy[worker], begun = begun, begun + 1
        result, status = receive(any_source, tag=PYPAR_WORKTAG, return_status=True)
        idle.append(status.source)
        take(busy.pop(status.source), result, status)
    for worker in range(1, job.ranks):
        send(None, worker, tag=PYPAR_DIETAG)


def work(calculate: Callable[[Any], Any]) -> None:
    """The other ranks' part: calculate(item) for every item that rank 0 hands out, until there are no
    more."""
    while True:
        item, status = receive(0, tag=any_tag, return_status=True)
        if status.tag == PYPAR_DIETAG:
            return
        send(calculate(item), 0, tag=PYPAR_WORKTAG)


def work_alone(
    items: int,
    item: Callable[[int], Any],
    calculate: Callable[[Any], Any],
    take: Callable[[int, Any, Status], None],
) -> None:
    """The same in a job of one rank."""
    for index in range(items):
        take(index, calculate(item(index)), Status((0, PYPAR_WORKTAG, 0, 0, 1)))


class PyparWork:
    """What is to be done: a subclass says how many items there are, what one of them gives, and what becomes
    of it."""

    def uplink(self, balancer: PyparBalancer, myid: int, numprocs: int, node: str) -> None:
        self.balancer = balancer
        self.pypar_id, self.pypar_numprocs, self.pypar_node = myid, numprocs, node

    def getNumWorkItems(self) -> int:
        """How many items there are."""
        raise NotImplementedError(f"{type(self).__name__} needs a method getNumWorkItems()")

    def calcWorkResult(self, worknum: int) -> Any:
        """The result of item `worknum`; called on the ranks from 1 on."""
        raise NotImplementedError(f"{type(self).__name__} needs a method calcWorkResult(worknum)")

    def handleWorkResult(self, result: Any, status: Status) -> None:
        """Called on rank 0 with each result, in the order in which they come."""

    def masterBeforeWork(self) -> None:
        """Called on rank 0 before the first item."""

    def slaveBeforeWork(self) -> None:
        """Called on the other ranks before the first item."""

    def masterAfterWork(self) -> None:
        """Called on rank 0 after the last result."""

    def slaveAfterWork(self) -> None:
        """Called on the other ranks after their last item."""

    def msgprint(self, txt: Any) -> None:
        """Print, indented by the rank."""
        mprint(txt)


class PyparBalancer:
    """Runs a PyparWork over the ranks of the job; `debug` prints what goes where. A rank that is alone works
    itself."""

    def __init__(self, work: PyparWork, debug: bool = False) -> None:
        self.numprocs, self.myid, self.node = job.ranks, job.own_rank, job.node
        self.debug, self.work = debug, work
        work.uplink(self, self.myid, self.numprocs, self.node)
        self.numworks = work.getNumWorkItems()

    def master(self) -> None:
        if self.numprocs == 1:
            work_alone(self.numworks, int, self._calculate, self._take)
        else:
            hand_out(self.numworks, int, self._take)

    def slave(self) -> None:
        work(self._calculate)

    def _take(self, worknum: int, result: Any, status: Status) -> None:
        self._say(f"item {worknum} has come back from rank {status.source}")
        self.work.handleWorkResult(result, status)

    def _calculate(self, worknum: int) -> Any:
        self._say(f"begins item {worknum}")
        return self.work.calcWorkResult(worknum)

    def _say(self, text: str) -> None:
        if self.debug:
            mprint(text)

    def run(self, finalRun: bool = True) -> None:
        """Do all the work. As in PyPar, MPI is finalized then, and only rank 0 returns: the others end with
        sys.exit. With `finalRun=False` every rank returns, and may go on."""
        if self.myid == 0:
            self.work.masterBeforeWork()
            self.master()
            self.work.masterAfterWork()
        else:
            self.work.slaveBeforeWork()
            self.slave()
            self.work.slaveAfterWork()
        if finalRun:
            job.finalize()
            if self.myid != 0:
                sys.exit()


def mprint(txt: Any) -> None:
    """Print, indented by the rank."""
    print(f"{' ' * 8 * job.own_rank}-{job.own_rank}-{txt}", flush=True)
