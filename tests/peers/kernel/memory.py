"""Shared memory and semaphores, POSIX and System V; the roles are told in memory.rs."""

import signal
import sys
import time

import triveni as tvn
from triveni import kernel


def byte(at):
    return at * 7 % 251


def made(place, size):
    if place.startswith("/"):
        return kernel.PosixSharedMemory.create(place, size)
    return kernel.SysvSharedMemory.create(int(place), size)


def opened(place, **how):
    if place.startswith("/"):
        return kernel.PosixSharedMemory.open(place, **how)
    return kernel.SysvSharedMemory.open(int(place), **how)


class Lock:
    """A semaphore of either kind."""

    def __init__(self, place):
        self.posix = kernel.PosixSemaphore.open(place) if place.startswith("/") else None
        self.sysv = None if self.posix else kernel.SysvSemaphores.open(int(place))

    def wait(self, timeout=None):
        self.posix.wait(timeout) if self.posix else self.sysv.wait(0, timeout=timeout)

    def post(self):
        self.posix.post() if self.posix else self.sysv.post(0)


def numbers(memory):
    return memoryview(memory).cast("Q")


def stay():
    print("holding")
    while True:
        signal.pause()


match sys.argv[1:]:
    case ["make", place, size]:
        made(place, int(size)).write_at(0, bytes(map(byte, range(int(size)))))
    case ["check", place, size]:
        with memoryview(opened(place, read_only=True)) as view:
            assert view.readonly and view.tobytes()[: int(size)] == bytes(map(byte, range(int(size))))
        print("ok", size)
    case ["ask", place, n]:
        memory = made(place, 4096)
        asked, answered = (kernel.PosixSemaphore.init_in(memory, at) for at in (0, 64))
        print("made")
        view = numbers(memory)
        for k in range(int(n)):
            view[16] = 2 * k
            asked.post()
            answered.wait()
            assert view[16] == 2 * k + 1
        print("ok", n)
    case ["answer", place, n]:
        memory = opened(place)
        asked, answered = (kernel.PosixSemaphore.open_in(memory, at) for at in (0, 64))
        view = numbers(memory)
        for _ in range(int(n)):
            asked.wait()
            view[16] += 1
            answered.post()
        print("ok", n)
    case ["add", place, lock, n]:
        view, lock = numbers(opened(place)), Lock(lock)
        for _ in range(int(n)):
            lock.wait()
            view[0] += 1
            lock.post()
        print("ok", n)
    case ["lose", place]:
        view = numbers(opened(place))
        number = view[0]
        print("read")
        sys.stdin.read()
        view[0] = number + 1
    case ["hold", lock]:
        lock = Lock(lock)
        lock.wait()
        stay()
    case ["undo", lock]:
        kernel.SysvSemaphores.open(int(lock)).operate([kernel.SemaphoreOperation(0, -2, undo=True), (1, 1, True)])
        stay()
    case ["wait", lock]:
        lock = Lock(lock)
        print("waiting")
        try:
            lock.wait()
            print("taken")
        except tvn.Removed:
            print("removed")
    case ["race", lock, n]:
        sys.stdin.read()
        if lock.startswith("/"):
            assert kernel.PosixSemaphore.open_or_create(lock, int(n)).try_wait()
        else:
            assert kernel.SysvSemaphores.open_or_create(int(lock), [int(n)]).try_wait(0)
    case ["storm", lock, ms]:
        lock = Lock(lock)
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        begin = time.monotonic()
        try:
            raise AssertionError(lock.wait(int(ms) / 1000))
        except TimeoutError:
            assert time.monotonic() - begin >= int(ms) / 1000
        signal.setitimer(signal.ITIMER_REAL, 0)
        print("timeout", int((time.monotonic() - begin) * 1000))
    case ["own", "posix semaphore", place]:
        thing = kernel.PosixSemaphore.create(place, 1, owned=True)
        stay()
    case ["own", "posix shared memory", place]:
        thing = kernel.PosixSharedMemory.create(place, 64, owned=True)
        stay()
    case ["own", "sysv semaphores", place]:
        thing = kernel.SysvSemaphores.create(int(place), [1], owned=True)
        stay()
    case ["own", _, place]:
        thing = kernel.SysvSharedMemory.create(int(place), 64, owned=True)
        stay()
    case _:
        raise SystemExit(f"no such role: {sys.argv[1:]}")
