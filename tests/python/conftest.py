"""Fresh names, and other processes that say what they do.

A test that hangs ends the run with the stacks of all threads: `faulthandler_timeout` in pyproject.toml.
"""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from people import state_of, until

import triveni

_numbers = itertools.count()


@pytest.fixture
def name() -> Iterator[str]:
    """A segment name that is fresh now and gone afterwards."""
    fresh = f"py-{os.getpid()}-{next(_numbers)}"
    yield fresh
    try:
        triveni.Segment.unlink(fresh)
    except FileNotFoundError:
        pass


@pytest.fixture
def segment(name: str) -> Iterator[triveni.Segment]:
    with triveni.Segment.create(name, size=1 << 20) as made:
        yield made


class Other:
    """Another Python process that runs `code`: `segment` is open there, `say(line)` prints, `go()` waits for ours."""

    def __init__(self, name: str, code: str) -> None:
        head = (
            "import os, signal, sys, threading, time, triveni\n"
            f"segment = triveni.Segment.open({name!r})\n"
            "def say(*words): print(*words, flush=True)\n"
            "def go(): sys.stdin.readline()\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-c", head + code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self.process.pid

    def line(self) -> str:
        """The next line it says."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().rstrip("\n")
        if not line and self.process.poll() is not None:
            assert self.process.stderr is not None
            pytest.fail(f"the other process ended with {self.process.returncode}:\n{self.process.stderr.read()}")
        return line

    def says(self, line: str) -> None:
        assert self.line() == line

    def asleep(self) -> None:
        """Returns once its main thread sleeps in the kernel."""
        until(lambda: self.process.poll() is not None or state_of(self.pid) == "S")
        assert self.process.poll() is None, self.process.communicate()

    def go(self) -> None:
        """Lets it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Returns once it is dead and buried."""
        self.process.kill()
        self.process.communicate()

    def ends(self, code: int = 0) -> str:
        """Waits for its end; returns what else it said."""
        out, err = self.process.communicate()
        assert self.process.returncode == code, f"ended with {self.process.returncode}: {out}{err}"
        return out


@pytest.fixture
def other(segment: triveni.Segment) -> Iterator[Callable[[str], Other]]:
    """Starts other processes; none outlives the test."""
    started: list[Other] = []

    def start(code: str) -> Other:
        assert segment.name is not None
        started.append(Other(segment.name, code))
        return started[-1]

    yield start
    for process in started:
        process.kill()
