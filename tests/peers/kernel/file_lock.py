"""Locks on files; the roles are told in file_lock.rs."""

import atexit
import contextlib
import os
import signal
import sys
import time

from triveni import kernel


class Lock:
    def __init__(self, how, path):
        match how:
            case "flock":
                self.lock, self.args = kernel.FileLock.open(path), ()
            case "range":
                self.lock, self.args = kernel.RangeLock.open(path), (8, 8)
            case "file":
                self.lock, self.args = kernel.LockFile(path + ".lock"), ()

    def __call__(self, timeout=None):
        return self.lock.lock(*self.args, timeout=timeout)

    def shared(self):
        return self.lock.lock_shared(*self.args)

    def tried(self):
        return self.lock.try_lock(*self.args)


def stay():
    print("holding")
    while True:
        signal.pause()


def rain():
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    # At the end Python takes its handlers off.
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)


match sys.argv[1:]:
    case ["count", how, path, n]:
        lock, fd = Lock(how, path), os.open(path, os.O_RDWR)
        for _ in range(int(n)):
            with lock():
                number = int.from_bytes(os.pread(fd, 8, 0), "little")
                os.pwrite(fd, (number + 1).to_bytes(8, "little"), 0)
        print("ok", n)
    case ["hold", how, path]:
        with Lock(how, path)():
            stay()
    case ["share", how, path]:
        with Lock(how, path).shared():
            stay()
    case ["try", how, path]:
        guard = Lock(how, path).tried()
        print("busy" if guard is None else "taken")
        if guard is not None:
            guard.unlock()
    case ["rain", how, path, ms]:
        rain()
        begin = time.monotonic()
        with contextlib.suppress(TimeoutError):
            Lock(how, path)(timeout=int(ms) / 1000)
            raise SystemExit("it was free")
        print("timeout", int((time.monotonic() - begin) * 1000))
    case ["late", how, path]:
        rain()
        print("waiting")
        with Lock(how, path)():
            print("taken")
