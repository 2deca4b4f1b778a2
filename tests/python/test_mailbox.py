"""The mailbox: in order, whole, once."""

import array
import itertools
import struct
import threading
import time

import pytest

import triveni


def test_messages_come_in_order_and_whole(segment):
    box = segment.mailbox("m", capacity=4, message_size=16)
    sent = [b"", b"a", bytes(16), b"the last"]
    for message in sent:
        box.send(message)
    assert [box.receive() for _ in sent] == sent


@pytest.mark.parametrize(
    "message", [b"abc", bytearray(b"abc"), memoryview(b"xabcx")[1:4], array.array("B", b"abc"), bytearray()]
)
def test_anything_with_contiguous_bytes_can_be_sent(segment, message):
    box = segment.mailbox("m")
    box.send(message)
    assert box.try_send(message)
    assert box.receive() == box.receive() == bytes(message)


def test_what_has_no_bytes_cannot_be_sent(segment):
    box = segment.mailbox("m")
    with pytest.raises(TypeError, match="str"):
        box.send("text")
    with pytest.raises(BufferError, match="contiguous"):
        box.send(memoryview(b"abcdef")[::2])
    assert len(box) == 0


def test_a_full_mailbox_answers_or_times_out(segment):
    box = segment.mailbox("m", capacity=1)
    box.send(b"a")
    assert box.try_send(b"b") is False
    assert box.try_reserve(1) is None
    for full in (lambda t: box.send(b"b", timeout=t), lambda t: box.reserve(1, timeout=t)):
        for timeout in (0, 0.05):
            start = time.monotonic()
            with pytest.raises(TimeoutError):
                full(timeout)
            assert time.monotonic() - start >= timeout


def test_an_empty_mailbox_answers_or_times_out(segment):
    box, buffer = segment.mailbox("m"), bytearray(256)
    assert box.try_receive() is box.try_peek() is box.try_receive_info() is box.try_receive_into(buffer) is None
    for empty in (box.receive, box.peek, box.receive_info, lambda timeout: box.receive_into(buffer, timeout=timeout)):
        for timeout in (0, 0.05):
            start = time.monotonic()
            with pytest.raises(TimeoutError):
                empty(timeout=timeout)
            assert time.monotonic() - start >= timeout


def test_peek_takes_nothing(segment):
    box = segment.mailbox("m")
    box.send(b"a")
    assert box.peek() == box.try_peek() == b"a"
    assert len(box) == 1 and box.receive() == b"a"


def test_receive_into_fills_the_callers_buffer(segment):
    box, buffer = segment.mailbox("m", message_size=8), bytearray(b"........!")
    box.send(b"abc")
    assert box.receive_into(buffer) == 3 and buffer == b"abc.....!"
    box.send(b"defg")
    assert box.try_receive_into(buffer) == 4 and buffer == b"defg....!"


def test_a_buffer_that_a_message_may_not_fit_is_refused(segment):
    box = segment.mailbox("m", message_size=8)
    box.send(b"abc")
    with pytest.raises(triveni.TooLarge, match="7.*8"):
        box.receive_into(bytearray(7))
    with pytest.raises(BufferError):
        box.receive_into(bytes(8))
    assert len(box) == 1


def test_large_messages_come_whole(segment):
    box = segment.mailbox("m", capacity=2, message_size=100_000)
    message = bytes(itertools.islice(itertools.cycle(range(251)), 100_000))
    box.send(message)
    assert box.receive() == message


def test_a_message_too_large_is_refused_with_both_sizes(segment):
    box = segment.mailbox("m", message_size=8)
    for attempt in (lambda: box.send(bytes(9)), lambda: box.try_send(bytes(9)), lambda: box.reserve(9)):
        with pytest.raises(triveni.TooLarge, match="9.*8"):
            attempt()


def test_geometry_that_was_not_given_is_taken_as_it_is(segment):
    segment.mailbox("m", capacity=3, message_size=24)
    for box in (segment.mailbox("m"), segment.mailbox("m", capacity=3), segment.mailbox("m", message_size=24)):
        assert (box.capacity, box.message_size) == (3, 24)


def test_geometry_that_disagrees_is_shown_with_what_is_there(segment):
    segment.mailbox("m", capacity=3, message_size=24)
    for wrong in ({"capacity": 4}, {"message_size": 25}, {"capacity": 4, "message_size": 25}):
        with pytest.raises(triveni.Incompatible) as caught:
            segment.mailbox("m", **wrong)
        assert all(str(number) in str(caught.value) for number in (3, 24, *wrong.values()))


def test_the_defaults_are_ten_messages_of_256_bytes(segment):
    box = segment.mailbox("m")
    assert (box.name, box.capacity, box.message_size, len(box), box.voided()) == ("m", 10, 256, 0, 0)
    assert bool(box), "an empty mailbox is a mailbox"


def test_a_receiver_in_another_process_is_woken(segment, other):
    peer = other("b = segment.mailbox('m'); say('waiting'); say(b.receive().decode())")
    peer.says("waiting")
    peer.asleep()
    segment.mailbox("m").send(b"wake up")
    peer.says("wake up")


def test_a_sender_in_another_process_goes_on_when_there_is_room(segment, other):
    box = segment.mailbox("m", capacity=1)
    box.send(b"first")
    peer = other("b = segment.mailbox('m'); say('waiting'); b.send(bytearray(b'second')); say('sent')")
    peer.says("waiting")
    peer.asleep()
    assert box.receive() == b"first"
    peer.says("sent")
    assert box.receive() == b"second"


def test_many_senders_and_receivers_lose_and_double_nothing(segment, other):
    n, box = 1000, segment.mailbox("m", capacity=7, message_size=16)
    senders = [
        other(f"b = segment.mailbox('m')\nfor k in range({n}): b.send(({i}).to_bytes(4, 'little') + k.to_bytes(4, 'little'))")
        for i in range(2)
    ]
    seen, lock = [], threading.Lock()

    def receive():
        mine = [struct.unpack("<II", box.receive(timeout=30)) for _ in range(n)]
        for sender in range(2):
            ks = [k for i, k in mine if i == sender]
            assert ks == sorted(ks), "one sender's messages come in its order"
        with lock:
            seen.extend(mine)

    threads = [threading.Thread(target=receive) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for sender in senders:
        sender.ends()
    assert sorted(seen) == sorted((i, k) for i in range(2) for k in range(n))


def test_a_loan_sends_what_was_written_in_place(segment):
    box = segment.mailbox("m", message_size=16)
    with box.reserve(16) as loan:
        assert (len(loan), loan.size, bool(loan)) == (16, 16, True)
        struct.pack_into("<ifd", loan, 0, 7, 21.5, 1e9)
        assert len(box) == 0 or box.try_receive() is None, "not to be seen before the commit"
    assert struct.unpack("<ifd", box.receive()) == (7, 21.5, 1e9)


def test_a_loan_commits_only_as_much_as_it_is_told(segment):
    box = segment.mailbox("m")
    with box.reserve(16) as loan:
        with memoryview(loan) as room:
            room[:3] = b"abc"
        loan.commit(3)
    assert box.receive() == b"abc"
    loan = box.reserve(4)
    with pytest.raises(triveni.TooLarge, match="5.*4"):
        loan.commit(5)
    loan.cancel()


def test_an_exception_cancels_the_loan(segment):
    box = segment.mailbox("m", capacity=1)
    with pytest.raises(KeyError):
        with box.reserve(4):
            raise KeyError
    box.send(b"there is room", timeout=30)
    assert box.receive() == b"there is room" and box.try_receive() is None


def test_a_loan_that_goes_away_is_cancelled(segment):
    box = segment.mailbox("m", capacity=1)
    box.reserve(4)
    box.send(b"there is room", timeout=30)
    assert box.receive() == b"there is room"


def test_a_loan_ends_once(segment):
    loan = segment.mailbox("m").reserve(4)
    loan.commit()
    for use in (loan.commit, loan.cancel, lambda: memoryview(loan)):
        with pytest.raises(ValueError, match="ended"):
            use()
    assert "ended" in repr(loan)


def test_a_killed_claimer_is_skipped_and_counted(segment, other):
    peer = other("b = segment.mailbox('m'); b.send(b'1'); loan = b.reserve(8); say('holding'); time.sleep(1000)")
    peer.says("holding")
    box = segment.mailbox("m")
    box.send(b"2")
    peer.kill()
    assert [box.receive(timeout=30) for _ in range(2)] == [b"1", b"2"]
    assert box.voided() == 1


def test_receive_info_counts_the_receivers_that_died_with_it(segment):
    box = segment.mailbox("m")
    box.send(b"a")
    box.send(b"b")
    assert box.receive_info() == (b"a", 0)
    assert box.try_receive_info() == (b"b", 0)


def test_repr_shows_the_fill(segment):
    box = segment.mailbox("m")
    box.send(b"a")
    assert "1 of 10 messages" in repr(box) and "m" in repr(box)
    with box.reserve(5) as loan:
        assert "5 bytes, open" in repr(loan)


def test_the_highest_priority_is_received_first_and_types_are_selected(segment):
    box = segment.mailbox("m", 8, 16, order="priority")
    box.send(b"low", mtype=7)
    box.send(b"high", priority=32767)
    assert box.try_send(b"two", priority=5, mtype=2)
    assert (box.order, box.unbounded, box.max_deliveries, box.type_tag) == ("priority", False, 0, None)
    assert box.receive_envelope(mtype=7) == (b"low", 0, 7)
    assert box.try_receive(mtype=7) is None
    assert box.receive(mtype=-9) == b"two"
    assert box.receive(except_mtype=7, timeout=1) == b"high"
    box.send(b"x", mtype=3)
    assert box.try_receive_envelope() == (b"x", 0, 3)
    with pytest.raises(TimeoutError):
        box.receive(mtype=1, timeout=0.01)
    with pytest.raises(ValueError, match="32768"):
        box.send(b"x", priority=32768)
    with pytest.raises(ValueError, match="not both"):
        box.receive(mtype=1, except_mtype=2)


def test_first_in_first_out_has_no_priorities(segment):
    box = segment.mailbox("m")
    with pytest.raises(ValueError, match="first in, first out"):
        box.send(b"x", priority=1)
    with pytest.raises(ValueError, match="by type"):
        box.try_receive(mtype=1)
    with pytest.raises(ValueError, match="'fifo' or 'priority'"):
        segment.mailbox("n", order="random")
    with pytest.raises(ValueError, match="max_deliveries 65536"):
        segment.mailbox("n", max_deliveries=65536)


def test_what_is_not_given_is_as_it_is_there(segment):
    segment.create_mailbox("m", 4, 8, order="priority", max_deliveries=3)
    assert segment.mailbox("m").order == segment.mailbox("m", 4).order == "priority"
    assert segment.open_mailbox("m").max_deliveries == 3
    for other in ({"order": "fifo"}, {"unbounded": True}, {"max_deliveries": 2}, {"message_size": 9}):
        with pytest.raises((triveni.Incompatible, ValueError)):
            segment.mailbox("m", **other)


def test_another_type_is_refused(segment):
    box = segment.mailbox("m", 4, 8, type_tag="d")
    assert box.type_tag == "d"
    with pytest.raises(triveni.Incompatible):
        segment.mailbox("m", type_tag="i")


def test_a_message_is_read_in_place(segment):
    box = segment.mailbox("m", 1, 16)
    box.send(struct.pack("=id", 7, 0.5))
    with box.borrow() as message:
        assert struct.unpack_from("=id", message) == (7, 0.5)
        assert (len(message), message.size, message.redelivered, bool(message)) == (12, 12, 0, True)
        assert memoryview(message).readonly
        assert box.try_send(b"") is False, "it still has its place"
    assert box.try_send(b"")
    with pytest.raises(ValueError, match="ended"):
        memoryview(message)
    with pytest.raises(ValueError, match="ended"):
        message.release()


def test_a_view_keeps_a_borrowed_message(segment):
    box = segment.mailbox("m", 2, 16)
    box.send(b"kept")
    message = box.borrow()
    view = memoryview(message)
    for end in (message.release, message.give_back):
        with pytest.raises(BufferError, match="alive"):
            end()
    del message, end
    assert bytes(view) == b"kept" and len(box) == 0
    view.release()
    assert box.receive_info(timeout=30) == (b"kept", 1), "nobody had said that it was done with"


def test_what_fails_with_a_message_in_hand_gives_it_back(segment):
    box = segment.mailbox("m", 2, 16, max_deliveries=2)
    box.send(b"poison")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), box.borrow():
            raise ZeroDivisionError
    assert (len(box), box.dropped()) == (0, 1)
    assert box.try_borrow() is None
    with pytest.raises(TimeoutError):
        box.borrow(timeout=0.01)


def test_batches_go_and_come(segment):
    box = segment.mailbox("m", 4, 8)
    sent = [b"a", bytearray(b"bb"), memoryview(b"ccc"), b"", b"e"]
    assert box.try_send_many(sent) == 4
    assert box.try_send_many(sent) == 0
    with pytest.raises(TimeoutError):
        box.send_many(sent, timeout=0.01)
    assert box.receive_many(3) == [b"a", b"bb", b"ccc"]
    assert box.try_receive_many(9) == [b""]
    assert box.try_receive_many(9) == box.receive_many(0) == []
    with pytest.raises(TimeoutError):
        box.receive_many(2, timeout=0.01)
    with pytest.raises(triveni.TooLarge):
        box.send_many([b"good", bytes(9)])
    assert len(box) == 0
    assert box.send_many(iter([b"x"] * 3)) == 3
    with pytest.raises(TypeError):
        box.send_many(7)


def test_a_batch_arrives_in_one_buffer(segment):
    box, buffer = segment.mailbox("m", 4, 8), bytearray(b"\xee" * 24)
    box.send_many([b"ab", b"", b"12345678", b"later"])
    assert box.receive_many_into(buffer) == 3
    assert buffer == b"ab" + bytes(6) + bytes(8) + b"12345678"
    assert box.try_receive_many_into(buffer) == 1
    assert box.try_receive_many_into(buffer) == 0
    with pytest.raises(triveni.TooLarge):
        box.receive_many_into(bytearray(7))
    with pytest.raises(BufferError):
        box.receive_many_into(b"12345678")


def test_a_batch_arrives_in_a_structured_array(segment):
    numpy = pytest.importorskip("numpy")
    reading = numpy.dtype([("sensor", "i4"), ("celsius", "f4")])
    box = segment.mailbox("m", 4, reading.itemsize)
    sent = numpy.array([(1, 20.5), (2, 21.5)], reading)
    box.send_many(row.tobytes() for row in sent)
    received = numpy.empty(4, reading)
    assert (received[: box.receive_many_into(received)] == sent).all()


def test_a_large_batch_waits_for_room(segment):
    box = segment.mailbox("m", 4, 8)
    sent = [i.to_bytes(4, "little") for i in range(1000)]
    received = []
    reader = threading.Thread(target=lambda: received.extend(m for m in box))
    reader.start()
    assert box.send_many(sent, timeout=30) == len(sent)
    box.shutdown()
    reader.join()
    assert received == sent


def test_iteration_ends_with_the_shutdown(segment):
    box = segment.mailbox("m", 4, 8)
    box.send_many([b"1", b"2"])
    assert not box.is_shut_down
    box.shutdown()
    assert box.is_shut_down
    with pytest.raises(triveni.Closed):
        box.send(b"3")
    assert list(box) == [b"1", b"2"]
    for ended in (box.receive, box.try_receive, box.borrow, box.peek, lambda: box.receive_many(3)):
        with pytest.raises(triveni.Closed, match="shut down"):
            ended()


def test_in_asyncio_too(segment):
    import asyncio

    box = segment.mailbox("m", 2, 8, order="priority")

    async def consume():
        return [message async for message in box]

    async def run():
        reader = asyncio.create_task(consume())
        await box.send_async(b"1", priority=3)
        assert await box.send_many_async([b"2"], timeout=10) == 1
        while len(box):
            await asyncio.sleep(0)
        box.send(b"3")
        box.shutdown()
        return await asyncio.wait_for(reader, 30)

    assert sorted(asyncio.run(run())) == [b"1", b"2", b"3"]


def test_at_a_rendezvous_a_send_returns_when_a_receiver_has_the_message(segment):
    box = segment.mailbox("m", 0, 8)
    assert box.capacity == 0 and box.try_send(b"x") is False and box.try_receive() is None
    with pytest.raises(TimeoutError):
        box.send(b"x", timeout=0.02)
    with pytest.raises(ValueError, match="capacity 0"):
        box.reserve(1)
    received = []
    reader = threading.Thread(target=lambda: received.append(box.receive(timeout=30)))
    reader.start()
    box.send(b"hand", timeout=30)
    reader.join()
    assert received == [b"hand"]


def test_an_unbounded_mailbox_refuses_at_its_ceiling(segment):
    box = segment.mailbox("m", 128, 8, unbounded=True)
    assert box.unbounded
    with pytest.raises(triveni.NoSpace, match="ceiling"):
        for _ in range(1000):
            box.send(b"x")
    n = len(box)
    assert 64 <= n <= box.capacity
    assert len(box.try_receive_many(1000)) == n
    box.send(b"again")


def test_who_holds_a_message_is_seen(segment):
    box = segment.mailbox("m", 4, 8)
    me = segment.participants()[0].slot

    def state():
        return segment.objects()[0].state

    assert state()["holders"] == []
    loan = box.reserve(1)
    assert state()["holders"] == [me]
    loan.commit()
    box.shutdown()
    assert (state()["shut_down"], state()["order"], state()["unbounded"]) == (True, "fifo", False)
    assert "shut down" in segment._repr_html_()
