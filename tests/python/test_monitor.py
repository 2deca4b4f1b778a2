"""The monitor: one thread inside, conditions to wait for, and a death inside is told."""

import gc
import os
import signal
import threading

import pytest
from people import Waiter, asleep, in_thread, until

import triveni

HOLD = "m = segment.monitor('m'); m.enter(); say('inside'); time.sleep(1000)"


def killed_inside(other):
    peer = other(HOLD)
    peer.says("inside")
    peer.kill()


def is_empty(monitor):
    """Can another thread enter?"""

    def attempt():
        guard = monitor.try_enter()
        if guard is not None:
            guard.leave()
        return guard is not None

    return in_thread(attempt)


def test_with_enters_and_leaves(segment):
    monitor = segment.monitor("m")
    with monitor as guard:
        assert guard.held and not guard.owner_died
        assert monitor.holder().pid == os.getpid() and not is_empty(monitor)
    assert not guard.held and monitor.holder() is None and is_empty(monitor)


def test_with_leaves_after_an_exception(segment):
    monitor = segment.monitor("m")
    with pytest.raises(KeyError), monitor:
        raise KeyError
    assert is_empty(monitor)


def test_enter_as_a_statement_stays_inside_until_leave(segment):
    monitor = segment.monitor("m")
    monitor.enter()
    gc.collect()
    assert not is_empty(monitor)
    monitor.leave()
    assert is_empty(monitor)


def test_a_guard_leaves_once(segment):
    guard = segment.monitor("m").enter()
    guard.leave()
    for use in (guard.leave, guard.recover, guard.__enter__):
        with pytest.raises(triveni.NotOwner):
            use()
    assert "ended" in repr(guard)


def test_an_outlived_guard_does_not_end_a_later_stay(segment):
    monitor, same = segment.monitor("m"), segment.monitor("m")
    old = monitor.enter()
    same.leave()
    with same.enter() as guard:
        with pytest.raises(triveni.NotOwner):
            old.leave()
        del old
        assert guard.held and not is_empty(monitor)
    assert is_empty(monitor)


def test_entering_twice_is_a_deadlock_and_leaving_for_another_thread_is_refused(segment):
    monitor = segment.monitor("m")
    with pytest.raises(triveni.NotOwner):
        monitor.leave()
    with pytest.raises(triveni.NotOwner):
        monitor.recover()
    with monitor as guard:
        with pytest.raises(triveni.Deadlock):
            monitor.enter()
        for use in (monitor.leave, monitor.recover, guard.leave, guard.recover):
            with pytest.raises(triveni.NotOwner):
                in_thread(use)
        assert guard.held
    assert is_empty(monitor)


def test_try_enter_answers(segment):
    monitor = segment.monitor("m")
    with monitor:
        assert in_thread(monitor.try_enter) is None
    guard = monitor.try_enter()
    assert isinstance(guard, triveni.MonitorGuard)
    guard.leave()


def test_entering_where_somebody_is_inside_times_out(segment, other):
    other(HOLD).says("inside")
    for timeout in (0, 0.05):
        with pytest.raises(TimeoutError):
            segment.monitor("m").enter(timeout)


def test_a_wait_gives_the_monitor_away_and_comes_back_inside(segment, other):
    monitor, box = segment.monitor("m"), segment.mailbox("b")
    peer = other("""
m, b = segment.monitor('m'), segment.mailbox('b')
go()
with m:
    b.send(b'x')
    m.condition('c').signal()
""")
    with monitor as guard:
        peer.go()
        monitor.condition("c").wait_for(lambda: len(box))
        assert guard.held and monitor.holder().pid == os.getpid()
    assert not guard.held and is_empty(monitor)


def test_a_signal_wakes_one_and_a_broadcast_all(segment):
    monitor = segment.monitor("m")
    condition, open_for = monitor.condition("c"), [0]

    def pass_through():
        with monitor:
            condition.wait_for(lambda: open_for[0] > 0)
            open_for[0] -= 1

    waiters = [Waiter(pass_through) for _ in range(4)]
    asleep(segment, "m", 4)
    with monitor:
        open_for[0] = 1
        condition.signal()
    until(lambda: sum(waiter.done for waiter in waiters) == 1)
    with monitor:
        open_for[0] = 3
        condition.broadcast()
    for waiter in waiters:
        waiter.join()
    assert open_for == [0]


def test_who_waits_too_long_is_inside_again(segment):
    monitor = segment.monitor("m")
    with monitor as guard:
        for timeout in (0, 0.05):
            with pytest.raises(TimeoutError):
                monitor.condition("c").wait(timeout)
            assert guard.held and not is_empty(monitor)
    assert is_empty(monitor)


def test_wait_for_gives_what_the_predicate_said(segment):
    monitor = segment.monitor("m")
    condition = monitor.condition("c")
    with monitor:
        assert condition.wait_for(lambda: "yes") == "yes"
        assert condition.wait_for(lambda: [], timeout=0.05) == []
        with pytest.raises(ZeroDivisionError):
            condition.wait_for(lambda: 1 / 0)
        assert not is_empty(monitor)


def test_two_processes_hand_over_with_two_conditions(segment, other):
    n, box = 300, segment.mailbox("one place", 1, 8)
    monitor = segment.monitor("m")
    not_empty, not_full = monitor.condition("not_empty"), monitor.condition("not_full")
    peer = other(f"""
m, box = segment.monitor('m'), segment.mailbox('one place')
not_empty, not_full = m.condition('not_empty'), m.condition('not_full')
for i in range({n}):
    with m:
        while len(box): not_full.wait()
        assert box.try_send(str(i).encode())
        not_empty.signal()
""")
    for i in range(n):
        with monitor:
            not_empty.wait_for(lambda: len(box))
            assert box.try_receive() == str(i).encode()
            not_full.signal()
    peer.ends()


def test_a_death_inside_is_told_by_the_guard(segment, other):
    killed_inside(other)
    monitor = segment.monitor("m")
    guard = monitor.enter(timeout=30)
    assert guard.owner_died and monitor.owner_died and "owner died" in repr(guard)
    guard.recover()
    assert not guard.owner_died
    guard.leave()
    with monitor as guard:
        assert not guard.owner_died


def test_with_after_a_death_raises_with_a_guard_that_is_inside(segment, other):
    killed_inside(other)
    monitor = segment.monitor("m")
    with pytest.raises(triveni.OwnerDied) as caught, monitor:
        pytest.fail("the block ran")
    guard = caught.value.guard
    assert guard.held and guard.owner_died and not is_empty(monitor)
    with guard:
        monitor.recover()
    with monitor:
        pass


def test_a_guard_that_nobody_keeps_leaves_after_a_death(segment, other):
    killed_inside(other)
    monitor = segment.monitor("m")
    monitor.enter()
    gc.collect()
    with pytest.raises(triveni.NotOwner):
        monitor.leave()
    with monitor.enter() as guard:
        assert guard.owner_died
        guard.recover()


def test_who_waits_for_a_condition_learns_of_a_death_inside_and_is_inside(segment, other):
    monitor = segment.monitor("m")
    condition = monitor.condition("c")
    peer = other("""
m = segment.monitor('m')
go(); m.enter(); m.condition('c').signal(); say('inside'); time.sleep(1000)
""")
    caught = []

    def wait():
        with monitor as guard:
            with pytest.raises(triveni.OwnerDied) as died:
                while True:
                    condition.wait()
            assert died.value.guard is None and guard.held and guard.owner_died
            monitor.recover()
            caught.append(monitor.holder().pid)

    waiter = Waiter(wait)
    asleep(segment, "m")
    peer.go()
    peer.says("inside")
    peer.kill()
    waiter.join()
    assert caught == [os.getpid()] and is_empty(monitor)


def test_a_monitor_that_is_removed_says_so_to_who_waits_in_it(segment):
    monitor = segment.monitor("m")
    guards = []

    def wait():
        with monitor as guard:
            guards.append(guard)
            while True:
                monitor.condition("c").wait()

    waiter = Waiter(wait)
    asleep(segment, "m")
    segment.remove("m")
    with pytest.raises(triveni.Removed):
        waiter.join()


def test_a_thread_that_ends_inside_is_a_death_inside(segment):
    monitor = segment.monitor("m")
    guard = in_thread(monitor.enter)
    until(lambda: not guard.held)
    with pytest.raises(triveni.NotOwner):
        guard.leave()
    with monitor.enter(timeout=30) as guard:
        assert guard.owner_died
        guard.recover()


def test_ctrl_c_in_a_wait_leaves_the_thread_inside(segment, other):
    peer = other("""
signal.signal(signal.SIGINT, signal.default_int_handler)
m = segment.monitor('m')
with m as guard:
    try:
        say('waiting')
        while True: m.condition('c').wait()
    except KeyboardInterrupt: say('interrupted', guard.held, m.holder().pid == os.getpid())
say(m.holder())
""")
    peer.says("waiting")
    asleep(segment, "m")
    peer.signal(signal.SIGINT)
    peer.says("interrupted True True")
    peer.says("None")
    peer.ends()


def test_conditions_are_found_by_name(segment, other):
    monitor = segment.monitor("m")
    first = monitor.condition("first")
    peer = other("say(segment.monitor('m').condition('second').name)")
    peer.says("second")
    assert first.name == "first" and "'first'" in repr(first) and "m'" in repr(first)
    (info,) = segment.objects()
    assert info.state == {"holder": None, "owner_died": False, "conditions": ["first", "second"]}


def test_threads_exclude_each_other(segment):
    monitor, counted = segment.monitor("m"), [0]

    def count():
        for _ in range(500):
            with monitor:
                before = counted[0]
                counted[0] = before + 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted == [2000]


def test_repr_shows_who_is_inside(segment):
    monitor = segment.monitor("m")
    assert "free" in repr(monitor)
    with monitor:
        assert f"held by pid {os.getpid()}" in repr(monitor)
