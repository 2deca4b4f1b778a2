"""The topic: one publishes, each subscriber has a cursor of its own, and what it missed it is told."""

import asyncio
import os
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import triveni

POLICIES = ["block", "drop oldest", "drop newest"]


@pytest.fixture(params=POLICIES)
def topic(segment, request):
    return segment.topic("t", 4, 64, policy=request.param, subscribers=3)


def test_each_subscriber_has_a_cursor_of_its_own(topic):
    with topic.publisher() as publisher, topic.subscriber() as early:
        for k in range(3):
            assert publisher.publish(bytes([k])) is True
        late, historian = topic.subscriber(), topic.subscriber(oldest=True)
        assert late.try_receive() is None
        assert publisher.publish(b"\x03")
        assert late.receive() == b"\x03"
        assert [historian.receive() for _ in range(4)] == [early.receive() for _ in range(4)] == [b"\0", b"\1", b"\2", b"\3"]
        assert (topic.published(), topic.dropped(), topic.subscribers(), early.missed()) == (4, 0, 3, 0)
        with pytest.raises(triveni.NoSpace, match="3 subscribers"):
            topic.subscriber()


def test_a_blocking_publisher_waits_for_the_slowest(segment):
    topic = segment.topic("t", capacity=2, policy="block")
    publisher, slow = topic.publisher(), topic.subscriber()
    assert publisher.publish_many([b"a", b"b", b"c"], timeout=0.01) == 2
    assert not publisher.try_publish(b"c")
    with pytest.raises(TimeoutError):
        publisher.publish(b"c", timeout=0.01)
    thread = threading.Thread(target=publisher.publish, args=(b"c",))
    thread.start()
    assert [slow.receive() for _ in range(3)] == [b"a", b"b", b"c"]
    thread.join()


def test_what_was_missed_is_told_once_with_a_count(segment):
    topic = segment.topic("t", 4, policy="drop oldest")
    publisher, subscriber = topic.publisher(), topic.subscriber()
    for k in range(10):
        assert publisher.publish(bytes([k]))
    with pytest.raises(triveni.Lost, match="7 messages") as told:
        subscriber.receive()
    assert told.value.count == subscriber.missed() == 7
    assert subscriber.receive_many(10) == [b"\7", b"\x08", b"\x09"]
    assert subscriber.try_receive_many(10) == []


def test_a_publisher_that_drops_says_so_and_so_does_the_topic(segment):
    topic = segment.topic("t", 1, policy="drop_newest")
    publisher, subscriber = topic.publisher(), topic.subscriber()
    assert [publisher.publish(b"x") for _ in range(3)] == [True, False, False]
    assert publisher.reserve(1) is None
    assert topic.dropped() == 3
    assert subscriber.receive() == b"x"
    assert publisher.publish(b"y")
    with pytest.raises(triveni.Lost) as told:
        subscriber.try_peek()
    assert told.value.count == 3
    assert subscriber.receive() == b"y"


def test_the_end_is_the_end_of_the_loop(topic):
    publisher, subscriber = topic.publisher(), topic.subscriber()
    publisher.publish_many([b"a", b"b"])
    publisher.shutdown()
    assert list(subscriber) == [b"a", b"b"]
    with pytest.raises(triveni.Closed):
        subscriber.receive()
    with pytest.raises(triveni.Closed):
        publisher.publish(b"c")
    publisher.close()
    assert topic.is_shut_down
    with pytest.raises(triveni.Closed):
        topic.publisher()


def test_arrays_are_written_and_read_in_place(segment):
    topic = segment.topic("frames", 2, 8 * 1000)
    publisher, subscriber = topic.publisher(), topic.subscriber()
    grant = publisher.reserve(8000)
    array = np.frombuffer(grant, dtype="f8")
    assert array.ctypes.data % 64 == 0
    array[:] = np.arange(1000)
    with pytest.raises(BufferError):
        grant.commit()
    with pytest.raises(triveni.Busy):
        publisher.publish(b"")
    del array
    grant.commit()
    lent = subscriber.peek()
    view = memoryview(lent)
    assert view.readonly
    seen = np.frombuffer(lent, dtype="f8")
    assert seen.sum() == 499500
    with pytest.raises(BufferError):
        lent.release()
    del seen
    view.release()
    lent.release()
    assert subscriber.try_peek() is None


def test_a_grant_in_a_block_ends_with_it(topic):
    publisher, subscriber = topic.publisher(), topic.subscriber()
    with publisher.reserve(5) as grant:
        memoryview(grant)[:] = b"hello"
    with pytest.raises(KeyError), publisher.reserve(5):
        raise KeyError
    with pytest.raises(KeyError), subscriber.peek():
        raise KeyError
    with subscriber.peek() as message:
        assert bytes(message) == b"hello"
    assert subscriber.try_receive() is None


def test_who_is_in_the_way_for_too_long_is_put_out(segment):
    topic = segment.topic("t", 1, policy="block", evict_after=0.005)
    publisher, stuck = topic.publisher(), topic.subscriber()
    publisher.publish(b"a")
    publisher.publish(b"b")
    with pytest.raises(triveni.Evicted, match="subscribe anew"):
        stuck.receive()
    assert topic.evict_after == 0.005


def test_messages_go_into_a_buffer(topic):
    publisher, subscriber = topic.publisher(), topic.subscriber()
    publisher.publish(b"abc")
    with pytest.raises(triveni.TooLarge):
        subscriber.receive_into(bytearray(2))
    buffer = bytearray(5)
    assert subscriber.receive_into(buffer) == 3
    assert buffer == b"abc\0\0"
    assert subscriber.try_receive_into(buffer) is None
    with pytest.raises(triveni.TooLarge):
        publisher.publish(bytes(65))


def test_ends_are_closed_and_roles_given_back(topic):
    publisher, subscriber = topic.publisher(), topic.subscriber()
    with pytest.raises(triveni.Busy, match="this process"):
        topic.publisher()
    publisher.close()
    publisher.close()
    subscriber.close()
    assert publisher.closed and subscriber.closed
    with pytest.raises(ValueError, match="closed"):
        publisher.publish(b"")
    with pytest.raises(ValueError, match="closed"):
        subscriber.receive()
    topic.publisher().close()


def test_what_is_asked_for_must_be_what_is_there(segment):
    made = segment.create_topic("t", 3, 8, policy="drop oldest", subscribers=2, evict_after=1, type_tag="T{i:a:}")
    assert (made.capacity, made.message_size, made.policy, made.max_subscribers) == (3, 8, "drop oldest", 2)
    assert made.type_tag == "T{i:a:}"
    assert segment.topic("t").capacity == 3
    for wrong in [{"capacity": 4}, {"policy": "block"}, {"type_tag": "T{d:a:}"}, {"evict_after": 2}]:
        with pytest.raises(triveni.Incompatible):
            segment.topic("t", **wrong)
    for bad in [{"capacity": 0}, {"message_size": 0}, {"policy": "maybe"}, {"subscribers": 0}, {"type_tag": "junk"}]:
        with pytest.raises(ValueError):
            segment.topic("bad", **bad)
    with pytest.raises(FileExistsError):
        segment.create_topic("t")
    assert pickle.loads(pickle.dumps(made)).capacity == 3


def test_tasks_wait_for_both_ends(segment):
    topic = segment.topic("t", 1)
    publisher, subscriber = topic.publisher(), topic.subscriber()

    async def talk():
        async def publish():
            for k in range(50):
                assert await publisher.publish_async(bytes([k]))

        async def receive():
            return [await subscriber.receive_async() for _ in range(50)]

        return (await asyncio.gather(publish(), receive()))[1]

    assert asyncio.run(talk()) == [bytes([k]) for k in range(50)]


def test_ends_stay_with_the_process_that_took_them(topic):
    publisher, subscriber = topic.publisher(), topic.subscriber()
    child = os.fork()
    if child == 0:
        try:
            for call in [lambda: publisher.publish(b"x"), subscriber.try_receive]:
                with pytest.raises(triveni.Forked):
                    call()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_observers_see_it(segment, topic):
    publisher, subscriber = topic.publisher(), topic.subscriber()
    publisher.publish(b"x")
    (seen,) = segment.objects()
    assert seen.kind == "topic"
    assert seen.state["published"] == 1 and seen.state["subscribers"] == [(seen.state["publisher"], 1)]
    assert "1 published" in segment._repr_html_()
    assert subscriber.receive() == b"x"


@settings(max_examples=30, deadline=None)
@given(
    policy=st.sampled_from(POLICIES),
    capacity=st.integers(1, 5),
    deeds=st.lists(st.sampled_from(["publish", "first", "second"]), max_size=60),
)
def test_received_and_missed_are_together_what_was_published(policy, capacity, deeds):
    with triveni.Segment.anonymous(size=1 << 16) as segment:
        topic = segment.topic("t", capacity, 8, policy=policy, subscribers=2)
        publisher = topic.publisher()
        subscribers = {"first": topic.subscriber(), "second": topic.subscriber()}
        expected = {"first": 0, "second": 0}
        attempts = 0

        def receive(who):
            try:
                message = subscribers[who].try_receive()
            except triveni.Lost as lost:
                expected[who] += lost.count
                return True
            if message is not None:
                assert int.from_bytes(message, "little") == expected[who]
                expected[who] += 1
            return message is not None

        for deed in deeds:
            if deed == "publish":
                published = publisher.try_publish(attempts.to_bytes(8, "little"))
                attempts += published or policy == "drop newest"
            else:
                receive(deed)
        publisher.shutdown()
        for who, subscriber in subscribers.items():
            with pytest.raises(triveni.Closed):
                while receive(who):
                    pass
            assert expected[who] == attempts
            subscriber.close()
