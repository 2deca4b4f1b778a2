"""Grants as memory: written and read in place, and never ended under a view."""

import ctypes
import gc
import io

import numpy as np
import pytest


@pytest.fixture
def box(segment):
    return segment.mailbox("m", capacity=4, message_size=64)


@pytest.fixture
def ends(segment):
    ring = segment.ring("r", size=4096)
    return ring.producer(), ring.consumer()


def test_an_array_on_a_grant_is_the_memory_itself(box, ends):
    producer, consumer = ends
    for grant in (box.reserve(32), producer.reserve(32)):
        numbers = np.frombuffer(grant, dtype="<f8")
        assert numbers.flags.writeable and not numbers.flags.owndata
        numbers[:] = [1, 2, 3, 4]
        del numbers
        grant.commit()
    assert np.frombuffer(box.receive()).tolist() == [1, 2, 3, 4]
    with consumer.peek() as grant:
        numbers = np.frombuffer(grant, dtype="<f8")
        assert numbers.tolist() == [1, 2, 3, 4] and not numbers.flags.owndata
        del numbers


def test_a_peeked_record_is_read_only(ends):
    producer, consumer = ends
    producer.write(bytes(8))
    grant = consumer.peek()
    assert memoryview(grant).readonly
    assert not np.frombuffer(grant, dtype="u1").flags.writeable
    with pytest.raises(TypeError):
        memoryview(grant)[0] = 1
    with pytest.raises((BufferError, TypeError)):
        io.BytesIO(bytes(8)).readinto(grant)
    grant.release()


def test_a_grant_to_write_is_writable_bytes(box):
    loan = box.reserve(10)
    view = memoryview(loan)
    assert (view.readonly, view.format, view.itemsize, view.nbytes, view.contiguous) == (False, "B", 1, 10, True)
    view.release()
    loan.cancel()


def test_an_empty_grant_has_an_empty_view(box, ends):
    producer, consumer = ends
    for grant in (box.reserve(0), producer.reserve(0)):
        assert bytes(grant) == b""
        grant.commit()
    assert box.receive() == consumer.read() == b""


@pytest.mark.parametrize("end", ["commit", "cancel"])
def test_ending_a_grant_under_a_live_view_is_a_buffer_error(box, ends, end):
    producer, _ = ends
    for grant in (box.reserve(8), producer.reserve(8)):
        view, numbers = memoryview(grant), np.frombuffer(grant, dtype="u1")
        with pytest.raises(BufferError, match="2 view"):
            getattr(grant, end)()
        view.release()
        with pytest.raises(BufferError, match="1 view"):
            getattr(grant, end)()
        numbers[0] = 7  # still the grant's
        del numbers
        getattr(grant, end)()


def test_releasing_a_record_under_a_live_view_is_a_buffer_error(ends):
    producer, consumer = ends
    producer.write(b"abc")
    grant = consumer.peek()
    view = memoryview(grant)
    with pytest.raises(BufferError):
        grant.release()
    assert view == b"abc"
    view.release()
    grant.release()


def test_a_slice_of_a_view_counts_too(box):
    loan = box.reserve(8)
    part = memoryview(loan)[2:4]
    with pytest.raises(BufferError):
        loan.commit()
    del part
    loan.commit()


def test_closing_a_role_under_a_live_view_is_a_buffer_error(ends):
    producer, _ = ends
    view = memoryview(producer.reserve(4))
    with pytest.raises(BufferError):
        producer.close()
    view[:] = b"good"
    view.release()
    producer.close()


def test_leaving_the_block_under_a_live_view_is_a_buffer_error_and_sends_nothing(box):
    with pytest.raises(BufferError):
        with box.reserve(8) as loan:
            view = memoryview(loan)
    assert box.try_receive() is None
    view.release()
    loan.commit()
    assert box.receive() == bytes(8)


def test_an_exception_in_the_block_is_not_hidden_by_a_live_view(box, ends):
    producer, consumer = ends
    for reserve in (box.reserve, producer.reserve):
        with pytest.raises(KeyError):
            with reserve(8) as grant:
                view = memoryview(grant)
                raise KeyError
        view.release()
        del grant, view
        gc.collect()
    box.send(b"a")
    producer.write(b"b")
    assert (box.receive(), consumer.read()) == (b"a", b"b")


def test_a_view_keeps_its_grant_and_the_grant_the_memory(segment):
    view = memoryview(segment.ring("r").producer().reserve(4))
    numbers = np.frombuffer(segment.mailbox("m").reserve(4), dtype="u1")
    segment.close()
    gc.collect()
    view[:] = b"kept"
    numbers[:] = 1
    assert bytes(view) == b"kept" and numbers.sum() == 4


def test_the_last_view_to_go_cancels_a_forgotten_grant(box):
    view = memoryview(box.reserve(4))
    del view
    gc.collect()
    for _ in range(box.capacity):
        box.send(b"x", timeout=30)
    assert len(box) == box.capacity


class Reading(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int32), ("value", ctypes.c_float)]


def test_a_value_without_dimensions_is_sent_and_received(segment, box, ends):
    producer, consumer = ends
    sent, got = Reading(7, 2.5), Reading()
    box.send(sent)
    assert box.receive() == bytes(sent)
    producer.write(sent)
    assert consumer.read_into(got) == 8 and (got.id, got.value) == (7, 2.5)
    producer.write(np.array(3, dtype="<i4"))
    number = np.array(0, dtype="<i4")
    assert consumer.read_into(number) == 4 and number == 3
    cell = segment.cell("c", 8)
    cell.store(sent)
    assert cell.load() == bytes(sent)


@pytest.mark.parametrize("objects", [np.array([None]), np.zeros(1, [("number", "i4"), ("thing", "O")])])
def test_references_to_python_objects_are_neither_sent_nor_overwritten(box, ends, objects):
    producer, consumer = ends
    with pytest.raises(BufferError, match="Python objects"):
        box.send(objects)
    with pytest.raises(BufferError, match="Python objects"):
        producer.write(objects)
    box.send(b"12345678")
    producer.write(b"12345678")
    with pytest.raises(BufferError, match="Python objects"):
        box.receive_into(objects)
    with pytest.raises(BufferError, match="Python objects"):
        consumer.read_into(objects)
    assert box.receive() == consumer.read() == b"12345678"


def test_a_name_with_an_o_is_no_object(box):
    box.send(np.zeros(1, [("O", "i4"), ("sO", "i4")]))
    assert box.receive() == bytes(8)
