"""arrays - the kernels in NumPy, without temporary arrays where NumPy can do without."""

import numpy as np


def polynomial(x, out):
    np.multiply(x, 1 / 6, out=out)
    np.add(out, 0.5, out=out)
    np.multiply(out, x, out=out)
    np.add(out, 1, out=out)
    np.multiply(out, x, out=out)
    np.add(out, 1, out=out)


def collatz(x, out):
    out.fill(0)
    places = np.flatnonzero(x != 1)
    n = x[places]
    while places.size:
        out[places] += 1
        n = np.where(n & 1, 3 * n + 1, n >> 1)
        unfinished = n != 1
        places, n = places[unfinished], n[unfinished]
