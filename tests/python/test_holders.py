"""What becomes of a holder that is stopped, that becomes another program, or that is killed: for every lock."""

import signal

import pytest
from people import Waiter, asleep, in_thread, until

import triveni

#: How a lock is made and taken, here and in the other process; does the next one learn of a death?
LOCKS = {
    "mutex": ("segment.mutex('x')", "lock", True),
    "monitor": ("segment.monitor('x')", "enter", True),
    "write": ("segment.rwlock('x')", "write", True),
    "read": ("segment.rwlock('x')", "read", False),
    "write fair": ("segment.rwlock('x', 'fair')", "write", True),
    "read, readers first": ("segment.rwlock('x', 'readers first')", "read", False),
    "lease": ("segment.semaphore('x', 1, leased=True)", "wait", False),
}


@pytest.fixture(params=LOCKS.values(), ids=[name.replace(" ", "_") for name in LOCKS])
def held(request, segment, other):
    """The lock, how to take it here, whether a death is told, and the process that holds it."""
    make, take, told = request.param
    lock = eval(make, {"segment": segment})
    peer = other(f"x = {make}; guard = x.{take}(); say('holding'); go(); exec(sys.stdin.readline())")
    peer.says("holding")

    def acquire(timeout=None):
        """Takes it, gives it back; says whether a death was told."""
        guard = lock.write(timeout) if take == "read" else getattr(lock, take)(timeout)
        if take == "wait":
            lock.post()
            return False
        died = guard.owner_died
        if died:
            guard.recover()
        guard.__exit__()
        return died

    return lock, acquire, told, peer


def test_a_stopped_holder_keeps_it(segment, held):
    _, acquire, _, peer = held
    peer.signal(signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        acquire(0.2)
    waiter = Waiter(acquire)
    asleep(segment, "x")
    peer.signal(signal.SIGCONT)
    assert not waiter.done
    peer.kill()
    waiter.join()


def test_a_holder_that_goes_on_after_a_stop_gives_it_back_as_ever(segment, held):
    _, acquire, _, peer = held
    peer.signal(signal.SIGSTOP)
    waiter = Waiter(acquire)
    asleep(segment, "x")
    peer.signal(signal.SIGCONT)
    peer.go()
    peer.process.stdin.write("x.post() if guard is None else guard.__exit__()\n")
    peer.process.stdin.flush()
    assert waiter.join() is False


def test_a_holder_that_becomes_another_program_is_dead_to_the_others(segment, held):
    _, acquire, told, peer = held
    waiter = Waiter(acquire)
    asleep(segment, "x")
    peer.go()
    peer.process.stdin.write("os.execv('/bin/sleep', ['sleep', '1000'])\n")
    peer.process.stdin.flush()
    assert waiter.join() is told
    assert peer.process.poll() is None, "the process lives on, as sleep"


def test_a_killed_holder_is_noticed_by_a_sleeper_and_by_a_newcomer(segment, held):
    lock, acquire, told, peer = held
    waiter = Waiter(acquire)
    asleep(segment, "x")
    peer.kill()
    assert waiter.join() is told
    assert acquire(30) is False


@pytest.mark.parametrize(("make", "take", "leave"), [
    ("mutex", "lock", "unlock"), ("monitor", "enter", "leave"), ("rwlock", "write", "unlock"),
])  # fmt: skip
def test_a_guard_that_another_thread_drops_after_a_death_leaves_the_lock_to_its_own(segment, other, make, take, leave):
    peer = other(f"segment.{make}('x').{take}(); say('holding'); time.sleep(1000)")
    peer.says("holding")
    peer.kill()
    lock = getattr(segment, make)("x")
    take, leave = getattr(lock, take), getattr(lock, leave)
    guards = [take(30)]
    assert guards[0].owner_died
    in_thread(guards.clear)
    with pytest.raises(TimeoutError):
        in_thread(lambda: take(0.05))
    leave()
    assert in_thread(lambda: take(30).owner_died)


def test_a_killed_waiter_leaves_nothing_behind(segment, held, other):
    lock, acquire, told, peer = held
    ask = {
        triveni.Mutex: "mutex('x').lock()", triveni.Monitor: "monitor('x').enter()",
        triveni.RwLock: "rwlock('x').write()", triveni.Semaphore: "semaphore('x').wait()",
    }[type(lock)]  # fmt: skip
    waiter = other(f"say('asking'); segment.{ask}")
    waiter.says("asking")
    asleep(segment, "x")
    waiter.kill()
    segment.sweep()
    until(lambda: segment.waits() == [])
    peer.kill()
    assert acquire(30) is told
