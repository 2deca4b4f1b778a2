"""The print spooler that loses entries, and the one that does not.

Two processes, X and Y, enter files into the spooler's directory: each reads `in`, the next free slot, stores
its file there, and adds one to `in`. If the system switches to the other process in between, both store into
the same slot, and an entry is lost. The directory looks consistent all the same.

    print_spooler.py                  the whole story: without a lock, then with one
    print_spooler.py X unlocked N     one process of it, which waits for Y to begin; or: Y locked N
    print_spooler.py report N         how many of N files that were entered stand in the directory

X and Y may be Rust, C or Python. They share the segment `print_spooler` with the barrier `start` and the mutex
`mutex`, and plain memory, /dev/shm/print_spooler: `in`, then the slots. A file is known by its number; Y's have
a million added. To begin anew: `triveni rm print_spooler; rm /dev/shm/print_spooler`.
"""

import contextlib
import mmap
import multiprocessing
import os
import sys
import time

import triveni

NAME, MEMORY = "print_spooler", "/dev/shm/print_spooler"
SLOTS = 10_000
IN = 0


def open_directory() -> memoryview:
    with open(os.open(MEMORY, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        file.truncate(4 * (1 + SLOTS))
        return memoryview(mmap.mmap(file.fileno(), 0)).cast("i")


def enter(directory: memoryview, file: int) -> None:
    next_free_slot = directory[IN]
    time.sleep(0.0001)  # a process switch may come here; to see it often, we invite it
    directory[1 + next_free_slot] = file
    directory[IN] = next_free_slot + 1


def process(who: str, how: str, n: int) -> None:
    directory = open_directory()
    segment = triveni.Segment.open_or_create(NAME)
    lock = segment.mutex("mutex") if how == "locked" else contextlib.nullcontext()
    first = 1_000_001 if who == "Y" else 1
    segment.barrier("start", 2).wait()
    for file in range(first, first + n):
        with lock:
            enter(directory, file)


def report(entered: int) -> None:
    there = open_directory()[IN]
    print(f"{entered} files entered, {there} in the directory, {entered - there} lost")


def fresh() -> None:
    with contextlib.suppress(FileNotFoundError):
        triveni.Segment.unlink(NAME)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(MEMORY)


def story() -> None:
    for how in ("unlocked", "locked"):
        fresh()
        print(f"{how}: ", end="", flush=True)
        both = [multiprocessing.Process(target=process, args=(who, how, 1000)) for who in "XY"]
        for one in both:
            one.start()
        for one in both:
            one.join()
        assert not any(one.exitcode for one in both), "a process failed"
        report(2000)
    fresh()


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            story()
        case ["report", n]:
            report(int(n))
        case [who, how, n]:
            process(who, how, int(n))
        case _:
            print("usage: print_spooler.py [X|Y locked|unlocked N | report N]", file=sys.stderr)
            sys.exit(2)
