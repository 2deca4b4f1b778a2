"""The robust mutex: held by one thread, and never lost with it."""

import gc
import os

import pytest
from people import in_thread

import triveni

HOLD = "m = segment.mutex('m'); m.lock(); say('holding'); time.sleep(1000)"


def killed_holder(other):
    peer = other(HOLD)
    peer.says("holding")
    peer.kill()


def is_free(mutex):
    """Can another thread have it?"""

    def attempt():
        guard = mutex.try_lock()
        if guard is not None:
            guard.unlock()
        return guard is not None

    return in_thread(attempt)


def test_with_locks_and_unlocks(segment):
    mutex = segment.mutex("m")
    with mutex as guard:
        assert guard.held and not guard.owner_died
        assert mutex.holder().pid == os.getpid() and not is_free(mutex)
    assert not guard.held and mutex.holder() is None and is_free(mutex)


def test_with_unlocks_after_an_exception(segment):
    mutex = segment.mutex("m")
    with pytest.raises(KeyError):
        with mutex:
            raise KeyError
    assert is_free(mutex)


def test_lock_and_unlock_without_a_name_for_the_guard_holds_in_between(segment):
    mutex = segment.mutex("m")
    mutex.lock()
    gc.collect()
    assert not is_free(mutex)
    mutex.unlock()
    assert is_free(mutex)


def test_a_guard_unlocks_once(segment):
    mutex = segment.mutex("m")
    guard = mutex.lock()
    guard.unlock()
    assert is_free(mutex)
    with pytest.raises(triveni.NotOwner):
        guard.unlock()
    with pytest.raises(triveni.NotOwner):
        guard.recover()


def test_a_guard_as_context_unlocks(segment):
    mutex = segment.mutex("m")
    with mutex.lock() as guard:
        assert guard.held
    assert is_free(mutex)


def test_an_outlived_guard_does_not_end_a_later_hold(segment):
    mutex, same = segment.mutex("m"), segment.mutex("m")
    old = mutex.lock()
    same.unlock()
    same.lock()
    with pytest.raises(triveni.NotOwner):
        old.unlock()
    with pytest.raises(triveni.NotOwner):
        old.__enter__()
    old.__exit__(None, None, None)
    del old
    assert not is_free(mutex)
    mutex.unlock()


def test_try_lock_answers(segment):
    mutex = segment.mutex("m")
    with mutex:
        assert in_thread(mutex.try_lock) is None
    guard = mutex.try_lock()
    assert isinstance(guard, triveni.MutexGuard)
    guard.unlock()


def test_locking_again_on_the_same_thread_is_a_deadlock(segment):
    mutex = segment.mutex("m")
    with mutex:
        with pytest.raises(triveni.Deadlock):
            mutex.lock()
    assert is_free(mutex)


def test_unlocking_what_another_thread_holds_is_refused(segment):
    mutex = segment.mutex("m")
    with pytest.raises(triveni.NotOwner):
        mutex.unlock()
    with mutex as guard:
        with pytest.raises(triveni.NotOwner):
            in_thread(mutex.unlock)
        with pytest.raises(triveni.NotOwner):
            in_thread(guard.unlock)
        assert guard.held


def test_a_lock_that_is_held_times_out(segment, other):
    peer = other(HOLD)
    peer.says("holding")
    with pytest.raises(TimeoutError):
        segment.mutex("m").lock(timeout=0.05)
    with pytest.raises(TimeoutError):
        segment.mutex("m").lock(timeout=0)


def test_a_lock_waits_for_the_holder_in_another_process(segment, other):
    peer = other("m = segment.mutex('m'); m.lock(); say('holding'); go(); m.unlock()")
    peer.says("holding")
    locker = other("say('locking'); g = segment.mutex('m').lock(); say(g.owner_died); g.unlock()")
    locker.says("locking")
    locker.asleep()
    peer.go()
    locker.says("False")


def test_a_killed_holder_is_reported_by_the_guard(segment, other):
    killed_holder(other)
    mutex = segment.mutex("m")
    guard = mutex.lock(timeout=30)
    assert guard.owner_died and "owner died" in repr(guard)
    guard.recover()
    assert not guard.owner_died
    guard.unlock()
    with mutex as guard:
        assert not guard.owner_died


def test_a_sleeping_locker_in_another_process_learns_of_the_death(segment, other):
    peer = other(HOLD)
    peer.says("holding")
    locker = other("say('locking'); g = segment.mutex('m').lock(); say(g.owner_died); g.recover(); g.unlock()")
    locker.says("locking")
    locker.asleep()
    peer.kill()
    locker.says("True")
    locker.ends()


def test_with_after_a_death_raises_with_a_guard_that_holds(segment, other):
    killed_holder(other)
    mutex = segment.mutex("m")
    ran = False
    with pytest.raises(triveni.OwnerDied) as caught:
        with mutex:
            ran = True
    assert not ran
    guard = caught.value.guard
    assert guard.held and guard.owner_died and not is_free(mutex)
    with guard:
        guard.recover()
    with mutex:
        pass


def test_without_recover_the_next_locker_is_told_the_same(segment, other):
    killed_holder(other)
    mutex = segment.mutex("m")
    with mutex.lock() as guard:
        assert guard.owner_died
    with pytest.raises(triveni.OwnerDied) as caught:
        with mutex:
            pass
    caught.value.guard.unlock()
    guard = mutex.try_lock()
    assert guard.owner_died
    guard.recover()
    guard.unlock()


def test_a_dropped_exception_unlocks_and_the_next_locker_is_told(segment, other):
    killed_holder(other)
    mutex = segment.mutex("m")
    try:
        with mutex:
            pass
    except triveni.OwnerDied:
        pass  # the exception goes away here, and its guard with it
    gc.collect()
    guard = in_thread(lambda: (g := mutex.lock(timeout=30)) and (g.owner_died, g.recover(), g.unlock()))
    assert guard[0] is True


def test_a_statement_that_ignores_a_death_does_not_hold(segment, other):
    killed_holder(other)
    mutex = segment.mutex("m")
    mutex.lock()  # the guard is not looked at
    gc.collect()
    with pytest.raises(triveni.NotOwner):
        mutex.unlock()
    with mutex.lock() as guard:
        assert guard.owner_died
        guard.recover()


def test_a_thread_that_ends_with_the_lock_is_a_dead_holder(segment):
    mutex = segment.mutex("m")
    in_thread(lambda: mutex.lock() and None)
    with mutex.lock(timeout=30) as guard:
        assert guard.owner_died
        guard.recover()


def test_threads_and_processes_exclude_each_other(segment, other, tmp_path):
    counter, n = tmp_path / "counter", 500
    counter.write_text("0")
    body = f"""
from pathlib import Path
counter, mutex = Path({str(counter)!r}), segment.mutex('m')
def count():
    for _ in range({n}):
        with mutex:
            counter.write_text(str(int(counter.read_text()) + 1))
threads = [threading.Thread(target=count) for _ in range(2)]
[t.start() for t in threads]; [t.join() for t in threads]
"""
    peers = [other(body) for _ in range(2)]
    for peer in peers:
        peer.ends()
    assert int(counter.read_text()) == 4 * n


def test_repr_shows_who_holds_it(segment):
    mutex = segment.mutex("m")
    assert "free" in repr(mutex)
    with mutex:
        assert f"held by pid {os.getpid()}" in repr(mutex)
        assert f"pid {os.getpid()}" in repr(mutex.holder())
