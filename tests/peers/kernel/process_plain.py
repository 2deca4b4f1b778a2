"""Processes and signals with Python's own library; the roles are told in process.rs."""

import ctypes
import os
import signal
import sys
import time

REAL_TIME = signal.SIGRTMIN + 3
libc = ctypes.CDLL(None, use_errno=True)


def value(info):
    """Python's siginfo has no value: it is taken by ctypes from sigtimedwait's own structure."""
    return int.from_bytes(info[24:28], "little", signed=True)


def number(info, at):
    return int.from_bytes(info[at : at + 4], "little", signed=True)


match sys.argv[1:]:
    case ["take", n]:
        wanted = {signal.SIGUSR1, REAL_TIME}
        signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
        mask = ctypes.create_string_buffer(sum(1 << (n - 1) for n in wanted).to_bytes(8, "little"), 128)
        print("ready")
        os.kill(os.getpid(), signal.SIGSTOP)
        for _ in range(int(n)):
            info = ctypes.create_string_buffer(128)
            assert libc.sigwaitinfo(mask, info) > 0
            queued = number(info.raw, 8) == -1
            print(number(info.raw, 0), value(info.raw) if queued else 0, number(info.raw, 16))
        assert signal.sigtimedwait(wanted, 0) is None
        print("ok")
    case ["queue", pid, n]:
        while open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "T":
            time.sleep(0.001)
        for k in range(int(n)):
            assert libc.sigqueue(int(pid), int(REAL_TIME), ctypes.c_void_p(k)) == 0
            os.kill(int(pid), signal.SIGUSR1)
        os.kill(int(pid), signal.SIGCONT)
    case ["end", how]:
        if int(how) >= 0:
            sys.exit(int(how))
        os.kill(os.getpid(), -int(how))
    case ["children", n]:
        for k in range(int(n)):
            pid = os.fork()
            if pid == 0:
                os._exit(k % 7)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == k % 7
        print("ok", n)
    case _:
        sys.exit(2)
