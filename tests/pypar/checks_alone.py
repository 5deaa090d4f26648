"""A job of one rank."""

import numpy as np
import pytest

import gilfree.pypar as pp


def check_nobody_to_talk_to(rank, ranks):
    assert (rank, ranks) == (0, 1)
    start_more = r"\(this job has one: start it with 'mpiexec -n 4 python PROGRAM'\)"
    with pytest.raises(ValueError, match=f"destination is 0, this rank itself, .*another rank {start_more}"):
        pp.send("x", 0)
    with pytest.raises(ValueError, match=f"source is 0, this rank itself, .*another rank {start_more}"):
        pp.receive(0)
    with pytest.raises(ValueError, match=f"source is any_source, and there is no other rank {start_more}"):
        pp.receive(pp.any_source)
    with pytest.raises(ValueError, match="destination is 1; accepted: a rank, from 0 to 0"):
        pp.send("x", 1)


def check_collective_calls(rank, ranks):
    x = np.arange(6.0).reshape(3, 2)
    assert pp.broadcast(x) is x
    for call in (pp.scatter, pp.gather, lambda x: pp.reduce(x, pp.SUM)):
        made = call(x)
        assert np.array_equal(made, x)
        assert not np.shares_memory(made, x)
    assert pp.scatter("word") == pp.gather("word") == "word"
    pp.barrier()
