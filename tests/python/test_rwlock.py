"""The readers-writer lock: many read or one writes, under three policies, and no death wedges it."""

import gc
import os
import threading

import pytest
from people import Waiter, asleep, in_thread, until

import triveni

POLICIES = ["writers first", "readers first", "fair"]


@pytest.fixture(params=POLICIES)
def lock(request, segment):
    return segment.rwlock("w", request.param)


def hold(other, way):
    """A process that holds it for reading or writing."""
    peer = other(f"l = segment.rwlock('w'); l.{way}(); say('holding'); time.sleep(1000)")
    peer.says("holding")
    return peer


def is_free(lock):
    """Can another thread write?"""

    def attempt():
        guard = lock.try_write()
        if guard is not None:
            guard.unlock()
        return guard is not None

    return in_thread(attempt)


def test_many_read_or_one_writes(lock):
    with lock.read() as mine:
        theirs = Waiter(lambda: lock.read().unlock())
        theirs.join()
        assert mine.held and lock.readers() == 1 and lock.writer() is None
        assert in_thread(lock.try_write) is None
    with lock.write() as mine:
        assert mine.held and lock.readers() == 0 and lock.writer().pid == os.getpid()
        assert in_thread(lock.try_read) is None and in_thread(lock.try_write) is None
    assert not mine.held and is_free(lock)


def test_with_unlocks_after_an_exception(lock):
    for ask in (lock.read, lock.write):
        with pytest.raises(KeyError), ask():
            raise KeyError
        assert is_free(lock)


def test_a_policy_is_kept_and_shown(segment, lock):
    assert segment.rwlock("w").policy == lock.policy and lock.policy in repr(lock)
    assert segment.rwlock("default").policy == "writers first"


def test_try_forms_give_guards(lock):
    with lock.try_read() as guard:
        assert isinstance(guard, triveni.RwReadGuard)
    with lock.try_write() as guard:
        assert isinstance(guard, triveni.RwWriteGuard)


def test_a_reader_reads_again_and_each_unlock_ends_one(lock):
    lock.read()
    with lock.read():
        assert lock.readers() == 2
    assert lock.readers() == 1 and not is_free(lock)
    lock.unlock()
    assert is_free(lock)


def test_an_upgrade_and_any_lock_of_a_writer_are_deadlocks(lock):
    with lock.read():
        with pytest.raises(triveni.Deadlock, match="read"):
            lock.write()
        with pytest.raises(triveni.Deadlock):
            lock.try_write()
    with lock.write():
        for ask in (lock.read, lock.write, lock.try_read, lock.try_write):
            with pytest.raises(triveni.Deadlock):
                ask()
    assert is_free(lock)


def test_a_downgrade_lets_readers_in_and_no_writer(lock):
    writing = lock.write()
    reading = writing.downgrade()
    assert not writing.held and reading.held and isinstance(reading, triveni.RwReadGuard)
    in_thread(lambda: lock.read().unlock())
    assert not is_free(lock)
    for use in (writing.unlock, writing.recover, writing.downgrade, writing.__enter__):
        with pytest.raises(triveni.NotOwner):
            use()
    reading.unlock()
    assert is_free(lock)


def test_who_does_not_hold_it_cannot_unlock_it(lock):
    with pytest.raises(triveni.NotOwner):
        lock.unlock()
    for ask in (lock.read, lock.write):
        with ask() as guard:
            for use in (lock.unlock, guard.unlock, guard.__enter__):
                with pytest.raises(triveni.NotOwner):
                    in_thread(use)
            assert guard.held
        with pytest.raises(triveni.NotOwner):
            guard.unlock()


def test_a_reader_cannot_end_the_read_of_another_thread_by_its_guard(lock):
    mine = lock.read()

    def meddle():
        with lock.read() as own, pytest.raises(triveni.NotOwner, match="another thread"):
            mine.unlock()
        return own.held

    assert in_thread(meddle) is False and mine.held and lock.readers() == 1
    mine.unlock()


def test_an_outlived_guard_does_not_end_a_later_hold(segment, lock):
    same = segment.rwlock("w")
    old = lock.read()
    same.unlock()
    later = same.read()
    with pytest.raises(triveni.NotOwner):
        old.unlock()
    old.__exit__(None, None, None)
    del old
    assert later.held and lock.readers() == 1
    lock.unlock()
    assert not later.held and is_free(lock)


def test_locking_as_a_statement_holds_until_unlock(lock):
    for ask in (lock.read, lock.write):
        ask()
        gc.collect()
        assert not is_free(lock)
        lock.unlock()
        assert is_free(lock)


@pytest.mark.parametrize("way", ["read", "write"])
def test_a_lock_that_is_held_times_out_and_is_given_once_it_is_free(lock, other, way):
    peer = other(f"l = segment.rwlock('w'); g = l.{way}(); say('holding'); go(); g.unlock(); say('free'); go()")
    peer.says("holding")
    for timeout in (0, 0.05):
        with pytest.raises(TimeoutError):
            lock.write(timeout)
    if way == "write":
        with pytest.raises(TimeoutError):
            lock.read(timeout=0.05)
    peer.go()
    with lock.write(timeout=30):
        pass
    peer.says("free")


def test_a_waiting_writer_keeps_readers_out_unless_they_are_first(segment, lock):
    with lock.read():
        writer = Waiter(lambda: lock.write().unlock())
        asleep(segment, "w")
        entered = in_thread(lock.try_read)
        assert (entered is not None) == (lock.policy == "readers first")
    writer.join()


def test_a_killed_writer_is_told_by_the_guard(lock, other):
    hold(other, "write").kill()
    reading = lock.read(timeout=30)
    assert reading.owner_died and lock.owner_died and "owner died" in repr(reading)
    with reading:  # it was asked
        assert lock.readers() == 1
    writing = lock.write(timeout=30)
    assert writing.owner_died
    writing.recover()
    assert not writing.owner_died and not lock.owner_died
    writing.unlock()
    for ask in (lock.read, lock.write):
        with ask() as guard:
            assert not guard.owner_died


@pytest.mark.parametrize("way", ["read", "write"])
def test_with_after_a_writers_death_raises_with_a_guard_that_holds(lock, other, way):
    hold(other, "write").kill()
    with pytest.raises(triveni.OwnerDied) as caught, getattr(lock, way)(timeout=30):
        pytest.fail("the block ran")
    guard = caught.value.guard
    assert guard.held and guard.owner_died and not is_free(lock)
    with guard:  # it was told
        if way == "write":
            guard.recover()
    assert lock.owner_died == (way == "read")
    if way == "write":
        with lock.read(), lock.read():
            pass


def test_a_dropped_exception_unlocks_and_the_next_one_is_told(lock, other):
    hold(other, "write").kill()
    for ask in (lock.read, lock.write):
        try:
            with ask():
                pass
        except triveni.OwnerDied:
            pass  # the exception goes away here, and its guard with it
        gc.collect()
        assert lock.readers() == 0 and lock.writer() is None
    guard = lock.write(timeout=30)
    assert guard.owner_died
    guard.recover()
    guard.unlock()


def test_a_downgrade_after_a_death_needs_recover_too(lock, other):
    hold(other, "write").kill()
    writing = lock.write(timeout=30)
    with pytest.raises(triveni.OwnerDied), writing.downgrade():
        pytest.fail("nobody has looked")
    writing = lock.write()
    assert writing.owner_died
    writing.recover()
    with writing.downgrade() as reading:
        assert not reading.owner_died


def test_a_killed_reader_is_gone_and_nothing_is_told(segment, lock, other):
    peer = hold(other, "read")

    def write():
        with lock.write() as guard:
            return guard.owner_died

    writer = Waiter(write)
    asleep(segment, "w")
    peer.kill()
    assert writer.join() is False


def test_a_sleeping_writer_and_reader_learn_of_a_writers_death(segment, lock, other):
    peer = hold(other, "write")

    def report(ask):
        with pytest.raises(triveni.OwnerDied), ask():
            pass
        return True

    waiters = [Waiter(lambda ask=ask: report(ask)) for ask in (lock.read, lock.write)]
    asleep(segment, "w", 2)
    peer.kill()
    assert all(waiter.join() for waiter in waiters)


def test_a_thread_that_ends_reading_is_gone_and_one_that_ends_writing_has_died(lock):
    guard = in_thread(lock.read)
    until(lambda: not guard.held)
    with lock.write(timeout=30):
        pass
    in_thread(lock.write)
    with pytest.raises(triveni.OwnerDied) as caught, lock.write(timeout=30):
        pytest.fail("the block ran")
    caught.value.guard.recover()
    caught.value.guard.unlock()
    assert is_free(lock)


def test_threads_and_processes_exclude_each_other(lock, other, tmp_path):
    numbers, n = tmp_path / "numbers", 150
    numbers.write_text("0 0")
    body = f"""
from pathlib import Path
numbers, lock = Path({str(numbers)!r}), segment.rwlock('w')
def write():
    for _ in range({n}):
        with lock.write():
            a, b = map(int, numbers.read_text().split())
            numbers.write_text(f'{{a + 1}} {{b + 1}}')
def read():
    for _ in range({n}):
        with lock.read():
            a, b = map(int, numbers.read_text().split())
            if a != b: os._exit(3)
threads = [threading.Thread(target=work) for work in (write, read, write, read)]
[t.start() for t in threads]; [t.join() for t in threads]
"""
    peers = [other(body) for _ in range(2)]
    for peer in peers:
        peer.ends()
    assert numbers.read_text() == f"{4 * n} {4 * n}"


def test_a_removed_lock_says_so_to_who_waits(segment, lock):
    with lock.write():
        waiters = [Waiter(lock.read), Waiter(lock.write)]
        asleep(segment, "w", 2)
        segment.remove("w")
        for waiter in waiters:
            with pytest.raises(triveni.Removed):
                waiter.join()


def test_repr_and_info_show_who_holds_it(segment, lock):
    assert "free" in repr(lock)
    me = segment.participants()[0].slot
    with lock.read(), lock.read():
        assert "read by 2" in repr(lock)
        assert segment.objects()[0].state["readers"] == {me: 2}
    with lock.write() as guard:
        assert f"written by pid {os.getpid()}" in repr(lock) and "held" in repr(guard)
        assert segment.objects()[0].state == {
            "policy": lock.policy, "writer": me, "readers": {}, "owner_died": False,
        }  # fmt: skip


def test_readers_that_come_and_go_let_every_writer_in_at_the_end(lock):
    stop, reads = threading.Event(), [0] * 3

    def read(i):
        while not stop.is_set():
            with lock.read():
                reads[i] += 1

    readers = [threading.Thread(target=read, args=(i,)) for i in range(3)]
    for reader in readers:
        reader.start()
    until(lambda: all(reads))
    if lock.policy != "readers first":
        for _ in range(20):
            with lock.write(timeout=30):
                pass
    stop.set()
    for reader in readers:
        reader.join()
    assert is_free(lock)
