"""A file as a channel between processes: a counter that loses updates, and one that does not.

Two processes, X and Y, add one to the number in a file, again and again: each reads it, adds one, and writes it
back. If the other does so in between, one of the two is lost. Any of three locks on files prevents that: a lock on the
whole file (`flock`), on the range of bytes that the number has (`range`), or a lock file (`lock_file`).

    file_counter.py               the whole story: without a lock, then with each
    file_counter.py X flock N     one process of it, which adds one N times; or: Y range N
    file_counter.py report N      how many of N updates are in the file

X and Y may be Rust, C or Python. The file is /dev/shm/file_counter: a number as text. It stays when they have ended;
to begin anew: `rm -f /dev/shm/file_counter*`.
"""

import contextlib
import multiprocessing
import os
import sys
import time

from triveni import kernel

PATH = "/dev/shm/file_counter"
DIGITS = 10


def read(fd: int) -> int:
    return int(os.pread(fd, DIGITS, 0) or 0)


def add_one(fd: int) -> None:
    number = read(fd)
    time.sleep(0.00005)  # a process switch may come here; to see it often, we invite it
    os.pwrite(fd, f"{number + 1:{DIGITS}}".encode(), 0)


def process(how: str, n: int) -> None:
    fd = os.open(PATH, os.O_RDWR | os.O_CREAT, 0o600)
    whole, ranges = kernel.FileLock.open(PATH), kernel.RangeLock.open(PATH)
    lock_file = kernel.LockFile(PATH + ".lock", take_over=True)
    for _ in range(n):
        match how:
            case "flock":
                with whole.lock():
                    add_one(fd)
            case "range":
                with ranges.lock(0, DIGITS):
                    add_one(fd)
            case "lock_file":
                with lock_file.lock():
                    add_one(fd)
            case _:
                add_one(fd)


def report(added: int) -> None:
    there = 0
    with contextlib.suppress(FileNotFoundError), open(PATH) as file:
        there = read(file.fileno())
    print(f"{added} added, {there} in the file, {added - there} lost")


def fresh() -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(PATH)


def story() -> None:
    for how in ("unlocked", "flock", "range", "lock_file"):
        fresh()
        print(f"{how}: ", end="", flush=True)
        both = [multiprocessing.Process(target=process, args=(how, 500)) for _ in "XY"]
        for one in both:
            one.start()
        for one in both:
            one.join()
        assert not any(one.exitcode for one in both), "a process failed"
        report(1000)
    fresh()


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            story()
        case ["report", n]:
            report(int(n))
        case ["X" | "Y", how, n]:
            process(how, int(n))
        case _:
            print("usage: file_counter.py [X|Y unlocked|flock|range|lock_file N | report N]", file=sys.stderr)
            sys.exit(2)
