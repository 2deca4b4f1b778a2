"""The four ways in which senders and receivers can be connected.

    patterns.py                             the whole story: one_to_one, many_to_one, one_to_many, many_to_many
    patterns.py sender PATTERN NUMBER       one process of it, which sends 100 messages
    patterns.py receiver PATTERN NUMBER     another one, which receives until there is nothing more to come

Each process may be Rust, C or Python. Where one sends to many, all receive everything: a topic. Otherwise each
message is received by one: a mailbox. They share the segment `patterns`.
"""

import contextlib
import multiprocessing
import sys

import triveni

MESSAGES, SIZE = 100, 32
#: How many send, how many receive.
PATTERNS = {"one_to_one": (1, 1), "many_to_one": (3, 1), "one_to_many": (1, 3), "many_to_many": (3, 3)}


def begin(segment: triveni.Segment, pattern: str) -> triveni.Barrier:
    """Nobody begins before everybody is there."""
    return segment.barrier(f"begin {pattern}", sum(PATTERNS[pattern]))


def sender(pattern: str, number: int) -> None:
    segment = triveni.Segment.open_or_create("patterns")
    messages = [f"{number} {i}".encode() for i in range(MESSAGES)]
    if pattern == "one_to_many":
        publisher = segment.topic(pattern, capacity=10, message_size=SIZE).publisher()
        begin(segment, pattern).wait()
        for message in messages:
            publisher.publish(message)
        publisher.shutdown()
    else:
        mailbox = segment.mailbox(pattern, capacity=10, message_size=SIZE)
        end = segment.barrier(f"end {pattern}", PATTERNS[pattern][0])
        begin(segment, pattern).wait()
        for message in messages:
            mailbox.send(message)
        if end.wait():  # true for one of the senders, the last
            mailbox.shutdown()


def receiver(pattern: str, number: int) -> None:
    segment = triveni.Segment.open_or_create("patterns")
    channel: triveni.Subscriber | triveni.Mailbox
    if pattern == "one_to_many":
        channel = segment.topic(pattern, capacity=10, message_size=SIZE).subscriber()
    else:
        channel = segment.mailbox(pattern, capacity=10, message_size=SIZE)
    begin(segment, pattern).wait()
    following, received = [0, 0, 0], 0
    for message in channel:  # until it is shut down and empty
        of, i = map(int, message.split())
        assert i >= following[of], f"message {i} of sender {of} came late"
        following[of], received = i + 1, received + 1
    print(f"{pattern}: receiver {number} received {received} messages", flush=True)
    if received:
        segment.semaphore(f"received {pattern}", 0).post(received)


def fresh() -> None:
    with contextlib.suppress(FileNotFoundError):
        triveni.Segment.unlink("patterns")


def story() -> None:
    for pattern, (senders, receivers) in PATTERNS.items():
        fresh()
        roles = [(receiver, number) for number in range(receivers)] + [(sender, number) for number in range(senders)]
        processes = [multiprocessing.Process(target=role, args=(pattern, number)) for role, number in roles]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0, f"a process of {pattern} failed"
        received = triveni.Segment.open_or_create("patterns").semaphore(f"received {pattern}", 0).value()
        print(f"{pattern}: {senders * MESSAGES} messages sent, {received} received")
    fresh()


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            story()
        case ["sender", pattern, number]:
            sender(pattern, int(number))
        case ["receiver", pattern, number]:
            receiver(pattern, int(number))
        case _:
            print("usage: patterns.py [sender PATTERN NUMBER | receiver PATTERN NUMBER]", file=sys.stderr)
            sys.exit(2)
