"""Map-reduce: how often each word occurs in some files. Each is counted on the next free rank, then added up.

mpiexec -n 4 python examples/pypar/word_count.py FILE ...
"""

import re
import sys
from collections import Counter
from pathlib import Path

import gilfree.pypar as pp


def count_words(path):
    return Counter(re.findall(r"\w+", Path(path).read_text(encoding="utf-8").lower()))


def add_up(counts):
    return sum(counts, Counter())


counting = pp.MPIMapReducer(sys.argv[1:] or [__file__])
counting.setMap(count_words)
counting.setReduce(add_up)
counting.runMapReduce()

words = counting.getResult()  # only rank 0 goes on from here
for word, count in sorted(words.items(), key=lambda item: (-item[1], item[0]))[:10]:
    print(f"{count:6} {word}")
