"""Sockets; the roles are told in sockets.rs."""

import os
import signal
import sys

import triveni as tvn
from triveni import kernel


def message(k):
    return k.to_bytes(8, "little") + bytes((k * 7 + i) & 0xFF for i in range(k % 40))


def stay():
    print("holding")
    while True:
        signal.pause()


def echo(client, n):
    for _ in range(n):
        client.send(client.receive())
    try:
        raise AssertionError(client.receive())
    except tvn.Closed:
        pass


def server(what):
    kind, address = what.split("=", 1)
    if kind == "datagram":
        socket = kernel.Datagram.bind(address)

        def serve(n):
            for _ in range(n):
                socket.send_to(*socket.receive_from())

    elif kind == "pass":
        socket = kernel.Listener.bind(address)

        def serve(n):
            _, [fd], cut = socket.accept().read_descriptors()
            assert not cut
            os.write(fd, b"passed")
            os.close(fd)

    else:
        socket = {"stream": kernel.Listener, "seqpacket": kernel.SeqpacketListener}[kind].bind(address)

        def serve(n):
            with socket.accept() as client:
                echo(client, n)

    print(f"{kind}={socket.local_address}")
    return serve


def ask(what, n):
    kind, address = what.split("=", 1)
    if kind == "pass":
        with kernel.Stream.connect(address) as socket:
            reader, writer = os.pipe()
            assert socket.write_descriptors(b"x", [writer]) == 1
            os.close(writer)
            with open(reader, "rb") as file:
                assert file.read() == b"passed"
        return
    kinds = {"stream": kernel.Stream, "seqpacket": kernel.Seqpacket, "datagram": kernel.Datagram}
    with kinds[kind].connect(address) as socket:
        for k in range(n):
            socket.send(message(k))
            got = socket.receive()
            assert got == message(k), (k, got)


match sys.argv[1:]:
    case ["serve", n, *items]:
        for serve in [server(what) for what in items]:
            serve(int(n))
        print("ok")
    case ["ask", n, *items]:
        for what in items:
            ask(what, int(n))
        print("ok")
    case ["hold", address]:
        listener = kernel.Listener.bind(address)
        print(listener.local_address)
        client = listener.accept()
        stay()
    case ["wait", address]:
        socket = kernel.Stream.connect(address)
        print("waiting")
        try:
            raise AssertionError(socket.receive())
        except (tvn.Closed, tvn.PeerDead):
            print("ended")
    case ["half", address]:
        socket = kernel.Stream.connect(address)
        socket.send_all(b"\0\0\0\x64half")
        stay()
    case ["own", address]:
        listener = kernel.Listener.bind(address, owned=True)
        stay()
