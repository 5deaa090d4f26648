"""Ranks with threads: each rank computes its share with parallel_map, on the cores that it is bound to.

mpiexec -n 2 -bind-to core:4 python examples/pypar/threads.py      MPICH: four cores a rank
mpiexec -n 2 --map-by slot:PE=4 python examples/pypar/threads.py   Open MPI

A rank that is bound has as many workers as cores of its own; ranks that are not bound have all of the
machine's each, and get into each other's way.
"""

import array

import gilfree
import gilfree.pypar as pp
from gilfree import kernels

rank, size = pp.rank(), pp.size()
print(f"rank {rank} of {size} has {gilfree.cpu_count()} CPUs", flush=True)

begin, end = pp.balance(1_000_000, size, rank)
steps = gilfree.parallel_map(kernels.collatz, array.array("q", range(begin + 1, end + 1)))

longest = max(range(len(steps)), key=steps.__getitem__)
best = pp.gather(array.array("q", [steps[longest], begin + 1 + longest]))
if rank == 0:
    most, number = max(zip(best[::2], best[1::2], strict=True), key=lambda pair: (pair[0], -pair[1]))
    print(f"below a million, {number} takes the most steps to 1: {most}")

pp.finalize()
