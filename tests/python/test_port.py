"""Ports, rights in messages, port sets, and processes by name."""

import asyncio
import os
import signal
import threading

import pytest
import triveni
from hypothesis import given, settings
from hypothesis import strategies as st

from people import in_child, refused, until


@pytest.fixture
def segment():
    with triveni.Segment.anonymous(1 << 22) as segment:
        yield segment


def test_eight_messages_fit_and_there_is_one_receiver(segment):
    port, sender = segment.port("p"), segment.open_port("p")
    assert (port.right, sender.right, port.capacity, port.message_size) == ("receive", "send", 8, 1024)
    for i in range(8):
        sender.send(bytes([i]))
    assert not sender.try_send(b"too many") and len(port) == 8
    with pytest.raises(TimeoutError):
        sender.send(b"too many", timeout=0.01)
    assert [port.receive().message for _ in range(8)] == [bytes([i]) for i in range(8)]
    assert port.try_receive() is None
    with pytest.raises(triveni.Busy, match="right to receive"):
        segment.port("p")
    with pytest.raises(triveni.NotOwner):
        port.send(b"")
    with pytest.raises(triveni.NotOwner):
        sender.receive()
    with pytest.raises(triveni.TooLarge):
        sender.send(bytes(1025))
    with pytest.raises(FileExistsError):
        segment.create_port("p")
    with pytest.raises(triveni.Incompatible):
        segment.port("p", capacity=3)
    with pytest.raises(FileNotFoundError):
        segment.open_port("none")


def test_a_right_that_was_given_away_is_refused_and_works_where_it_went(segment):
    a, b = segment.port("a"), segment.port("b")
    to_a, to_b = segment.open_port("a"), segment.open_port("b")
    for rights, error in [([b, b], triveni.NotOwner), ([a], ValueError), ([to_a], ValueError)]:
        with pytest.raises(error):
            to_a.send(b"", rights)
    to_a.send(b"take b", [b, to_b])
    for use in (b.receive, lambda: to_b.send(b""), b.send_right):
        with pytest.raises(triveni.NotOwner, match="given away"):
            use()
    delivery = a.receive()
    new_b, new_to_b = delivery.rights
    assert (delivery.message, new_b.right, new_to_b.right, delivery.lost) == (b"take b", "receive", "send", 0)
    new_to_b.send(b"x")
    assert new_b.receive().message == b"x"
    assert new_b != b and new_b == new_b
    b.close()
    new_b.deallocate()
    with pytest.raises(triveni.PeerDead):
        new_to_b.send(b"x")


def test_a_call_is_answered_by_another_process_until_that_dies(segment):
    ready_r, ready_w = os.pipe()

    def serve():
        with segment.port("s") as port:
            os.write(ready_w, b"!")
            while True:
                delivery = port.receive()
                if delivery.message == b"stay":
                    os.write(ready_w, b"!")
                    signal.pause()
                delivery.reply.send(delivery.message.upper())

    segment.create_port("s").close()
    pid = os.fork()
    if pid == 0:
        try:
            serve()
        finally:
            os._exit(1)
    os.read(ready_r, 1)
    client = segment.open_port("s")
    assert client.call(b"tea", timeout=30).message == b"TEA"
    killer = threading.Thread(target=lambda: (os.read(ready_r, 1), os.kill(pid, signal.SIGKILL)))
    killer.start()
    with pytest.raises(triveni.PeerDead):
        client.call(b"stay", timeout=30)
    killer.join()
    os.waitpid(pid, 0)
    until(lambda: refused(triveni.PeerDead, lambda: client.try_send(b"?")))  # a send asks for the receiver now and then
    with segment.port("s"), pytest.raises(TimeoutError):
        client.call(b"?", timeout=0.01)
    os.close(ready_r)
    os.close(ready_w)


def test_a_fork_has_no_rights(segment):
    port = segment.port("p")

    def child():
        with pytest.raises(triveni.Forked):
            port.receive()
        segment.open_port("p").send(b"from the child")
        return True

    in_child(child)
    assert port.receive(timeout=30).message == b"from the child"


def test_a_port_tells_what_was_asked_for(segment):
    port, notify = segment.port("p", capacity=1), segment.port("n")
    sender = segment.open_port("p")
    port.request_notification("no_senders", notify)
    sender.request_notification("dead_name", notify)
    with pytest.raises(ValueError):
        port.request_notification("rain", notify)
    with pytest.raises(triveni.NotOwner):
        sender.request_notification("no_senders", notify)
    assert sender.send_pending(b"1", notify) and not sender.send_pending(b"2", notify)
    with pytest.raises(triveni.Busy):
        sender.send_pending(b"3", notify)
    assert notify.try_receive() is None
    assert [port.receive().message for _ in range(2)] == [b"1", b"2"]
    told = []
    for end in (lambda: None, sender.close, port.close):
        end()
        delivery = notify.receive(timeout=30)
        told.append((delivery.event, delivery.port, delivery.message))
    assert told == [("accepted", "p", b""), ("no_senders", "p", b""), ("dead_name", "p", b"")]


def test_a_set_receives_from_its_members_in_turn(segment):
    ports = [segment.port(name) for name in "ab"]
    senders = [segment.open_port(name) for name in "ab"]
    together = triveni.PortSet()
    with pytest.raises(ValueError):
        together.receive()
    for port in ports:
        together.add(port)
    with pytest.raises(triveni.Busy):
        ports[0].receive()
    for sender in senders * 3:
        sender.send(b"x")
    assert [together.receive()[0] is ports[i % 2] for i in range(6)] == [True] * 6
    assert together.try_receive() is None and len(together) == 2
    with pytest.raises(TimeoutError):
        together.receive(timeout=0.01)
    together.remove(ports[0])
    assert ports[0].try_receive() is None


def test_processes_name_each_other(segment):
    p = segment.process("p")
    p.send("q", b"early")
    with segment.process("q") as q:
        with pytest.raises(triveni.Busy):
            segment.process("q")
        q.send("q", b"to myself")
        assert q.receive_from("q").sender == "q"
        delivery = q.receive()
        assert (delivery.sender, delivery.message) == ("p", b"early")
        with pytest.raises(TimeoutError):
            q.receive_from("p", timeout=0.01)
        p.close()
        with pytest.raises(triveni.PeerDead):
            q.receive_from("p", timeout=30)


def test_asyncio_waits_for_a_port(segment):
    port, sender = segment.port("p", capacity=1), segment.open_port("p")

    async def main():
        waits = asyncio.create_task(port.receive_async())
        await sender.send_async(b"one")
        return (await waits).message

    assert asyncio.run(main()) == b"one"


def test_a_port_shows_itself(segment):
    port = segment.port("p")
    assert "p" in repr(port) and "right to receive" in repr(port)
    state = {info.name: info for info in segment.objects()}["p"].state
    assert (state["capacity"], state["len"], state["senders"]) == (8, 0, 0)
    assert state["receiver"] is not None
    segment.open_port("p").send(b"x")
    assert "1 of 8" in segment._repr_html_()
    assert "1 bytes" in repr(port.receive())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=40)), max_size=60))
def test_messages_and_rights_are_conserved(steps):
    """Whoever has the right to send to the counter passes it round; messages keep their order for each port."""
    with triveni.Segment.anonymous(1 << 22) as segment:
        ports = [segment.port(f"p{i}", message_size=64) for i in range(3)]
        senders = [port.send_right() for port in ports]
        token, at = segment.port("token"), None
        queued = [[], [], []]
        for to, message in steps:
            if len(queued[to]) == 8:
                delivery = ports[to].receive()
                expected, carries = queued[to].pop(0)
                assert (delivery.message, len(delivery.rights)) == (expected, carries)
                if carries:
                    (token,), at = delivery.rights, None
            elif at is None:
                senders[to].send(message, [token])
                queued[to].append((message, 1))
                at = to
            else:
                senders[to].send(message)
                queued[to].append((message, 0))
        for port, left in zip(ports, queued, strict=True):
            for expected, carries in left:
                delivery = port.receive()
                assert (delivery.message, len(delivery.rights)) == (expected, carries)
            assert port.try_receive() is None
