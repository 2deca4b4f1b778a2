"""Five philosophers, five forks, and everybody needs two of them to eat (Dijkstra, 1965).

    left_first   left fork, then right fork: once all have the left one, nobody gets any further
    detected     the same in a segment that detects deadlocks: the last one is told, and gives way
    ordered      the fork with the lower number first: there can be no circle
    room         a semaphore lets only four into the room: one of them gets both forks
    monitor      both forks at once, or none: state and conditions in a monitor (Tanenbaum's test(i))

    dining_philosophers.py                         the whole story: all five forms
    dining_philosophers.py philosopher FORM I N    philosopher I, from 0 to 4, eats N times, when all five are there

Each philosopher may be Rust, C or Python. They share the segment `dining_philosophers` with the mutexes `fork 0`
to `fork 4`, the barrier `table`, the leased semaphore `room`, the monitor `waiter` with the conditions `may eat 0`
to `may eat 4`, and plain memory, /dev/shm/dining_philosophers: what each of them does.
To begin anew: `triveni rm dining_philosophers; rm /dev/shm/dining_philosophers`.
"""

import contextlib
import mmap
import multiprocessing
import os
import sys
import time

import triveni

NAME, MEMORY = "dining_philosophers", "/dev/shm/dining_philosophers"
FORMS = ("left_first", "detected", "ordered", "room", "monitor")
N = 5
THINKING, HUNGRY, EATING = 0, 1, 2


def left(i: int) -> int:
    return (i - 1) % N


def right(i: int) -> int:
    return (i + 1) % N


def open_segment(form: str) -> triveni.Segment:
    return triveni.Segment.open_or_create(NAME, detect_deadlocks=form == "detected")


def open_state() -> memoryview:
    with open(os.open(MEMORY, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        file.truncate(4 * N)
        return memoryview(mmap.mmap(file.fileno(), 0)).cast("i")


def take(fork: triveni.Mutex) -> triveni.MutexGuard:
    try:
        return fork.lock()
    except triveni.OwnerDied as died:  # a dead philosopher's fork is as good as any: there is nothing to repair
        guard: triveni.MutexGuard = died.guard
        guard.recover()
        return guard


class Philosopher:
    def __init__(self, form: str, i: int) -> None:
        segment = open_segment(form)
        self.i = i
        self.forks = [segment.mutex(f"fork {k}") for k in range(N)]
        self.room = segment.semaphore("room", N - 1, leased=True)
        self.waiter = segment.monitor("waiter")
        self.may_eat = [self.waiter.condition(f"may eat {k}") for k in range(N)]
        self.state = open_state()
        self.table = segment.barrier("table", N)
        self.lucky = False
        self.table.wait()  # all sit down

    def eat(self) -> None:
        i, state = self.i, self.state
        state[i] = EATING
        assert state[left(i)] != EATING and state[right(i)] != EATING, "two neighbours eat at the same time"
        os.sched_yield()
        state[i] = THINKING

    def left_first(self) -> None:
        while True:
            with take(self.forks[self.i]):
                if not self.lucky:
                    self.table.wait()  # the first time, all are to have their left fork before anyone has the right one
                    self.lucky = True
                try:
                    with take(self.forks[right(self.i)]):
                        return self.eat()
                except triveni.Deadlock as circle:
                    print(f"  philosopher {self.i} gives way: {circle}", flush=True)
            time.sleep(0.001)  # thinks, and his neighbour can eat

    def ordered(self) -> None:
        lower, higher = sorted([self.i, right(self.i)])
        with take(self.forks[lower]), take(self.forks[higher]):
            self.eat()

    def through_the_room(self) -> None:
        self.room.wait()
        with take(self.forks[self.i]), take(self.forks[right(self.i)]):
            self.eat()
        self.room.post()

    def with_a_monitor(self) -> None:
        i, state = self.i, self.state
        with self.waiter:  # take both forks
            state[i] = HUNGRY
            self.test(i)
            while state[i] != EATING:
                self.may_eat[i].wait()  # outside while it sleeps
        os.sched_yield()  # eats
        with self.waiter:  # put both down
            state[i] = THINKING
            self.test(left(i))
            self.test(right(i))

    def test(self, i: int) -> None:
        """If philosopher i is hungry and neither neighbour eats, the forks are handed over. Inside the monitor only."""
        state = self.state
        if state[i] == HUNGRY and state[left(i)] != EATING and state[right(i)] != EATING:
            state[i] = EATING
            self.may_eat[i].signal()


def philosopher(form: str, i: int, meals: int) -> None:
    who = Philosopher(form, i)
    dine = {"room": who.through_the_room, "monitor": who.with_a_monitor, "ordered": who.ordered}.get(form, who.left_first)
    for _ in range(meals):
        dine()


def fresh() -> None:
    with contextlib.suppress(FileNotFoundError):
        triveni.Segment.unlink(NAME)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(MEMORY)


def story() -> None:
    for form in FORMS:
        fresh()
        print(f"{form}:", flush=True)
        philosophers = [multiprocessing.Process(target=philosopher, args=(form, i, 100)) for i in range(N)]
        for one in philosophers:
            one.start()
        if form == "left_first":
            segment = open_segment(form)
            while not (circles := segment.deadlocks()):
                time.sleep(0.001)
            print(f"  DEADLOCK: {circles[0]}\n  philosopher 0 is killed, and the others go on", flush=True)
            victim = philosophers.pop(0)
            victim.kill()
            victim.join()
        for one in philosophers:
            one.join()
        assert not any(one.exitcode for one in philosophers), "a philosopher failed"
        print(f"  {len(philosophers)} philosophers have eaten 100 times", flush=True)
    fresh()


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            story()
        case ["philosopher", form, i, n] if form in FORMS:
            philosopher(form, int(i) % N, int(n))
        case _:
            print("usage: dining_philosophers.py [philosopher FORM I N]", file=sys.stderr)
            sys.exit(2)
