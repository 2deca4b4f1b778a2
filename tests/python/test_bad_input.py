"""What is refused is refused in a sentence: the object, the value, and what to do."""

import ctypes
import os
import signal

import pytest

import triveni


def dead_partner(work):
    """A process that has done `work` and is killed then."""
    done_r, done_w = os.pipe()
    pid = os.fork()
    if pid == 0:
        kept = work()
        os.write(done_w, b"!" if kept else b"?")
        os.close(done_w)
        signal.pause()
        os._exit(0)
    os.close(done_w)
    assert os.read(done_r, 1) == b"!"
    os.close(done_r)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def told(error, use, *words):
    with pytest.raises(error) as caught:
        use()
    sentence = str(caught.value)
    assert all(word in sentence for word in words), sentence


def test_what_is_larger_than_its_slot(segment):
    name = segment.name
    large = bytes(9)
    for kind, options in {"fifo": {}, "priority": {"order": "priority"}, "rendezvous": {"capacity": 0}, "unbounded": {"unbounded": True}}.items():
        box = segment.mailbox(kind, **{"capacity": 8, "message_size": 8} | options)
        for use in (lambda: box.send(large), lambda: box.try_send(large)):
            told(triveni.TooLarge, use, f'"{name}/{kind}"', "9 bytes", "at most 8", "larger message size")
    topic, service, port = segment.topic("t", 2, 8), segment.service("s", 8, 8), segment.port("p", message_size=8)
    told(triveni.TooLarge, lambda: topic.publisher().publish(large), f'"{name}/t"', "9 bytes", "at most 8", "larger message size")
    told(triveni.TooLarge, lambda: service.call(large), f'"{name}/s"', "9 bytes", "at most 8", "larger request size")
    told(triveni.TooLarge, lambda: port.send_right().send(large), f'"{name}/p"', "9 bytes", "at most 8", "larger message size")
    ring, packed = segment.ring("r", 256), segment.ring_of("k", 8, 8)
    told(triveni.TooLarge, lambda: ring.producer().write(bytes(200)), f'"{name}/r"', "200 bytes", "room for 120", "make the ring larger")
    told(triveni.TooLarge, lambda: packed.producer().write(large), f'"{name}/k"', "9 bytes", "room for 8", "ask for less")
    cell = segment.cell("c", 8)
    told(triveni.TooLarge, lambda: cell.store(large), f'"{name}/c"', "9 bytes", "has 8", "give exactly as many")


def test_another_type(segment):
    uses = {
        "m": lambda t: segment.mailbox("m", 2, 16, type=t),
        "r": lambda t: segment.ring("r", 512, type=t),
        "t": lambda t: segment.topic("t", 2, 16, type=t),
        "c": lambda t: segment.cell("c", type=t),
        "a": lambda t: segment.array("a", (2,), t),
        "s": lambda t: segment.service("s", type=(t, t)),
    }
    for name, use in uses.items():
        use(ctypes.c_double)
        told(triveni.Incompatible, lambda use=use: use(ctypes.c_int64), f"{segment.name}/{name}", "there", "wanted", "f64", "i64", "remove it first")


def test_a_second_one_where_there_is_one(segment):
    ring, topic, me = segment.ring("r", 256), segment.topic("t", 2, 8), "this process"
    roles = [ring.producer(), ring.consumer(), topic.publisher(), segment.port("p"), segment.process("anna")]
    for use, role in ((ring.producer, "producer"), (ring.consumer, "consumer"), (topic.publisher, "publisher")):
        told(triveni.Busy, use, role, f'"{segment.name}/', me, "wait until it lets go or ends")
    told(triveni.Busy, lambda: segment.port("p"), f'"{segment.name}/p"', str(os.getpid()), "give it away in a message")
    told(triveni.Busy, lambda: segment.process("anna"), '"anna" is taken', str(os.getpid()), "choose another name")
    few = segment.topic("few", 2, 8, subscribers=1)
    roles.append(few.subscriber())
    told(triveni.NoSpace, few.subscriber, f'"{segment.name}/few"', "1 subscriber", "let one go, or create it for more")


def test_a_right_that_was_given_away(segment):
    port, other = segment.port("p"), segment.port("q")
    to_other = other.send_right()
    to_other.send(b"", [port])
    for use in (port.receive, port.send_right, port.deallocate, lambda: to_other.send(b"", [port])):
        told(triveni.NotOwner, use, f'"{segment.name}/p"', "given away in a message")


def test_what_is_kept_too_long(segment):
    box, ring, cell, array = segment.mailbox("m", 1, 8), segment.ring("r", 256), segment.cell("c", 8), segment.array("a", 2)
    producer, consumer = ring.producer(), ring.consumer()
    loan = box.reserve(4)
    told(TimeoutError, lambda: box.send(b"", timeout=0.01), f"{segment.name}/m", "deadline passed")
    with memoryview(loan):
        told(BufferError, loan.commit, "loan", "release() or del")
    loan.commit()
    told(ValueError, lambda: memoryview(loan), "loan has ended", "take a new one")
    grant = producer.reserve(4)
    told(triveni.Busy, lambda: producer.write(b""), f"'{segment.name}/r'", "grant pending", "commit(), cancel() or release()")
    grant.commit()
    record = consumer.peek()
    told(triveni.Busy, consumer.read, f"'{segment.name}/r'", "grant pending", "commit(), cancel() or release()")
    record.release()
    for ended in (grant, record):
        told(ValueError, lambda ended=ended: memoryview(ended), "has ended", "take a new one")
    message, store = box.borrow(), cell.reserve()
    with memoryview(message), memoryview(store):
        told(BufferError, message.release, "borrowed message", "release() or del")
        told(BufferError, store.commit, "release() or del")
    message.release(), store.commit()
    with array.write() as guard:
        told(triveni.Deadlock, array.write, "a", "thread")
    told(triveni.NotOwner, guard.unlock, "ended", "lock again")


def test_full_for_good_and_nobody_there(segment):
    box = segment.mailbox("u", 8, 8, unbounded=True)
    box.send_many([b"x"] * box.capacity)
    told(triveni.NoSpace, lambda: box.send(b"x"), f'"{segment.name}/u"', f"ceiling of {box.capacity}", "receive some")
    meeting = segment.mailbox("z", 0, 8)
    dead_partner(lambda: meeting.try_receive() is None)
    assert meeting.try_send(b"x") is False
    told(TimeoutError, lambda: meeting.send(b"x", timeout=0.01), f"{segment.name}/z", "deadline passed")
    for name in ("full", "empty"):
        segment.ring(name, 256)
    dead_partner(lambda: roles.extend((segment.open_ring("full").consumer(), segment.open_ring("empty").producer())) or roles)
    producer, consumer = segment.open_ring("full").producer(), segment.open_ring("empty").consumer()
    told(triveni.PeerDead, lambda: [producer.write(bytes(50), timeout=30) for _ in range(9)], f'"{segment.name}/full"', "start a new consumer")
    told(triveni.PeerDead, lambda: consumer.read(timeout=30), f'"{segment.name}/empty"', "start a new producer")


roles = []  # of the partner
