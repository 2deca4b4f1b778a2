"""faster-fifo: a queue in shared memory, inherited by child processes like those of multiprocessing."""

import importlib.metadata
import queue

import faster_fifo
import faster_fifo_reduction  # noqa: F401  makes it picklable, as its manual asks

import speak


def make(object_):
    assert object_ == "Queue"
    return faster_fifo.Queue(max_size_bytes=1000)


def play(object_, shared, name):
    sender, receiver = speak.Sender(), speak.Receiver()

    def put(message):
        while True:  # it has no wait without a limit
            try:
                return shared.put(message, timeout=3600)
            except queue.Full:
                pass

    def get():
        while True:
            try:
                return receiver.check(shared.get(timeout=3600))
            except queue.Empty:
                pass

    speak.serve({"send": lambda: put(sender.message()), "mark": lambda: put(sender.message(mark=True)), "receive": get}, name)


if __name__ == "__main__":
    print(f"faster-fifo {importlib.metadata.version('faster-fifo')}")
