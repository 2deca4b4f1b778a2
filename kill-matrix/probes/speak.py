"""What every probe in Python has in common: it obeys one command per line and tells when each began and ended.

    PROBE version                  prints the version of what it probes
    PROBE OBJECT NAME create|join  makes the object (and removes it when its input ends), or opens it

    lock unlock …    a command of the object           begin lock NS / end lock NS ok|told|fail [DETAIL]
    loop C C …       the commands for ever, until SIGUSR1; counts the passes in /dev/shm/NAME.log

A command is a function that returns nothing, "told …" when it learnt of a death, or "ok …"; it may raise.
"""

import os
import signal
import sys
import time

SIZE = 64  # bytes of a message, unless the object says otherwise
MARK = 1 << 63


def say(kind, command="", *rest):
    os.write(1, " ".join([kind, command, str(time.monotonic_ns()), *rest]).replace("\n", " ").encode() + b"\n")


def serve(commands, name):
    """Obeys until its input ends."""
    stop = []
    signal.signal(signal.SIGUSR1, lambda *_: stop.append(1))
    os.write(1, b"ready\n")
    while line := sys.stdin.readline():
        first, *rest = line.split()
        loop = first == "loop"
        said = first if not loop else "loop"
        say("begin", said)
        try:
            if loop:
                answer = _loop([commands[word] for word in rest], name, stop)
            else:
                answer = commands[first](*rest)
            say("end", said, *(answer or "ok").split())
        except Exception as error:  # whatever the library raises is what the matrix is about
            say("end", said, "fail", f"{type(error).__name__}: {error}")


def _loop(functions, name, stop):
    log, passes = os.open(f"/dev/shm/{name}.log.{os.getpid()}", os.O_RDWR | os.O_CREAT, 0o600), 0
    while not stop:
        for function in functions:
            if answer := function():
                say("end", "loop", *answer.split())
        passes += 1
        os.pwrite(log, passes.to_bytes(8, "little"), 0)


class Sender:
    """Makes numbered messages that show whether they are whole."""

    def __init__(self, size=SIZE):
        self.size, self.next = size, 1

    def message(self, mark=None):
        number = MARK if mark else self.next
        self.next += not mark
        return number.to_bytes(8, "little") + bytes([number & 0xFF]) * (self.size - 8)


class Receiver:
    """Checks messages; tells of the marked ones, and how many others came before."""

    def __init__(self, size=SIZE):
        self.size, self.count = size, 0

    def check(self, message, quiet=False):
        number = int.from_bytes(message[:8], "little")
        if len(message) != self.size or message[8:] != bytes([number & 0xFF]) * (self.size - 8):
            raise ValueError(f"half a message: number {number:#x}, {len(message)} bytes")
        if number == MARK:
            return f"ok marked {self.count}"
        self.count += 1
        return None


def run(version, objects):
    """The main program of a probe whose objects have names. `objects`: name of object → function (name, create) that
    gives (commands, function that removes, or None)."""
    if sys.argv[1] == "version":
        print(version())
        return
    _, object_, name, role = sys.argv
    commands, remove = objects[object_](name, role == "create")
    try:
        serve(commands, name)
    finally:
        if role == "create" and remove:
            remove()
