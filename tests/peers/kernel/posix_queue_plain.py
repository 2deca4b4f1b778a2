"""POSIX message queues with ctypes, as Python's own library has none; the roles are told in posix_queue.rs."""

import ctypes
import os
import signal
import sys

try:
    libc = ctypes.CDLL("librt.so.1", use_errno=True)  # glibc before 2.34
    libc.mq_open
except (OSError, AttributeError):
    libc = ctypes.CDLL(None, use_errno=True)


class Attributes(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_long), ("maxmsg", ctypes.c_long), ("msgsize", ctypes.c_long),
                ("curmsgs", ctypes.c_long), ("reserved", ctypes.c_long * 4)]


class Event(ctypes.Structure):
    _fields_ = [("value", ctypes.c_void_p), ("signo", ctypes.c_int), ("notify", ctypes.c_int),
                ("reserved", ctypes.c_char * 48)]


libc.mq_send.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint]
libc.mq_receive.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_uint)]
libc.mq_receive.restype = ctypes.c_ssize_t


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


def opened(name):
    return good(libc.mq_open(name.encode(), os.O_RDWR))


def send(queue, got, priority):
    good(libc.mq_send(queue, got, len(got), priority))


def receive(queue):
    buffer, priority = ctypes.create_string_buffer(64), ctypes.c_uint()
    size = good(libc.mq_receive(queue, buffer, 64, priority))
    return buffer.raw[:size], priority.value


match sys.argv[1:]:
    case ["leave", name]:
        attributes = Attributes(maxmsg=10, msgsize=64)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        queue = good(libc.mq_open(name.encode(), flags, ctypes.c_uint(0o600), ctypes.byref(attributes)))
        for k in range(10):
            send(queue, message(k), 3 * k % 7)
    case ["collect", name]:
        queue = opened(name)
        for _ in range(10):
            got, priority = receive(queue)
            print(f"{number(got)}:{priority}")
    case ["send", name, begin, end]:
        queue = opened(name)
        for k in range(int(begin), int(end)):
            send(queue, message(k), 0)
    case ["take", name]:
        queue = opened(name)
        while got := receive(queue)[0]:
            sys.stdout.write(f"got {number(got)}\n")  # in one piece: it may be killed
    case ["notify", name, value]:
        queue = opened(name)
        told = signal.SIGRTMIN + 3
        signal.pthread_sigmask(signal.SIG_BLOCK, [told])
        good(libc.mq_notify(queue, ctypes.byref(Event(value=int(value), signo=told, notify=0))))
        print("asked")
        assert signal.sigwaitinfo([told]).si_code == -3  # SI_MESGQ
        number(receive(queue)[0])
        print("told")
