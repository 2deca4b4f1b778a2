"""posix_ipc: POSIX named semaphores and message queues."""

import posix_ipc
import speak


def semaphore(name, create):
    object_ = posix_ipc.Semaphore(f"/{name}", posix_ipc.O_CREX if create else 0, initial_value=1)
    return {"wait": object_.acquire, "post": object_.release}, object_.unlink


def queue(name, create):
    if create:
        object_ = posix_ipc.MessageQueue(f"/{name}", posix_ipc.O_CREX, max_messages=4, max_message_size=speak.SIZE)
    else:
        object_ = posix_ipc.MessageQueue(f"/{name}")
    sender, receiver = speak.Sender(), speak.Receiver()
    return {
        "send": lambda: object_.send(sender.message()),
        "mark": lambda: object_.send(sender.message(mark=True)),
        "receive": lambda: receiver.check(object_.receive()[0]),
    }, object_.unlink


speak.run(lambda: f"posix_ipc {posix_ipc.VERSION}", {"Semaphore": semaphore, "MessageQueue": queue})
