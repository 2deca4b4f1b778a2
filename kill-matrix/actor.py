"""The processes on the stage: each obeys one command per line, says when it began and ended, and can be killed.

An actor is a probe (see probes/speak.py and probes/speak.h for the protocol). Everything here is single-threaded:
whoever waits for one actor hears all of them.
"""

import collections
import ctypes
import multiprocessing
import os
import selectors
import signal
import subprocess
import sys
import time

START = 30.0  # seconds a process may take to start, on a loaded machine


class watch:
    """How long silence is tolerated before it counts as a hang."""

    seconds = START


class Hang(Exception):
    """Nothing within the watchdog."""


class Broken(Exception):
    """The stage itself does not work: a process that does not start, ends by itself, or talks nonsense."""


class Ended(Broken):
    """A process ended by itself."""


class Said(collections.namedtuple("Said", "kind command ns word detail")):
    """A line of a probe: `ready`, `begin COMMAND NS` or `end COMMAND NS ok|told|fail DETAIL`."""

    @classmethod
    def parse(cls, line):
        try:
            kind, command, ns, word, detail = (line.split(None, 4) + [""] * 5)[:5]
            return cls(kind, command, int(ns or 0), word, detail.strip())
        except ValueError:
            raise Broken(f"a probe said {line!r}") from None


class Actor:
    """One process. `pid` is its own; nothing else is ever killed."""

    ears = selectors.DefaultSelector()

    def __init__(self, hears, speaks, pid, reap):
        self.hears, self.speaks, self.pid, self.reap = hears, speaks, pid, reap
        self.dead, self.rest, self.said, self.command = False, b"", collections.deque(), "its start"
        os.set_blocking(speaks, False)
        Actor.ears.register(speaks, selectors.EVENT_READ, self)

    @classmethod
    def execute(cls, command, errors):
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0)
        actor = cls(os.dup(child.stdin.fileno()), os.dup(child.stdout.fileno()), child.pid, child.wait)
        child.stdin.close(), child.stdout.close()
        return actor

    @classmethod
    def fork(cls, target, *arguments):
        """For what is shared by inheritance only, as the objects of multiprocessing are."""
        (their_ear, mouth), (ear, their_mouth) = os.pipe(), os.pipe()
        child = multiprocessing.Process(target=_forked, args=(their_ear, their_mouth, target, arguments), daemon=True)
        child.start()
        os.close(their_ear), os.close(their_mouth)
        return cls(mouth, ear, child.pid, child.join)

    @classmethod
    def listen(cls, seconds):
        for key, _ in cls.ears.select(max(0, seconds)):
            key.data._read()

    def _read(self):
        try:
            data = os.read(self.speaks, 65536)
        except BlockingIOError:
            return
        if not data:
            Actor.ears.unregister(self.speaks)
            return
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.said.extend(Said.parse(line.decode(errors="replace")) for line in lines)

    def hear(self, kind, seconds=None):
        """The next thing of this kind that it says."""
        end = time.monotonic() + (watch.seconds if seconds is None else seconds)
        while True:
            while self.said:
                said = self.said.popleft()
                if said.kind == kind:
                    return said
            if self.speaks not in Actor.ears.get_map():
                raise Ended(self.command)
            left = end - time.monotonic()
            if left <= 0:
                raise Hang(f"{self.command} said no {kind!r}")
            Actor.listen(left)

    def tell(self, line):
        """Gives a command, and returns when it has begun."""
        self.command = line
        os.write(self.hears, line.encode() + b"\n")
        return self.hear("begin", START)

    def do(self, line):
        """Gives a command that must succeed."""
        self.tell(line)
        said = self.hear("end", START)
        if said.word not in ("ok", "told"):
            raise Broken(f"{line}: {said.word} {said.detail}")
        return said

    def is_asleep(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "S"

    def fall_asleep(self):
        """Until it sleeps in what it has begun; one that polls instead has had its time after a tenth of a second."""
        end, seen = time.monotonic() + 0.1, 0
        while time.monotonic() < end and seen < 5:
            Actor.listen(0.002)
            seen = seen + 1 if self.is_asleep() else 0
        if any(said.kind == "end" for said in self.said):
            raise Broken(f"it was to wait, but came back: {self.said}")

    def kill(self):
        """SIGKILL, and returns when it is gone. The time is that of the kill."""
        begin = time.monotonic_ns()
        if not self.dead:
            os.kill(self.pid, signal.SIGKILL)
            self.reap()
            self.dead = True
        return begin

    def stop_loop(self):
        """Asks it to leave its loop after the present pass."""
        os.kill(self.pid, signal.SIGUSR1)

    def leave(self, patient=False):
        """Ends it. The one that owns the object has time to remove it, and so has one that is to end by itself."""
        if self.left:
            return
        self.left = True
        os.close(self.hears)
        end = time.monotonic() + 2
        while (patient or self.owns) and time.monotonic() < end and self.speaks in Actor.ears.get_map():
            Actor.listen(0.05)
        self.kill()
        if self.speaks in Actor.ears.get_map():
            Actor.ears.unregister(self.speaks)
        os.close(self.speaks)

    left = False
    owns = False  # it removes the object when it leaves

    # ------------------------------------------------------------------------ killed after so many instructions

    def step(self, line, most):
        """Begins a command under ptrace and carries out at most so many instructions of it. Returns how many there
        were; the actor then stands still, to be killed."""
        _ptrace(0x4206, self.pid, 0)  # SEIZE
        os.write(self.hears, b"step " + line.encode() + b"\n")
        self._trap()
        for done in range(most):
            _ptrace(9, self.pid, 0)  # SINGLESTEP
            if self._trap():  # the breakpoint behind the last command
                return done
        return most

    def run_on(self):
        """After `step`, without a tracer."""
        _ptrace(17, self.pid, 0)  # DETACH

    def _trap(self):
        while True:
            _, status = os.waitpid(self.pid, 0x40000000)
            if not os.WIFSTOPPED(status):
                self.dead = True
                raise Broken(f"it ended while stepped: {status:#x}")
            if os.WSTOPSIG(status) == signal.SIGTRAP:
                return _is_breakpoint(self.pid)
            _ptrace(7, self.pid, os.WSTOPSIG(status))  # CONT, with its signal


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def _ptrace(request, pid, data):
    if _libc.ptrace(request, pid, None, data) == -1 and ctypes.get_errno():
        raise Broken(f"ptrace {request:#x}: {os.strerror(ctypes.get_errno())}")


def _is_breakpoint(pid):
    info = (ctypes.c_int * 32)()
    _ptrace(0x4202, pid, ctypes.addressof(info))  # GETSIGINFO; si_code 0x80 is a breakpoint, 2 a step
    return info[2] == 0x80


def _forked(ear, mouth, target, arguments):
    os.dup2(ear, 0), os.dup2(mouth, 1)
    sys.stdin = os.fdopen(0, "r")
    target(*arguments)
