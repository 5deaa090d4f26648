"""PyPar's message passing on mpi4py: ``import gilfree.pypar as pp`` runs PyPar programs on today's MPI and
Python.

    mpiexec -n 4 python ring.py

>>> import gilfree.pypar as pp
>>> if pp.rank() == 0:
...     pp.send("P0", destination=1)
...     print(pp.receive(source=pp.size() - 1))
... else:
...     pp.send(pp.receive(pp.rank() - 1) + f"P{pp.rank()}", (pp.rank() + 1) % pp.size())

Importing it initialises MPI: every process that mpiexec started must do so. docs/pypar.md has every call, and
what differs from PyPar."""

from gilfree.pypar.balancer import PyparBalancer, PyparWork, balance, mprint
from gilfree.pypar.buffered import (
    alloc,
    alloc_and_attach,
    attach,
    bsend,
    dealloc,
    detach,
    detach_and_dealloc,
    push_for_alloc,
)
from gilfree.pypar.collective import (
    BAND,
    BOR,
    BXOR,
    LAND,
    LOR,
    LXOR,
    MAX,
    MAXLOC,
    MIN,
    MINLOC,
    PROD,
    SUM,
    broadcast,
    gather,
    reduce,
    scatter,
)
from gilfree.pypar.functional import balanced, collected, distributed
from gilfree.pypar.job import (
    abort,
    barrier,
    finalize,
    get_processor_name,
    init,
    initialized,
    max_tag,
    rank,
    size,
    time,
)
from gilfree.pypar.mapreduce import MPIMapReducer
from gilfree.pypar.message import BufferMismatchError
from gilfree.pypar.point import Status, any_source, any_tag, default_tag, receive, send

# PyPar's old names.
Wtime = time
Get_processor_name = get_processor_name

__all__ = [
    "BAND",
    "BOR",
    "BXOR",
    "LAND",
    "LOR",
    "LXOR",
    "MAX",
    "MAXLOC",
    "MIN",
    "MINLOC",
    "PROD",
    "SUM",
    "BufferMismatchError",
    "Get_processor_name",
    "MPIMapReducer",
    "PyparBalancer",
    "PyparWork",
    "Status",
    "Wtime",
    "abort",
    "alloc",
    "alloc_and_attach",
    "any_source",
    "any_tag",
    "attach",
    "balance",
    "balanced",
    "barrier",
    "broadcast",
    "bsend",
    "collected",
    "dealloc",
    "default_tag",
    "detach",
    "detach_and_dealloc",
    "distributed",
    "finalize",
    "gather",
    "get_processor_name",
    "init",
    "initialized",
    "max_tag",
    "mprint",
    "push_for_alloc",
    "rank",
    "receive",
    "reduce",
    "scatter",
    "send",
    "size",
    "time",
]
