"""The built-in kernels: C functions over numbers and arrays, which run without the GIL.

A kernel is called with numbers (``kernels.fib(38)``), with buffers (``kernels.collatz(array)``, on all
workers, items side by side), or by ``gilfree.parallel_map(kernels.fib, iterable)``. Which kernels there
are, and what each takes, is written once, in the tables of rows at the ends of csrc/kernels/*.c.
"""

import builtins

from gilfree import _core

globals().update({kernel.__name__: kernel for kernel in _core.kernels})

# ``from gilfree.kernels import *`` must not replace the likes of sum and min.
__all__ = [kernel.__name__ for kernel in _core.kernels if not hasattr(builtins, kernel.__name__)]
