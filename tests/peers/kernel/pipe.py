"""Pipes and FIFOs; the roles are told in pipe.rs."""

import signal
import sys

import triveni as tvn
from triveni import kernel


def message(k):
    return k.to_bytes(8, "little") + bytes((k * 7 + i) & 0xFF for i in range(k % 40))


def reader(place):
    return kernel.PipeReader.from_fd(int(place)) if place.isdigit() else kernel.Fifo.open(place).reader()


def writer(place):
    return kernel.PipeWriter.from_fd(int(place)) if place.isdigit() else kernel.Fifo.open(place).writer()


def stay():
    print("holding")
    while True:
        signal.pause()


match sys.argv[1:]:
    case ["send", place, n]:
        with writer(place) as end:
            for k in range(int(n)):
                end.send(message(k))
    case ["receive", place, n]:
        with reader(place) as end:
            for k in range(int(n)):
                got = end.receive()
                assert got == message(k), (k, got)
            try:
                raise AssertionError(end.receive())
            except tvn.Closed:
                print("ok", n)
    case ["count", place]:
        with reader(place) as end:
            print("ok", sum(map(len, iter(lambda: end.read(4096), b""))))
    case ["hold", place]:
        end = writer(place)
        stay()
    case ["own", path]:
        fifo = kernel.Fifo.create(path, owned=True)
        stay()
