"""Readers and writers under three policies, and who starves under which.

Three readers and two writers ask for the lock again and again, each keeps it for two milliseconds. Who waits
when the time is up has waited until then.

    readers_writers.py                        the whole story: one second under each policy
    readers_writers.py reader POLICY SECONDS  one process of it, or writer; POLICY: readers_first, writers_first, fair
    readers_writers.py table POLICY           waits for the results of the five, and prints them

Each process may be Rust, C or Python. They share the segment `readers_writers` with the lock `lock`, the barrier
`start`, at which the five wait for each other, and the mailbox `results`: three 32-bit numbers from each, role
(0 reader, 1 writer), turns, longest wait in microseconds. To begin anew: `triveni rm readers_writers`.
"""

import contextlib
import multiprocessing
import struct
import sys
import time
from typing import Literal

import triveni

NAME = "readers_writers"
POLICIES: dict[str, Literal["readers first", "writers first", "fair"]] = {
    "readers_first": "readers first",  # a reader enters unless a writer is inside
    "writers_first": "writers first",  # no reader enters once a writer waits
    "fair": "fair",  # by turns: the readers that wait, then a writer
}
READERS, WRITERS = 3, 2
TURN = 0.002
RESULT = struct.Struct("=III")


def open_results() -> tuple[triveni.Segment, triveni.Mailbox]:
    segment = triveni.Segment.open_or_create(NAME)
    return segment, segment.mailbox("results", READERS + WRITERS, RESULT.size)


def play(role: str, policy: str, seconds: float) -> None:
    segment, results = open_results()
    lock = segment.rwlock("lock", POLICIES[policy])
    ask = lock.write if role == "writer" else lock.read
    turns, longest = 0, 0.0
    segment.barrier("start", READERS + WRITERS).wait()
    end = time.monotonic() + seconds
    while (asked := time.monotonic()) < end:
        try:
            with ask(timeout=end - asked):
                waited = time.monotonic() - asked
                turns += 1
                time.sleep(TURN)  # reads or writes
        except TimeoutError:
            waited = time.monotonic() - asked
        longest = max(longest, waited)
    results.send(RESULT.pack(role == "writer", turns, int(longest * 1e6)))


def table(policy: str) -> None:
    _, results = open_results()
    turns, longest = [0, 0], [0, 0]
    for _ in range(READERS + WRITERS):
        role, result, wait = RESULT.unpack(results.receive())
        turns[role] += result
        longest[role] = max(longest[role], wait)
    columns = [f"{n:8} turns, longest wait {us / 1000:7.1f} ms" for n, us in zip(turns, longest)]
    print(f"{policy:14}", *columns)


def fresh() -> None:
    with contextlib.suppress(FileNotFoundError):
        triveni.Segment.unlink(NAME)


def story() -> None:
    print(f"{'policy':14} {'3 readers':^38} {'2 writers':^38}", flush=True)
    for policy in POLICIES:
        fresh()
        roles = ["reader"] * READERS + ["writer"] * WRITERS
        processes = [multiprocessing.Process(target=play, args=(role, policy, 1.0)) for role in roles]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert not any(process.exitcode for process in processes), "a process failed"
        table(policy)
    fresh()


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            story()
        case ["table", policy]:
            table(policy)
        case ["reader" | "writer" as role, policy, seconds]:
            play(role, policy, float(seconds))
        case _:
            print("usage: readers_writers.py [reader|writer POLICY SECONDS | table POLICY]", file=sys.stderr)
            sys.exit(2)
