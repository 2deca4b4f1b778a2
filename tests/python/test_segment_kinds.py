"""Every channel between two processes, in every kind of segment: named, a sealed memfd sent to the other, forked."""

import os
import socket

import pytest
from people import in_child

import triveni
from triveni import Segment

N = 40
PATIENCE = 30
KINDS = ["named", "sent", "forked"]


def lines(first=0):
    return [b"%d" % k * (k % 7) for k in range(first, first + N)]


def check(got, expected):
    assert got == expected, (got, expected)


def mailbox(**options):
    def make(segment):
        segment.create_mailbox("m", **{"capacity": 4, "message_size": 16} | options)

    def send(segment):
        box = segment.open_mailbox("m")
        for message in lines():
            box.send(message, timeout=PATIENCE)

    def receive(segment):
        box = segment.open_mailbox("m")
        check([box.receive(timeout=PATIENCE) for _ in range(N)], lines())

    return make, send, receive


def ring(**options):
    def make(segment):
        segment.create_ring("r", 512, **options)

    def send(segment):
        with segment.open_ring("r").producer() as producer:
            for message in lines():
                producer.write(message, timeout=PATIENCE)

    def receive(segment):
        with segment.open_ring("r").consumer() as consumer:
            check([consumer.read(timeout=PATIENCE) for _ in range(N)], lines())

    return make, send, receive


def packed():
    def send(segment):
        with segment.open_ring("r").producer() as producer:
            for k in range(0, N, 5):
                producer.write_packed(b"".join(j.to_bytes(8, "little") for j in range(k, k + 5)), timeout=PATIENCE)

    def receive(segment):
        got = b""
        with segment.open_ring("r").consumer() as consumer:
            while len(got) < 8 * N:
                got += consumer.read_packed(7, timeout=PATIENCE)
        check(memoryview(got).cast("Q").tolist(), list(range(N)))

    return lambda segment: segment.create_ring_of("r", 8, 16), send, receive


def topic(policy):
    def make(segment):
        segment.create_topic("t", 64, 16, policy=policy)

    def send(segment):
        with segment.open_topic("t").publisher() as publisher:
            for message in lines():
                assert publisher.publish(message, timeout=PATIENCE)
            publisher.shutdown()

    def receive(segment):
        with segment.open_topic("t").subscriber(oldest=True) as subscriber:
            check([subscriber.receive(timeout=PATIENCE) for _ in range(N)], lines())
            with pytest.raises(triveni.Closed):
                subscriber.receive(timeout=PATIENCE)

    return make, send, receive


def service():
    def send(segment):
        asked = segment.open_service("s")
        check([asked.call(message, timeout=PATIENCE) for message in lines()], [m[::-1] for m in lines()])
        asked.shutdown()

    def receive(segment):
        for request in segment.open_service("s"):
            assert request.reply(bytes(request)[::-1])

    return lambda segment: segment.create_service("s", 16, 16), send, receive


def port(together=False):
    """Calls, each of which carries a right to answer; the last one carries a right to receive there and back."""

    def send(segment):
        segment.semaphore("taken").wait(timeout=PATIENCE)
        to = segment.open_port("p")
        check([to.call(message, timeout=PATIENCE).message for message in lines()], lines())
        given = segment.create_port("given", message_size=16)
        given.send_right().send(b"left in it")
        home = segment.create_port("home")
        to.send(b"last", [given, home.send_once_right()], timeout=PATIENCE)
        (back,) = home.receive(timeout=PATIENCE).rights
        check(back.receive(timeout=PATIENCE).message, b"added")

    def receive(segment):
        mine, members = segment.port("p", message_size=64), triveni.PortSet()
        segment.semaphore("taken").post()
        if together:
            members.add(mine)

        def received():
            return (members.receive(timeout=PATIENCE)[1]) if together else mine.receive(timeout=PATIENCE)

        for message in lines():
            delivery = received()
            check(delivery.message, message)
            delivery.reply.send(message, timeout=PATIENCE)
        given, home = received().rights
        check(given.receive(timeout=PATIENCE).message, b"left in it")
        given.send_right().send(b"added")
        home.send(b"", [given])

    return lambda segment: segment.semaphore("taken"), send, receive


def process():
    def send(segment):
        with segment.process("anna") as anna:
            for message in lines():
                anna.send("bert", message, timeout=PATIENCE)
            check(anna.receive_from("bert", timeout=PATIENCE).message, b"thanks")

    def receive(segment):
        with segment.process("bert") as bert:
            check([bert.receive(timeout=PATIENCE).message for _ in range(N)], lines())
            bert.send("anna", b"thanks", timeout=PATIENCE)

    return lambda segment: None, send, receive


def array():
    """Both write in turn: even versions are the one's, odd ones the other's."""

    def play(first, segment):
        numbers = segment.open_array("a")
        for turn in range(first, N, 2):
            while True:
                with numbers.write(timeout=PATIENCE) as guard, memoryview(guard).cast("B").cast("Q") as view:
                    if view[0] == turn:
                        view[0] = view[5] = turn + 1
                        break
        with memoryview(numbers.snapshot(timeout=PATIENCE)).cast("B").cast("Q") as seen:
            assert seen[0] == seen[5] >= N - 1

    return (
        lambda segment: segment.create_array("a", (2, 3), "Q"),
        lambda segment: play(0, segment),
        lambda segment: play(1, segment),
    )


def cell():
    def send(segment):
        latest = segment.open_cell("c")
        for k in range(1, N + 1):
            assert latest.store(k.to_bytes(8, "little") * 3, timeout=PATIENCE) == k

    def receive(segment):
        latest, seen = segment.open_cell("c"), 0
        while seen < N:
            version, value = latest.load_newer(seen, timeout=PATIENCE)
            assert version > seen
            check(value, version.to_bytes(8, "little") * 3)
            seen = version

    return lambda segment: segment.create_cell("c", 24), send, receive


CHANNELS = {
    "ring": ring(),
    "ring, exact wake": ring(exact_wake=True),
    "ring, packed": packed(),
    "mailbox": mailbox(),
    "mailbox, rendezvous": mailbox(capacity=0),
    "mailbox, unbounded": mailbox(capacity=4096, unbounded=True),
    "mailbox, priority": mailbox(order="priority"),
    "topic, block": topic("block"),
    "topic, drop oldest": topic("drop oldest"),
    "topic, drop newest": topic("drop newest"),
    "service": service(),
    "port": port(),
    "port set": port(together=True),
    "process": process(),
    "array": array(),
    "cell": cell(),
}


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_channel_works_in_every_kind_of_segment(kind, channel, name):
    make, send, receive = CHANNELS[channel]
    ours, theirs = socket.socketpair()
    with ours, theirs, Segment.create(name, 1 << 21) if kind == "named" else Segment.anonymous(1 << 21) as segment:
        make(segment)

        def other():
            ours.close()
            if kind == "forked":
                return segment
            segment.close()
            if kind == "named":
                return Segment.open(name)
            _, (fd,), *_ = socket.recv_fds(theirs, 1, 1)
            try:
                return Segment.from_fd(fd)
            finally:
                os.close(fd)

        for here, there in ((send, receive), (receive, send)):
            pid = os.fork()
            if pid == 0:
                in_the_child(lambda: there(other()))
            if kind == "sent":
                fd = segment.fd()
                socket.send_fds(ours, [b"x"], [fd])
                os.close(fd)
            here(segment)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            if channel not in ("ring", "mailbox", "process"):
                break  # its end is told, or its numbers are counted: one way only


def in_the_child(work):
    code = 1
    try:
        work()
        code = 0
    except BaseException as error:
        os.write(2, f"in the child: {error!r}\n".encode())
    finally:
        os._exit(code)
