"""send and receive, bsend, Status."""

import array
import ctypes
import itertools
import mmap
import pickle
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from values import LONG, NUMERIC, OBJECTS, SHAPES, VIEWS, filled, same

import gilfree.pypar as pp
from gilfree.pypar import message


def pass_on(x, rank, ranks, **options):
    """`x` goes from rank 0 through all ranks and back: what comes back."""
    if rank == 0:
        pp.send(x, 1 % ranks, **options)
        return pp.receive(ranks - 1, **{name: options[name] for name in options if name != "use_buffer"})
    came = pp.receive(rank - 1, **{name: options[name] for name in options if name != "use_buffer"})
    pp.send(came, (rank + 1) % ranks, **options)
    return came


def check_every_kind(rank, ranks):
    for name, x in OBJECTS.items():
        came = pass_on(x, rank, ranks)
        assert same(came, x), (name, came)
        if isinstance(x, np.ndarray) and "read-only" not in name:
            assert came.flags.writeable, name


def check_every_kind_pickled(rank, ranks):
    for name, x in OBJECTS.items():
        assert same(pass_on(x, rank, ranks, vanilla=True), x), name


def check_every_kind_under_a_tag(rank, ranks):
    for name, x in OBJECTS.items():
        assert same(pass_on(x, rank, ranks, tag=13849), x), name


def check_memoryviews(rank, ranks):
    for name, x in VIEWS.items():
        came = pass_on(x, rank, ranks)
        assert type(came) is memoryview, name
        assert (came.format, came.shape, came.tolist()) == (x.format, x.shape, x.tolist()), name


def check_what_has_a_buffer_and_cannot_be_pickled(rank, ranks):
    memory = mmap.mmap(-1, 20_000)
    memory[:3] = b"abc"
    assert pass_on(memory, rank, ranks) == memory[:]


def check_long_arrays_inside_objects_are_not_copied_to_be_sent(rank, ranks):
    x = filled((LONG,), "d")
    _, frames = message.encode({"x": [x], "y": "z"})
    assert [np.shares_memory(frame, x) for frame in frames] == [False, True]


def check_what_cannot_be_sent(rank, ranks):
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError)) as caught:
        pp.send(lambda: 0, (rank + 1) % ranks)
    assert "gilfree.pypar: a function is neither a string nor plain memory" in caught.value.__notes__[0]


# Every rank draws the same values; one that fails ends the job at once.
@settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    )
    | arrays.arrays(
        arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
    ).map(lambda x: x[::2] if x.ndim else x)
)
def passed_on_is_unchanged(x):
    assert same(pass_on(x, pp.rank(), pp.size()), x)


def check_any_value(rank, ranks):
    passed_on_is_unchanged()


# ---- buffers ----------------------------------------------------------------------------------------


def check_buffers_of_every_type_and_shape(rank, ranks):
    for dtype in NUMERIC:
        for shape in [*SHAPES, (LONG,), (300, 100)]:
            x, buffer = filled(shape, dtype), np.zeros(shape, dtype)
            if rank == 0:
                pp.send(x, 1, use_buffer=True)
                came = pp.receive(ranks - 1, buffer=buffer)
            else:
                came = pp.receive(rank - 1, buffer)
                pp.send(came, (rank + 1) % ranks, use_buffer=True)
            assert came is buffer
            assert same(buffer, x)


def check_buffers_in_another_order(rank, ranks):
    for shape in [(3, 4), (200, 300)]:
        for sent in (filled(shape, "d"), np.asfortranarray(filled(shape, "d"))):
            for buffer in (
                np.zeros(shape),
                np.zeros(shape, order="F"),
                np.zeros((*shape, 2))[..., 0],
                np.zeros(shape[::-1]).T,
            ):
                if rank == 0:
                    pp.send(sent, 1)
                elif rank == 1:
                    assert pp.receive(0, buffer=buffer) is buffer
                    assert np.array_equal(buffer, sent)


def check_a_buffer_with_room_to_spare(rank, ranks):
    for n in (5, LONG):
        if rank == 0:
            pp.send(np.arange(n, dtype="d"), 1)
        elif rank == 1:
            buffer = np.full(n + 3, -1.0)
            came, status = pp.receive(0, buffer=buffer, return_status=True)
            assert came is buffer
            assert status.length == n
            assert came.tolist() == [*range(n), -1, -1, -1]


def check_buffers_of_other_kinds(rank, ranks):
    for n in (6, LONG):
        x = np.arange(n, dtype="d")
        buffers = [
            array.array("d", bytes(8 * n)),
            memoryview(bytearray(8 * n)).cast("d"),
            (ctypes.c_double * n)(),
        ]
        for buffer in buffers:
            if rank == 0:
                pp.send(x, 1)
                pp.send(array.array("d", x), 1)
            elif rank == 1:
                for _ in range(2):
                    buffer[0] = 7.0
                    assert pp.receive(0, buffer) is buffer
                    assert list(buffer) == x.tolist()
        if rank == 0:
            pp.send(b"ab" * n, 1)
        elif rank == 1:
            buffer = bytearray(2 * n)
            assert pp.receive(0, buffer) is buffer
            assert buffer == b"ab" * n


def check_buffers_that_only_say_what_comes(rank, ranks):
    """A str or a list can't be filled. PyPar's programs use what receive returns."""
    pairs = [
        ("and now", " " * 256),
        ([1, {2: 3}], ["   ", {0: 0}]),
        (b"xy", b"  "),
        (3, 0),
        (np.arange(3), None),
    ]
    pairs += [
        ({"x": np.arange(9.0)}, {"x": np.zeros(9)}),
        (np.array(["a", 1], dtype=object), np.zeros(2, dtype=object)),
    ]
    for x, buffer in pairs:
        if rank == 0:
            pp.send(x, 1, use_buffer=True)
        elif rank == 1:
            assert same(pp.receive(0, buffer=buffer), x)


MISFITS = {
    "too small": (np.arange(5.0), np.zeros(4), "ndarray of <f8 with shape (4,), has 4 elements, and 5 came"),
    "too small, long": (np.zeros(LONG), np.zeros(LONG - 1), f"has {LONG - 1} elements, and {LONG} came"),
    "another type": (
        np.arange(5.0),
        np.zeros(5, "f"),
        "can't hold what came, ndarray of <f8 with shape (5,)",
    ),
    "another type, long": (np.zeros(LONG, "i"), np.zeros(LONG), "can't hold what came, ndarray of <i4"),
    "other bytes": (np.arange(5.0), np.zeros(5, ">f8"), "accepted: a buffer of <f8, or none"),
    "read-only": (
        np.arange(5.0),
        np.broadcast_to(np.float64(0), (5,)),
        "is read-only; accepted: writable memory",
    ),
    "read-only view": (b"ab", memoryview(b"xy"), "is read-only; accepted: writable memory"),
    "scattered view": (b"ab", memoryview(bytearray(9))[::2], "is scattered; accepted: contiguous memory"),
    "a list came": (
        [1, 2],
        np.zeros(2),
        "can't hold what came, a pickled object; receive it without a buffer",
    ),
    "a long list came": ([1.5] * LONG, np.zeros(2), "can't hold what came, a pickled object"),
    "a number came": (7, np.zeros(2), "can't hold what came, of type int; receive it without a buffer"),
    "a string came": ("xy", np.zeros(2), "can't hold what came, of type str"),
}


def check_buffers_that_do_not_fit(rank, ranks):
    """Nothing is lost, and the next message is received as if nothing had happened."""
    for name, (x, buffer, words) in MISFITS.items():
        if rank == 0:
            pp.send(x, 1)
            pp.send("next", 1)
        elif rank == 1:
            with pytest.raises(pp.BufferMismatchError) as caught:
                pp.receive(0, buffer=buffer)
            assert words in str(caught.value), (name, str(caught.value))
            assert same(caught.value.received, x), name
            assert pp.receive(0) == "next"


def check_bypass(rank, ranks):
    for n in (0, 3, LONG):
        for dtype in "ilfdFD":
            x, buffer = filled((n,), dtype), np.zeros(n, dtype)
            if rank == 0:
                pp.send(x, 1, use_buffer=True, bypass=True)
                came, status = pp.receive(ranks - 1, buffer=buffer, bypass=True, return_status=True)
                assert (status.source, status.tag) == (ranks - 1, pp.default_tag)
                assert (status.length, status.size, status.error) == (n, x.itemsize, 0)
            else:
                came = pp.receive(pp.any_source, buffer=buffer, tag=pp.any_tag, bypass=True)
                pp.send(came, (rank + 1) % ranks, use_buffer=True, bypass=True)
            assert came is buffer
            assert same(buffer, x)
            pp.barrier()
    with pytest.raises(TypeError, match="receive: bypass=True was given without a buffer; accepted: memory"):
        pp.receive((rank + 1) % ranks, bypass=True)


# ---- sources, tags, Status --------------------------------------------------------------------------


def check_status(rank, ranks):
    cases = {
        "doubles": (np.arange(17.0), 17, 8),
        "long": (np.zeros((LONG, 2), "i"), 2 * LONG, 4),
        "complex": (np.zeros(3, "D"), 3, 16),
        "0-d": (np.array(1.5), 1, 8),
        "empty": (np.zeros(0), 0, 8),
        "str": ("and now to something completely different !", 43, 1),
        "str in UTF-8": ("é" * 10, 20, 1),
        "long str": ("é" * LONG, 2 * LONG, 1),
        "bytes": (b"abc", 3, 1),
        "long bytes": (bytes(LONG), LONG, 1),
        "array.array": (array.array("h", [1, 2]), 2, 2),
        "list": ([1, 2], len(pickle.dumps([1, 2], 5)), 1),
    }
    for name, (x, length, size) in cases.items():
        for use_buffer in (False, True):
            if rank == 0:
                pp.send(x, 1, use_buffer=use_buffer, tag=77)
            elif rank == 1:
                buffer = np.empty_like(x) if use_buffer and isinstance(x, np.ndarray) else None
                came, status = pp.receive(0, buffer, tag=pp.any_tag, return_status=True)
                assert same(came, x), name
                assert (status.source, status.tag, status.error) == (0, 77, 0), name
                assert (status.length, status.size, status.bytes()) == (length, size, length * size), name
                assert repr(status) == f"Status(source=0, tag=77, error=0, length={length}, size={size})"


def check_any_source(rank, ranks):
    """Messages that interleave do not mix."""
    for n in (1, LONG):
        if rank == 0:
            count = dict.fromkeys(range(1, ranks), 0)
            for _ in range(20 * (ranks - 1)):
                x, status = pp.receive(pp.any_source, return_status=True)
                assert x.shape == (n + status.source,)
                assert set(x.tolist()) == {100 * status.source + count[status.source]}
                count[status.source] += 1
        else:
            for i in range(20):
                pp.send(np.full(n + rank, 100 * rank + i), 0)
        pp.barrier()


def check_frames_are_of_the_rank_that_the_head_is_of(rank, ranks):
    """Also where the frames of another rank came first, under the same number."""
    if ranks < 3:
        return
    while message.next_sequence():
        pass  # until all ranks count alike, as in a new job
    x = np.full(LONG, rank)
    if rank == 1:
        pp.push_for_alloc(x)
        pp.alloc_and_attach()
        pp.bsend(x, 0, tag=5)
        pp.send("sent", 2)
        pp.detach_and_dealloc()
    elif rank == 2:
        message.next_sequence()  # rank 1 has counted one up for push_for_alloc
        assert pp.receive(1) == "sent"
        pp.send(x, 0, tag=7)
    elif rank == 0:
        assert pp.receive(pp.any_source, tag=7).tolist() == [2] * LONG
        assert pp.receive(pp.any_source, tag=5).tolist() == [1] * LONG


def check_tags_choose(rank, ranks):
    """Messages of other tags wait."""
    if rank == 0:
        pp.send("five", 1, tag=5)
        pp.send("zero", 1, tag=0)
        pp.send("greatest", 1, tag=pp.max_tag)
        pp.send("default", 1)
    elif rank == 1:
        assert pp.max_tag >= 32767
        assert pp.receive(0, tag=pp.max_tag) == "greatest"
        assert pp.receive(0) == "default"
        came = [pp.receive(pp.any_source, tag=pp.any_tag, return_status=True) for _ in range(2)]
        assert [(x, status.tag) for x, status in came] == [("five", 5), ("zero", 0)]


def check_order_is_kept(rank, ranks):
    if rank == 0:
        for i in range(50):
            pp.send(i if i % 3 else np.full(LONG if i % 2 else 3, i), 1)
    elif rank == 1:
        came = [pp.receive(0) for _ in range(50)]
        assert [x if isinstance(x, int) else int(x[-1]) for x in came] == list(range(50))


def check_threads_of_a_rank(rank, ranks):
    """Several threads send to and receive from one rank at once: no head goes with another one's frames."""
    count, threads = 40, 4
    failures = []

    def guarded(function, *arguments):
        try:
            function(*arguments)
        except BaseException as error:
            failures.append(error)
            raise

    def sends(thread):
        for i in range(count):
            pp.send(np.full(message.INLINE // 8 + 1 + thread, 1000 * thread + i), 1)

    def receives(out):
        for _ in range(count):
            x = pp.receive(0)
            thread, i = divmod(int(x[0]), 1000)
            assert x.shape == (message.INLINE // 8 + 1 + thread,)
            assert (x == x[0]).all()
            out.append((thread, i))

    results = [[] for _ in range(threads)]
    if rank == 0:
        team = [threading.Thread(target=guarded, args=(sends, thread)) for thread in range(threads)]
    elif rank == 1:
        team = [threading.Thread(target=guarded, args=(receives, out)) for out in results]
    else:
        team = []
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    assert not failures
    if rank == 1:
        expected = itertools.product(range(threads), range(count))
        assert sorted(itertools.chain(*results)) == list(expected)


def check_the_gil_is_free_while_waiting(rank, ranks):
    """Another thread of rank 1 runs until it has sent the message that makes rank 0 send."""
    if rank == 0:
        assert pp.receive(1) == "go"
        pp.send("done", 1)
    elif rank == 1:
        came = []
        waiting = threading.Thread(target=lambda: came.append(pp.receive(0)))
        waiting.start()
        pp.send("go", 0)
        waiting.join()
        assert came == ["done"]


def check_bad_ranks_and_tags(rank, ranks):
    last = ranks - 1
    other = (rank + 1) % ranks
    whole = f"accepted: a rank, from 0 to {last}"
    itself = f"is {rank}, this rank itself, which would wait for itself; accepted: another rank"
    cases = [
        (ValueError, f"destination is -1; {whole}", lambda: pp.send(1, -1)),
        (ValueError, f"destination is -2; {whole}", lambda: pp.send(1, pp.any_source)),
        (ValueError, f"destination is {ranks}; {whole}", lambda: pp.send(1, ranks)),
        (ValueError, f"destination {itself}", lambda: pp.send(1, rank)),
        (ValueError, f"destination {itself}", lambda: pp.send(np.zeros(3), rank, bypass=True)),
        (TypeError, f"destination is None, of type NoneType; {whole}", lambda: pp.send(1, None)),
        (TypeError, f"destination is 0.0, of type float; {whole}", lambda: pp.send(1, 0.0)),
        (ValueError, f"source is -1; {whole}", lambda: pp.receive(-1)),
        (ValueError, f"source is {ranks}; {whole}", lambda: pp.receive(ranks)),
        (ValueError, f"source {itself}", lambda: pp.receive(rank)),
        (TypeError, f"source is None, of type NoneType; {whole}", lambda: pp.receive(None)),
        (TypeError, "missing 1 required positional argument: 'source'", lambda: pp.receive()),
        (ValueError, "tag is -1; accepted: 0 to ", lambda: pp.send(1, other, tag=-1)),
        (
            ValueError,
            f"tag is {pp.max_tag + 1}; accepted: 0 to ",
            lambda: pp.send(1, other, tag=pp.max_tag + 1),
        ),
        (ValueError, ", or any_tag", lambda: pp.receive(other, tag=-3)),
        (TypeError, "tag is 'x', of type str; accepted: 0 to ", lambda: pp.receive(other, tag="x")),
        (ValueError, f"root is {ranks}; {whole}", lambda: pp.broadcast(1, ranks)),
        (ValueError, f"root is -1; {whole}", lambda: pp.scatter("ab", -1)),
        (TypeError, f"root is None, of type NoneType; {whole}", lambda: pp.gather("ab", None)),
        (ValueError, f"root is -1; {whole}", lambda: pp.reduce(np.zeros(2), pp.SUM, -1)),
        (ValueError, f"destination {itself}", lambda: pp.bsend(1, rank)),
    ]
    for kind, words, call in cases:
        with pytest.raises(kind) as caught:
            call()
        assert words in str(caught.value), (words, str(caught.value))


def check_ranks_that_are_numbers_of_numpy(rank, ranks):
    if rank == 0:
        pp.send("x", np.int64(1), tag=np.int32(4))
    elif rank == 1:
        assert pp.receive(np.int16(0), tag=np.uint8(4)) == "x"


# ---- bsend ------------------------------------------------------------------------------------------


def check_bsend(rank, ranks):
    """Everybody sends first and receives then, which send would not do for long messages."""
    right, left = (rank + 1) % ranks, (rank - 1) % ranks
    cases = [
        np.arange(LONG),
        "x" * LONG,
        "short",
        np.arange(3.0),
        {"a": [1]},
        [filled((LONG,), "d")] * 2,
        None,
    ]
    for x in cases:
        pp.push_for_alloc(x)
        pp.alloc_and_attach()
        pp.bsend(x, right)
        assert same(pp.receive(left), x)
        pp.detach_and_dealloc()
    sizes = [pp.push_for_alloc(x) for x in cases]
    assert sizes == sorted(sizes)
    assert pp.alloc() == sizes[-1]
    for _ in range(2):
        pp.attach()
        for x in cases:
            pp.bsend(x, right, tag=9)
        for x in cases:
            assert same(pp.receive(left, tag=9), x)
        pp.detach()
    pp.dealloc()


def check_bsend_with_memory_counted_by_hand(rank, ranks):
    right, left = (rank + 1) % ranks, (rank - 1) % ranks
    overhead = 96  # what mpi.h says for MPI_BSEND_OVERHEAD, or more
    for n, count in ((1, 300), (LONG, 4)):
        assert pp.alloc(count * (8 * n + overhead)) == count * (8 * n + overhead)
        pp.attach()
        for i in range(count):
            pp.bsend(np.full(n, float(i)), right)
        for i in range(count):
            assert same(pp.receive(left), np.full(n, float(i)))
        pp.detach()
        pp.dealloc()


def check_bsend_bypassing(rank, ranks):
    right, left = (rank + 1) % ranks, (rank - 1) % ranks
    x, buffer = np.arange(float(LONG)), np.zeros(LONG)
    pp.push_for_alloc(x, bypass=True)
    pp.alloc_and_attach()
    pp.bsend(x, right, bypass=True)
    assert same(pp.receive(left, buffer, bypass=True), x)
    pp.detach_and_dealloc()


def check_bsend_out_of_turn(rank, ranks):
    other = (rank + 1) % ranks
    with pytest.raises(RuntimeError, match=r"none is attached; call push_for_alloc\(x\) for every message"):
        pp.bsend(1, other)
    with pytest.raises(RuntimeError, match="alloc: nothing is counted; call push_for_alloc"):
        pp.alloc()
    with pytest.raises(RuntimeError, match=r"attach: no memory is allocated; call alloc\(\) first"):
        pp.attach()
    with pytest.raises(RuntimeError, match=r"detach: no memory is attached; call attach\(\) first"):
        pp.detach()
    pp.push_for_alloc("small")
    pp.alloc_and_attach()
    for call, words in (
        (pp.alloc, r"call dealloc\(\)"),
        (pp.attach, r"call detach\(\)"),
        (pp.dealloc, r"call detach\(\)"),
    ):
        with pytest.raises(RuntimeError, match=words):
            call()
    with pytest.raises(RuntimeError, match=r"bytes, for which too little of the \d+ attached is free"):
        pp.bsend(np.zeros(LONG), other)
    pp.bsend("small", other)
    assert pp.receive((rank - 1) % ranks) == "small"
    pp.detach_and_dealloc()
