"""The ring: one writes, one reads, in place if wished."""

import struct
import threading
import time

import pytest
from hypothesis import given, settings, strategies as st

import triveni


@pytest.fixture
def ring(segment):
    return segment.ring("r", size=4096)


@pytest.fixture
def ends(ring):
    with ring.producer() as producer, ring.consumer() as consumer:
        yield producer, consumer


def test_records_come_in_order_and_whole(ring):
    producer, consumer = ring.producer(), ring.consumer()
    sent = [b"", b"a", bytes(200), bytearray(b"mutable"), memoryview(b"view")]
    for record in sent:
        producer.write(record)
    assert [consumer.read() for _ in sent] == [bytes(record) for record in sent]


def test_records_go_round_the_ring_many_times(ring):
    producer, consumer = ring.producer(), ring.consumer()
    for k in range(1000):
        record = k.to_bytes(4, "little") * (k % 100)
        producer.write(record)
        assert consumer.read() == record


def test_a_full_ring_answers_or_times_out(ring):
    producer, consumer = ring.producer(), ring.consumer()
    while producer.try_write(bytes(500)):
        pass
    assert producer.try_reserve(500) is None
    for full in (lambda t: producer.write(bytes(500), timeout=t), lambda t: producer.reserve(500, timeout=t)):
        for timeout in (0, 0.05):
            start = time.monotonic()
            with pytest.raises(TimeoutError):
                full(timeout)
            assert time.monotonic() - start >= timeout
    assert consumer.read() == bytes(500)


def test_an_empty_ring_answers_or_times_out(ring):
    producer, consumer, buffer = ring.producer(), ring.consumer(), bytearray(8)
    assert consumer.try_read() is consumer.try_peek() is consumer.try_read_into(buffer) is None
    for empty in (consumer.read, consumer.peek, lambda timeout: consumer.read_into(buffer, timeout=timeout)):
        for timeout in (0, 0.05):
            start = time.monotonic()
            with pytest.raises(TimeoutError):
                empty(timeout=timeout)
            assert time.monotonic() - start >= timeout
    assert not producer.closed


def test_read_into_fills_the_callers_buffer_and_keeps_what_does_not_fit(ring):
    producer, consumer = ring.producer(), ring.consumer()
    producer.write(b"abcdef")
    with pytest.raises(triveni.TooLarge, match="6.*5"):
        consumer.read_into(bytearray(5))
    buffer = bytearray(7)
    assert consumer.read_into(buffer) == 6 and buffer == b"abcdef\0"
    producer.write(b"xy")
    assert consumer.try_read_into(buffer) == 2 and buffer[:2] == b"xy"


def test_a_record_too_large_is_refused(ring):
    producer = ring.producer()
    assert ring.max_record == 4096 // 2 - 8
    for attempt in (producer.write, producer.try_write):
        with pytest.raises(triveni.TooLarge):
            attempt(bytes(ring.max_record + 1))
    with pytest.raises(triveni.TooLarge):
        producer.reserve(ring.max_record + 1)
    producer.write(bytes(ring.max_record))


def test_a_size_that_was_not_given_is_taken_as_it_is(segment, ring):
    assert segment.ring("r").size == 4096
    assert segment.ring("default").size == min(8 << 20, 1 << (segment.size // 8).bit_length() - 1)
    with pytest.raises(triveni.Incompatible, match="4096.*8192"):
        segment.ring("r", size=8192)


def test_a_grant_publishes_what_was_written_in_place(ring):
    producer, consumer = ring.producer(), ring.consumer()
    with producer.reserve(16) as grant:
        assert (len(grant), grant.size) == (16, 16)
        struct.pack_into("<ifd", grant, 0, 7, 21.5, 1e9)
        assert consumer.try_read() is None, "not to be seen before the commit"
    with consumer.peek() as record:
        assert struct.unpack("<ifd", record) == (7, 21.5, 1e9)
    assert consumer.try_read() is None, "released"


def test_a_grant_commits_only_as_much_as_it_is_told(ring):
    producer, consumer = ring.producer(), ring.consumer()
    with producer.reserve(16) as grant:
        with memoryview(grant) as room:
            room[:3] = b"abc"
        grant.commit(3)
    assert consumer.read() == b"abc"
    grant = producer.reserve(4)
    with pytest.raises(triveni.TooLarge, match="5.*4"):
        grant.commit(5)
    grant.cancel()
    assert consumer.try_read() is None


def test_an_exception_cancels_a_reservation(ring):
    producer, consumer = ring.producer(), ring.consumer()
    with pytest.raises(KeyError):
        with producer.reserve(4):
            raise KeyError
    producer.write(b"next")
    assert consumer.read() == b"next"


def test_a_grant_that_goes_away_is_cancelled(ring):
    producer, consumer = ring.producer(), ring.consumer()
    producer.reserve(4)
    producer.write(b"next")
    assert consumer.read() == b"next"


def test_a_record_peeked_at_stays_until_it_is_released(ring):
    producer, consumer = ring.producer(), ring.consumer()
    producer.write(b"a")
    with pytest.raises(KeyError):
        with consumer.peek():
            raise KeyError
    consumer.peek()  # the grant goes away unreleased
    grant = consumer.try_peek()
    assert bytes(grant) == b"a"
    grant.release()
    with pytest.raises(ValueError, match="ended"):
        grant.release()
    assert consumer.try_read() is None


def test_one_grant_at_a_time(ring):
    producer, consumer = ring.producer(), ring.consumer()
    producer.write(b"a")
    room, record = producer.reserve(4), consumer.peek()
    for use in (
        lambda: producer.write(b"b"), lambda: producer.try_write(b"b"), lambda: producer.reserve(1),
        consumer.read, consumer.try_read, consumer.peek, consumer.try_peek,
    ):
        with pytest.raises(triveni.Busy, match="pending"):
            use()
    room.commit()
    record.release()
    producer.write(b"b")


def test_a_role_is_taken_once_and_given_back(ring):
    producer, consumer = ring.producer(), ring.consumer()
    with pytest.raises(triveni.Busy):
        ring.producer()
    with pytest.raises(triveni.Busy):
        ring.consumer()
    producer.close()
    producer.close()
    with ring.producer() as again:
        again.write(b"a")
    assert producer.closed and again.closed and "closed" in repr(again)
    with pytest.raises(ValueError, match="closed"):
        producer.write(b"a")
    with pytest.raises(ValueError, match="closed"):
        again.__enter__()
    assert consumer.read() == b"a"
    consumer.close()
    ring.consumer()


def test_closing_cancels_what_is_pending(ring):
    producer = ring.producer()
    grant = producer.reserve(4)
    producer.close()
    with pytest.raises(ValueError, match="ended"):
        grant.commit()
    consumer = ring.consumer()
    ring.producer().write(b"a")
    assert consumer.read() == b"a"


def test_a_second_thread_is_told_that_the_end_is_in_use(ring):
    consumer = ring.consumer()
    producer = ring.producer()
    read = []

    def work():
        while not read:
            try:
                read.append(consumer.read())
            except triveni.Busy:
                continue  # the other one was in there at that moment

    reader = threading.Thread(target=work)
    reader.start()
    while True:
        try:
            consumer.try_read()
        except triveni.Busy as error:
            assert "another thread" in str(error)
            break
    assert "in use" in repr(consumer)
    producer.write(b"for the reader")
    reader.join()
    assert read == [b"for the reader"]


def test_a_reader_in_another_process_is_woken(ring, other):
    peer = other("c = segment.ring('r').consumer(); say('waiting'); say(c.read().decode())")
    peer.says("waiting")
    peer.asleep()
    ring.producer().write(b"wake up")
    peer.says("wake up")


def test_a_writer_in_another_process_goes_on_when_there_is_room(ring, other):
    consumer = ring.consumer()
    peer = other(
        "p = segment.ring('r').producer(); n = 0\n"
        "while p.try_write(bytearray(500)): n += 1\n"
        "say(n); p.write(b'last'.ljust(500)); say('written')"
    )
    n = int(peer.line())
    peer.asleep()
    for _ in range(n):
        assert consumer.read() == bytes(500)
    assert consumer.read().strip() == b"last"
    peer.says("written")


def test_reading_from_a_dead_producer_ends_when_the_ring_is_empty(ring, other):
    consumer = ring.consumer()
    peer = other("p = segment.ring('r').producer(); p.write(b'last words'); say('written'); time.sleep(1000)")
    peer.says("written")
    peer.kill()
    assert consumer.read() == b"last words"
    with pytest.raises(triveni.PeerDead) as caught:
        consumer.read(timeout=30)
    assert isinstance(caught.value, ConnectionResetError) and isinstance(caught.value, triveni.Error)
    producer = ring.producer()  # a successor takes over
    producer.write(b"again")
    assert consumer.read() == b"again"


def test_many_records_cross_between_processes_whole(ring, other):
    n = 5000
    peer = other(f"""
p = segment.ring('r').producer()
for k in range({n}):
    p.write(k.to_bytes(8, 'little') + bytes(k % 40))
say('done'); go()
""")
    consumer = ring.consumer()
    for k in range(n):
        assert consumer.read() == k.to_bytes(8, "little") + bytes(k % 40)
    peer.says("done")


def test_repr_shows_what_it_is(ring):
    producer, consumer = ring.producer(), ring.consumer()
    assert "4096 bytes" in repr(ring) and "Producer" in repr(producer) and "Consumer" in repr(consumer)
    with producer.reserve(3) as grant:
        assert "pending" in repr(producer) and "3 bytes, open" in repr(grant)
    with consumer.peek() as record:
        assert "3 bytes, open" in repr(record)
    assert "ended" in repr(record)


@pytest.fixture
def packed(segment):
    ring = segment.ring_of("packed", 16, 50)
    with ring.producer() as producer, ring.consumer() as consumer:
        yield ring, producer, consumer


def test_a_batch_is_written_and_read_at_once(ends):
    producer, consumer = ends
    producer.write_many([b"sun", bytearray(b"moon"), b"", memoryview(b"stars")])
    assert consumer.read_many(3) == [b"sun", b"moon", b""]
    assert consumer.read_many(10, timeout=5) == [b"stars"]
    assert consumer.try_read_many(10) == [] and consumer.read_many(0) == []
    producer.write_many(bytes([n]) for n in range(3))
    assert consumer.read_many(10) == [b"\0", b"\1", b"\2"]
    assert producer.try_write_many([]) is True
    with pytest.raises(TimeoutError):
        consumer.read_many(1, timeout=0.01)
    with pytest.raises(TypeError):
        producer.write_many([b"good", 7])
    with pytest.raises(TypeError):
        producer.write_many(7)
    assert consumer.try_read() is None, "none of them is written"


def test_a_batch_that_does_not_fit_leaves_nothing(segment):
    ring = segment.ring("narrow", 256)
    with ring.producer() as producer, ring.consumer() as consumer:
        producer.write(b"first")
        assert producer.try_write_many([b"x"] * 4) is False
        with pytest.raises(TimeoutError):
            producer.write_many([b"x"] * 4, timeout=0.01)
        with pytest.raises(triveni.TooLarge, match="batch"):
            consumer.read()
            producer.write_many([b"x"] * 5)
        assert consumer.try_read() is None


def test_staged_grants_are_seen_together_and_held_ones_released_together(ends):
    producer, consumer = ends
    for n in range(3):
        grant = producer.reserve(8)
        with memoryview(grant) as room:
            room[:] = bytes([n]) * 8
            with pytest.raises(BufferError):
                grant.stage()
        grant.stage(4)
        assert consumer.try_peek() is None
    producer.publish()
    for n in range(2):
        grant = consumer.peek()
        assert bytes(grant) == bytes([n]) * 4
        grant.hold()
        with pytest.raises(ValueError):
            grant.hold()
    consumer.rewind()
    assert consumer.read_many(9) == [bytes([n]) * 4 for n in range(3)]
    producer.reserve(8).stage()
    producer.discard()
    producer.publish()
    assert consumer.try_read() is None
    with pytest.raises(triveni.TooLarge, match="stage"):
        producer.reserve(8).stage(9)


def test_packed_records_are_one_buffer(packed):
    ring, producer, consumer = packed
    assert (ring.record_size, ring.capacity, ring.max_record, ring.size) == (16, 64, 16, 1024)
    assert "records of 16" in repr(ring)
    numpy = pytest.importorskip("numpy")
    points = numpy.dtype([("x", "<f8"), ("n", "<i8")])
    sent = numpy.array([(n / 2, n) for n in range(40)], points)
    producer.write_packed(sent)
    got = numpy.frombuffer(consumer.read_packed(1000), points)
    assert (got == sent).all()
    with producer.reserve_packed(100) as grant:
        room = numpy.frombuffer(grant, points)
        assert len(room) == 24, "until the ring's end"
        room["n"] = 7
        del room
    with consumer.peek_packed(10) as grant:
        assert len(grant) == 160
        assert numpy.frombuffer(grant, points)["n"].tolist() == [7] * 10
    assert len(consumer.read_packed(100)) == 14 * 16
    assert consumer.try_read_packed(5) == b"" and consumer.try_peek_packed(5) is None


def test_a_packed_ring_refuses_what_is_no_record_of_its(packed, ends):
    _, producer, consumer = packed
    with pytest.raises(ValueError, match="16 bytes"):
        producer.write(b"short")
    with pytest.raises(triveni.TooLarge):
        producer.write(bytes(17))
    with pytest.raises(ValueError, match="16 bytes"):
        producer.write_packed(bytes(40))
    with pytest.raises(triveni.TooLarge):
        producer.write_packed(bytes(65 * 16))
    for refused in (
        lambda: ends[0].write_packed(b"x"),
        lambda: ends[0].reserve_packed(1),
        lambda: ends[1].read_packed(1),
        lambda: ends[1].peek_packed(1),
    ):
        with pytest.raises(ValueError, match="any size"):
            refused()


def test_after_a_shutdown_what_is_there_is_read_first(segment):
    ring = segment.ring("shut", 4096)
    with ring.producer() as producer, ring.consumer() as consumer:
        producer.write_many([b"a", b"b"])
        assert not ring.is_shut_down
        ring.shutdown()
        ring.shutdown()
        assert ring.is_shut_down and "shut down" in repr(ring)
        with pytest.raises(triveni.Closed):
            producer.write(b"c")
        assert consumer.read_many(9) == [b"a", b"b"]
        for read in (consumer.read, consumer.try_read, lambda: consumer.read_many(1), consumer.peek):
            with pytest.raises(triveni.Closed):
                read()
    with pytest.raises(triveni.Closed, match="shut down"):
        ring.producer()


def test_options_agree_with_the_ring_that_is_there(segment):
    ring = segment.ring("tagged", 4096, exact_wake=True, type_tag="T{d:x:d:y:}")
    assert ring.exact_wake and ring.type_tag == "T{d:x:d:y:}" and ring.record_size is None and ring.capacity is None
    assert segment.ring("tagged").size == 4096
    for other in ({"size": 8192}, {"type_tag": "T{d:x:q:y:}"}):
        with pytest.raises(triveni.Incompatible):
            segment.ring("tagged", **other)
    with pytest.raises(triveni.Incompatible, match="records of 8 bytes"):
        segment.ring_of("tagged", 8)
    with pytest.raises(ValueError):
        segment.ring_of("bad", 0)
    with pytest.raises(ValueError):
        segment.ring_of("bad", 8, 0)
    with pytest.raises(FileExistsError):
        segment.create_ring_of("tagged", 8, 8)
    assert segment.ring_of("default", 8).size == segment.ring("plain").size, "the default size, packed or not"


@given(st.lists(st.lists(st.binary(max_size=200), max_size=8), max_size=20), st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_batches_arrive_whole_and_in_order(batches, most):
    with triveni.Segment.anonymous(1 << 20) as segment:
        ring = segment.ring("r", 8192)
        with ring.producer() as producer, ring.consumer() as consumer:
            got = []
            for batch in batches:
                while not producer.try_write_many(batch):
                    got += consumer.read_many(most)
            while some := consumer.try_read_many(most):
                assert len(some) <= most
                got += some
            assert got == [record for batch in batches for record in batch]
