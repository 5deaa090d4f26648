"""Scatter and gather: rank 0 cuts an array into equal pieces, each rank works on its own, rank 0 joins them.

mpiexec -n 4 python examples/pypar/scatter_gather.py
"""

import numpy as np

import gilfree.pypar as pp

rank, size = pp.rank(), pp.size()

# Only the root's array counts; the other ranks need none.
whole = np.arange(24.0).reshape(12, 2) if rank == 0 else None
piece = pp.scatter(whole, root=0)
print(f"rank {rank} of {size} has rows {piece[0, 0] / 2:.0f} to {piece[-1, 0] / 2:.0f}", flush=True)

squares = pp.gather(piece**2, root=0)

if rank == 0:
    assert np.array_equal(squares, whole**2)
    print(f"the sum of all squares is {squares.sum():.0f}")

pp.finalize()
