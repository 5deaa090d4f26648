"""Eight children that raise one counter, 1,000 times each: nothing gets lost.

python examples/count_together.py
"""

from pathlib import Path

from gilfree import scripts

CHILDREN, TIMES = 8, 1000


def main() -> None:
    child = Path(__file__).with_name("count_together_child.py")
    results = scripts.run([[child, TIMES]] * CHILDREN, workers=CHILDREN, sync=True)
    print("the counter is at", max(int(result.stdout) for result in results))


if __name__ == "__main__":
    main()
