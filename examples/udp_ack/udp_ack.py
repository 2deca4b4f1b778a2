"""Requests over UDP, which may lose them or their answers: each is acknowledged by name, and sent again until its ACK comes.

    udp_ack.py                     the whole story
    udp_ack.py server ADDRESS      carries out requests until the last; loses the first ACK of every other one on purpose
    udp_ack.py client ADDRESS      sends four requests and `end`

ADDRESS is `udp:127.0.0.1:9000` (`unix:@name` works as well, and loses nothing by itself). Each process may be Rust, C or
Python. A request that comes again is acknowledged again, but not carried out again: the server remembers the last one.
After the end it stays for a moment, as its last ACK may be lost too: TCP does the same, and calls it TIME_WAIT.
"""

import multiprocessing
import sys

from triveni import kernel

REQUESTS = [b"request 1", b"request 2", b"request 3", b"request 4", b"end"]
PATIENCE, LINGER, TRIES = 0.05, 0.2, 100


def bind(address: str) -> kernel.Datagram:
    socket = kernel.Datagram.bind(address)
    print(f"receiving at {socket.local_address}", flush=True)
    return socket


def server(socket: kernel.Datagram) -> None:
    last, carried_out = b"", 0
    timeout: float | None = None
    while True:
        try:
            request, client = socket.receive_from(timeout)
        except TimeoutError:
            break
        first_time, last = request != last, request
        if not first_time:
            print(f"{request.decode()} came again", flush=True)
        elif request == b"end":
            timeout = LINGER
        else:
            carried_out += 1
            print(f"{request.decode()} is carried out", flush=True)
        if first_time and carried_out % 2 == 1 and request != b"end":
            print(f"the ACK of {request.decode()} is lost", flush=True)
            continue
        socket.send_to(b"ACK " + request, client)
    print(f"{carried_out} requests carried out", flush=True)


def tries(socket: kernel.Datagram, request: bytes) -> int:
    for n in range(1, TRIES):
        socket.send(request)
        try:
            while socket.receive(timeout=PATIENCE) != b"ACK " + request:
                pass  # the second ACK of a request before
        except TimeoutError:
            continue
        return n
    raise TimeoutError(f"{request!r}: no ACK")


def client(address: str) -> None:
    with kernel.Datagram.connect(address) as socket:
        for request in REQUESTS:
            after = "the first try" if tries(socket, request) == 1 else "more than one try"
            print(f"{request.decode()}: ACK after {after}", flush=True)


def story() -> None:
    with bind("udp:127.0.0.1:0") as socket:
        process = multiprocessing.Process(target=client, args=(str(socket.local_address),))
        process.start()
        server(socket)
        process.join()
        assert process.exitcode == 0, "the client failed"


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            story()
        case ["server", address]:
            with bind(address) as socket:
                server(socket)
        case ["client", address]:
            client(address)
        case _:
            print("usage: udp_ack.py [server ADDRESS | client ADDRESS]", file=sys.stderr)
            sys.exit(2)
