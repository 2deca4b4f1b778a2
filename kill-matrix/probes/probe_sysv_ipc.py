"""sysv_ipc: System V semaphores and message queues."""

import zlib

import speak
import sysv_ipc


def key(name):
    return zlib.crc32(name.encode()) & 0x7FFFFFFF | 1


def semaphore(name, create, undo):
    object_ = sysv_ipc.Semaphore(key(name), sysv_ipc.IPC_CREX if create else 0, initial_value=1) if create else sysv_ipc.Semaphore(key(name))
    object_.undo = undo
    return {"wait": object_.acquire, "post": object_.release}, object_.remove


def queue(name, create):
    object_ = sysv_ipc.MessageQueue(key(name), sysv_ipc.IPC_CREX if create else 0)
    sender, receiver = speak.Sender(), speak.Receiver()
    return {
        "send": lambda: object_.send(sender.message()),
        "mark": lambda: object_.send(sender.message(mark=True)),
        "receive": lambda: receiver.check(object_.receive()[0]),
    }, object_.remove


speak.run(
    lambda: f"sysv_ipc {sysv_ipc.VERSION}",
    {
        "Semaphore": lambda name, create: semaphore(name, create, undo=False),
        "undo": lambda name, create: semaphore(name, create, undo=True),
        "MessageQueue": queue,
    },
)
