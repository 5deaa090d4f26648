"""Pass the parcel: each rank appends its name to the message and passes it on; rank 0 prints the whole path.

mpiexec -n 4 python examples/pypar/ring.py
"""

import gilfree.pypar as pp

rank, size, node = pp.rank(), pp.size(), pp.get_processor_name()
print(f"I am rank {rank} of {size} on node {node}", flush=True)

left, right = (rank - 1) % size, (rank + 1) % size
if rank == 0:
    message = "P0"
    if size > 1:
        pp.send(message, destination=right)
        message = pp.receive(source=left)
    print(f'Rank 0 received "{message}" from rank {left}')
else:
    message = pp.receive(source=left)
    pp.send(message + f"P{rank}", destination=right)

pp.finalize()
