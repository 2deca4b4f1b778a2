"""A daemon: it comes up, a second one is refused, and it goes when it is told to.

    daemon.py
"""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import triveni
from triveni import kernel


def serve(daemon: kernel.Daemon) -> None:
    """What the daemon does: it waits for SIGTERM. Its output goes to a file, as it has no terminal."""
    with daemon, kernel.Signals([signal.SIGTERM]) as signals:
        print("the daemon serves, and its parent is not the program that started it", flush=True)
        daemon.ready()
        signals.receive()


def start(pid_file: Path, log: Path) -> int:
    """Returns in the first process alone."""
    daemon = kernel.daemonize(pid_file=pid_file, output=log)
    if isinstance(daemon, int):
        return daemon
    serve(daemon)
    os._exit(0)


folder = Path(tempfile.mkdtemp())
pid_file, log = folder / "pid", folder / "log"
pid = start(pid_file, log)
print("the daemon came up")
try:
    start(pid_file, log)
    sys.exit("there are two")
except triveni.Busy:
    print("a second one is refused")
kernel.send_signal(pid, signal.SIGTERM)
while pid_file.exists():
    time.sleep(0.001)
print("the daemon has ended, and its pid file is gone")
print("its output:", log.read_text(), end="")
log.unlink()
folder.rmdir()
