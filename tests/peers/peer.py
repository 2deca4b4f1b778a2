"""The other process, in Python:  peer.py ROLE SEGMENT OBJECT N [EXTRA]

The same roles as peer.rs and peer.c. Objects are opened and must exist; `ready` is printed once they are
open. Exit 0 when the role is done, 1 with a reason on stderr.

  send receive     N messages through a mailbox, copied       reserve peek   N records through a ring, in place
  publish          N messages to a topic, every other one in place, then shuts it down
  subscribe        checks order and bytes, every other message in place; prints `ok N MISSED` at the end, N being all
                   that it received or was told it missed
  call serve       N calls of a service, answered with the request; both check order and bytes; the client shuts it
                   down in the end
  ask answer       N calls through a port, answered with the message; both check order and bytes
  store load       N values of a cell, each loaded one checked
  fill scan        an array written as a whole N times, and snapshots until the last one is seen
  write read       N records through a ring, copied           post wait      N permits of a semaphore
  lock             N times: lock, add 1 to the 8-byte number in file EXTRA, unlock
  lock-once        locks within 10 s: prints `ok` or, after recovering, `owner_died`
  hold             locks, prints `holding`, pauses for ever
  claim            reserves in a mailbox, prints `holding`, pauses for ever
  lock-X           N times: lock, add 1 to both 8-byte numbers in file EXTRA, unlock; X is monitor, write (a
                   readers-writer lock) or lease (a permit of a leased semaphore); lock-read compares the two
  hold-X once-X    as hold and lock-once, on X, also read
  put take         N times, in a monitor with the conditions `not_full` and `not_empty`: wait until the number in
                   file EXTRA is 0 (put) or not (take), make it the turn's number from 1 on (put), or check that
                   it is that and make it 0 (take), signal the other
  meet             N times at a barrier; prints `ok N LED`, LED being how often it was the last to arrive
  attend           prints `waiting`, arrives at a barrier, prints `ok` or `broken`
  set await        N times on event flags: set sets 1 and waits for 2, clearing it, await the reverse
  wait-condition   enters, prints `waiting`, waits for the condition `c` within 10 s, prints `ok` or, after
                   recovering, `owner_died`, leaves

Message number k: k in 8 bytes, little-endian, then k % 40 bytes of which byte i is (k * 7 + i) & 0xff.
"""

import ctypes
import os
import signal
import struct
import sys
import threading
from collections.abc import Callable
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


def call(service: triveni.Service, n: int) -> None:
    for k in range(n):
        if k % 2 == 0:
            check(k, service.call(make(k)))
        else:
            with service.start(make(k)) as started:
                check(k, started.wait())
    service.shutdown()


def serve(service: triveni.Service, n: int) -> None:
    served = 0
    for request in service:
        message = bytes(request)
        check(served, message)
        assert request.reply(message)
        served += 1
    assert served == n, served
    say(f"ok {n}")


def ask(port: triveni.Port, n: int) -> None:
    for k in range(n):
        check(k, port.call(make(k)).message)
    say(f"ok {n}")


def answer(port: triveni.Port, n: int) -> None:
    for k in range(n):
        delivery = port.receive()
        check(k, delivery.message)
        assert delivery.reply is not None
        delivery.reply.send(delivery.message)
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


def write_many(ring: triveni.Ring, producer: triveni.Producer, n: int) -> None:
    """In batches of up to 7; the ring is shut down in the end."""
    for first in range(0, n, 7):
        batch = range(first, min(first + 7, n))
        if ring.record_size:
            producer.write_packed(b"".join(k.to_bytes(8, "little") for k in batch))
        else:
            producer.write_many([make(k) for k in batch])
    ring.shutdown()


def read_many(ring: triveni.Ring, consumer: triveni.Consumer, n: int) -> None:
    seen = 0
    try:
        while True:
            if ring.record_size:
                numbers = memoryview(consumer.read_packed(5)).cast("Q").tolist()
                if numbers != list(range(seen, seen + len(numbers))):
                    raise SystemExit(f"peer: {numbers} after {seen} numbers")
                seen += len(numbers)
            else:
                for record in consumer.read_many(5):
                    check(seen, record)
                    seen += 1
    except triveni.Closed:
        if seen != n:
            raise
    say(f"ok {n}")


def publish(publisher: triveni.Publisher, n: int) -> None:
    for k in range(n):
        message = make(k)
        if k % 2 == 0:
            publisher.publish(message)
        elif grant := publisher.reserve(LONGEST):
            with grant:
                with memoryview(grant) as room:
                    room[: len(message)] = message
                grant.commit(len(message))
    publisher.shutdown()


def subscribe(subscriber: triveni.Subscriber) -> None:
    received, missed, following = 0, 0, 0
    while True:
        try:
            if received % 2 == 0:
                message = subscriber.receive()
            else:
                with subscriber.peek() as grant:
                    message = bytes(grant)
        except triveni.Lost as lost:
            missed += lost.count
            continue
        except triveni.Closed:
            break
        k = int.from_bytes(message[:8], "little")
        if k < following:
            raise SystemExit(f"peer: message {k} after {following}")
        check(k, message)
        received, following = received + 1, k + 1
    assert missed == subscriber.missed()
    say(f"ok {received + missed} {missed}")


def post(semaphore: triveni.Semaphore, n: int) -> None:
    for _ in range(n):
        semaphore.post()


def wait(semaphore: triveni.Semaphore, n: int) -> None:
    for _ in range(n):
        semaphore.wait()
    say(f"ok {n}")


class Numbers:
    """The 8-byte numbers in a file that a lock guards."""

    def __init__(self, path: str) -> None:
        self.file = os.open(path, os.O_RDWR)

    def __getitem__(self, i: int) -> int:
        return int.from_bytes(os.pread(self.file, 8, 8 * i), "little")

    def __setitem__(self, i: int, number: int) -> None:
        os.pwrite(self.file, number.to_bytes(8, "little"), 8 * i)


def lock(mutex: triveni.Mutex, n: int, path: str) -> None:
    numbers = Numbers(path)
    for _ in range(n):
        with mutex:
            numbers[0] += 1
    say(f"ok {n}")


def lock_once(mutex: triveni.Mutex) -> None:
    with mutex.lock(timeout=10) as guard:
        if guard.owner_died:
            guard.recover()
            say("owner_died")
        else:
            say("ok")


class Lease:
    """A permit of a leased semaphore, with what a guard has."""

    owner_died = False

    def __init__(self, semaphore: triveni.Semaphore, timeout: float | None) -> None:
        self.semaphore = semaphore
        semaphore.wait(timeout)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_exception: object) -> None:
        self.semaphore.post()


Guard = triveni.MonitorGuard | triveni.RwReadGuard | triveni.RwWriteGuard | Lease
Ask = Callable[[float | None], Guard]


def opened(segment: triveni.Segment, name: str, what: str) -> Ask:
    """What lock-X, hold-X and once-X lock with."""
    match what:
        case "monitor":
            return segment.open_monitor(name).enter
        case "read":
            return segment.open_rwlock(name).read
        case "write":
            return segment.open_rwlock(name).write
        case "lease":
            semaphore = segment.open_semaphore(name)
            return lambda timeout: Lease(semaphore, timeout)
    raise SystemExit(f"peer: {what!r} is nothing to lock")


def lock_both(ask: Ask, what: str, n: int, path: str) -> None:
    numbers = Numbers(path)
    for _ in range(n):
        with ask(None):
            a, b = numbers[0], numbers[1]
            if a != b:
                raise SystemExit(f"peer: locked to {what}, and the numbers are {a} and {b}")
            if what != "read":
                numbers[0], numbers[1] = a + 1, b + 1
    say(f"ok {n}")


def once(ask: Ask) -> None:
    guard = ask(10)
    died = guard.owner_died
    if died and isinstance(guard, triveni.MonitorGuard | triveni.RwWriteGuard):
        guard.recover()
    with guard:
        say("owner_died" if died else "ok")


def bounded_buffer(monitor: triveni.Monitor, n: int, path: str, put: bool) -> None:
    numbers, not_full, not_empty = Numbers(path), monitor.condition("not_full"), monitor.condition("not_empty")
    for turn in range(1, n + 1):
        with monitor:
            if put:
                not_full.wait_for(lambda: numbers[0] == 0)
                numbers[0] = turn
                not_empty.signal()
            else:
                not_empty.wait_for(lambda: numbers[0] != 0)
                if numbers[0] != turn:
                    raise SystemExit(f"peer: item {numbers[0]} came in turn {turn}")
                numbers[0] = 0
                not_full.signal()
    say(f"ok {n}")


def wait_condition(monitor: triveni.Monitor) -> None:
    condition = monitor.condition("c")
    with monitor:
        say("waiting")
        try:
            condition.wait(timeout=10)
            say("ok")
        except triveni.OwnerDied:
            monitor.recover()
            say("owner_died")


def meet(barrier: triveni.Barrier, n: int) -> None:
    say(f"ok {n} {sum(barrier.wait() for _ in range(n))}")


def attend(barrier: triveni.Barrier) -> None:
    say("waiting")
    try:
        barrier.wait()
        say("ok")
    except triveni.Broken:
        say("broken")


def flags(event: triveni.Event, n: int, first: bool) -> None:
    for _ in range(n):
        if first:
            event.set(1)
            event.wait_any(2, clear=True)
        else:
            event.wait_any(1, clear=True)
            event.set(2)
    say(f"ok {n}")


class Latest(ctypes.Structure):
    _fields_ = [("number", ctypes.c_uint64), ("values", ctypes.c_double * 4)]  # noqa: RUF012


def latest(segment: triveni.Segment, name: str, n: int, store: bool) -> None:
    cell = segment.open_cell(name, type=Latest)
    try:
        segment.open_cell(name, type="5d")
        raise SystemExit("peer: five doubles are taken for a struct")
    except triveni.Incompatible:
        say("ready")
    seen = 0
    while seen < n:
        if store:
            k = seen + 1
            seen = cell.store(Latest(k, (k, 2 * k, 3 * k, 4 * k)))
            continue
        version, value = cell.load_newer(seen)
        if version <= seen or value.number != version or list(value.values) != [version * k for k in (1, 2, 3, 4)]:
            raise SystemExit(f"peer: version {version} after {seen} is {value.number} {list(value.values)}")
        seen = version
    say(f"ok {n}")


def grid(segment: triveni.Segment, name: str, n: int, fill: bool) -> None:
    array = segment.open_array(name, type="d")
    try:
        segment.open_array(name, type="q")
        raise SystemExit("peer: doubles are taken for integers")
    except triveni.Incompatible:
        say("ready")
    if array.shape != (4, 5):
        raise SystemExit(f"peer: shape {array.shape}")
    seen = 0.0
    while seen < n:
        if fill:
            seen += 1
            with array.write() as elements:
                memoryview(elements).cast("B")[:] = struct.pack("20d", *[seen] * 20)
            continue
        copy = struct.unpack("20d", bytes(array.snapshot().view()))
        if copy[0] < seen or len(set(copy)) != 1:
            raise SystemExit(f"peer: torn after {seen}: {copy}")
        seen = copy[0]
    say(f"ok {n}")


def main(role: str, segment_name: str, name: str, count: str, extra: str = "") -> None:
    if segment_name.startswith("fd:"):
        segment = triveni.Segment.from_fd(int(segment_name[3:]))
    else:
        segment = triveni.Segment.open(segment_name)
    n = int(count)
    match role.split("-"):
        case ["send" | "receive" | "claim"]:
            mailbox = segment.open_mailbox(name)
            say("ready")
            if role == "send":
                send(mailbox, n)
            elif role == "receive":
                receive(mailbox, n)
            else:
                claim(mailbox)
        case ["write" | "reserve"]:
            with segment.open_ring(name).producer() as producer:
                say("ready")
                (write if role == "write" else reserve)(producer, n)
        case ["write", "many"]:
            ring = segment.open_ring(name)
            with ring.producer() as producer:
                say("ready")
                write_many(ring, producer, n)
        case ["read", "many"]:
            ring = segment.open_ring(name)
            with ring.consumer() as consumer:
                say("ready")
                read_many(ring, consumer, n)
        case ["read" | "peek"]:
            with segment.open_ring(name).consumer() as consumer:
                say("ready")
                (read if role == "read" else peek)(consumer, n)
        case ["call" | "serve"]:
            service = segment.open_service(name)
            say("ready")
            (call if role == "call" else serve)(service, n)
        case ["ask"]:
            with segment.open_port(name) as port:
                say("ready")
                ask(port, n)
        case ["answer"]:
            with segment.port(name, message_size=64) as port:
                say("ready")
                answer(port, n)
        case ["publish"]:
            with segment.open_topic(name).publisher() as publisher:
                say("ready")
                publish(publisher, n)
        case ["subscribe"]:
            with segment.open_topic(name).subscriber() as subscriber:
                say("ready")
                subscribe(subscriber)
        case ["post" | "wait"]:
            semaphore = segment.open_semaphore(name)
            say("ready")
            if role == "post":
                post(semaphore, n)
            else:
                wait(semaphore, n)
        case ["lock"] | ["lock", "once"] | ["hold"]:
            mutex = segment.open_mutex(name)
            say("ready")
            if role == "lock":
                lock(mutex, n, extra)
            elif role == "lock-once":
                lock_once(mutex)
            else:
                with mutex:
                    pause_for_ever()
        case ["lock" | "hold" | "once" as verb, what]:
            acquire = opened(segment, name, what)
            say("ready")
            if verb == "lock":
                lock_both(acquire, what, n, extra)
            elif verb == "once":
                once(acquire)
            else:
                with acquire(None):
                    pause_for_ever()
        case ["put" | "take"]:
            monitor = segment.open_monitor(name)
            say("ready")
            bounded_buffer(monitor, n, extra, role == "put")
        case ["wait", "condition"]:
            # On the main thread a wait may end without a signal, after a second.
            thread = threading.Thread(target=wait_condition, args=(segment.open_monitor(name),))
            thread.start()
            thread.join()
        case ["meet"]:
            barrier = segment.open_barrier(name)
            say("ready")
            meet(barrier, n)
        case ["attend"]:
            attend(segment.open_barrier(name))
        case ["store" | "load"]:
            latest(segment, name, n, role == "store")
        case ["fill" | "scan"]:
            grid(segment, name, n, role == "fill")
        case ["set" | "await"]:
            event = segment.open_event(name)
            say("ready")
            flags(event, n, role == "set")
        case _:
            raise SystemExit(f"peer: no role is called {role!r}")


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        raise SystemExit("usage: peer.py ROLE SEGMENT OBJECT N [EXTRA]")
    main(*sys.argv[1:])
