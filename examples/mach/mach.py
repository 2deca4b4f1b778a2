"""Ports as in Mach: rights that go over in messages, calls, sets, notifications; and processes that name each other.

    mach.py                          the whole story: a printer, a desk and three clients; an answerer and three callers
    mach.py printer CLIENTS          receives pages and questions, until nobody can send any more
    mach.py desk CLIENTS             gives each client that calls a right to send to the printer
    mach.py client NAME CLIENTS      asks the desk, prints three pages, asks how many there are, and hears that the printer ends
    mach.py answerer CALLERS         receives from anybody, and learns by whom (asymmetric naming)
    mach.py caller NAME              sends to the answerer and receives from the answerer (symmetric naming)

Each process may be Rust, C or Python. They share the segment `mach`.
"""

import contextlib
import multiprocessing
import sys

import triveni

PAGES = 3


def begin(segment: triveni.Segment, clients: int) -> None:
    """Nobody begins before all ports are there."""
    segment.barrier("begin", clients + 2).wait()


def printer(clients: int) -> None:
    segment = triveni.Segment.open_or_create("mach")
    pages, questions, notices = (segment.port(name) for name in ("printer", "questions", "printer's notices"))
    pages.request_notification("no_senders", notices)
    ports = triveni.PortSet()
    for port in (pages, questions, notices):
        ports.add(port)
    begin(segment, clients)
    printed, can_come = 0, True
    while received := ports.receive() if can_come else ports.try_receive():
        port, delivery = received
        if delivery.event:
            can_come = False  # but what was sent before is printed
        elif delivery.reply:
            delivery.reply.send(str(printed).encode())
        else:
            printed += 1
    print(f"printer: {printed} pages printed, and nobody can send any more", flush=True)


def desk(clients: int) -> None:
    segment = triveni.Segment.open_or_create("mach")
    desk = segment.port("desk")
    begin(segment, clients)
    with segment.open_port("printer") as printer:
        for _ in range(clients):
            reply, right = desk.receive().reply, printer.send_right()
            assert reply is not None, "that was no call"
            reply.send(b"please", [right])
            try:
                right.send(b"one page for myself")
            except triveni.NotOwner:
                print("desk: a right that was given away is refused", flush=True)


def client(name: str, clients: int) -> None:
    segment = triveni.Segment.open_or_create("mach")
    notices = segment.port(f"{name}'s notices")
    begin(segment, clients)
    with segment.open_port("desk") as desk, segment.open_port("questions") as questions:
        questions.request_notification("dead_name", notices)
        (printer,) = desk.call(name.encode()).rights
        for page in range(PAGES):
            printer.send(f"{name} {page}".encode())
        printed = int(questions.call(b"how many?").message)
        assert printed <= clients * PAGES
        printer.close()
        told = notices.receive()
        print(f"{name}: {PAGES} pages sent; then {told.event} of {told.port}: nobody receives there any more", flush=True)


def answerer(callers: int) -> None:
    with triveni.Segment.open_or_create("mach").process("answerer") as me:
        for _ in range(callers):
            caller = me.receive().sender
            assert caller
            me.send(caller, f"good morning, {caller}".encode())
        print(f"answerer: {callers} callers answered, whoever they were", flush=True)


def caller(name: str) -> None:
    with triveni.Segment.open_or_create("mach").process(name) as me:
        me.send("answerer", b"good morning")
        print(f"{name} heard: {me.receive_from('answerer').message.decode()}", flush=True)


def fresh() -> None:
    with contextlib.suppress(FileNotFoundError):
        triveni.Segment.unlink("mach")


def story() -> None:
    fresh()
    start = multiprocessing.Process
    processes = [start(target=role, args=(3,)) for role in (printer, desk, answerer)]
    processes += [start(target=client, args=(name, 3)) for name in ("ada", "bob", "eve")]
    processes += [start(target=caller, args=(name,)) for name in ("tom", "kim", "joe")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0, "a process failed"
    fresh()


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            story()
        case ["printer", clients]:
            printer(int(clients))
        case ["desk", clients]:
            desk(int(clients))
        case ["client", name, clients]:
            client(name, int(clients))
        case ["answerer", callers]:
            answerer(int(callers))
        case ["caller", name]:
            caller(name)
        case _:
            print("usage: mach.py [printer CLIENTS | desk CLIENTS | client NAME CLIENTS | answerer CALLERS | caller NAME]", file=sys.stderr)
            sys.exit(2)
