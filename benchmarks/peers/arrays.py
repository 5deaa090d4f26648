"""arrays - the kernels in NumPy, without temporary arrays where NumPy can do without."""

import numpy as np

from .pools import threads, workers


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


def mean_var(x):
    return x.mean(), x.var()


def minmax(x):
    return x.min(), x.max()


# The same on threads, an equal part of the arrays each: NumPy releases the GIL.


def parts(arrays):
    return [np.array_split(array, workers()) for array in arrays]


def sum_on_threads(*arrays):
    split = parts(arrays)
    return lambda: sum(threads().map(np.sum, *split))


def dot_on_threads(*arrays):
    split = parts(arrays)
    return lambda: sum(threads().map(np.dot, *split))


def minmax_on_threads(*arrays):
    split = parts(arrays)

    def call():
        least, greatest = zip(*threads().map(minmax, *split), strict=True)
        return min(least), max(greatest)

    return call


def mean_var_on_threads(*arrays):
    split = parts(arrays)
    weights = [part.size / sum(part.size for part in split[0]) for part in split[0]]

    def call():
        pairs = list(zip(weights, threads().map(mean_var, *split), strict=True))
        whole = sum(weight * mean for weight, (mean, _) in pairs)
        return whole, sum(weight * (var + (mean - whole) ** 2) for weight, (mean, var) in pairs)

    return call
