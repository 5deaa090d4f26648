"""Children that take their work from one queue, and meet at a barrier before and after it.

python examples/share_work.py
"""

from pathlib import Path

from gilfree import scripts

CHILDREN, ITEMS = 4, 40


def main() -> None:
    child = Path(__file__).with_name("share_work_child.py")
    commands = [scripts.Script(child, CHILDREN, ITEMS, name=f"child {number}") for number in range(CHILDREN)]
    for result in scripts.run(commands, workers=CHILDREN, sync=True):
        print(result.stdout, end="")


if __name__ == "__main__":
    main()
