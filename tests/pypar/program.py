"""Runs the checks of one module in every rank of a job: mpiexec -n 4 python program.py MODULE FOLDER

A check is a function check_NAME(rank, ranks), called by every rank, one check after the other. Each rank
writes the names of those that passed to FOLDER/RANK. A check that fails ends the job: others may be waiting.
"""

import importlib
import sys
import warnings
from pathlib import Path

import gilfree.pypar as pp


def main(module, folder):
    warnings.simplefilter("error")
    checks = importlib.import_module(module)
    with (Path(folder) / str(pp.rank())).open("w") as passed:
        for name in names(checks):
            getattr(checks, name)(pp.rank(), pp.size())
            pp.barrier()
            print(name, file=passed, flush=True)


def names(module):
    return [name for name in vars(module) if name.startswith("check_")]


if __name__ == "__main__":
    main(*sys.argv[1:])
