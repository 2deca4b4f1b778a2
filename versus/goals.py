"""The goals: what a figure is compared with, in the same round."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass
class Goal:
    """`ours` and the others are keys of the results: table, case, name, number."""

    what: str
    goal: str
    limit: float
    at_most: bool  # otherwise at least
    value: Callable  # of a lookup `get(table, case, name, number)`, which gives the values of all rounds


ROUND = "64 B"
D1024 = "64 B, 128 in a batch, depth 1024"
D65536 = "64 B, 256 in a batch, depth 65536"


def ratio(ours, theirs):
    """Round by round: what disturbs the machine disturbs both."""
    return [a / b for a, b in zip(ours, theirs)]


def latency(table, name, unit):
    return lambda get: ratio(get(table, ROUND, name, "p50"), get("limits", "one way", unit, "p50"))


def rate(table, case, name, rival, times=1.0):
    return lambda get: ratio(get(table, case, name, "rate"), [times * r for r in get(table, case, rival, "rate")])


def per_second(table, case, name):
    return lambda get: [r / 1e6 for r in get(table, case, name, "rate")]


def by_memcpy(size):
    """Both in messages per second."""

    def value(get):
        copies = [1e9 / ns for ns in get("limits", size, "memcpy", "p50")]
        return ratio(get("bulk, in place", size, "triveni Ring", "rate"), copies)

    return value


def lock(name):
    return lambda get: ratio(get("locks", "lock and unlock", name, "p50"), get("limits", "alone", "C", "p50"))


def contended(get):
    return ratio(
        get("locks", "lock and unlock", "triveni Mutex", "rate"), get("locks", "lock and unlock", "pthread mutex", "rate")
    )


def python(case, name, per=1.0):
    return lambda get: [ns / per for ns in get("python", case, name, "p50")]


SIZES = ["64 KiB", "256 KiB", "1 MiB", "4 MiB"]

GOALS = [
    Goal("Ring, 64 B one way, both spinning", "≤ 1.5 L", 1.5, True, latency("spinning", "triveni Ring", "L")),
    Goal("the same, record and header on one line (56 B)", "≤ 1.5 L", 1.5, True, latency("spinning", "triveni Ring, 56 B", "L")),
    Goal("Ring, blocking receive, peer asleep", "≤ 1.05 fx", 1.05, True, latency("asleep", "triveni Ring", "fx")),
    Goal("Mailbox, blocking receive, peer asleep", "≤ 1.05 fx", 1.05, True, latency("asleep", "triveni Mailbox", "fx")),
    Goal("Ring, blocking calls, gaps of 5 µs", "≤ 3 L", 3, True, latency("gaps", "triveni Ring", "L")),
    Goal("Mailbox, blocking calls, gaps of 5 µs", "≤ 3 L", 3, True, latency("gaps", "triveni Mailbox", "L")),
    Goal("Ring, 64 B one by one, depth 1024", "≥ 1.4 × rtrb", 1.4, False, rate("one by one", "64 B, depth 1024", "triveni Ring", "rtrb")),
    Goal("the same", "≥ 10 × iceoryx2", 10, False, rate("one by one", "64 B, depth 1024", "triveni Ring", "iceoryx2")),
    Goal("Ring, 64 B packed in batches, depth 1024", "≥ 1 × rtrb", 1, False, rate("batches", D1024, "triveni Ring, packed", "rtrb")),
    Goal("Ring, 64 B packed in batches, depth 65536", "≥ 1 × rtrb", 1, False, rate("batches", D65536, "triveni Ring, packed", "rtrb")),
    Goal("Ring, 8 B packed in batches, depth 1024", "≥ 750 M/s", 750, False, per_second("batches", D1024.replace("64 B", "8 B"), "triveni Ring, packed")),
    Goal("Ring, 8 B packed in batches, depth 65536", "≥ 750 M/s", 750, False, per_second("batches", D65536.replace("64 B", "8 B"), "triveni Ring, packed")),
    *[Goal(f"Ring, {size} written and read in place", "≥ 4 × memcpy", 4, False, by_memcpy(size)) for size in SIZES],
    *[Goal(f"Ring, hand-offs of {size}", "≥ 20 M/s", 20, False, per_second("hand-offs", size, "triveni Ring")) for size in SIZES],
    Goal("Mailbox, 2 × 2 processes", "≥ 2 × Boost", 2, False, rate("contention", "2 × 2, 64 B", "triveni Mailbox", "Boost message_queue")),
    Goal("the same", "≥ 1 × crossbeam's queue", 1, False, rate("contention", "2 × 2, 64 B", "triveni Mailbox", "crossbeam ArrayQueue")),
    Goal("Mutex, uncontended", "≤ 1.1 C", 1.1, True, lock("triveni Mutex")),
    Goal("Semaphore, uncontended", "≤ 1.1 C", 1.1, True, lock("triveni Semaphore")),
    Goal("Mutex, contended by two processes", "≥ 1.2 × pthread mutex", 1.2, False, contended),
    Goal("the same, fairness", "≥ 0.9", 0.9, False, lambda get: get("locks", "lock and unlock", "triveni Mutex", "fairness")),
    *[Goal(f"Python, a 64 B message through a {name}", "≤ 65 ns", 65, True, python("one by one", f"triveni {name}")) for name in ("Mailbox", "Ring")],
    *[Goal(f"Python, in lists of 100 through a {name}", "≤ 27 ns", 27, True, python("in lists", f"triveni {name}")) for name in ("Mailbox", "Ring")],
    *[Goal(f"Python, an 8 MiB array in place through a {name}", "≤ 2.5 µs", 2.5, True, python("8 MiB array", f"triveni {name}", 1000)) for name in ("Mailbox", "Ring")],
]
