"""Sockets with Python's own library alone; the roles are told in sockets.rs."""

import os
import signal
import socket
import struct
import sys

TYPES = {
    "stream": socket.SOCK_STREAM,
    "pass": socket.SOCK_STREAM,
    "seqpacket": socket.SOCK_SEQPACKET,
    "datagram": socket.SOCK_DGRAM,
}


def message(k):
    return k.to_bytes(8, "little") + bytes((k * 7 + i) & 0xFF for i in range(k % 40))


def made(kind, address):
    """A socket, and the address as Python has it."""
    scheme, rest = address.split(":", 1)
    if scheme == "unix":
        return socket.socket(socket.AF_UNIX, TYPES[kind]), "\0" + rest[1:] if rest.startswith("@") else rest
    host, port = rest.rsplit(":", 1)
    return socket.socket(socket.AF_INET, TYPES[kind]), (host, int(port))


def text(kind, end):
    name = end.getsockname()
    if isinstance(name, tuple):
        return f"{'udp' if kind == 'datagram' else 'tcp'}:{name[0]}:{name[1]}"
    return f"unix:@{name[1:].decode()}" if isinstance(name, bytes) else f"unix:{name}"


def whole(end, size):
    got = end.recv(size, socket.MSG_WAITALL)
    assert len(got) in (0, size)
    return got


def send(kind, end, data):
    end.sendall(struct.pack("!I", len(data)) + data) if kind == "stream" else end.send(data)


def receive(kind, end):
    if kind != "stream":
        return end.recv(64)
    header = whole(end, 4)
    return whole(end, struct.unpack("!I", header)[0]) if header else b""


def server(what):
    kind, address = what.split("=", 1)
    end, name = made(kind, address)
    end.bind(name)
    if kind != "datagram":
        end.listen(5)
    print(f"{kind}={text(kind, end)}")

    def serve(n):
        if kind == "datagram":
            for _ in range(n):
                data, sender = end.recvfrom(64)
                end.sendto(data, sender)
            return
        client, _ = end.accept()
        if kind == "pass":
            _, [fd], _, _ = socket.recv_fds(client, 64, 4)
            os.write(fd, b"passed")
            os.close(fd)
            return
        for _ in range(n):
            send(kind, client, receive(kind, client))
        assert receive(kind, client) == b""

    return serve


def connected(kind, address):
    end, name = made(kind, address)
    if kind == "datagram" and end.family == socket.AF_UNIX:
        end.bind("")  # a name, so that the other can answer
    end.connect(name)
    return end


def ask(what, n):
    kind, address = what.split("=", 1)
    with connected(kind, address) as end:
        if kind == "pass":
            reader, writer = os.pipe()
            socket.send_fds(end, [b"x"], [writer])
            os.close(writer)
            with open(reader, "rb") as file:
                assert file.read() == b"passed"
            return
        for k in range(n):
            send(kind, end, message(k))
            got = receive(kind, end)
            assert got == message(k), (k, got)


def stay():
    print("holding")
    while True:
        signal.pause()


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
        end, name = made("stream", address)
        end.bind(name)
        end.listen(5)
        print(text("stream", end))
        client, _ = end.accept()
        stay()
    case ["wait", address]:
        end = connected("stream", address)
        print("waiting")
        try:
            assert end.recv(64) == b""
        except ConnectionResetError:
            pass
        print("ended")
    case ["half", address]:
        end = connected("stream", address)
        end.sendall(b"\0\0\0\x64half")
        stay()
