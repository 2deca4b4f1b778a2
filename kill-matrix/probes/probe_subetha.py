"""SubEtha (`subetha-ipc`): objects in mapped files. Where it says full or empty instead of waiting, this looks again
every 100 µs, and where only waits with a time limit sleep, they are asked for an hour."""

import importlib.metadata
import os
import shutil
import threading
import time

import speak
import subetha

HOUR, LOOK = 3600.0, 100e-6


def folder(name, create):
    path = f"/dev/shm/{name}.d"
    if create:
        os.makedirs(path)
    return f"{path}/object", lambda: shutil.rmtree(path)


def found(constructor, path, create, *arguments):
    return constructor(path, *arguments) if create else constructor.open(path, *arguments)


def rwlock(name, create, parking):
    path, remove = folder(name, create)
    lock, holds = found(subetha.RWLock, path, create), []

    def take(spinning, sleeping):
        hold = sleeping(HOUR) if parking else spinning()
        if hold is None:
            raise TimeoutError("an hour")
        holds.append(hold)

    return {
        "read": lambda: take(lock.read, lock.read_for),
        "write": lambda: take(lock.write, lock.write_for),
        "lock": lambda: take(lock.write, lock.write_for),
        "unlock": lambda: holds.pop().release(),
    }, remove


def semaphore(name, create):
    path, remove = folder(name, create)
    object_ = subetha.Semaphore(path, 1, 1) if create else subetha.Semaphore.open(path, 1)
    holds = []

    def wait():
        hold = object_.acquire_for(HOUR)
        if hold is None:
            raise TimeoutError("an hour")
        holds.append(hold)

    return {"wait": wait, "post": lambda: holds.pop().release()}, remove


def condvar(name, create):
    path, remove = folder(name, create)
    cond, number = found(subetha.Condvar, path, create), found(subetha.Atomic, path + ".number", create, *([0] if create else []))

    def take():
        value = number.load()
        return value > 0 and number.compare_exchange(value, value - 1) == value

    def signal():
        number.fetch_add(1)
        cond.notify_one()

    def wait():
        if not cond.wait_for(take, HOUR):
            raise TimeoutError("an hour")

    return {"wait": wait, "signal": signal}, remove


def barrier(name, create):
    path, remove = folder(name, create)
    beats = found(subetha.Heartbeat, path + ".beats", create, 8)
    object_ = subetha.EpochBarrier(path, beats, 3) if create else subetha.EpochBarrier.open(path, beats, 3)
    slot = None if create else beats.register()

    def live():
        """Everybody beats, and one watchdog lets the time of the table go on, as the manual asks."""
        while True:
            if create:
                beats.tick_global_epoch()
            else:
                beats.beat(slot)
            time.sleep(0.05 if create else 0.005)

    threading.Thread(target=live, daemon=True).start()

    def wait():
        if not object_.wait(object_.current_epoch, HOUR):
            raise TimeoutError("an hour")

    return {"wait": wait}, remove


def ring(name, create):
    path, remove = folder(name, create)
    object_ = found(subetha.Ring, path, create, 64, 8, 8)
    sender, receiver, ids = speak.Sender(), speak.Receiver(), {}

    def send(message):
        if "producer" not in ids:
            ids["producer"] = object_.register_producer()
        while not object_.send(ids["producer"], message):
            time.sleep(LOOK)

    def receive():
        if "consumer" not in ids:
            ids["consumer"] = object_.register_consumer()
        while (message := object_.recv(ids["consumer"])) is None:
            time.sleep(LOOK)
        return receiver.check(message)

    return {"send": lambda: send(sender.message()), "mark": lambda: send(sender.message(mark=True)), "receive": receive}, remove


def spsc(name, create):
    path, remove = folder(name, create)
    object_ = found(subetha.SpscRing, path, create, 64)
    sender, receiver = speak.Sender(), speak.Receiver()

    def send(message):
        while not object_.push(message):
            time.sleep(LOOK)

    def receive():
        while (message := object_.pop()) is None:
            time.sleep(LOOK)
        return receiver.check(message)

    return {"send": lambda: send(sender.message()), "mark": lambda: send(sender.message(mark=True)), "receive": receive}, remove


speak.run(
    lambda: f"subetha-ipc {importlib.metadata.version('subetha-ipc')}",
    {
        "rwlock": lambda name, create: rwlock(name, create, parking=False),
        "parking": lambda name, create: rwlock(name, create, parking=True),
        "semaphore": semaphore,
        "condvar": condvar,
        "barrier": barrier,
        "ring": ring,
        "spsc": spsc,
    },
)
