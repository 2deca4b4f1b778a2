"""POSIX message queues; the roles are told in posix_queue.rs."""

import signal
import sys

from triveni import kernel


def message(k):
    return k.to_bytes(8, "little") + bytes((k * 7 + i) & 0xFF for i in range(k % 40))


def number(got):
    k = int.from_bytes(got[:8], "little")
    assert got == message(k), got
    return k


match sys.argv[1:]:
    case ["leave", name]:
        with kernel.PosixQueue.create(name, capacity=10, message_size=64) as queue:
            for k in range(10):
                queue.send(message(k), priority=3 * k % 7)
    case ["collect", name]:
        with kernel.PosixQueue.open(name) as queue:
            for _ in range(10):
                got, priority = queue.receive_envelope()
                print(f"{number(got)}:{priority}")
    case ["send", name, begin, end]:
        with kernel.PosixQueue.open(name) as queue:
            for k in range(int(begin), int(end)):
                queue.send(message(k))
    case ["take", name]:
        with kernel.PosixQueue.open(name) as queue:
            while got := queue.receive():
                sys.stdout.write(f"got {number(got)}\n")  # in one piece: it may be killed
    case ["notify", name, value]:
        with kernel.PosixQueue.open(name) as queue:
            told = signal.SIGRTMIN + 3
            signal.pthread_sigmask(signal.SIG_BLOCK, [told])
            queue.notify(told, int(value))
            print("asked")
            assert signal.sigwaitinfo([told]).si_code == -3  # SI_MESGQ; Python does not show the value
            number(queue.receive(timeout=0))
            print("told")
    case ["own", name]:
        queue = kernel.PosixQueue.create(name, capacity=10, message_size=64, owned=True)
        print("holding")
        while True:
            signal.pause()
