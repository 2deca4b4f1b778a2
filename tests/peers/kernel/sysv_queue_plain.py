"""System V message queues with ctypes, as Python's own library has none; the roles are told in sysv_queue.rs."""

import ctypes
import errno
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
IPC_CREAT, IPC_EXCL, IPC_NOWAIT, MSG_EXCEPT = 0o1000, 0o2000, 0o4000, 0o20000


class Message(ctypes.Structure):
    _fields_ = [("mtype", ctypes.c_long), ("text", ctypes.c_char * 64)]


libc.msgsnd.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.msgrcv.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long, ctypes.c_int]
libc.msgrcv.restype = ctypes.c_ssize_t


def good(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def message(k):
    return k.to_bytes(8, "little") + bytes((k * 7 + i) & 0xFF for i in range(k % 40))


def number(got):
    k = int.from_bytes(got[:8], "little")
    assert got == message(k), got
    return k


def send(queue, got, mtype):
    both = ctypes.create_string_buffer(mtype.to_bytes(8, sys.byteorder) + got)
    good(libc.msgsnd(queue, both, len(got), 0))


def receive(queue, mtype=0, flags=0):
    got = Message()
    size = good(libc.msgrcv(queue, ctypes.byref(got), 64, mtype, flags))
    return ctypes.string_at(ctypes.addressof(got) + 8, size), got.mtype


role, key, *rest = sys.argv[1:]
queue = good(libc.msgget(int(key), IPC_CREAT | IPC_EXCL | 0o600 if role == "leave" else 0))
match role:
    case "leave":
        for k in range(10):
            send(queue, message(k), 1 + 3 * k % 7)
    case "collect":
        for mtype, flags in (-2, 0), (5, MSG_EXCEPT), (5, 0):
            try:
                while True:
                    got, kind = receive(queue, mtype, flags | IPC_NOWAIT)
                    print(f"{number(got)}:{kind}")
            except OSError as error:
                assert error.errno == errno.ENOMSG
    case "send":
        for k in range(*map(int, rest)):
            send(queue, message(k), 1)
    case "take":
        while got := receive(queue)[0]:
            sys.stdout.write(f"got {number(got)}\n")  # in one piece: it may be killed
    case "wait":
        print("waiting")
        try:
            raise AssertionError(receive(queue))
        except OSError as error:
            assert error.errno == errno.EIDRM
            print("removed")
