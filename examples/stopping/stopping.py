"""Signalling and locking with SIGSTOP and SIGCONT, and what goes wrong with it.

    stopping.py

Signalling: B stops itself before Y, and A lets it go on after X. Locking: A stops B while it looks at what B changes.
A SIGCONT that comes before the stop is lost: the one who sends it has to see first that the other stands.
"""

import os
import time
from collections.abc import Callable

import triveni
from triveni import kernel


def fork(work: Callable[[], None]) -> kernel.Child:
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return kernel.Child(pid)


said, say = os.pipe()


def stop_before_y() -> None:
    kernel.stop_self()  # before Y, until A says so
    os.write(say, b"Y")


b = fork(stop_before_y)
kernel.wait_stopped(b.pid)
os.write(say, b"X")
kernel.continue_stopped(b.pid)
b.wait()
print("signalling:", os.read(said, 2).decode(), flush=True)

counter = triveni.Segment.anonymous(1 << 20).semaphore("counter")


def count() -> None:
    while True:
        counter.post()
        time.sleep(0.0001)


b = fork(count)
counter.wait()  # it counts
with kernel.StopLock(b.pid):
    before = counter.value()
    time.sleep(0.02)
    print(f"locking: B counted {counter.value() - before} while it was locked out")
counter.wait(n=before + 1)
print("locking: B goes on afterwards", flush=True)
b.kill()
b.wait()

gate, go = kernel.pipe()


def stop_later() -> None:
    gate.receive()
    kernel.stop_self()


b = fork(stop_later)
kernel.continue_process(b.pid)  # too early
go.send(b"!")
kernel.wait_stopped(b.pid)
time.sleep(0.02)
print("a SIGCONT before the stop: B", "stands still" if kernel.is_stopped(b.pid) else "goes on")
kernel.continue_stopped(b.pid)
print("a SIGCONT after it: B ends with status", b.wait())
