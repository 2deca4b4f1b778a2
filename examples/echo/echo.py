"""Echo over a connection: socket, bind, listen, accept here; socket, connect there; close on both sides.

    echo.py                            the whole story: over TCP, then over a Unix socket
    echo.py server ADDRESS CLIENTS     serves so many clients, one after the other
    echo.py client ADDRESS             sends four words, and prints what comes back

ADDRESS is `tcp:127.0.0.1:7777`, `unix:/tmp/echo.sock` or `unix:@echo`; nothing else differs. Each process may be Rust,
C or Python.
"""

import multiprocessing
import sys

from triveni import kernel


def listen(address: str) -> kernel.Listener:
    # The socket file goes with the listener, and one that a killed server left is no obstacle.
    listener = kernel.Listener.bind(address, owned=True, replace_stale=True)
    print(f"listening at {listener.local_address}", flush=True)
    return listener


def server(listener: kernel.Listener, clients: int) -> None:
    for _ in range(clients):
        with listener.accept() as client:
            while data := client.read():  # some bytes: a stream has no borders
                print(f"received: {data.decode()}", flush=True)
                client.send_all(data)
        print("client disconnected", flush=True)


def client(address: str) -> None:
    with kernel.Stream.connect(address, timeout=10) as server:
        for word in (b"Hello", b"World", b"Echo", b"Test"):
            server.send_all(word)
            print(f"echo: {server.receive_exact(len(word)).decode()}", flush=True)


def story() -> None:
    for address in ("tcp:127.0.0.1:0", "unix:/tmp/triveni-echo.sock"):
        with listen(address) as listener:
            process = multiprocessing.Process(target=client, args=(str(listener.local_address),))
            process.start()
            server(listener, 1)
            process.join()
            assert process.exitcode == 0, "the client failed"


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            story()
        case ["server", address, clients]:
            with listen(address) as listener:
                server(listener, int(clients))
        case ["client", address]:
            client(address)
        case _:
            print("usage: echo.py [server ADDRESS CLIENTS | client ADDRESS]", file=sys.stderr)
            sys.exit(2)
