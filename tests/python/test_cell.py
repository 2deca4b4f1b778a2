"""The cell: the latest value, whole."""

import ctypes
import dataclasses
import multiprocessing
import os
import pickle
import struct
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
    name = f"cell-{uuid.uuid4().hex[:12]}"
    with triveni.Segment.create(name, 1 << 20) as segment:
        yield segment
    triveni.Segment.unlink(name)


@dataclasses.dataclass
class Position:
    x: float
    y: float
    valid: bool


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_int)]


def test_it_is_empty_until_the_first_store(segment):
    cell = segment.cell("c", 4)
    assert cell.load() is None and cell.version == 0 and cell.try_load_newer(0) is None
    assert cell.store(b"abcd") == 1
    assert cell.load() == b"abcd" and cell.try_load_newer(0) == (1, b"abcd") and cell.try_load_newer(1) is None
    assert cell.try_store(bytearray(b"efgh")) == 2
    assert cell.load_newer(1) == (2, b"efgh")
    with pytest.raises(TimeoutError):
        cell.load_newer(2, timeout=0.01)


def test_values_are_of_the_type(segment):
    position = segment.cell("dataclass", type=Position)
    position.store(Position(1.5, -2.0, True))
    assert position.load() == Position(1.5, -2.0, True)
    point = segment.cell("ctypes", type=Point)
    point.store(Point(3, 4))
    assert (point.load().x, point.load().y) == (3, 4)
    pair = segment.cell("struct", type=struct.Struct("<id"))
    pair.store((7, 2.5))
    assert pair.load() == (7, 2.5)
    number = segment.cell("float", type=float)
    number.store(2.5)
    assert number.load() == 2.5 and number.load_newer(0) == (1, 2.5)
    assert segment.open_cell("float").load() == struct.pack("d", 2.5)
    np = pytest.importorskip("numpy")
    record = segment.cell("numpy", type=np.dtype([("a", "i4"), ("b", "f4", 2)]))
    record.store((5, (1.0, 2.0)))
    assert record.load()["a"] == 5 and record.load()["b"].tolist() == [1.0, 2.0]
    vector = segment.cell("vector", type=np.dtype(("f8", 3)))
    vector.store([1, 2, 3])
    assert vector.load().tolist() == [1.0, 2.0, 3.0]


def test_what_does_not_fit_is_refused(segment):
    cell = segment.cell("c", 4)
    with pytest.raises(triveni.TooLarge):
        cell.store(b"abcde")
    for short in (b"abc", b""):
        with pytest.raises(ValueError, match=f"{len(short)} bytes, but a value of cell .* has 4; give exactly"):
            cell.store(short)
        with pytest.raises(ValueError):
            cell.try_store(short)
    with pytest.raises(triveni.Incompatible):
        segment.cell("c", 5)
    with pytest.raises(ValueError):
        segment.cell("new")
    with pytest.raises(ValueError):
        segment.cell("new", 4, type="d")
    with pytest.raises(ValueError):
        segment.cell("new", 4, writers=0)
    with pytest.raises(FileNotFoundError):
        segment.open_cell("new")
    with pytest.raises(FileExistsError):
        segment.create_cell("c", 4)
    assert segment.cell("c").size == 4


def test_nothing_is_torn_between_threads(segment):
    cell = segment.cell("c", 50_000)
    stop = threading.Event()

    def write(letter):
        while not stop.is_set():
            cell.store(letter * 50_000)

    writers = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for writer in writers:
        writer.start()
    seen = 0
    for _ in range(200):
        version, value = cell.load_newer(seen, timeout=30)
        assert version > seen and len(set(value)) == 1
        seen = version - 1
    stop.set()
    for writer in writers:
        writer.join()


def store_from_child(cell):
    cell.store(os.getpid())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_stores_what_the_parent_waits_for(named, method):
    cell = named.cell("c", type=int)
    child = multiprocessing.get_context(method).Process(target=store_from_child, args=(cell,))
    child.start()
    assert cell.load_newer(0, timeout=60) == (1, child.pid)
    child.join()
    assert pickle.loads(pickle.dumps(cell)).load() == child.pid


def test_a_wait_set_and_an_observer_see_it(segment):
    cell = segment.cell("c", type=int)
    ready = triveni.WaitSet()
    token = ready.add(cell)
    with pytest.raises(TimeoutError):
        ready.wait(0.01)
    cell.store(5)
    assert [member.token for member in ready.wait(10)] == [token]
    assert cell.load() == 5
    with pytest.raises(TimeoutError):
        ready.wait(0.01)
    (info,) = [info for info in segment.objects() if info.name == "c"]
    assert info.kind == "cell" and info.state == {"size": 8, "version": 1, "writers": [], "type_tag": "q"}
    assert "version 1" in repr(cell) and "8 bytes, version 1" in segment._repr_html_()


def test_a_value_is_written_in_place(segment):
    cell = segment.create_cell("in place", 8, writers=1)
    grant = cell.reserve()
    with memoryview(grant) as view:
        view[:] = b"abcdefgh"
        with pytest.raises(BufferError):
            grant.commit()
    assert cell.load() is None
    assert grant.commit() == 1 and cell.load() == b"abcdefgh"
    for ends in (grant.commit, grant.cancel):
        with pytest.raises(ValueError, match="ended"):
            ends()
    with cell.reserve() as grant:
        memoryview(grant)[:] = b"12345678"
    assert (cell.load(), cell.version, len(grant)) == (b"12345678", 2, 8)
    with pytest.raises(ZeroDivisionError), cell.reserve() as grant:
        memoryview(grant)[:4] = b"half"
        1 / 0
    assert cell.load() == b"12345678"
    one, other = cell.reserve(), cell.try_reserve()
    assert cell.try_reserve() is None
    with pytest.raises(TimeoutError):
        cell.reserve(timeout=0.01)
    del one
    other.cancel()
    assert cell.store(b"87654321") == 3
