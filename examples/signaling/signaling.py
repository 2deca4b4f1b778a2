"""Two ways to wait until another process says so: to ask again and again, or to sleep until woken.

    signaling.py                     the whole story: the same wait, both ways
    signaling.py wait busy           one process of it, which waits; or: wait sleeping
    signaling.py signal              the other process, which works for half a second and then ends the wait

Each process may be Rust, C or Python. They share the segment `signaling` with the event flags `events`: 1 says
that the work is done, 2 that somebody waits for it.
"""

import contextlib
import multiprocessing
import sys
import time

import triveni

DONE, WAITING = 1, 2


def open_events() -> triveni.Event:
    return triveni.Segment.open_or_create("signaling").event("events")


def wait(how: str) -> None:
    events = open_events()
    events.set(WAITING)
    begin, worked = time.monotonic(), time.process_time()
    if how == "busy":
        while not events.flags() & DONE:  # busy waiting
            pass
        events.clear(DONE)
    else:
        events.wait_any(DONE, clear=True)  # sleeps
    waited, worked = time.monotonic() - begin, time.process_time() - worked
    print(f"{how}: waited {waited:.3f} s, and used the CPU for {worked:.4f} s of them")


def signal() -> None:
    events = open_events()
    events.wait_any(WAITING, clear=True)
    time.sleep(0.5)  # the work that the other waits for
    events.set(DONE)


def fresh() -> None:
    with contextlib.suppress(FileNotFoundError):
        triveni.Segment.unlink("signaling")


def story() -> None:
    for how in ("busy", "sleeping"):
        fresh()
        waiter = multiprocessing.Process(target=wait, args=(how,))
        waiter.start()
        signal()
        waiter.join()
        assert waiter.exitcode == 0, "the waiter failed"
    fresh()


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            story()
        case ["wait", how]:
            wait(how)
        case ["signal"]:
            signal()
        case _:
            print("usage: signaling.py [wait busy | wait sleeping | signal]", file=sys.stderr)
            sys.exit(2)
