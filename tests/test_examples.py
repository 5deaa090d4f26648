"""The programs in examples/ do what they say."""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import gilfree

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name, *arguments):
    ended = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *arguments],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(gilfree.__file__).parents[1]), "PATH": os.environ["PATH"]},
    )
    lines = [line for line in ended.stderr.splitlines() if "uses fakeredis" not in line]
    assert (ended.returncode, lines) == (0, [])
    return ended.stdout.splitlines()


def test_five_children():
    lines = example("five_children.py", "0.01")
    names = ["Ada", "Blaise", "Charles", "Donald", "Edsger"]
    assert lines[-5:] == [f"{name}: exit code 0, 1 attempt" for name in names]
    for name in names:
        said = [line.partition("\t")[2] for line in lines if line.startswith(f"{name}\t")]
        assert said == [
            f"{name}: starting work",
            f"{name}: work work work work work",
            f"{name}: done working",
        ]
    assert len(lines) == 20


def test_children_fetch_pages_into_one_database(tmp_path):
    lines = example("fetch_pages.py", tmp_path / "pages.sqlite")
    assert lines == [f"child {number}: exit code 0: 5 pages" for number in range(4)] + ["20 this is page 0"]
    with closing(sqlite3.connect(tmp_path / "pages.sqlite")) as database:
        rows = database.execute("SELECT url, body FROM pages").fetchall()
    numbers = {int(re.fullmatch(r"http://127\.0\.0\.1:\d+/(\d+)", url)[1]): body for url, body in rows}
    assert numbers == {number: f"this is page {number}" for number in range(20)}


def test_children_share_work_and_meet(kind):
    total = sum(number**2 for number in range(40))
    assert example("share_work.py") == [
        f"child {number} sees the sum of all squares: {total}" for number in range(4)
    ]


def test_children_count_together(kind):
    assert example("count_together.py") == ["the counter is at 8000"]
