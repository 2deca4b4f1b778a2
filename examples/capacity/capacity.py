"""How many messages a mailbox holds, and what that means for who sends: none, three, or as many as there are.

    capacity.py                       the whole story, all three capacities
    capacity.py sender CAPACITY       one process of it, which sends ten messages: none, three or unbounded
    capacity.py receiver CAPACITY     the other one, which receives them once the sender has done what it can without

Each process may be Rust, C or Python. They share the segment `capacity`.
"""

import contextlib
import multiprocessing
import sys

import triveni

MESSAGES = 10


def open_mailbox(name: str) -> tuple[triveni.Segment, triveni.Mailbox]:
    segment = triveni.Segment.open_or_create("capacity")
    match name:
        case "none":
            return segment, segment.mailbox(name, capacity=0, message_size=16)
        case "three":
            return segment, segment.mailbox(name, capacity=3, message_size=16)
        case "unbounded":
            return segment, segment.mailbox(name, capacity=1000, message_size=16, unbounded=True)
    sys.exit(f"there is no capacity {name}")


def sender(name: str) -> None:
    segment, mailbox = open_mailbox(name)
    sent = 0
    while sent < MESSAGES and mailbox.try_send(bytes([sent])):
        sent += 1
    print(f"{name}: {sent} of {MESSAGES} messages sent before anybody receives", flush=True)
    segment.semaphore(f"receive {name}", 0).post()
    for message in range(sent, MESSAGES):
        mailbox.send(bytes([message]))  # waits: for room, or for a receiver


def receiver(name: str) -> None:
    segment, mailbox = open_mailbox(name)
    segment.semaphore(f"receive {name}", 0).wait()
    received = [mailbox.receive() for _ in range(MESSAGES)]
    assert received == [bytes([i]) for i in range(MESSAGES)], "they come in the order of sending"
    print(f"{name}: {MESSAGES} of {MESSAGES} messages received in order", flush=True)


def fresh() -> None:
    with contextlib.suppress(FileNotFoundError):
        triveni.Segment.unlink("capacity")


def story() -> None:
    for name in ("none", "three", "unbounded"):
        fresh()
        processes = [multiprocessing.Process(target=role, args=(name,)) for role in (sender, receiver)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0, f"a process of {name} failed"
    fresh()


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            story()
        case ["sender", name]:
            sender(name)
        case ["receiver", name]:
            receiver(name)
        case _:
            print("usage: capacity.py [sender CAPACITY | receiver CAPACITY]", file=sys.stderr)
            sys.exit(2)
