"""Others who do things for a test: another thread, a forked child; and what they are seen to do."""

import os
import signal
import threading
import time
from pathlib import Path


def in_thread(work):
    """Runs it on another thread; returns its value, or raises what it raised."""
    box = []

    def run():
        try:
            box.append((work(), None))
        except BaseException as error:
            box.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = box[0]
    if error is not None:
        raise error
    return value


class Waiter:
    """A thread that does one thing which waits; `join` gives its value, or raises what it raised."""

    def __init__(self, work):
        self.value = self.error = None

        def run():
            try:
                self.value = work()
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def join(self):
        self.thread.join()
        if self.error is not None:
            raise self.error
        return self.value

    @property
    def done(self):
        return not self.thread.is_alive()


def in_child(work):
    """Forks and runs it there; fails unless it returns a true value."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if work() else 2
        except BaseException as error:
            os.write(2, f"in the child: {error!r}\n".encode())
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def refused(error, use):
    """Does it raise that?"""
    try:
        use()
    except error:
        return True
    return False


def state_of(pid: int, thread: int | None = None) -> str:
    """`R`, `S`, …: what the kernel says a thread does."""
    stat = Path(f"/proc/{pid}/task/{thread or pid}/stat").read_text()
    return stat.rsplit(")", 1)[1].split()[0]


def until(fact):
    """Asks until it is so; the watchdog ends what never is."""
    while not fact():
        time.sleep(0.001)


def asleep(segment, object, n=1):
    """Returns once so many threads sleep for the object."""
    until(lambda: sum(wait.object == object for wait in segment.waits()) >= n)


def ctrl_c(wait):
    """Does Ctrl-C end ``wait()``? With a handler of its own, as a program that was started in the background ignores
    SIGINT. It comes again and again until the wait has ended."""
    armed = [True]

    def interrupt(*_):
        if armed:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    main, over = threading.get_ident(), threading.Event()

    def press():
        while not over.wait(0.02):
            signal.pthread_kill(main, signal.SIGINT)

    presser = threading.Thread(target=press)
    try:
        try:
            presser.start()
            wait()
            return False
        finally:
            armed.clear()
    except KeyboardInterrupt:
        armed.clear()
        return True
    finally:
        over.set()
        presser.join()
        signal.signal(signal.SIGINT, before)
