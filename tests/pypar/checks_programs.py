"""What programs are made of: identity, balance, the load balancer, map-reduce, shared iterables."""

import itertools
import os
import threading

import numpy as np
import pytest

import gilfree.pypar as pp


def check_identity(rank, ranks):
    assert 0 <= rank < ranks
    assert pp.get_processor_name() == pp.Get_processor_name() != ""
    assert pp.initialized()
    assert pp.init(["program"]) is None
    start = pp.time()
    assert pp.Wtime() >= start


def check_balance(rank, ranks):
    """PyPar's own example, and its rule."""
    assert [pp.balance(29, 4, p) for p in range(5)] == [(0, 8), (8, 15), (15, 22), (22, 29), (29, 29)]
    for n, parts in itertools.product(range(20), range(1, 9)):
        bounds = [pp.balance(n, parts, p) for p in range(parts)]
        assert [i for begin, end in bounds for i in range(begin, end)] == list(range(n))
        lengths = [end - begin for begin, end in bounds]
        assert lengths == sorted(lengths, reverse=True)
        assert lengths[0] - lengths[-1] <= 1
    for arguments in ((-1, 2, 0), (3, 0, 0), (3, 2, -1)):
        with pytest.raises(
            ValueError, match=f"balance: N is {arguments[0]}, P is {arguments[1]}, p is {arguments[2]}"
        ):
            pp.balance(*arguments)


class Squares(pp.PyparWork):
    def __init__(self, n):
        self.n, self.calls = n, []

    def getNumWorkItems(self):
        return self.n

    def masterBeforeWork(self):
        self.calls.append("master before")
        self.results, self.workers = [None] * self.n, set()

    def slaveBeforeWork(self):
        self.calls.append("slave before")

    def masterAfterWork(self):
        self.calls.append("master after")

    def slaveAfterWork(self):
        self.calls.append("slave after")

    def calcWorkResult(self, worknum):
        return worknum, self.pypar_id, np.full(worknum * 1000, worknum**2)

    def handleWorkResult(self, result, status):
        worknum, worker, squares = result
        assert status.source == worker
        assert self.results[worknum] is None
        self.results[worknum] = squares
        self.workers.add(worker)


def check_balancer(rank, ranks):
    for n in (0, 1, ranks - 1, ranks, 30):
        work = Squares(n)
        pp.PyparBalancer(work).run(finalRun=False)
        if rank == 0:
            assert [x.tolist() for x in work.results] == [[i * i] * (1000 * i) for i in range(n)]
            assert work.workers <= ({0} if ranks == 1 else set(range(1, ranks)))
            assert work.calls == ["master before", "master after"]
        else:
            assert work.calls == ["slave before", "slave after"]
    assert (work.pypar_id, work.pypar_numprocs, work.pypar_node) == (rank, ranks, pp.get_processor_name())


class NotTwiceTheSame(pp.PyparWork):
    """The first item ends only after all others, which so have to go to the other workers."""

    def getNumWorkItems(self):
        return 10

    def calcWorkResult(self, worknum):
        if worknum == 0:
            for _ in range(9):
                pp.receive(pp.any_source, tag=99)
        else:
            pp.send(worknum, self.first, tag=99)
        return worknum, self.pypar_id

    def masterBeforeWork(self):
        self.worker_of = {}

    def handleWorkResult(self, result, status):
        self.worker_of.update([result])


def check_balancer_keeps_nobody_waiting(rank, ranks):
    if ranks < 3:
        return
    work = NotTwiceTheSame()
    work.first = 1
    pp.PyparBalancer(work).run(finalRun=False)
    if rank == 0:
        assert sorted(work.worker_of) == list(range(10))
        assert [item for item, worker in work.worker_of.items() if worker == 1] == [0]


def check_work_that_is_incomplete(rank, ranks):
    with pytest.raises(NotImplementedError, match=r"PyparWork needs a method getNumWorkItems\(\)"):
        pp.PyparBalancer(pp.PyparWork())
    with pytest.raises(NotImplementedError, match="PyparWork needs a method calcWorkResult"):
        pp.PyparWork().calcWorkResult(0)


def check_map_reduce(rank, ranks):
    """Equal to the same on one rank, also where the order counts."""
    for items in ([], ["a"], [*"abcdefghij"] * 3):
        counting = pp.MPIMapReducer(items)
        counting.setMap(lambda item: "X" + item)
        counting.setReduce(lambda results: "".join(results))
        counting.runMapReduce()
        if rank == 0:
            assert counting.getResult() == "".join("X" + item for item in items)
        else:
            with pytest.raises(SystemExit) as ended:
                counting.getResult()
            assert ended.value.code == 0
    with pytest.raises(RuntimeError, match=r"call setMap\(function\) and setReduce\(function\) first"):
        pp.MPIMapReducer([1]).runMapReduce()


def check_shared_iterables(rank, ranks):
    for n in (0, 1, 7, 12):
        begin, end = pp.balance(n, ranks, rank)
        assert list(pp.distributed(list(range(n)))) == list(range(n))[begin:end]
        assert list(pp.distributed(i for i in range(n))) == list(range(n))[rank::ranks]
        assert list(pp.balanced(range(n))) == list(range(n))[rank::ranks]
        squares = pp.collected(i * i for i in pp.distributed(list(range(n))))
        assert list(squares) == ([i * i for i in range(n)] if rank == 0 else [])


def check_a_forked_process_does_not_end_the_job(rank, ranks):
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        raise RuntimeError("in the child alone")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def check_system_exit_in_a_thread(rank, ranks):
    """It ends the thread alone, as ever."""

    def ends():
        raise SystemExit(3)

    thread = threading.Thread(target=ends)
    thread.start()
    thread.join()
