"""The array: shared memory as a buffer with a shape and a type."""

import multiprocessing
import os
import pickle
import threading
import uuid

import pytest

import triveni


@pytest.fixture
def segment():
    with triveni.Segment.anonymous(8 << 20) as segment:
        yield segment


@pytest.fixture
def named():
    name = f"array-{uuid.uuid4().hex[:12]}"
    with triveni.Segment.create(name, 1 << 20) as segment:
        yield segment
    triveni.Segment.unlink(name)


def test_a_view_is_the_memory_itself(segment):
    array = segment.array("a", (2, 3))
    view = array.view()
    assert (view.format, view.shape, view.strides, view.itemsize, view.readonly) == ("d", (2, 3), (24, 8), 8, False)
    view[1, 2] = 2.5
    assert segment.open_array("a", type="d").view()[1, 2] == 2.5
    assert (array.shape, array.type_tag, array.nbytes, array.itemsize, array.name) == ((2, 3), "d", 48, 8, "a")


def test_numpy_takes_it_without_a_copy(segment):
    np = pytest.importorskip("numpy")
    array = segment.array("a", (4, 5), type=np.dtype([("x", "f4"), ("id", "i8")], align=True))
    there = np.asarray(array)
    assert there.shape == (4, 5) and there.flags.c_contiguous and there.ctypes.data % 4096 == 0
    there[3, 4] = (1.5, 7)
    again = np.asarray(segment.open_array("a"))
    assert again[3, 4]["id"] == 7 and np.shares_memory(there, again)
    assert memoryview(array.view()).nbytes == 4 * 5 * 16
    assert bytes(array.view())[:4] == b"\0\0\0\0"


def test_a_view_keeps_the_memory(segment):
    np = pytest.importorskip("numpy")
    array = segment.array("a", 1000, type="i")
    kept, view = np.asarray(array), array.view()
    segment.remove("a")
    del array
    segment.close()
    kept[:] = 7
    assert view[999] == 7 and int(kept.sum()) == 7000


def test_shape_and_type_are_compared(segment):
    segment.create_array("a", (2, 3), type="f")
    with pytest.raises(triveni.Incompatible, match=r"\[2, 3\]"):
        segment.array("a", (3, 2))
    with pytest.raises(triveni.Incompatible, match="f64"):
        segment.array("a", (2, 3), type="d")
    with pytest.raises(triveni.Incompatible, match="f64"):
        segment.open_array("a", type=float)
    assert segment.array("a", (2, 3)).type_tag == "f" and segment.array("a").shape == (2, 3)
    for shape, kind in [((1,) * 9, "d"), (-1, "d"), (3, ""), (3, "junk"), (1 << 62, "d"), ("x", "d")]:
        with pytest.raises((ValueError, TypeError, OverflowError)):
            segment.array("bad", shape, type=kind)
    with pytest.raises(triveni.NoSpace):
        segment.array("big", 1 << 30)
    with pytest.raises(FileNotFoundError):
        segment.array("none")


def test_who_writes_as_a_whole_keeps_others_out(segment):
    array = segment.array("a", 4, type="b")
    with array.write() as view:
        assert view.held and array.try_snapshot() is not None  # its own
        memoryview(view)[0] = 5
        out = []

        def other():
            out.append(array.try_write())
            out.append(array.try_snapshot())
            with pytest.raises(TimeoutError):
                array.snapshot(timeout=0.01)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert out == [None, None]
        assert array.writer().pid == os.getpid()
        with pytest.raises(triveni.Deadlock):
            array.write(timeout=1)
    assert array.writer() is None and array.version == 1
    snapshot = array.snapshot()
    assert snapshot.view().tolist() == [5, 0, 0, 0] and snapshot.view().readonly
    array.view()[0] = 6
    assert snapshot.view()[0] == 5
    with pytest.raises(triveni.NotOwner):
        view.unlock()


def test_no_snapshot_is_torn(segment):
    array = segment.array("a", 20_000, type="B")
    stop = threading.Event()

    def write(letter):
        while not stop.is_set():
            with array.write() as view:
                memoryview(view)[:] = letter * 20_000

    writers = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
    for writer in writers:
        writer.start()
    for _ in range(100):
        assert len(set(bytes(array.snapshot(timeout=30).view()))) == 1
    stop.set()
    for writer in writers:
        writer.join()


def die_while_writing(array):
    array.write()
    os._exit(0)


def test_a_writer_that_dies_in_the_middle_is_told_of(named):
    array = named.array("a", 4, type="b")
    child = multiprocessing.get_context("fork").Process(target=die_while_writing, args=(array,))
    child.start()
    child.join()
    with pytest.raises(triveni.OwnerDied):
        array.snapshot()
    with pytest.raises(triveni.OwnerDied) as caught:
        array.write()
    guard = caught.value.guard
    assert guard.owner_died
    with guard:
        memoryview(guard)[:] = memoryview(b"abcd").cast("b")
        guard.recover()
    assert bytes(array.snapshot().view()) == b"abcd"


def fill(array):
    array.view()[0] = 42


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_has_the_same_memory(named, method):
    array = named.array("a", 3, type="q")
    child = multiprocessing.get_context(method).Process(target=fill, args=(array,))
    child.start()
    child.join()
    assert array.view()[0] == 42 and pickle.loads(pickle.dumps(array)).view()[0] == 42


def test_a_guard_stays_with_the_process_that_writes(segment):
    array = segment.array("a", 3, type="q")
    guard = array.write()
    pid = os.fork()
    if pid == 0:
        try:
            guard.unlock()
        except triveni.Forked:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    guard.unlock()


def test_it_is_to_be_seen(segment):
    array = segment.array("a", (2, 3))
    (info,) = segment.objects()
    assert info.kind == "array"
    assert info.state == {"type_tag": "d", "shape": (2, 3), "writer": None, "owner_died": False, "version": 0}
    assert "shape [2, 3]" in repr(array) and "[2, 3] of d" in segment._repr_html_()
    with array.write():
        assert segment.objects()[0].state["writer"] is not None


@pytest.mark.parametrize("shape, wrong", [(-1, "-1 is out of range"), (2**64, "is out of range"), (2.5, "not float"), ("3", "not str")])
def test_a_shape_that_cannot_be_is_named(segment, shape, wrong):
    with pytest.raises((ValueError, TypeError), match=f"shape.*{wrong}"):
        segment.create_array("a", shape)
