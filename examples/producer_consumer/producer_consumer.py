"""The bounded buffer: producers put numbers into eight places of shared memory, consumers take them out.

    producer_consumer.py               the whole story: two producers, two consumers
    producer_consumer.py producer N    one process of it; so with consumer, producer_pv and consumer_pv
    producer_consumer.py report        what has come of it

Each process may be Rust, C or Python. They share the segment `producer_consumer` with the semaphores `mutex`,
`empty` and `full`, and plain memory, /dev/shm/producer_consumer: eight numbers, `in`, `out`, and the sum of
what was consumed. A run that was broken off leaves both behind:
`triveni rm producer_consumer; rm /dev/shm/producer_consumer`.

Semaphores have no owner: if a process is killed inside the critical section, the others wait for ever. With a
mutex, or leased permits, they would not; see print_spooler and dining_philosophers.
"""

import contextlib
import mmap
import multiprocessing
import os
import sys

import triveni

NAME, MEMORY = "producer_consumer", "/dev/shm/producer_consumer"
PLACES = 8
IN, OUT, SUM = PLACES, PLACES + 1, PLACES + 2


def open_all() -> tuple[triveni.Semaphore, triveni.Semaphore, triveni.Semaphore, memoryview]:
    segment = triveni.Segment.open_or_create(NAME)
    mutex = segment.semaphore("mutex", 1)  # guards in, out and sum
    empty = segment.semaphore("empty", PLACES)  # counts empty places
    full = segment.semaphore("full", 0)  # counts full ones
    with open(os.open(MEMORY, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        file.truncate(4 * (PLACES + 3))
        return mutex, empty, full, memoryview(mmap.mmap(file.fileno(), 0)).cast("i")


def insert(buffer: memoryview, item: int) -> None:
    buffer[buffer[IN]] = item
    buffer[IN] = (buffer[IN] + 1) % PLACES


def remove(buffer: memoryview) -> int:
    item = buffer[buffer[OUT]]
    buffer[OUT] = (buffer[OUT] + 1) % PLACES
    return item


def producer(n: int) -> None:
    mutex, empty, full, buffer = open_all()
    for item in range(1, n + 1):
        empty.wait()  # until a place is empty
        mutex.wait()  # enter the critical section
        insert(buffer, item)
        mutex.post()  # leave it
        full.post()  # one more place is full


def consumer(n: int) -> None:
    mutex, empty, full, buffer = open_all()
    for _ in range(n):
        full.wait()
        mutex.wait()
        buffer[SUM] += remove(buffer)
        mutex.post()
        empty.post()


# Dijkstra's names: P, proberen, is to try and take; V, verhogen, is to raise.
P, V = triveni.Semaphore.wait, triveni.Semaphore.post


def producer_pv(n: int) -> None:
    mutex, empty, filled, buffer = open_all()
    for item in range(1, n + 1):
        P(empty)
        P(mutex)
        insert(buffer, item)
        V(mutex)
        V(filled)


def consumer_pv(n: int) -> None:
    mutex, empty, filled, buffer = open_all()
    for _ in range(n):
        P(filled)
        P(mutex)
        buffer[SUM] += remove(buffer)
        V(mutex)
        V(empty)


def report(_n: int = 0) -> None:
    _, _, full, buffer = open_all()
    print(f"items left in the buffer: {full.value()}; sum of those consumed: {buffer[SUM]}")


def fresh() -> None:
    with contextlib.suppress(FileNotFoundError):
        triveni.Segment.unlink(NAME)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(MEMORY)


def story() -> None:
    fresh()
    roles = [producer, consumer, producer_pv, consumer_pv]
    processes = [multiprocessing.Process(target=role, args=(1000,)) for role in roles]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert not any(process.exitcode for process in processes), "a process failed"
    report()
    fresh()


if __name__ == "__main__":
    if sys.argv[1:]:
        roles = {role.__name__: role for role in (producer, consumer, producer_pv, consumer_pv, report)}
        if sys.argv[1] not in roles:
            print("usage: producer_consumer.py [producer|consumer|producer_pv|consumer_pv N | report]", file=sys.stderr)
            sys.exit(2)
        roles[sys.argv[1]](int((sys.argv[2:] or ["0"])[0]))
    else:
        story()
