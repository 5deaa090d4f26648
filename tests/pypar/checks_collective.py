"""broadcast, scatter, gather, reduce, barrier."""

import array
import functools
import warnings

import numpy as np
import pytest
from values import LONG, NUMERIC, OBJECTS, SHAPES, filled, same

import gilfree.pypar as pp

# ---- broadcast --------------------------------------------------------------------------------------


def check_broadcast_of_every_kind(rank, ranks):
    for i, (name, x) in enumerate(OBJECTS.items()):
        root = i % ranks
        came = pp.broadcast(x if rank == root else None, root)
        assert same(came, x), name
        assert came is x or rank != root, name


def check_broadcast_into_buffers(rank, ranks):
    for dtype in NUMERIC:
        for shape in [*SHAPES, (LONG,)]:
            x = filled(shape, dtype)
            buffer = x if rank == 1 else np.zeros(shape, dtype)
            assert pp.broadcast(buffer, 1) is buffer
            assert same(buffer, x)
    words = pp.broadcast(f"test{rank}" * 9, 1)
    assert words == "test1" * 9
    assert pp.broadcast({rank: [np.zeros(rank)]}, 0).keys() == {0}
    array_of_root = pp.broadcast(np.full(3, rank), 0, vanilla=True)
    assert array_of_root.tolist() == [0, 0, 0]


def check_broadcast_bypassing(rank, ranks):
    x = np.arange(9.0) if rank == 0 else np.zeros(9)
    assert pp.broadcast(x, bypass=True) is x
    assert x.tolist() == list(range(9))


def check_broadcast_into_what_does_not_fit(rank, ranks):
    for n in (5, LONG):
        x = np.arange(n)
        if rank == 0:
            pp.broadcast(x)
        else:
            with pytest.raises(pp.BufferMismatchError, match=f"has {n - 1} elements, and {n} came") as caught:
                pp.broadcast(np.zeros(n - 1, x.dtype))
            assert same(caught.value.received, x)
    assert pp.broadcast(rank, ranks - 1) == ranks - 1


def check_broadcast_of_what_cannot_be_sent(rank, ranks):
    """All ranks fail, and none waits."""
    kind = (AttributeError, TypeError, pp.message.pickle.PicklingError) if rank == 1 else RuntimeError
    with pytest.raises(kind) as caught:
        pp.broadcast(lambda: 0, 1)
    if rank != 1:
        assert str(caught.value).startswith("broadcast: rank 1, the root, failed: ")
    assert pp.broadcast(rank, 0) == 0


# ---- scatter ----------------------------------------------------------------------------------------


def shares(x, ranks):
    each = len(x) // ranks
    return [x[each * rank : each * (rank + 1)] for rank in range(ranks)]


def check_scatter(rank, ranks):
    for i, dtype in enumerate(NUMERIC):
        root = i % ranks
        for shape in [(4,), (0,), (3, 2), (2, 3, 2), (1, 2, 1, 2), (1, 1, 2, 2, 2), (LONG,)]:
            whole = filled((shape[0] * ranks, *shape[1:]), dtype)
            share = shares(whole, ranks)[rank]
            # The other ranks may give anything, as long as PyPar's programs give an array of that shape.
            for x in (whole, np.asfortranarray(whole), np.repeat(whole, 2, 0)[::2]):
                made = pp.scatter(x if rank == root else None, root)
                assert same(np.ascontiguousarray(made), np.ascontiguousarray(share))
                assert made.flags.c_contiguous
                assert made.flags.writeable
            buffer = np.zeros(share.shape, dtype)
            assert pp.scatter(whole if rank == root else np.empty_like(whole), root, buffer=buffer) is buffer
            assert np.array_equal(buffer, share)


def check_scatter_of_strings(rank, ranks):
    for whole in ("ABCDEFGHIJKL", "äöü\N{SNOWMAN}\N{MATHEMATICAL BOLD CAPITAL A}x" * 2, "", "ab" * LONG * 12):
        assert pp.scatter(whole, 0) == shares(whole, ranks)[rank]
        assert (
            pp.scatter(whole if rank == 1 else "", 1, buffer=" " * len(whole)) == shares(whole, ranks)[rank]
        )
    assert pp.scatter(b"ABCDEFGHIJKL", 0) == shares(b"ABCDEFGHIJKL", ranks)[rank]
    came = pp.scatter(array.array("d", range(12)), 0)
    assert same(came, shares(array.array("d", range(12)), ranks)[rank])


def check_scatter_of_what_does_not_divide(rank, ranks):
    n = 3 * ranks + 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        share = pp.scatter(np.arange(n), 0)
    assert share.tolist() == [3 * rank, 3 * rank + 1, 3 * rank + 2]
    words = [str(warning.message) for warning in caught]
    if rank == 0:
        assert words[0].startswith(
            f"scatter: {n} items don't divide among {ranks} ranks: the last 1 are sent to"
        )
        assert caught[0].filename == __file__
    else:
        assert words == []


def check_scatter_of_what_cannot_be_cut(rank, ranks):
    """Every rank says so, whatever it gave itself."""
    for x, words in (
        ([1, 2, 3, 4], "type list"),
        (np.array(1.5), "type ndarray with shape ()"),
        (7, "type int"),
    ):
        with pytest.raises(TypeError) as caught:
            pp.scatter(x if rank == 0 else np.zeros(12), 0)
        assert f"scatter: the root's x is of {words}; accepted: an array with at least one axis" in str(
            caught.value
        )
    assert pp.broadcast(rank, 0) == 0


def check_scatter_into_what_does_not_fit(rank, ranks):
    """Only the rank with the wrong buffer fails."""
    whole = np.arange(4.0 * ranks)
    if rank == 1:
        for buffer, words in (
            (np.zeros(3), "has 3 elements, and 4 came"),
            (np.zeros(4, "f"), "can't hold what came"),
        ):
            with pytest.raises(pp.BufferMismatchError, match=words) as caught:
                pp.scatter(whole, 0, buffer=buffer)
            assert caught.value.received.tolist() == [4, 5, 6, 7]
    else:
        for _ in range(2):
            pp.scatter(whole, 0)


# ---- gather -----------------------------------------------------------------------------------------


def check_gather(rank, ranks):
    for i, dtype in enumerate(NUMERIC):
        root = i % ranks
        for shape in [(4,), (0,), (3, 2), (2, 3, 2), (1, 2, 1, 2), (1, 1, 2, 2, 2), (LONG,)]:
            parts = [filled(shape, dtype, start=number) for number in range(ranks)]
            whole = np.concatenate(parts)
            made = pp.gather(np.asfortranarray(parts[rank]), root)
            assert same(made, whole if rank == root else np.zeros_like(whole))
            buffer = np.zeros(whole.shape, dtype)
            assert pp.gather(parts[rank], root, buffer=buffer) is buffer
            assert same(buffer, whole if rank == root else np.zeros_like(whole))


def check_gather_of_unequal_parts(rank, ranks):
    parts = [filled((number, 3), "i", start=number) for number in range(ranks)]
    assert pp.gather(parts[rank], 1).tolist() == (np.concatenate(parts) * (rank == 1)).tolist()
    assert pp.gather(np.array(float(rank))).tolist() == [number * (rank == 0) for number in range(ranks)]


def check_gather_of_strings(rank, ranks):
    for part in (
        lambda number: f"AB{number}",
        lambda number: "ä\N{SNOWMAN}"[:number] * 2,
        lambda number: "ab" * LONG,
    ):
        whole = "".join(map(part, range(ranks)))
        made = pp.gather(part(rank), 0)
        assert made == whole if rank == 0 else set(made) <= {" "}
        assert pp.gather(part(rank), 0, buffer=" " * len(whole)) == (whole if rank == 0 else " " * len(whole))
    assert pp.gather(b"x" * rank, ranks - 1) == (b"x" if rank == ranks - 1 else b" ") * (
        ranks * (ranks - 1) // 2
    )
    made = pp.gather(array.array("h", [rank]), 0)
    assert same(made, array.array("h", range(ranks) if rank == 0 else [0] * ranks))


def check_gather_of_what_cannot_be_joined(rank, ranks):
    """Every rank says which one is to blame."""
    good = np.zeros((2, 3))
    bad = {
        "x of rank 1 is of type list; accepted: an array or a string": [1, 2],
        "x of rank 1 is of type int": 7,
        "rank 0 has ndarray of <f8 with shape (2, 3), rank 1 has ndarray of <f4": good.astype("f"),
        "rank 1 has ndarray of <f8 with shape (2, 4); accepted: the same kind, element type": np.zeros(
            (2, 4)
        ),
        "rank 1 has str of text with shape (2,)": "ab",
    }
    for words, x in bad.items():
        with pytest.raises(TypeError) as caught:
            pp.gather(x if rank == 1 else good, 0)
        assert str(caught.value).startswith("gather: ")
        assert words in str(caught.value)
    assert pp.broadcast(rank, 0) == 0


def check_gather_into_what_does_not_fit(rank, ranks):
    x = np.full(2, float(rank))
    if rank == 0:
        with pytest.raises(pp.BufferMismatchError, match=f"has 3 elements, and {2 * ranks} came") as caught:
            pp.gather(x, 0, buffer=np.zeros(3))
        assert caught.value.received.tolist() == np.repeat(np.arange(ranks), 2).tolist()
    else:
        pp.gather(x, 0)


# ---- reduce -----------------------------------------------------------------------------------------

REFERENCES = {
    "SUM": np.add,
    "PROD": np.multiply,
    "MAX": np.maximum,
    "MIN": np.minimum,
    "LAND": lambda a, b: np.logical_and(a, b).astype(a.dtype),
    "LOR": lambda a, b: np.logical_or(a, b).astype(a.dtype),
    "LXOR": lambda a, b: np.logical_xor(a, b).astype(a.dtype),
    "BAND": np.bitwise_and,
    "BOR": np.bitwise_or,
    "BXOR": np.bitwise_xor,
}
ACCEPTED = {
    "b": "LAND LOR LXOR",
    "i": " ".join(REFERENCES),
    "u": " ".join(REFERENCES),
    "f": "SUM PROD MAX MIN",
    "c": "SUM PROD",
}


def check_reduce(rank, ranks):
    for i, dtype in enumerate(NUMERIC):
        root = i % ranks
        for shape in [*SHAPES, (LONG,)]:
            parts = [
                np.asarray(
                    filled(shape, dtype, start=number) % 3 if dtype.kind in "iuf" else filled(shape, dtype)
                )
                for number in range(ranks)
            ]
            for name in ACCEPTED[dtype.kind].split():
                expected = np.asarray(functools.reduce(REFERENCES[name], parts))
                made = pp.reduce(parts[rank], getattr(pp, name), root)
                if rank != root:
                    assert same(made, np.zeros_like(expected))
                elif dtype.kind == "c":
                    assert (made.dtype, made.shape) == (dtype, shape)
                    np.testing.assert_allclose(made, expected, rtol=1e-5)
                else:
                    assert same(made, expected), (name, dtype, shape)
                buffer = np.zeros_like(expected)
                assert pp.reduce(parts[rank], getattr(pp, name), root, buffer=buffer) is buffer
                assert same(buffer, made)


def check_reduce_of_other_memory(rank, ranks):
    total = sum(range(ranks))
    x = np.asfortranarray(filled((3, 4), "d") + rank)
    assert same(pp.reduce(x, pp.SUM), np.ascontiguousarray(filled((3, 4), "d") * ranks + total) * (rank == 0))
    foreign = pp.reduce((np.arange(5) * (rank + 1)).astype(">f8"), pp.SUM)
    assert same(foreign, (np.arange(5) * (total + ranks) * (rank == 0)).astype(">f8"))
    assert pp.reduce(np.arange(20)[::2], pp.MAX).tolist() == (np.arange(0, 20, 2) * (rank == 0)).tolist()
    assert pp.reduce(array.array("q", [rank, 1]), pp.SUM).tolist() == (
        [total, ranks] if rank == 0 else [0, 0]
    )
    assert pp.reduce(np.full(2, rank), 3).tolist() == [total * (rank == 0)] * 2  # PyPar's number for SUM


def check_reduce_bypassing(rank, ranks):
    x, buffer = np.full(3, float(rank)), np.zeros(3)
    assert pp.reduce(x, pp.SUM, 1, buffer=buffer, bypass=True) is buffer
    assert buffer.tolist() == [sum(range(ranks)) * (rank == 1)] * 3


def check_reduce_to_the_place_of_the_extreme(rank, ranks):
    for code in ("h", "i", "l", "f", "d", "g"):
        pair = np.dtype([("value", code), ("rank", "i4")], align=True)
        x = np.array([(rank * 10, rank), (-rank, rank), (5, rank)], dtype=pair)
        for op, expected in (
            (pp.MAXLOC, [(10 * ranks - 10, ranks - 1), (0, 0), (5, 0)]),
            (pp.MINLOC, [(0, 0), (1 - ranks, ranks - 1), (5, 0)]),
        ):
            made = pp.reduce(x, op, 1)
            assert made.tolist() == (expected if rank == 1 else [(0, 0)] * 3)
            buffer = np.zeros(3, pair)
            assert pp.reduce(x, op, 1, buffer=buffer) is buffer
            assert buffer.tolist() == made.tolist()
    for x in (
        np.zeros(3),
        np.zeros(3, [("a", "f8"), ("b", "i8")]),
        np.zeros(3, [("a", "f8"), ("b", "i4")]),
        [1],
    ):
        with pytest.raises(
            TypeError, match="reduce: x of rank 0 has no pairs for MAXLOC; accepted: a NumPy array of"
        ):
            pp.reduce(x, pp.MAXLOC)


def check_reduce_of_what_has_no_such_operation(rank, ranks):
    """Every rank says which one is to blame."""
    good = np.zeros(3)
    bad = [
        (good, "SUM", "op is 'SUM'; accepted: MAX, MIN, SUM, PROD, LAND"),
        (good, 13, "op is 13; accepted: "),
        (good, None, "op is None; accepted: "),
        (
            good,
            pp.BAND,
            "reduce: BAND of ndarray of <f8 with shape (3,); accepted for it: SUM, PROD, MAX, MIN",
        ),
        (good.astype("D"), pp.MAX, "accepted for it: SUM, PROD"),
        (good > 0, pp.SUM, "accepted for it: LAND, LOR, LXOR"),
        (
            memoryview(np.zeros(2, "e")),
            pp.SUM,
            "reduce: SUM of memoryview of <f2 with shape (2,); accepted for it: no",
        ),
        ("abc", pp.SUM, "reduce: SUM of str of text with shape (3,); accepted for it: nothing"),
        (good.astype("M8[s]"), pp.MAX, "accepted for it: nothing"),
        ([1.0], pp.SUM, "reduce: x of rank 0 is of type list; accepted: an array"),
        (
            np.zeros(2 + rank % 2),
            pp.SUM,
            "reduce: rank 0 has SUM of ndarray of <f8 with shape (2,), rank 1 has SUM of",
        ),
        (
            good,
            pp.MAX if rank == 1 else pp.MIN,
            "rank 0 has MIN of ndarray of <f8 with shape (3,), rank 1 has MAX of",
        ),
    ]
    for x, op, words in bad:
        with pytest.raises(TypeError) as caught:
            pp.reduce(x, op)
        assert words in str(caught.value)
    assert pp.broadcast(rank, 0) == 0


def check_reduce_into_what_does_not_fit(rank, ranks):
    x = np.full(4, float(rank))
    if rank == 0:
        for buffer, words in (
            (np.zeros(3), "has 3 elements, and 4 came"),
            (np.zeros(4, "f"), "can't hold what came"),
        ):
            with pytest.raises(pp.BufferMismatchError, match=words) as caught:
                pp.reduce(x, pp.SUM, buffer=buffer)
            assert caught.value.received.tolist() == [sum(range(ranks))] * 4
    else:
        for _ in range(2):
            pp.reduce(x, pp.SUM)


# ---- barrier ----------------------------------------------------------------------------------------


def check_barrier(rank, ranks):
    """Nobody passes before the last has come: what it has sent by then is there."""
    if rank == ranks - 1:
        for other in range(ranks - 1):
            pp.send("there", other)
    pp.barrier()
    if rank != ranks - 1:
        assert pp.receive(ranks - 1) == "there"
