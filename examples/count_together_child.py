"""A child script: python count_together_child.py TIMES, in a run with sync=True."""

import sys

from gilfree.scripts import sync

with sync.connect() as meeting:
    counter = meeting.counter("raised")
    for _ in range(int(sys.argv[1])):
        value = counter.add()
    print(value)
