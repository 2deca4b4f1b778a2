"""Shared memory and semaphores with Python's own library alone; the roles are told in memory.rs.

It has POSIX shared memory (multiprocessing.shared_memory); the rest is libc by ctypes.
"""

import ctypes
import errno
import os
import signal
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

libc = ctypes.CDLL(None, use_errno=True)
libc.sem_open.restype = libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
for name in ("sem_wait", "sem_post"):
    getattr(libc, name).argtypes = [ctypes.c_void_p]
libc.sem_init.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint]
IPC_CREAT, IPC_EXCL, SHM_RDONLY, SEM_UNDO = 0o1000, 0o2000, 0o10000, 0x1000


def good(result):
    if result in (-1, None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class Operation(ctypes.Structure):
    _fields_ = [("index", ctypes.c_ushort), ("delta", ctypes.c_short), ("flags", ctypes.c_short)]


def kept(memory):
    # Otherwise this process would unlink at its end what others have made.
    resource_tracker.unregister(memory._name, "shared_memory")
    return memory


def attached(id, size, flags):
    return (ctypes.c_ubyte * size).from_address(good(libc.shmat(id, None, flags)))


def made(place, size):
    if place.startswith("/"):
        memory = kept(SharedMemory(place[1:], create=True, size=size))
        everything.append(memory)
        return memory.buf
    return memoryview(attached(good(libc.shmget(int(place), size, IPC_CREAT | IPC_EXCL | 0o600)), size, 0)).cast("B")


def opened(place, size, flags=0):
    if place.startswith("/"):
        memory = kept(SharedMemory(place[1:]))
        everything.append(memory)
        return memory.buf
    return memoryview(attached(good(libc.shmget(int(place), 0, 0)), size, flags)).cast("B")


class Lock:
    """A semaphore of either kind."""

    def __init__(self, place):
        self.posix = good(libc.sem_open(place.encode(), 0)) if place.startswith("/") else None
        self.sysv = None if self.posix else good(libc.semget(int(place), 0, 0))

    def operate(self, *operations):
        good(libc.semop(self.sysv, (Operation * len(operations))(*operations), len(operations)))

    def wait(self):
        good(libc.sem_wait(self.posix)) if self.posix else self.operate((0, -1, 0))

    def post(self):
        good(libc.sem_post(self.posix)) if self.posix else self.operate((0, 1, 0))


def stay():
    print("holding")
    while True:
        signal.pause()


def end():
    os._exit(0)  # views of the memory are alive, which SharedMemory would complain of


everything = []
match sys.argv[1:]:
    case ["make", place, size]:
        made(place, int(size))[: int(size)] = bytes(at * 7 % 251 for at in range(int(size)))
    case ["check", place, size]:
        found = bytes(opened(place, int(size), SHM_RDONLY)[: int(size)])
        assert found == bytes(at * 7 % 251 for at in range(int(size)))
        print("ok", size)
    case ["ask", place, n]:
        view = made(place, 4096)
        at = ctypes.addressof(ctypes.c_ubyte.from_buffer(view))
        good(libc.sem_init(at, 1, 0))
        good(libc.sem_init(at + 64, 1, 0))
        number = ctypes.c_uint64.from_address(at + 128)
        print("made")
        for k in range(int(n)):
            number.value = 2 * k
            good(libc.sem_post(at))
            good(libc.sem_wait(at + 64))
            assert number.value == 2 * k + 1
        print("ok", n)
        sys.stdout.flush()
        end()
    case ["answer", place, n]:
        view = opened(place, 4096)
        at = ctypes.addressof(ctypes.c_ubyte.from_buffer(view))
        number = ctypes.c_uint64.from_address(at + 128)
        for _ in range(int(n)):
            good(libc.sem_wait(at))
            number.value += 1
            good(libc.sem_post(at + 64))
        print("ok", n)
        sys.stdout.flush()
        end()
    case ["add", place, lock, n]:
        number, lock = opened(place, 64)[:8].cast("Q"), Lock(lock)
        for _ in range(int(n)):
            lock.wait()
            number[0] += 1
            lock.post()
        print("ok", n)
        sys.stdout.flush()
        end()
    case ["lose", place]:
        view = opened(place, 64)[:8].cast("Q")
        number = view[0]
        print("read")
        sys.stdin.read()
        view[0] = number + 1
        end()
    case ["hold", lock]:
        Lock(lock).wait()
        stay()
    case ["undo", lock]:
        Lock(lock).operate((0, -2, SEM_UNDO), (1, 1, SEM_UNDO))
        stay()
    case ["wait", lock]:
        lock = Lock(lock)
        print("waiting")
        try:
            lock.wait()
            print("taken")
        except OSError as error:
            assert error.errno == errno.EIDRM
            print("removed")
    case _:
        raise SystemExit(f"no such role: {sys.argv[1:]}")
