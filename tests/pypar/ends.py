"""Rank 1 ends with the status that is given: mpiexec -n 2 python ends.py STATUS"""

import sys

import gilfree.pypar as pp

status = int(sys.argv[1])
if pp.rank() == 1:
    sys.exit(status)
if status:
    pp.receive(1)
