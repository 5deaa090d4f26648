"""Pi by slices: each rank sums its part of the integral of 4 / (1 + x^2) from 0 to 1, reduce adds them.

mpiexec -n 4 python examples/pypar/pi.py [SLICES]
"""

import math
import sys

import numpy as np

import gilfree.pypar as pp

slices = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
begin, end = pp.balance(slices, pp.size(), pp.rank())

middles = (np.arange(begin, end) + 0.5) / slices
part = np.array([np.sum(4 / (1 + middles**2)) / slices])
pi = pp.reduce(part, pp.SUM, root=0)

if pp.rank() == 0:
    print(f"pi is about {pi[0]:.12f}, wrong by {abs(pi[0] - math.pi):.1e}")

pp.finalize()
