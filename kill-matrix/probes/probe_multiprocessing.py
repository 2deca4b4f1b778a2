"""multiprocessing of the standard library. Its objects are shared by inheritance: the matrix forks the processes."""

import multiprocessing
import sys

import speak

ctx = multiprocessing.get_context("fork")
PARTIES, PATIENCE = 3, 0.5
LARGE = 1 << 20  # more than a pipe holds, so that a send is many writes


def make(object_):
    return {
        "Lock": ctx.Lock,
        "RLock": ctx.RLock,
        "Semaphore": lambda: ctx.Semaphore(1),
        "BoundedSemaphore": lambda: ctx.BoundedSemaphore(1),
        "Condition": lambda: (ctx.Condition(), ctx.RawValue("q", 0)),
        "Event": ctx.Event,
        "Barrier": lambda: ctx.Barrier(PARTIES),
        "Queue": lambda: ctx.Queue(4),
        "SimpleQueue": ctx.SimpleQueue,
        "large": ctx.SimpleQueue,
    }[object_]()


def play(object_, shared, name):
    speak.serve(COMMANDS[object_](shared), name)


def lock(shared):
    return {"lock": lambda: shared.acquire() and None, "unlock": shared.release}


def semaphore(shared):
    return {"wait": lambda: shared.acquire() and None, "post": shared.release}


def condition(shared):
    cond, number = shared

    def wait():
        with cond:
            cond.wait_for(lambda: number.value > 0)
            number.value -= 1

    def signal():
        with cond:
            number.value += 1
            cond.notify()

    return {"lock": lambda: cond.acquire() and None, "unlock": cond.release, "wait": wait, "signal": signal}


def event(shared):
    return {"wait": lambda: shared.wait() and None, "set": shared.set, "clear": shared.clear}


def barrier(shared):
    def wait():
        try:
            shared.wait(PATIENCE)  # the best it offers: after a time limit all are told
        except Exception as broken:
            if type(broken).__name__ != "BrokenBarrierError":
                raise
            return "told"

    return {"wait": wait, "reset": shared.reset}


def queue(shared, size=speak.SIZE):
    sender, receiver = speak.Sender(size), speak.Receiver(size)
    return {
        "send": lambda: shared.put(sender.message()),
        "mark": lambda: shared.put(sender.message(mark=True)),
        "receive": lambda: receiver.check(shared.get()),
    }


COMMANDS = {
    "Lock": lock,
    "RLock": lock,
    "Semaphore": semaphore,
    "BoundedSemaphore": semaphore,
    "Condition": condition,
    "Event": event,
    "Barrier": barrier,
    "Queue": queue,
    "SimpleQueue": queue,
    "large": lambda shared: queue(shared, LARGE),
}

if __name__ == "__main__":
    print(f"multiprocessing of Python {sys.version.split()[0]}")
