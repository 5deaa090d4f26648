"""PyPar's calls under mpiexec: one job for each module of checks and number of ranks, one test each.

A job has as many ranks as it says, on however many CPUs there are.
"""

import functools
import json
import math
import os
import re
from pathlib import Path

import pytest
from mpi_jobs import FOLDER, ROOT, launch

# ---- checks -----------------------------------------------------------------------------------------

RANKS = {
    "checks_point": (2, 3, 4),
    "checks_collective": (2, 3, 4),
    "checks_programs": (1, 2, 3, 4),
    "checks_alone": (1,),
}
JOBS = [(module, ranks) for module in RANKS for ranks in RANKS[module]]


def checks(module):
    text = (FOLDER / f"{module}.py").read_text()
    return [line.split()[1].partition("(")[0] for line in text.splitlines() if line.startswith("def check_")]


@functools.cache
def passed(module, ranks, folder):
    """The checks that passed on every rank, and the job's last words."""
    folder.mkdir()
    code, output, errors = launch(ranks, FOLDER / "program.py", module, folder)
    logs = [folder / str(rank) for rank in range(ranks)]
    each = [set(log.read_text().split()) if log.exists() else set() for log in logs]
    return set.intersection(*each), (code, output[-2000:], errors[-6000:])


@pytest.fixture(scope="session")
def jobs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    return lambda module, ranks: passed(module, ranks, folder / f"{module}-{ranks}")


@pytest.mark.parametrize(
    ("module", "ranks", "check"),
    [(module, ranks, check) for module, ranks in JOBS for check in checks(module)],
    ids=lambda value: str(value).removeprefix("check_").removeprefix("checks_"),
)
def test_check(jobs, module, ranks, check):
    names, words = jobs(module, ranks)
    assert check in names, words


@pytest.mark.parametrize(("module", "ranks"), JOBS)
def test_the_job_ends_well(jobs, module, ranks):
    names, words = jobs(module, ranks)
    assert words == (0, "", "")
    assert sorted(names) == sorted(checks(module))


# ---- how a rank ends --------------------------------------------------------------------------------


def program(body):
    return "import sys, threading\nimport gilfree.pypar as pp\nrank, ranks = pp.rank(), pp.size()\n" + body


# The others wait for a message that never comes: the job ends because it is aborted.
WAIT = "\nif rank != 1: pp.receive(1)"
NAMED = "rank 1 of {ranks} on node "
FAILURES = {
    "exception": (
        "if rank == 1: 1 / 0" + WAIT,
        1,
        [NAMED, "Traceback", "ZeroDivisionError: division by zero"],
    ),
    "exception in a thread": (
        "if rank == 1: threading.Thread(target=lambda: 1 / 0).start()\npp.receive(0 if rank else 1)",
        1,
        ["a thread of " + NAMED, "Traceback", "ZeroDivisionError: division by zero"],
    ),
    "interrupt": ("if rank == 1: raise KeyboardInterrupt" + WAIT, 1, [NAMED, "KeyboardInterrupt"]),
    "exit status": (
        "if rank == 1: sys.exit(3)" + WAIT,
        3,
        [NAMED, "ended with sys.exit(3), and the job with it"],
    ),
    "exit with words": (
        "if rank == 1: sys.exit('bye')" + WAIT,
        1,
        [NAMED, "bye\n", "ended with sys.exit('bye')"],
    ),
    "exit in a finally": (
        "if rank == 1:\n try: sys.exit(5)\n finally: pass" + WAIT,
        5,
        [NAMED, "ended with sys.exit(5), and the job with it"],
    ),
    "exit from a function": (
        "def end(): sys.exit(6)\nif rank == 1: end()" + WAIT,
        6,
        [NAMED, "ended with sys.exit(6)"],
    ),
    "SystemExit raised": (
        "pp.job.PATIENCE = 0.1\nif rank == 1: raise SystemExit(7)" + WAIT,
        1,
        [
            NAMED,
            "ended by SystemExit, whose status is not known",
            "not ended within 0.1 s. They may be waiting",
        ],
    ),
    "exception after another hook": (
        "sys.excepthook = sys.__excepthook__\nif rank == 1: 1 / 0" + WAIT,
        1,
        [NAMED, "Traceback", "ZeroDivisionError", "ended with an exception, and the job with it"],
    ),
    "abort": ("if rank == 1: pp.abort()" + WAIT, 1, []),
    "abort with a status": ("if rank == 1: pp.abort(8)" + WAIT, 8, []),
    "work that fails": (
        """class Work(pp.PyparWork):
    def getNumWorkItems(self): return 9
    def calcWorkResult(self, worknum): return 1 / (worknum - 5)
pp.PyparBalancer(Work()).run()""",
        1,
        ["ended with an exception, and the job with it", "Traceback", "ZeroDivisionError"],
    ),
}


@pytest.mark.parametrize(("body", "status", "words"), FAILURES.values(), ids=FAILURES)
def test_a_rank_that_fails_ends_the_job(body, status, words):
    for first in ("", "from mpi4py import MPI\n"):
        code, output, errors = launch(2, "-c", first + program(body))
        assert code == status, errors
        assert output == ""
        for word in words:
            assert word.format(ranks=2) in errors


@pytest.mark.parametrize("arguments", [["-m", "ends"], [FOLDER / "ends.py"]], ids=["module", "script"])
def test_a_module_and_a_script_that_fail(arguments):
    code, _, errors = launch(3, *arguments, 4)
    assert code == 4
    assert "rank 1 of 3 on node " in errors
    assert launch(3, *arguments, 0) == (0, "", "")


def test_what_was_printed_before_is_not_lost():
    body = "if rank == 1: print('x' * 50_000 + 'end'); 1 / 0" + WAIT
    code, output, _ = launch(2, "-c", program(body))
    assert code == 1
    assert output == "x" * 50_000 + "end\n"


ENDINGS = {
    "forgotten finalize": "",
    "finalize": "pp.finalize()",
    "finalize twice": "pp.finalize(); pp.finalize()",
    "exit after finalize": "pp.finalize(); sys.exit(0)",
    "exit 0": "if rank: sys.exit(0)",
    "exit": "sys.exit()",
    "SystemExit raised": "if rank: raise SystemExit(0)",
    "SystemExit raised by all": "raise SystemExit",
    "exit caught": "try: sys.exit(3)\nexcept SystemExit: pass",
    "exit caught in a function": "def f():\n try: sys.exit(3)\n except SystemExit: pass\nf()",
    "memory for bsend left attached": (
        "pp.push_for_alloc(1); pp.alloc_and_attach(); pp.bsend(1, 1 - rank); assert pp.receive(1 - rank) == 1"
    ),
    "after finalize, no call aborts": """pp.finalize()
for call in (
    lambda: pp.send(1, 1 - rank), lambda: pp.receive(1 - rank), lambda: pp.send(b"", 1 - rank, bypass=True),
    pp.barrier, pp.init, pp.time, lambda: (pp.alloc(100), pp.attach()), lambda: pp.broadcast(1),
    lambda: pp.gather("x"), lambda: pp.scatter("xy"), lambda: pp.reduce(b"x", pp.SUM),
):
    try: call()
    except RuntimeError as error: assert "MPI was finalized in this process" in str(error)
    else: raise AssertionError
assert pp.initialized() and pp.rank() == rank and pp.size() == ranks
assert pp.get_processor_name()""",
}


@pytest.mark.parametrize("body", ENDINGS.values(), ids=ENDINGS)
def test_a_program_that_ends_well(body):
    code, output, errors = launch(2, "-W", "error", "-c", program("print('begun')\n" + body))
    assert (code, errors) == (0, "")
    assert output.count("begun") == 2


def test_one_rank_ends_like_any_program(run):
    ended = run("import sys, gilfree.pypar\nassert sys.excepthook is sys.__excepthook__\n1 / 0", code=1)
    assert ended.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "gilfree.pypar:" not in ended.stderr
    run("import sys, gilfree.pypar\nsys.exit(4)", code=4)


# ---- the examples -----------------------------------------------------------------------------------


def example(name, ranks, *arguments, launcher=()):
    code, output, errors = launch(
        ranks, ROOT / "examples" / "pypar" / f"{name}.py", *arguments, launcher=launcher
    )
    assert (code, errors) == (0, "")
    return output


@pytest.fixture(params=[1, 2, 3, 4])
def ranks(request):
    return request.param


def test_ring(ranks):
    lines = sorted(example("ring", ranks).splitlines())
    for rank, line in enumerate(lines[:-1]):
        assert re.fullmatch(rf"I am rank {rank} of {ranks} on node \S+", line)
    path = "".join(f"P{rank}" for rank in range(ranks))
    assert lines[-1] == f'Rank 0 received "{path}" from rank {ranks - 1}'
    assert len(lines) == ranks + 1


def test_pi(ranks):
    found = re.fullmatch(r"pi is about (\S+), wrong by \S+\n", example("pi", ranks, 100_001))
    assert abs(float(found[1]) - math.pi) < 1e-10


def test_scatter_gather(ranks):
    lines = sorted(example("scatter_gather", ranks).splitlines())
    each = 12 // ranks
    assert lines == [
        *(
            f"rank {rank} of {ranks} has rows {each * rank} to {each * rank + each - 1}"
            for rank in range(ranks)
        ),
        f"the sum of all squares is {sum(i * i for i in range(24))}",
    ]


def test_mandelbrot(ranks):
    *image, rows = example("mandelbrot", ranks, 21).splitlines()
    assert image == MANDELBROT.splitlines()
    counts = json.loads(
        rows.removeprefix("rows by rank: ").replace("{", '{"').replace(":", '":').replace(", ", ', "')
    )
    assert sum(counts.values()) == 21
    assert {int(rank) for rank in counts} <= (set(range(1, ranks)) or {0})


MANDELBROT = """\
             ...........................................................
          ..................................::::::::::::::::............
        ..............................::::::::::::::-=-=-::::::::.......
      ...........................::::::::::::::::-=--##=--::::::::::....
     ........................:::::::::::::::::::--*#####++-::::::::::::.
   ......................::::::::::::::-++++--+*###########+#=-----=-:::
  .................::::::::::::::::::----=########################=-::::
  ........:::::::::::=--::----::::---+=############################===-:
 ...:::::::::::::::::--=##+*##*#=---+###############################--::
 :::::::::::::::-=---=+############=################################-:::
################################################################+---::::
 :::::::::::::::-=---=+############=################################-:::
 ...:::::::::::::::::--=##+*##*#=---+###############################--::
  ........:::::::::::=--::----::::---+=############################===-:
  .................::::::::::::::::::----=########################=-::::
   ......................::::::::::::::-++++--+*###########+#=-----=-:::
     ........................:::::::::::::::::::--*#####++-::::::::::::.
      ...........................::::::::::::::::-=--##=--::::::::::....
        ..............................::::::::::::::-=-=-::::::::.......
          ..................................::::::::::::::::............
             ...........................................................
"""


def test_word_count(ranks, tmp_path):
    paths = [tmp_path / str(i) for i in range(7)]
    for i, path in enumerate(paths):
        path.write_text("fish " * i + "One, two, fish!")
    assert example("word_count", ranks, *paths) == "    28 fish\n     7 one\n     7 two\n"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_ranks_have_the_cores_that_they_are_bound_to():
    """Two ranks share the machine, each with one CPU of its own."""
    lines = sorted(example("threads", 2, launcher=["-bind-to", "core"]).splitlines())
    assert lines == [
        "below a million, 837799 takes the most steps to 1: 524",
        "rank 0 of 2 has 1 CPUs",
        "rank 1 of 2 has 1 CPUs",
    ]


def test_every_example_is_tested():
    names = {path.stem for path in (ROOT / "examples" / "pypar").glob("*.py")}
    assert names == set(re.findall(r'example\("(\w+)"', Path(__file__).read_text()))


# ---- importing, and what there is -------------------------------------------------------------------


def test_gilfree_does_not_load_it(run):
    run("import gilfree, sys; assert not {'mpi4py', 'mpi4py.MPI', 'gilfree.pypar'} & set(sys.modules)")


def test_without_numpy(run):
    run(
        """
        import sys
        import gilfree.pypar as pp
        assert "numpy" not in sys.modules
        import array
        assert pp.gather(array.array("d", [1.5])) == array.array("d", [1.5])
        assert pp.reduce(array.array("d", [1.5]), pp.SUM) == array.array("d", [1.5])
        assert pp.scatter("word") == "word"
        assert "numpy" not in sys.modules
        """
    )


def test_without_mpi4py(run):
    ended = run("import sys; sys.modules['mpi4py'] = None; import gilfree.pypar", code=1)
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(
        "ImportError: gilfree.pypar stands on mpi4py and an MPI library, and can't load them: "
    )
    assert "python -m pip install gilfree[mpi]" in last


def test_without_an_mpi_library(run):
    ended = run("import gilfree.pypar", code=1, env={"MPI4PY_LIBMPI": "/nowhere/libmpi.so"})
    last = ended.stderr.splitlines()[-1]
    assert "/nowhere/libmpi.so: cannot open shared object file" in ended.stderr
    assert "MPI4PY_LIBMPI=/path/to/libmpi.so" in last


def test_a_launcher_of_another_mpi_is_noticed(run):
    """By mpi4py. Its processes would each be rank 0 of 1."""
    ended = run("import gilfree.pypar", code=1, env={"OMPI_COMM_WORLD_SIZE": "4"})
    assert "RuntimeWarning: suspicious MPI execution environment" in ended.stderr


def test_after_mpi4py_was_finalized(run):
    ended = run("from mpi4py import MPI\nMPI.Finalize()\nimport gilfree.pypar", code=1)
    assert "ImportError: MPI was finalized in this process" in ended.stderr


def test_beside_mpi4py(run):
    run(
        """
        from mpi4py import MPI
        import gilfree.pypar as pp
        assert (MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size) == (pp.rank(), pp.size())
        """
    )
    run(
        """
        import mpi4py
        mpi4py.rc.initialize = False
        from mpi4py import MPI
        import gilfree.pypar as pp
        pp.barrier()
        """
    )


def test_the_gil_stays_as_it_was(run):
    run(
        """
        import sys
        is_enabled = getattr(sys, "_is_gil_enabled", bool)
        before = is_enabled()
        import gilfree.pypar
        assert is_enabled() == before
        """
    )


def test_star_import(run):
    run("from gilfree.pypar import *\nassert size() == 1 and SUM == 3 and balance(4, 2, 1) == (2, 4)")


NAMES = """
    size rank get_processor_name time barrier abort finalize init initialized Wtime Get_processor_name
    send receive broadcast scatter gather reduce
    SUM MAX MIN PROD LAND BAND LOR BOR LXOR BXOR MAXLOC MINLOC
    bsend push_for_alloc alloc dealloc attach detach alloc_and_attach detach_and_dealloc
    balance Status any_source any_tag max_tag default_tag
    PyparWork PyparBalancer mprint MPIMapReducer distributed collected balanced
"""


def test_the_names_of_pypar(run):
    names = {*NAMES.split(), "BufferMismatchError"}
    run(f"import gilfree.pypar as pp; assert set(pp.__all__) == {names!r}")


def test_info_names_the_mpi(run):
    script = """
        import json, sys
        from gilfree.facts import mpi
        print(json.dumps(mpi()))
        assert "mpi4py" not in sys.modules
    """
    facts = json.loads(run(script).stdout)
    assert re.fullmatch(r"(MPICH|Open MPI|Intel MPI)( [\d.]+)", facts["library"])
    assert Path(facts["file"]).name.startswith("libmpi")
    assert facts["mpi4py"]
    none = json.loads(run(script, env={"MPI4PY_LIBMPI": "/nowhere/libmpi.so"}).stdout)
    assert none["library"] is None
    assert "'python -m pip install gilfree[mpi]' installs mpi4py and MPICH" in none["why"]
