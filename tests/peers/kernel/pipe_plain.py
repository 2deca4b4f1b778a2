"""Pipes and FIFOs with Python's own library alone; the roles are told in pipe.rs."""

import signal
import struct
import sys


def message(k):
    return k.to_bytes(8, "little") + bytes((k * 7 + i) & 0xFF for i in range(k % 40))


def opened(place, mode):
    # Without a buffer a message is one write, and in one piece.
    return open(int(place) if place.isdigit() else place, mode, buffering=0 if mode == "wb" else -1)


match sys.argv[1:]:
    case ["send", place, n]:
        with opened(place, "wb") as end:
            for k in range(int(n)):
                end.write(struct.pack("!I", len(message(k))) + message(k))
    case ["receive", place, n]:
        with opened(place, "rb") as end:
            for k in range(int(n)):
                (size,) = struct.unpack("!I", end.read(4))
                got = end.read(size)
                assert got == message(k), (k, got)
            assert end.read() == b""
        print("ok", n)
    case ["count", place]:
        with opened(place, "rb") as end:
            print("ok", len(end.read()))
    case ["hold", place]:
        end = opened(place, "wb")
        print("holding")
        while True:
            signal.pause()
