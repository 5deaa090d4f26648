"""Five children of one script, side by side: their lines as they come, then what became of each.

python examples/five_children.py [SECONDS]
"""

import sys
from pathlib import Path

from gilfree import scripts

NAMES = ["Ada", "Blaise", "Charles", "Donald", "Edsger"]


def main(seconds: float = 0.5) -> None:
    child = Path(__file__).with_name("work.py")
    commands = [scripts.Script(child, name, seconds, name=name) for name in NAMES]
    for result in scripts.run(commands, workers=5, output="stream"):
        print(f"{NAMES[result.index]}: exit code {result.returncode}, {result.attempts} attempt")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
