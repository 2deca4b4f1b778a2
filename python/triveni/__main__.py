"""The command: ``triveni ls``, ``triveni demo`` and the rest, and what a C compiler needs.

``cc hello.c $(python -m triveni --cflags --libs)`` compiles against the header and library in this package.
"""

import shlex
import signal
import sys
from pathlib import Path

from . import __version__
from ._triveni import _run_command

KIT = Path(__file__).parent / "kit"


def flags(wanted: list[str]) -> str:
    """What ``cc`` needs: ``--cflags`` for compiling, ``--libs`` for linking."""
    words: list[str] = []
    if "--cflags" in wanted:
        words += [f"-I{KIT / 'include'}"]
    if "--libs" in wanted:
        words += [f"-L{KIT / 'lib'}", f"-Wl,-rpath,{KIT / 'lib'}", "-ltriveni"]
    return shlex.join(words)


def command() -> int:
    """Runs the command with the arguments of this process; returns its exit code."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        print(f"triveni {__version__}")
        return 0
    if arguments and set(arguments) <= {"--cflags", "--libs"}:
        if not KIT.is_dir():
            print(f"triveni: no C kit in {KIT}; install the wheel: pip install .", file=sys.stderr)
            return 1
        print(flags(arguments))
        return 0
    # The command is written in Rust: Ctrl-C and a closed pipe shall end it as they end any other.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    return _run_command(["triveni", *arguments])


if __name__ == "__main__":
    sys.exit(command())
