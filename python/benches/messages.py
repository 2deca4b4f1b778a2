"""What does a message cost in Python: 64 bytes through a Ring from process to process, one by one and in batches.

    python python/benches/messages.py [--rounds 15] [--count 200000]

Two processes, each pinned to a CPU of its own. Every row is the median of its rounds, in nanoseconds per message, writing
and reading taken together: the slower side decides. Numbers and order are checked in every round. `alone` is what the two
calls cost in one process that waits for nobody.
"""

import argparse
import os
import statistics
import struct
import time
from collections.abc import Callable

import triveni

SIZE, BATCH, DEPTH = 64, 64, 1024
Side = Callable[[triveni.Ring, int], None]


def message(n: int) -> bytes:
    return struct.pack("<q", n) + bytes(SIZE - 8)


def write_one(ring: triveni.Ring, count: int) -> None:
    with ring.producer() as producer:
        write, record = producer.write, message(7)
        for _ in range(count):
            write(record)


def read_one(ring: triveni.Ring, count: int) -> None:
    with ring.consumer() as consumer:
        read, record = consumer.read, b""
        for _ in range(count):
            record = read()
        assert record == message(7)


def write_list(ring: triveni.Ring, count: int) -> None:
    with ring.producer() as producer:
        write, records = producer.write_many, [message(n) for n in range(BATCH)]
        for _ in range(count // BATCH):
            write(records)


def read_list(ring: triveni.Ring, count: int) -> None:
    with ring.consumer() as consumer:
        read, seen = consumer.read_many, 0
        while seen < count // BATCH * BATCH:
            records = read(BATCH)
            assert records[0] == message(seen % BATCH), "lost, doubled or out of order"
            seen += len(records)


def write_buffer(ring: triveni.Ring, count: int) -> None:
    with ring.producer() as producer:
        write, records = producer.write_packed, b"".join(message(n) for n in range(BATCH))
        for _ in range(count // BATCH):
            write(records)


def read_buffer(ring: triveni.Ring, count: int) -> None:
    with ring.consumer() as consumer:
        read, seen = consumer.read_packed, 0
        while seen < count // BATCH * BATCH:
            records = read(BATCH)
            assert records[:SIZE] == message(seen % BATCH), "lost, doubled or out of order"
            seen += len(records) // SIZE


ROWS: list[tuple[str, bool, Side, Side]] = [
    ("one by one", False, write_one, read_one),
    ("one by one, packed", True, write_one, read_one),
    ("lists of 64", False, write_list, read_list),
    ("lists of 64, packed", True, write_list, read_list),
    ("buffers of 64, packed", True, write_buffer, read_buffer),
]


def ring_of(segment: triveni.Segment, name: str, packed: bool) -> triveni.Ring:
    # A record of 64 bytes takes two cells.
    return segment.ring_of(name, SIZE, DEPTH) if packed else segment.ring(name, 2 * 64 * DEPTH)


def apart(ring: triveni.Ring, write: Side, read: Side, count: int) -> float:
    """Nanoseconds per message, from one process to another."""
    cpus = sorted(os.sched_getaffinity(0))
    began = time.perf_counter_ns()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.sched_setaffinity(0, {cpus[-1]})
            write(ring, count)
            status = 0
        finally:
            os._exit(status)
    os.sched_setaffinity(0, {cpus[0]})
    read(ring, count)
    ended = time.perf_counter_ns()
    os.sched_setaffinity(0, cpus)
    assert os.waitpid(child, 0)[1] == 0, "the writing process failed"
    return (ended - began) / count


def alone(ring: triveni.Ring, write: Side, read: Side, count: int) -> float:
    """Nanoseconds per message of both calls in one process."""
    turn = DEPTH // 2
    began = time.perf_counter_ns()
    for _ in range(count // turn):
        write(ring, turn)
        read(ring, turn)
    return (time.perf_counter_ns() - began) / (count // turn * turn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--count", type=int, default=200_000)
    chosen = parser.parse_args()
    with triveni.Segment.anonymous(16 << 20) as segment:
        rings = [ring_of(segment, f"ring {n}", packed) for n, (_, packed, _, _) in enumerate(ROWS)]
        times: list[tuple[list[float], list[float]]] = [([], []) for _ in ROWS]
        for _ in range(chosen.rounds):
            for ring, (_, _, write, read), (two, one) in zip(rings, ROWS, times, strict=True):
                two.append(apart(ring, write, read, chosen.count))
                one.append(alone(ring, write, read, chosen.count))
        print(f"{'':24}{'two processes':>16}{'alone':>10}")
        for (name, *_), (two, one) in zip(ROWS, times, strict=True):
            print(f"{name:24}{statistics.median(two):13.1f} ns{statistics.median(one):7.1f} ns")


if __name__ == "__main__":
    main()
