"""Master and workers: the Mandelbrot set, row by row. Rows in the set take long and rows beside it do not, so
rank 0 gives each worker a new row when it has done its last one.

mpiexec -n 4 python examples/pypar/mandelbrot.py [ROWS]
"""

import sys

import numpy as np

import gilfree.pypar as pp


class Mandelbrot(pp.PyparWork):
    def __init__(self, rows, columns, steps):
        self.y = np.linspace(-1.25, 1.25, rows)
        self.x = np.linspace(-2, 0.5, columns)
        self.steps = steps

    def getNumWorkItems(self):
        return len(self.y)

    def calcWorkResult(self, row):
        """For each point of a row, after how many steps it has left the circle of radius 2."""
        c = self.x + 1j * self.y[row]
        z, steps = np.zeros_like(c), np.full(len(c), self.steps)
        for step in range(self.steps):
            z = z * z + c
            left = (abs(z) > 2) & (steps == self.steps)
            steps[left], z[abs(z) > 2], c[abs(z) > 2] = step, 0, 0
        return row, pp.rank(), steps

    def masterBeforeWork(self):
        self.image = np.zeros((len(self.y), len(self.x)), int)
        self.rows_of = {}

    def handleWorkResult(self, result, status):
        row, worker, self.image[row] = result
        self.rows_of[worker] = self.rows_of.get(worker, 0) + 1


rows = int(sys.argv[1]) if len(sys.argv) > 1 else 24
work = Mandelbrot(rows, 72, 200)
pp.PyparBalancer(work).run()

# Only rank 0 comes here.
for line in work.image:
    print("".join(" .:-=+*#%@"[min(9, int(np.log2(steps + 1)))] for steps in line))
print("rows by rank:", dict(sorted(work.rows_of.items())))
