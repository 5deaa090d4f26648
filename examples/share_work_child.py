"""A child script: python share_work_child.py CHILDREN ITEMS, in a run with sync=True."""

import sys

from gilfree.scripts import sync

children, items = map(int, sys.argv[1:])
with sync.connect() as meeting:
    numbers = meeting.queue("numbers")
    squares = meeting.dict("squares")
    barrier = meeting.barrier("all here", parties=children)
    if barrier.wait() == 0:  # one of them, whichever
        for number in range(items):
            numbers.put(number)
    barrier.wait()
    for done, number in enumerate(numbers):  # an item is done when the next is asked for
        squares[str(number)] = number**2
        meeting.report(done, items)
    barrier.wait()
    print(f"{meeting.name} sees the sum of all squares: {sum(squares.values())}")
