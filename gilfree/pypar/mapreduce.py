"""Map-reduce: rank 0 hands out the items of a list, the other ranks map them, rank 0 reduces the results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from gilfree.pypar import job
from gilfree.pypar.balancer import PYPAR_DIETAG, PYPAR_WORKTAG, hand_out, work, work_alone
from gilfree.pypar.point import Status


class MPIMapReducer:
    """reduce(list(map(f, items))) with the map spread over the ranks. A rank that is alone maps itself."""

    def __init__(self, aWorkList: Sequence[Any]) -> None:
        self.WORKTAG, self.DIETAG = PYPAR_WORKTAG, PYPAR_DIETAG
        self.MPI_myid, self.MPI_numproc, self.MPI_node = job.own_rank, job.ranks, job.node
        self.works, self.numWorks = aWorkList, len(aWorkList)
        self.mapFunction: Callable[[Any], Any] | None = None
        self.reduceFunction: Callable[[list[Any]], Any] | None = None
        self.mapList: list[Any] = []
        self.result: Any = None

    def setMap(self, aFunction: Callable[[Any], Any]) -> None:
        """What is done to each item."""
        self.mapFunction = aFunction

    def setReduce(self, aFunction: Callable[[list[Any]], Any]) -> None:
        """What is done to the list of all results, in the order of the items; called on rank 0."""
        self.reduceFunction = aFunction

    def runMapReduce(self) -> None:
        """Do it; every rank calls this. RuntimeError without setMap or setReduce."""
        if self.mapFunction is None or self.reduceFunction is None:
            raise RuntimeError(
                "runMapReduce: call setMap(function) and setReduce(function) first, on every rank"
            )
        if self.MPI_myid != 0:
            work(self.mapFunction)
            return
        self.mapList = [None] * self.numWorks
        if self.MPI_numproc == 1:
            work_alone(self.numWorks, self.works.__getitem__, self.mapFunction, self._take)
        else:
            hand_out(self.numWorks, self.works.__getitem__, self._take)
        self.result = self.reduceFunction(self.mapList)

    def _take(self, index: int, result: Any, status: Status) -> None:
        self.mapList[index] = result

    def getResult(self) -> Any:
        """The result, on rank 0. As in PyPar, the other ranks end here, with sys.exit."""
        if self.MPI_myid != 0:
            sys.exit(0)
        return self.result
