"""Locks on files with Python's own library alone; the roles are told in file_lock.rs."""

import fcntl
import os
import signal
import struct
import sys
import time

role, how, path, *rest = sys.argv[1:]
fd = os.open(path, os.O_RDWR)
LOCK_FILE = path + ".lock"


def ofd(command, kind):
    # struct flock, as 64-bit Linux has it.
    fcntl.fcntl(fd, command, struct.pack("hhqqixxxx", kind, os.SEEK_SET, 8, 8, 0))


def lock(shared=False, wait=True):
    if how == "flock":
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    elif how == "range":
        ofd(fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, fcntl.F_RDLCK if shared else fcntl.F_WRLCK)
    else:
        while True:
            try:
                made = os.open(LOCK_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                if not wait:
                    raise BlockingIOError from None
                time.sleep(0.001)
            else:
                os.write(made, b"%10d\n" % os.getpid())
                return os.close(made)


def unlock():
    if how == "flock":
        fcntl.flock(fd, fcntl.LOCK_UN)
    elif how == "range":
        ofd(fcntl.F_OFD_SETLK, fcntl.F_UNLCK)
    else:
        os.unlink(LOCK_FILE)


match role:
    case "count":
        for _ in range(int(rest[0])):
            lock()
            number = int.from_bytes(os.pread(fd, 8, 0), "little")
            os.pwrite(fd, (number + 1).to_bytes(8, "little"), 0)
            unlock()
        print("ok", rest[0])
    case "hold" | "share":
        lock(shared=role == "share")
        print("holding")
        while True:
            signal.pause()
    case "try":
        try:
            lock(wait=False)
        except BlockingIOError:
            print("busy")
        else:
            print("taken")
            unlock()
