"""System V message queues; the roles are told in sysv_queue.rs."""

import signal
import sys

import triveni as tvn
from triveni import kernel


def message(k):
    return k.to_bytes(8, "little") + bytes((k * 7 + i) & 0xFF for i in range(k % 40))


def number(got):
    k = int.from_bytes(got[:8], "little")
    assert got == message(k), got
    return k


role, key, *rest = sys.argv[1:]
key = int(key)
match role:
    case "leave":
        with kernel.SysvQueue.create(key) as queue:
            for k in range(10):
                queue.send(message(k), mtype=1 + 3 * k % 7)
    case "collect":
        with kernel.SysvQueue.open(key) as queue:
            for wanted in {"mtype": -2}, {"except_mtype": 5}, {"mtype": 5}:
                while received := queue.try_receive_envelope(**wanted):
                    print(f"{number(received[0])}:{received[1]}")
    case "send":
        with kernel.SysvQueue.open(key) as queue:
            for k in range(*map(int, rest)):
                queue.send(message(k))
    case "take":
        with kernel.SysvQueue.open(key) as queue:
            while got := queue.receive():
                sys.stdout.write(f"got {number(got)}\n")  # in one piece: it may be killed
    case "wait":
        with kernel.SysvQueue.open(key) as queue:
            print("waiting")
            try:
                raise AssertionError(queue.receive())
            except tvn.Removed:
                print("removed")
    case "own":
        queue = kernel.SysvQueue.create(key, owned=True)
        print("holding")
        while True:
            signal.pause()
