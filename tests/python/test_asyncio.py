"""The ``_async`` forms: no thread waits for each, nothing is lost when one is cancelled."""

import asyncio
import gc
import os
import random
import threading
import time

import pytest

import triveni

PATIENCE = 30


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def run(story):
    return asyncio.run(asyncio.wait_for(story, PATIENCE))


def test_a_thousand_waits_need_one_thread_more(segment):
    box = segment.mailbox("m", capacity=10, message_size=8)

    async def story():
        before = threads()
        tasks = [asyncio.create_task(box.receive_async()) for _ in range(1000)]
        await asyncio.sleep(0)
        assert threads() <= before + 1
        for i in range(1000):
            await box.send_async(str(i).encode())
        assert sorted(int(message) for message in await asyncio.gather(*tasks)) == list(range(1000))

    run(story())


def test_who_waits_first_is_served_first(segment):
    box = segment.mailbox("m", capacity=10, message_size=8)

    async def story():
        tasks = [asyncio.create_task(box.receive_async()) for _ in range(5)]
        await asyncio.sleep(0)
        for i in range(5):
            box.send(b"%d" % i)
        assert await asyncio.gather(*tasks) == [b"0", b"1", b"2", b"3", b"4"]

    run(story())


def test_a_full_mailbox_lets_other_tasks_run(segment):
    box = segment.mailbox("m", capacity=1, message_size=8)

    async def story():
        async def send():
            for i in range(100):
                await box.send_async(b"%d" % i)

        sender = asyncio.create_task(send())
        got = [await box.receive_async() for _ in range(100)]
        await sender
        assert got == [b"%d" % i for i in range(100)]

    run(story())


def test_sender_and_receiver_meet_at_a_rendezvous_though_neither_blocks(segment):
    box = segment.mailbox("m", capacity=0, message_size=8)
    n = 50

    async def send(first, last):
        for k in range(first, last):
            await box.send_async(b"%d" % k, timeout=PATIENCE)

    async def receive(n):
        return [int(await box.receive_async(timeout=PATIENCE)) for _ in range(n)]

    async def story():
        before = threads()
        for sides in ((send(0, n), receive(n)), (receive(n), send(0, n))):
            assert list(range(n)) in await asyncio.gather(*sides)
        # More senders than there are places, and batches.
        senders = [asyncio.create_task(send(k, k + 1)) for k in range(n)]
        assert sorted(await receive(n)) == list(range(n))
        await asyncio.gather(*senders)
        batch = asyncio.create_task(box.send_many_async([b"1", b"2", b"3"], timeout=PATIENCE))
        assert await receive(3) == [1, 2, 3] and await batch == 3
        assert threads() <= before + 1
        # One that waits for a place is told in time, and of a shutdown.
        senders = [asyncio.create_task(box.send_async(b"0")) for _ in range(n)]
        with pytest.raises(TimeoutError):
            await box.send_async(b"late", timeout=0.01)
        assert await receive(n) == [0] * n
        await asyncio.gather(*senders)
        # A send that is given up leaves nothing.
        with pytest.raises(TimeoutError):
            await box.send_async(b"late", timeout=0.01)
        task = asyncio.create_task(box.send_async(b"cancel"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert box.try_receive() is None and len(box) == 0
        task = asyncio.create_task(box.send_async(b"closed"))
        await asyncio.sleep(0)
        box.shutdown()
        with pytest.raises(triveni.Closed):
            await task

    run(story())


def test_senders_that_wait_for_a_place_at_a_rendezvous_hear_of_its_end(segment):
    box = segment.mailbox("m", capacity=0, message_size=8)

    async def story():
        senders = [asyncio.create_task(box.send_async(b"closed", timeout=PATIENCE)) for _ in range(40)]
        while len(box) < 16:
            await asyncio.sleep(0)
        box.shutdown()
        assert {type(end) for end in await asyncio.gather(*senders, return_exceptions=True)} == {triveni.Closed}
        assert len(box) == 0

    run(story())


def test_loops_of_two_processes_meet_at_a_rendezvous(segment, other):
    box = segment.mailbox("m", capacity=0, message_size=8)
    code = (
        "import asyncio\n"
        "async def story():\n"
        "    box = segment.open_mailbox('m')\n"
        "    for k in range(50): assert await box.receive_async(timeout=30) == b'%d' % k\n"
        "asyncio.run(story())\n"
    )
    peer = other(code)

    async def story():
        for k in range(50):
            await box.send_async(b"%d" % k, timeout=PATIENCE)

    run(story())
    peer.ends()


def test_another_process_wakes_the_loop(segment, other):
    box, answers = segment.mailbox("m"), segment.mailbox("a")
    peer = other("m, a = segment.mailbox('m'), segment.mailbox('a')\nfor _ in range(50): a.send(m.receive() + b'!')\n")

    async def story():
        for i in range(50):
            await box.send_async(b"%d" % i)
            assert await answers.receive_async(timeout=PATIENCE) == b"%d!" % i

    run(story())
    assert peer.process.wait(PATIENCE) == 0


def test_every_verb_waits_and_answers(segment):
    semaphore, mutex, monitor = segment.semaphore("s", 0), segment.mutex("l"), segment.monitor("o")
    event, box, ring = segment.event("e"), segment.mailbox("m", capacity=1, message_size=8), segment.ring("r", 256)
    box.send(b"full")
    producer, consumer = ring.producer(), ring.consumer()
    while producer.try_write(b"x" * 100):
        pass
    mutex_held, monitor_held = mutex.lock(), monitor.enter()

    async def story():
        async def ends(coroutine, act):
            task = asyncio.create_task(coroutine)
            for _ in range(3):
                await asyncio.sleep(0)
            assert not task.done()
            act()
            return await task

        assert await ends(semaphore.wait_async(n=2), lambda: semaphore.post(2)) is None
        (await ends(mutex.lock_async(), mutex_held.unlock)).unlock()
        (await ends(monitor.enter_async(), monitor_held.leave)).leave()
        assert await ends(event.wait_any_async(6, clear=True), lambda: event.set(2)) == 2
        assert await ends(event.wait_all_async(6), lambda: event.set(6)) == 6
        assert await ends(box.send_async(b"two"), box.receive) is None
        loan = await ends(box.reserve_async(8), box.receive)
        loan.cancel()
        assert await ends(box.peek_async(), lambda: box.send(b"seen")) == b"seen"
        assert await box.receive_async() == b"seen"
        assert await ends(box.receive_async(), lambda: box.send(b"three")) == b"three"
        assert await ends(producer.write_async(b"y" * 100), consumer.read) is None
        while consumer.try_read() is not None:
            pass
        assert await ends(consumer.read_async(), lambda: producer.write(b"z")) == b"z"
        grant = await ends(consumer.peek_async(), lambda: producer.write(b"last"))
        assert bytes(grant) == b"last"
        grant.release()
        with await producer.reserve_async(10) as grant:
            grant.commit(0)

    run(story())
    assert not event.try_wait_any(1)


def test_who_shares_what_is_there_waits_too(segment):
    cell, array, service = segment.cell("c", 8), segment.array("a", 4), segment.service("s")
    port = segment.port("p", capacity=1)
    sender, topic = segment.open_port("p"), segment.topic("t", 2, 8)
    publisher, subscriber = topic.publisher(), topic.subscriber()

    def fill(attempt):
        while attempt():
            pass

    async def story():
        async def ends(coroutine, act):
            task = asyncio.create_task(coroutine)
            for _ in range(3):
                await asyncio.sleep(0)
            assert not task.done()
            return act(), await task

        _, newer = await ends(cell.load_newer_async(cell.version), lambda: cell.store(b"8 bytes."))
        assert newer == (cell.version, b"8 bytes.")
        _, guard = await ends(array.write_async(), array.write().unlock)
        guard.unlock()
        assert bytes(await array.snapshot_async()) == bytes(4 * 8)
        _, delivery = await ends(port.receive_async(), lambda: sender.send(b"one"))
        assert delivery.message == b"one"
        sender.send(b"full")
        await ends(sender.send_async(b"two"), port.receive)
        call, request = await ends(service.receive_async(), lambda: service.start(b"?"))
        assert request.reply(b"!") and call.wait(PATIENCE) == b"!"
        assert (await ends(subscriber.receive_async(), lambda: publisher.publish(b"x")))[1] == b"x"
        _, grant = await ends(subscriber.peek_async(), lambda: publisher.publish(b"y"))
        assert bytes(grant) == b"y"
        grant.release()
        fill(lambda: publisher.try_publish(b"z"))
        assert (await ends(publisher.publish_async(b"z"), subscriber.receive))[1] is True
        fill(lambda: publisher.try_publish(b"z"))
        _, room = await ends(publisher.reserve_async(8), subscriber.receive)
        room.cancel()

    run(story())


def test_who_drops_does_not_wait(segment):
    newest, oldest = (segment.topic(p, 2, 8, policy=p).publisher() for p in ("drop newest", "drop oldest"))
    reader = segment.open_topic("drop newest").subscriber()

    async def story():
        assert [await newest.publish_async(b"x") for _ in range(3)] == [True, True, False]
        assert await newest.reserve_async(8) is None
        assert [await oldest.publish_async(b"x") for _ in range(3)] == [True] * 3

    run(story())
    assert reader.receive() == b"x"


def test_a_timeout_says_what_was_waited_for(segment):
    box = segment.mailbox("m")

    async def story():
        with pytest.raises(TimeoutError, match="m: the deadline passed"):
            await box.receive_async(timeout=0.01)
        with pytest.raises(TimeoutError):
            await box.receive_async(0)

    run(story())


def test_cancelling_takes_nothing_and_keeps_the_others_waiting(segment):
    box = segment.mailbox("m")

    async def story():
        first, second = (asyncio.create_task(box.receive_async()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        box.send(b"for the second")
        assert await second == b"for the second"
        third, fourth = (asyncio.create_task(box.receive_async()) for _ in range(2))
        await asyncio.sleep(0)
        box.send(b"x")
        await asyncio.sleep(0)
        third.cancel()  # perhaps woken, and then the message is the fourth's
        done, pending = await asyncio.wait({third, fourth}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if fourth in pending:
            await fourth
        assert third.cancelled() and fourth.result() == b"x"

    run(story())


def test_a_removed_object_ends_its_waits_and_no_others(segment):
    doomed, other = segment.mailbox("doomed"), segment.mailbox("other")

    async def story():
        waiting, going_on = asyncio.create_task(doomed.receive_async()), asyncio.create_task(other.receive_async())
        await asyncio.sleep(0)
        segment.remove("doomed")
        with pytest.raises(triveni.Removed):
            await waiting
        other.send(b"still here")
        assert await going_on == b"still here"

    run(story())


def test_an_idle_loop_sleeps(segment, monkeypatch):
    """Messages that nobody awaits make no loop spin."""
    from triveni._asyncio import Watch

    box, looks, look = segment.mailbox("m"), [], Watch.look
    monkeypatch.setattr(Watch, "look", lambda self: (looks.append(1), look(self)))

    async def story():
        task = asyncio.create_task(box.receive_async())
        await asyncio.sleep(0)
        for _ in range(5):
            box.send(b"x")
        await task
        assert looks
        await asyncio.sleep(0.2)
        assert len(looks) <= 4

    run(story())


def test_each_loop_has_its_own(segment):
    box = segment.mailbox("m")
    answers = []

    def other_loop():
        answers.append(asyncio.run(box.receive_async(timeout=PATIENCE)))

    thread = threading.Thread(target=other_loop)
    thread.start()
    run(box.send_async(b"across"))
    thread.join(PATIENCE)
    assert answers == [b"across"]
    run(box.send_async(b"again"))
    assert run(box.receive_async()) == b"again"


def test_many_calls_wait_at_once_without_a_thread_for_each(segment):
    service = segment.service("s", 16, 16, calls=300)

    async def story():
        before = threads()
        tasks = [asyncio.create_task(service.call_async(b"%d" % i, PATIENCE)) for i in range(300)]
        while len(service) < 300:
            await asyncio.sleep(0)
        assert threads() <= before + 3  # a set holds 127 of them
        for _ in range(300):
            request = await service.receive_async(PATIENCE)
            request.reply(bytes(request)[::-1])
        assert await asyncio.gather(*tasks) == [(b"%d" % i)[::-1] for i in range(300)]

    run(story())


def test_calls_wait_for_a_free_cell_and_are_served_by_an_async_loop(segment):
    service = segment.service("s", 16, 16, calls=2)

    async def serve():
        async for request in service:
            request.reply(bytes(request) * 2)

    async def story():
        server = asyncio.create_task(serve())
        answers = await asyncio.gather(*(service.call_async(b"%d" % i) for i in range(50)))
        assert answers == [b"%d" % i * 2 for i in range(50)]
        service.shutdown()
        await server
        with pytest.raises(triveni.Closed):
            await service.call_async(b"x")

    run(story())


def test_a_cancelled_or_late_call_gives_its_cell_back(segment):
    service = segment.service("s", 16, 16, calls=1)

    async def story():
        for cancel in (True, False):
            task = asyncio.create_task(service.call_async(b"x", PATIENCE if cancel else 0.02))
            while service.try_start(b"y") is not None:
                await asyncio.sleep(0)
            request = service.try_receive()
            assert request is not None and bytes(request) == b"x"
            if cancel:
                task.cancel()
            with pytest.raises(asyncio.CancelledError if cancel else TimeoutError):
                await task
            assert request.is_cancelled and not request.reply(b"late")
            assert service.try_start(b"z") is not None
        # And while it waits for a cell.
        first = service.start(b"1")
        waiting = asyncio.create_task(service.call_async(b"2"))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(TimeoutError):
            await service.call_async(b"3", 0.01)
        first.cancel()
        assert len(service) == 0

    run(story())


def test_what_becomes_of_a_call_is_told_to_who_awaits_it(segment, other):
    service = segment.service("s", 64, 64)

    async def story():
        task = asyncio.create_task(service.call_async(b"x"))
        while (request := service.try_receive()) is None:
            await asyncio.sleep(0)
        request.fail("no tea")
        with pytest.raises(triveni.Failed, match="no tea"):
            await task
        task = asyncio.create_task(service.call_async(b"x"))
        while len(service) == 0:
            await asyncio.sleep(0)
        server = other("request = segment.open_service('s').receive(); say('has it'); go()")
        await asyncio.to_thread(server.says, "has it")
        server.kill()
        with pytest.raises(triveni.PeerDead):
            await task
        waiting = asyncio.create_task(service.call_async(b"x"))
        while len(service) == 0:
            await asyncio.sleep(0)
        service.shutdown()
        with pytest.raises(triveni.Closed):
            await waiting

    run(story())


def test_an_answered_call_is_no_member_any_more(segment):
    from triveni._asyncio import Lookout

    service = segment.service("s", 16, 16)

    async def story():
        task = asyncio.create_task(service.call_async(b"x"))
        while (request := service.try_receive()) is None:
            await asyncio.sleep(0)
        request.reply(b"y")
        assert await task == b"y"
        members = [member for watch in Lookout.here().watches for member in watch.members.values()]
        assert not any(isinstance(member.thing, triveni.Call) for member in members)

    run(story())


def test_batches_of_a_ring_come_to_who_awaits_them(segment):
    ring, packed = segment.ring("r", 1 << 12), segment.ring_of("p", 8, 512)
    producer, consumer = ring.producer(), ring.consumer()
    packer, unpacker = packed.producer(), packed.consumer()

    async def story():
        batch = asyncio.create_task(consumer.read_many_async(10))
        column = asyncio.create_task(unpacker.read_packed_async(10))
        await asyncio.sleep(0)
        producer.write_many([b"a", b"bb", b"ccc"])
        packer.write_packed(bytes(24))
        assert await batch == [b"a", b"bb", b"ccc"]
        assert await column == bytes(24)
        assert await consumer.read_many_async(0) == [] and await unpacker.read_packed_async(0) == b""
        room = bytearray(8)
        late = asyncio.create_task(consumer.read_into_async(room))
        await asyncio.sleep(0)
        await producer.write_async(b"x")
        assert await late == 1 and room[:1] == b"x"
        with pytest.raises(TimeoutError):
            await consumer.read_many_async(10, timeout=0.01)
        while packer.try_write_packed(bytes(8)):
            pass
        grant = asyncio.create_task(packer.reserve_packed_async(2))
        await asyncio.sleep(0)
        with await unpacker.peek_packed_async(100) as records:
            assert len(records) > 8
        with await grant as reserved:
            assert len(reserved) in (8, 16)

    run(story())


def test_a_loop_over_a_subscriber_ends_with_the_shutdown(segment):
    topic = segment.topic("t", 8, 16)
    subscriber, publisher = topic.subscriber(), topic.publisher()

    async def story():
        got = []
        for i in range(3):
            publisher.publish(b"%d" % i)
        publisher.shutdown()
        async for message in subscriber:
            got.append(message)
        assert got == [b"0", b"1", b"2"]

    run(story())


def test_a_loop_that_is_closed_leaves_no_descriptor_and_no_thread(segment):
    box = segment.mailbox("m", 4, 8)

    async def story():
        late = asyncio.create_task(box.receive_async())
        await asyncio.sleep(0.001)
        box.send(b"x")
        await late

    def is_open():
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    asyncio.run(story())
    before = is_open(), threads()
    for _ in range(3):
        asyncio.run(story())
    loop = asyncio.new_event_loop()  # closed under a task that waits
    late = loop.create_task(box.receive_async())
    loop.run_until_complete(asyncio.sleep(0.001))
    loop.close()
    late._log_destroy_pending = False
    del late, loop
    assert is_open() <= before[0]
    deadline = time.monotonic() + 10
    while threads() > before[1] and time.monotonic() < deadline:
        time.sleep(0.001)
    assert threads() <= before[1]


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("-inf")])
def test_a_time_that_is_none_is_refused_as_elsewhere(segment, timeout):
    box, waitset = segment.mailbox("m"), triveni.WaitSet()
    waitset.add(box)

    async def story():
        with pytest.raises(ValueError, match="is no time to wait"):
            await box.receive_async(timeout)
        with pytest.raises(ValueError, match="is no time to wait"):
            await waitset.wait_async(timeout)

    run(story())


def test_no_messages_are_there_at_once(segment):
    box = segment.mailbox("m")

    async def story():
        assert await asyncio.wait_for(box.receive_many_async(0), 10) == []

    run(story())


@pytest.mark.parametrize("channel", ["fifo", "priority", "unbounded", "ring", "port", "topic"])
def test_what_is_cancelled_at_random_moments_is_neither_lost_nor_doubled(segment, channel):
    dice, n, sent, received, over = random.Random(channel), 100, [], [], []
    receivers = 1 if channel in ("ring", "topic") else 4
    match channel:
        case "ring":
            ring = segment.ring("c", 256)
            producer, consumer = ring.producer(), ring.consumer()
            send, receive = producer.write_async, consumer.read_async
        case "topic":
            topic = segment.topic("c", 3, 16)
            publisher, subscriber = topic.publisher(), topic.subscriber()
            send, receive = publisher.publish_async, subscriber.receive_async
        case "port":
            port = segment.port("c", capacity=3)
            right = segment.open_port("c")

            async def receive():
                return (await port.receive_async()).message

            send = right.send_async
        case _:
            order = "priority" if channel == "priority" else "fifo"
            box = segment.mailbox("c", 512 if channel == "unbounded" else 3, 16, order=order, unbounded=channel == "unbounded")
            send, receive = box.send_async, box.receive_async

    async def at_random(coroutine):
        """Its answer in a list; an empty one if it was cancelled before."""
        task = asyncio.create_task(coroutine)
        if dice.random() < 0.4:
            for _ in range(dice.randrange(4)):
                await asyncio.sleep(0)
            task.cancel()
        try:
            return [await asyncio.wait_for(task, dice.choice([0.001, 0.01, 0.1]))]
        except (asyncio.CancelledError, TimeoutError):
            return []

    async def send_all():
        for k in range(n):
            if await at_random(send(b"%d" % k)):
                sent.append(k)
        over.append(True)

    async def receive_all():
        while not over or len(received) < len(sent):
            received.extend(int(message) for message in await at_random(receive()))

    async def story():
        before = threads()
        await asyncio.gather(send_all(), *(receive_all() for _ in range(receivers)))
        assert threads() <= before + 1

    run(story())
    assert sorted(received) == sent and 0 < len(sent) < n
