"""Sockets: addresses, streams, datagrams, seqpackets, descriptors, and what ends a wait."""

import errno
import os
import pickle
import resource
import select
import signal
import socket
import threading
import time

import pytest
from people import ctrl_c

import triveni
from triveni import kernel


@pytest.fixture
def place(tmp_path):
    return f"unix:{tmp_path}/socket"


@pytest.fixture
def name():
    name.n = getattr(name, "n", 0) + 1
    return f"unix:@triveni-test-{os.getpid()}-{name.n}-{time.monotonic_ns()}"


def connected(address):
    listener = kernel.Listener.bind(address)
    client = kernel.Stream.connect(listener.local_address, timeout=30)
    return listener, client, listener.accept(timeout=30)


def test_an_address_is_its_text():
    address = kernel.SocketAddress("tcp:127.0.0.1:7777")
    assert str(address) == "tcp:127.0.0.1:7777" and address.family == "tcp"
    assert (address.host, address.port, address.path) == ("127.0.0.1", 7777, None)
    assert kernel.SocketAddress("unix:/tmp/x").path.name == "x"
    assert kernel.SocketAddress("unix:@\\x00a").abstract_name == b"\0a"
    assert {address: 1}[kernel.SocketAddress(address)] == 1
    assert pickle.loads(pickle.dumps(address)) == address != kernel.SocketAddress("udp:127.0.0.1:7777")
    with pytest.raises(ValueError, match="getent"):
        kernel.SocketAddress("tcp:example.org:80")
    with pytest.raises(TypeError):
        kernel.Stream.connect(7)


def test_a_stream_carries_messages_and_bytes_both_ways(name):
    for address in ("tcp:127.0.0.1:0", name):
        listener, client, server = connected(address)
        for a, b in ((client, server), (server, client)):
            a.send(b"hello")
            a.send(bytearray())
            assert b.receive(timeout=30) == b"hello" and b.receive() == b"" and b.try_receive() is None
            a.send_all(b"bytes")
            assert b.receive_exact(5, timeout=30) == b"bytes" and b.try_read() is None
            a.write(b"xy")
            buffer = bytearray(8)
            assert b.read_into(buffer, timeout=30) == 2 and buffer[:2] == b"xy"
        client.shutdown("write")
        assert server.read(timeout=30) == b""
        with pytest.raises(triveni.Closed):
            server.receive()
        assert list(server) == []
        with pytest.raises(triveni.Closed):
            client.send(b"x")


def test_a_large_message_arrives_while_its_receiver_is_slow():
    a, b = kernel.Stream.pair()
    a.set_send_buffer(4096)
    large, second = os.urandom(3_000_000), os.urandom(500_000)
    sender = threading.Thread(target=lambda: (a.send(large), a.send(second), a.send(b"end")))
    sender.start()
    time.sleep(0.2)  # some slices of the sender's wait pass in the middle of the message
    assert b.receive(timeout=30) == large and b.receive(timeout=30) == second and b.receive(timeout=30) == b"end"
    sender.join()
    assert a.unsent == 0


def test_the_main_thread_sends_a_large_message_in_slices():
    a, b = kernel.Stream.pair()
    large = os.urandom(3_000_000)
    received = []

    def receiver():
        time.sleep(0.2)
        received.append(b.receive(timeout=30))
        received.append(b.receive(timeout=30))

    thread = threading.Thread(target=receiver)
    thread.start()
    a.send(large)
    a.send(b"end")
    thread.join()
    assert received == [large, b"end"]


def test_after_a_timeout_in_a_message_its_rest_is_kept():
    a, b = kernel.Stream.pair()
    message = bytes(3_000_000)
    with pytest.raises(TimeoutError):
        a.send(message, timeout=0.03)
    assert a.unsent > 0
    with pytest.raises(TimeoutError):
        b.receive(timeout=0.03)
    thread = threading.Thread(target=a.flush)
    thread.start()
    assert b.receive(timeout=30) == message
    thread.join()


def test_every_wait_has_its_deadline(name):
    listener, client, _ = connected("tcp:127.0.0.1:0")
    datagram = kernel.Datagram.bind("udp:127.0.0.1:0")
    full = kernel.Listener.bind(name, backlog=0)
    while kernel.Stream.try_connect(name) is not None:
        pass
    a, _b = kernel.Seqpacket.pair()
    while a.try_send(b"x"):
        pass
    waits = [
        lambda t: listener.accept(timeout=t),
        lambda t: client.read(timeout=t),
        lambda t: client.receive(timeout=t),
        lambda t: client.receive_exact(1, timeout=t),
        lambda t: datagram.receive_from(timeout=t),
        lambda t: kernel.Stream.connect(name, timeout=t),
        lambda t: a.send(b"x", timeout=t),
        lambda t: a.receive(timeout=t),
    ]
    for wait in waits:
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            wait(0.03)
        assert time.monotonic() - begin >= 0.03
        with pytest.raises(TimeoutError):
            wait(0)
    assert listener.try_accept() is None and full.fileno() >= 0


def test_refusals_are_pythons_own_exceptions(place, name):
    with kernel.Listener.bind("tcp:127.0.0.1:0") as listener:
        address = listener.local_address
        with pytest.raises(OSError, match="sport = :") as taken:
            kernel.Listener.bind(address)
        assert taken.value.errno == errno.EADDRINUSE
    with pytest.raises(ConnectionRefusedError, match=str(address)):
        kernel.Stream.connect(address, timeout=30)
    with pytest.raises(FileNotFoundError):
        kernel.Stream.connect(place)
    with pytest.raises(ConnectionRefusedError):
        kernel.Seqpacket.connect(name)
    with pytest.raises(ValueError, match="datagram"):
        kernel.Datagram.bind("tcp:127.0.0.1:0")
    closed = kernel.Datagram.bind("udp:127.0.0.1:0")
    closed.close()
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        closed.receive()
    assert "closed" in repr(closed)


def test_a_reset_connection_is_a_dead_peer():
    _listener, client, server = connected("tcp:127.0.0.1:0")
    client.send_all(b"never read")
    select.select([server], [], [], 30)
    server.close()
    with pytest.raises(ConnectionResetError) as reset:
        client.read(timeout=30)
    assert isinstance(reset.value, triveni.PeerDead)


def test_a_stale_file_is_replaced_only_if_asked(place):
    path = place.removeprefix("unix:")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with pytest.raises(OSError, match="dead server"):
        kernel.Listener.bind(place)
    with kernel.Listener.bind(place, replace_stale=True, owned=True):
        assert os.stat(path).st_mode & 0o777 == 0o600
        with pytest.raises(OSError, match="live socket"):
            kernel.Listener.bind(place, replace_stale=True)
    assert not os.path.exists(path)


def test_datagrams_are_whole_and_their_sender_is_known(place):
    for address in ("udp:127.0.0.1:0", place, "unix:"):
        with kernel.Datagram.bind(address) as server, kernel.Datagram.connect(server.local_address) as client:
            client.send(b"request")
            assert server.receive_from(timeout=30) == (b"request", client.local_address)
            server.send_to(b"ACK", client.local_address)
            assert server.try_send_to(b"longer", str(client.local_address))
            assert client.receive(timeout=30) == b"ACK" and server.try_receive_from() is None
            with pytest.raises(triveni.TooLarge, match="max_size=3"):
                client.receive(max_size=3)
            buffer = bytearray(6)
            assert client.receive_into(buffer) == 6 and buffer == b"longer"


def test_seqpackets_keep_borders_and_know_their_end(place):
    with kernel.SeqpacketListener.bind(place, owned=True) as listener:
        client = kernel.Seqpacket.connect(place, timeout=30)
        server = listener.accept(timeout=30)
    for message in (b"one", b"", b"three"):
        client.send(message)
    client.close()
    assert list(server) == [b"one", b"", b"three"]
    assert server.peer_credentials.pid == os.getpid() and server.peer_credentials.uid == os.geteuid()


def test_descriptors_are_passed_bounded_and_close_on_exec():
    for kind in (kernel.Stream, kernel.Seqpacket, kernel.Datagram):
        a, b = kind.pair()
        send = a.write_descriptors if kind is kernel.Stream else a.send_descriptors
        receive = b.read_descriptors if kind is kernel.Stream else b.receive_descriptors
        reader, writer = os.pipe()
        send(b"x", [writer, a])
        data, fds, cut = receive(timeout=30)
        assert data == b"x" and len(fds) == 2 and not cut and not any(map(os.get_inheritable, fds))
        for fd in fds:
            os.close(fd)
        send(b"x", [writer] * 100)
        os.close(writer)
        data, fds, cut = receive(1, timeout=30)
        assert len(fds) == 1 and cut
        os.write(fds[0], b"!")
        os.close(fds[0])
        with open(reader, "rb") as file:
            assert file.read() == b"!"  # to the end: nobody has the other 99
        with pytest.raises(ValueError):
            send(b"", [0])
        with pytest.raises(TypeError):
            send(b"x", ["no descriptor"])


def test_ctrl_c_ends_a_wait_and_handlers_run_within_it(name):
    _listener, client, _server = connected(name)
    ran = []
    before = signal.signal(signal.SIGUSR1, lambda *_: ran.append(1))
    try:
        main = threading.main_thread().ident
        threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGUSR1)).start()
        with pytest.raises(TimeoutError):
            client.receive(timeout=0.2)
        assert ran == [1]
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ctrl_c(client.read)


def test_pythons_own_sockets_and_ours_change_places():
    theirs, other = socket.socketpair()
    ours = kernel.Stream.from_fd(theirs.detach())
    ours.send_all(b"hi")
    assert other.recv(8) == b"hi"
    back = socket.socket(fileno=os.dup(ours.fileno()))
    assert back.family == socket.AF_UNIX and back.type == socket.SOCK_STREAM
    assert select.select([ours], [], [], 0)[0] == []
    other.sendall(b"x")
    assert select.select([ours], [], [], 30)[0] == [ours]
    for end in (back, other):
        end.close()


def test_without_descriptors_a_connection_waits_in_the_queue(name):
    child = os.fork()
    if child == 0:  # the limit is the child's alone
        code = 1
        try:
            with kernel.Listener.bind(name) as listener:
                client = kernel.Stream.connect(name, timeout=30)
                most = resource.getrlimit(resource.RLIMIT_NOFILE)
                free = os.dup(0)
                os.close(free)
                resource.setrlimit(resource.RLIMIT_NOFILE, (free, most[1]))
                for make in (listener.accept, listener.try_accept, lambda: kernel.Stream.connect(name)):
                    with pytest.raises(OSError, match="RLIMIT_NOFILE") as failed:
                        make()
                    assert failed.value.errno == errno.EMFILE
                resource.setrlimit(resource.RLIMIT_NOFILE, most)
                client.send(b"still there")
                assert listener.accept(timeout=30).receive(timeout=30) == b"still there"
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_a_forked_child_goes_on_with_the_connection():
    a, b = kernel.Stream.pair()
    child = os.fork()
    if child == 0:
        b.send(b"from the child")
        os._exit(0)
    b.close()
    assert a.receive(timeout=30) == b"from the child"
    with pytest.raises(triveni.Closed):
        a.receive(timeout=30)
    os.waitpid(child, 0)


def test_a_size_beyond_all_memory_asks_for_what_there_is():
    a, b = kernel.Stream.pair()
    with a, b:
        b.write(b"bytes")
        assert a.read(1 << 62) == b"bytes"
        b.write(b"more")
        assert a.read_descriptors(size=1 << 62) == (b"more", [], False)


def test_who_flushes_while_another_thread_sends_keeps_its_deadline_and_ctrl_c():
    a, b = kernel.Stream.pair()
    message = bytes(8 << 20)
    sender = threading.Thread(target=a.send, args=(message,), daemon=True)
    sender.start()
    assert b.read(1, timeout=10) == b"\0"  # it is in the middle
    with pytest.raises(TimeoutError):
        a.flush(timeout=0.05)

    def ask():
        while a.unsent:  # it answers where the sender has not yet taken its turn again
            pass

    assert ctrl_c(ask)
    assert b.receive_exact(3 + len(message), timeout=10)[3:] == message
    sender.join(10)
    assert a.unsent == 0
    a.flush(timeout=10)
    a.close()
    b.close()
