"""``type=``: every spelling of one layout agrees, others are refused with both layouts."""

import ctypes
import dataclasses
import pickle
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import triveni
from triveni._types import tag_of, type_of

np = pytest.importorskip("numpy")


class Inner(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("k", ctypes.c_int16)]


class Reading(ctypes.Structure):
    _fields_ = [("sensor_id", ctypes.c_int32), ("temperature", ctypes.c_float), ("time", ctypes.c_double)]


@dataclasses.dataclass
class ReadingData:
    sensor_id: ctypes.c_int32
    temperature: np.float32
    time: float


READING = np.dtype([("sensor_id", "i4"), ("temperature", "f4"), ("time", "f8")])
SPELLINGS = [READING, Reading, ReadingData, struct.Struct("ifd"), "T{i:sensor_id:f:temperature:d:time:}"]


@pytest.fixture
def segment():
    with triveni.Segment.anonymous(4 << 20) as segment:
        yield segment


@pytest.mark.parametrize("made", SPELLINGS, ids=str)
@pytest.mark.parametrize("asked", SPELLINGS, ids=str)
def test_all_spellings_of_one_layout_agree(segment, made, asked):
    segment.create_cell("c", type=made, size=16)
    segment.cell("c", type=asked, size=16)
    segment.open_cell("c", type=asked)


def test_a_mismatch_shows_both_layouts(segment):
    segment.create_cell("c", type=READING)
    other = np.dtype([("sensor_id", "i4"), ("temperature", "f8"), ("time", "f8")], align=True)
    with pytest.raises(triveni.Incompatible) as caught:
        segment.open_array("c", type=other)  # another kind
    with pytest.raises(triveni.Incompatible) as caught:
        segment.open_cell("c", type=other)
    text = str(caught.value)
    marked = [line.split() for line in text.splitlines() if line.startswith("!")]
    assert ["!", "4", "f32", "temperature"] in marked
    assert ["!", "8", "f64", "time", "8", "f64", "temperature"] in marked


def test_where_one_side_has_no_type_they_agree(segment):
    segment.create_cell("bytes", 16)
    assert segment.open_cell("bytes", type=READING).type_tag is None
    segment.create_cell("typed", type=READING)
    assert segment.open_cell("typed").type_tag == "T{i:sensor_id:f:temperature:d:time:}"


@pytest.mark.parametrize(
    ("kind", "tag", "size"),
    [
        (np.dtype([("a", "i1"), ("b", "f8")]), "T{=b:a:d:b:}", 9),
        (np.dtype([("a", "i1"), ("b", "f8")], align=True), "T{b:a:7xd:b:}", 16),
        (np.dtype([("b", "f8"), ("a", "i1")], align=True), "T{d:b:b:a:7x}", 16),
        (np.dtype("f4"), "f", 4),
        (np.dtype(("f4", (2, 3))), "(2,3)f", 24),
        (np.complex64, "Zf", 8),
        (np.dtype("S5"), "5s", 5),
        (Inner, "T{d:x:h:k:6x}", 16),
        (Inner * 3, "(3)T{d:x:h:k:6x}", 48),
        (ctypes.c_long, "q", 8),
        (float, "d", 8),
        (bool, "?", 1),
        (complex, "Zd", 16),
    ],
)
def test_the_layout_is_that_of_the_type(segment, kind, tag, size):
    found = type_of(kind)
    assert (found.tag, found.size) == (tag, size)
    segment.cell("c", type=kind)


@pytest.mark.parametrize("kind", [READING, Reading, ReadingData, struct.Struct("<id"), float], ids=str)
def test_a_type_is_pickled(kind):
    assert pickle.loads(pickle.dumps(type_of(kind))).tag == tag_of(kind)


class Bits(ctypes.Structure):
    _fields_ = [("a", ctypes.c_int, 3)]


class Pointing(ctypes.Structure):
    _fields_ = [("p", ctypes.POINTER(ctypes.c_int))]


class Either(ctypes.Union):
    _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_float)]


@pytest.mark.parametrize("kind", [Bits, Pointing, Either, np.dtype("O"), np.dtype("M8[s]"), object, 3, list], ids=str)
def test_what_has_no_meaning_elsewhere_is_refused(segment, kind):
    with pytest.raises((TypeError, ValueError)):
        segment.cell("c", type=kind)


@pytest.mark.parametrize("tag", ["junk", "T{i:a:", "P", "T{&i:p:}", "(0)x", "i" * 5000, "grün"])
def test_text_that_is_no_type_tag_is_refused(segment, tag):
    with pytest.raises(ValueError):
        segment.cell("c", 4, type=tag)


SCALARS = ["?", "i1", "u1", "i2", ">u2", "i4", "u4", "<i8", "u8", "f2", "f4", ">f8", "c8", "c16", "S3", "U2"]
dtypes = st.recursive(
    st.sampled_from(SCALARS).map(np.dtype),
    lambda inner: st.tuples(
        st.lists(st.tuples(inner, st.sampled_from([None, 2, (2, 3)])), min_size=1, max_size=4), st.booleans()
    ).map(
        lambda made: np.dtype(
            [(f"f{i}", kind, shape) if shape else (f"f{i}", kind) for i, (kind, shape) in enumerate(made[0])], align=made[1]
        )
    ),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=dtypes)
def test_any_dtype_is_described_and_its_values_go_through_a_cell(segment, kind):
    cell, array = segment.cell("c", type=kind), segment.array("a", 2, type=kind)
    there = np.asarray(array)
    assert cell.size == there.dtype.itemsize * (there.size // 2) == kind.itemsize
    value, seen = np.zeros((), kind), np.zeros((), kind)
    cell.store(value)
    seen[()] = cell.load()  # not np.array(…, kind), which leaves padding as it finds it
    assert seen.tobytes() == value.tobytes()
    assert tag_of(kind) == cell.type_tag == array.type_tag
    segment.remove("c")
    segment.remove("a")


VALUES = {
    READING: np.array((7, 21.5, 0.25), READING)[()],
    Reading: Reading(7, 21.5, 0.25),
    ReadingData: ReadingData(7, np.float32(21.5), 0.25),
}


@pytest.mark.parametrize("kind", VALUES, ids=str)
def test_channels_are_made_for_a_type_and_carry_its_bytes(segment, kind):
    reading, value = triveni.type_of(kind), VALUES[kind]
    packed = reading.pack(value)
    assert reading.size == len(packed) == 16
    box = segment.mailbox("m", type=kind)
    assert (box.message_size, box.type_tag) == (16, reading.tag)
    box.send(packed)
    if kind is not ReadingData:
        box.send(value)  # it has the bytes itself
        assert box.receive() == packed
    assert reading.unpack(box.receive()) == value if kind is not Reading else bytes(reading.unpack(box.receive())) == packed
    topic = segment.topic("t", type=kind)
    assert (topic.message_size, topic.type_tag) == (16, reading.tag)
    ring = segment.ring_of("p", type=kind, capacity=8)
    assert (ring.record_size, ring.type_tag) == (16, reading.tag)
    assert segment.ring("r", 4096, type=kind).type_tag == reading.tag
    service = segment.service("s", type=(kind, float))
    assert (service.request_size, service.response_size) == (16, 8)


def test_another_type_is_refused_by_every_channel(segment):
    segment.mailbox("m", type=READING)
    segment.topic("t", type=Reading)
    segment.service("s", type=(ReadingData, float))
    segment.ring_of("p", type=READING, capacity=8)
    other = np.dtype([("sensor_id", "i4"), ("temperature", "i4"), ("time", "f8")])
    for opens in (segment.mailbox, segment.open_mailbox):
        with pytest.raises(triveni.Incompatible, match="f32 .*temperature"):
            opens("m", type=other)
    for opens in (segment.topic, segment.open_topic):
        with pytest.raises(triveni.Incompatible, match="f32 .*temperature"):
            opens("t", type=other)
    for opens in (segment.service, segment.open_service):
        with pytest.raises(triveni.Incompatible, match="f32 .*temperature"):
            opens("s", type=(other, float))
        assert opens("s", type=(READING, ctypes.c_double)).request_size == 16
    with pytest.raises(triveni.Incompatible, match="f32 .*temperature"):
        segment.ring_of("p", type=other, capacity=8)
    # The size is what it is there, where a type says none.
    segment.mailbox("larger", 4, 64, type=READING)
    assert segment.mailbox("larger", type=Reading).message_size == 64
    with pytest.raises(FileNotFoundError):
        segment.open_mailbox("none", type=READING)


def test_the_type_of_a_service_is_one_struct_of_two(segment):
    assert segment.service("s", type=(np.dtype(("f8", 2)), np.int32)).type_tag == "T{(2)d:request:i:response:4x}"
    segment.open_service("s", type=(np.dtype(("f8", 2)), ctypes.c_int32))
    segment.service("s", type_tag="T{2d:request:i:response:4x}")
    padded = segment.service("p", type=(bool, float))
    assert padded.type_tag == "T{?:request:7xd:response:}"


def test_bad_types_of_channels_are_refused(segment):
    with pytest.raises(ValueError, match="not both"):
        segment.mailbox("m", type=READING, type_tag="d")
    with pytest.raises(ValueError, match="not both"):
        segment.service("s", type=(int, int), type_tag="T{q:request:q:response:}")
    for pair in (READING, "T{q:request:q:response:}", (int,), (int, "q"), (int, None)):
        with pytest.raises(TypeError):
            segment.service("s", type=pair)
    with pytest.raises(TypeError):
        segment.topic("t", type=object)
    with pytest.raises(TypeError, match="record_size or type"):
        segment.ring_of("r")
    with pytest.raises(TypeError, match="numpy dtype"):
        triveni.type_of("ifd")
    with pytest.raises(ValueError, match="8 bytes"):
        triveni.type_of(float).unpack(b"short")
    assert segment.mailbox("text", type="ifd").message_size == 16


@pytest.mark.parametrize("tag, hint", [("i4", True), ("<f8", True), ("float32", True), ("O", False), ("T{i:a:", False)])
def test_bad_text_is_refused_with_the_name_of_the_object_and_a_hint_at_numpy(segment, tag, hint):
    segment.cell("old", 8)
    for kind, make in {
        'mailbox "x"': lambda: segment.mailbox("x", 4, 8, type=tag),
        'mailbox "y"': lambda: segment.create_mailbox("y", type_tag=tag),
        'ring "x"': lambda: segment.ring("x", type=tag),
        'ring "y"': lambda: segment.ring_of("y", type=tag),
        'topic "x"': lambda: segment.topic("x", type=tag),
        'array "x"': lambda: segment.array("x", (2,), tag),
        'cell "x"': lambda: segment.cell("x", type=tag),
        'cell "old"': lambda: segment.open_cell("old", type=tag),
    }.items():
        with pytest.raises(ValueError) as caught:
            make()
        said = str(caught.value)
        assert said.startswith(f'{kind}: type tag "{tag}"'), said
        assert (f'numpy.dtype("{tag}")' in said) == hint, said
