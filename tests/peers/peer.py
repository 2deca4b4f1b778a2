"""The other process, in Python:  peer.py ROLE SEGMENT OBJECT N [EXTRA]

The same roles as peer.rs and peer.c. Objects are opened and must exist; `ready` is printed once they are
open. Exit 0 when the role is done, 1 with a reason on stderr.

  send receive     N messages through a mailbox, copied       reserve peek   N records through a ring, in place
  write read       N records through a ring, copied           post wait      N permits of a semaphore
  lock             N times: lock, add 1 to the 8-byte number in file EXTRA, unlock
  lock-once        locks within 10 s: prints `ok` or, after recovering, `owner_died`
  hold             locks, prints `holding`, pauses for ever
  claim            reserves in a mailbox, prints `holding`, pauses for ever

Message number k: k in 8 bytes, little-endian, then k % 40 bytes of which byte i is (k * 7 + i) & 0xff.
"""

import os
import signal
import sys
from typing import NoReturn

import triveni

LONGEST = 8 + 39


def make(k: int) -> bytes:
    return k.to_bytes(8, "little") + bytes((k * 7 + i) & 0xFF for i in range(k % 40))


def check(k: int, message: bytes) -> None:
    if message != make(k):
        raise SystemExit(f"peer: message {k} is {message.hex()}, not {make(k).hex()}")


def say(line: str) -> None:
    print(line, flush=True)


def pause_for_ever() -> NoReturn:
    say("holding")
    while True:
        signal.pause()


def send(mailbox: triveni.Mailbox, n: int) -> None:
    for k in range(n):
        mailbox.send(make(k))


def receive(mailbox: triveni.Mailbox, n: int) -> None:
    for k in range(n):
        check(k, mailbox.receive())
    say(f"ok {n}")


def claim(mailbox: triveni.Mailbox) -> NoReturn:
    loan = mailbox.reserve(mailbox.message_size)
    assert len(loan) == mailbox.message_size
    pause_for_ever()


def write(producer: triveni.Producer, n: int) -> None:
    for k in range(n):
        producer.write(make(k))


def reserve(producer: triveni.Producer, n: int) -> None:
    for k in range(n):
        record = make(k)
        with producer.reserve(LONGEST) as grant:
            with memoryview(grant) as room:
                room[: len(record)] = record
            grant.commit(len(record))


def read(consumer: triveni.Consumer, n: int) -> None:
    for k in range(n):
        check(k, consumer.read())
    say(f"ok {n}")


def peek(consumer: triveni.Consumer, n: int) -> None:
    for k in range(n):
        with consumer.peek() as grant, memoryview(grant) as record:
            if record != make(k):
                raise SystemExit(f"peer: record {k} is {record.hex()}, not {make(k).hex()}")
    say(f"ok {n}")


def post(semaphore: triveni.Semaphore, n: int) -> None:
    for _ in range(n):
        semaphore.post()


def wait(semaphore: triveni.Semaphore, n: int) -> None:
    for _ in range(n):
        semaphore.wait()
    say(f"ok {n}")


def lock(mutex: triveni.Mutex, n: int, path: str) -> None:
    file = os.open(path, os.O_RDWR)
    for _ in range(n):
        with mutex:
            counter = int.from_bytes(os.pread(file, 8, 0), "little")
            os.pwrite(file, (counter + 1).to_bytes(8, "little"), 0)
    say(f"ok {n}")


def lock_once(mutex: triveni.Mutex) -> None:
    with mutex.lock(timeout=10) as guard:
        if guard.owner_died:
            guard.recover()
            say("owner_died")
        else:
            say("ok")


def existing(segment: triveni.Segment, name: str, kind: str) -> None:
    """Roles open: what is not there must not spring into being."""
    kinds = [seen.kind for seen in segment.objects() if seen.name == name]
    if kinds != [kind]:
        raise SystemExit(f"peer: {name!r} is {kinds or 'not there'}, a {kind} is needed")


def main(role: str, segment_name: str, name: str, count: str, extra: str = "") -> None:
    segment, n = triveni.Segment.open(segment_name), int(count)
    match role:
        case "send" | "receive" | "claim":
            existing(segment, name, "mailbox")
            mailbox = segment.mailbox(name)
            say("ready")
            if role == "send":
                send(mailbox, n)
            elif role == "receive":
                receive(mailbox, n)
            else:
                claim(mailbox)
        case "write" | "reserve":
            existing(segment, name, "ring")
            with segment.ring(name).producer() as producer:
                say("ready")
                (write if role == "write" else reserve)(producer, n)
        case "read" | "peek":
            existing(segment, name, "ring")
            with segment.ring(name).consumer() as consumer:
                say("ready")
                (read if role == "read" else peek)(consumer, n)
        case "post" | "wait":
            existing(segment, name, "semaphore")
            semaphore = segment.semaphore(name)
            say("ready")
            if role == "post":
                post(semaphore, n)
            else:
                wait(semaphore, n)
        case "lock" | "lock-once" | "hold":
            existing(segment, name, "mutex")
            mutex = segment.mutex(name)
            say("ready")
            if role == "lock":
                lock(mutex, n, extra)
            elif role == "lock-once":
                lock_once(mutex)
            else:
                with mutex:
                    pause_for_ever()
        case _:
            raise SystemExit(f"peer: no role is called {role!r}")


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        raise SystemExit("usage: peer.py ROLE SEGMENT OBJECT N [EXTRA]")
    main(*sys.argv[1:])
