"""Who waits for whom: waits, deadlocks, the watcher, and what a notebook shows."""

import os
import signal
import threading

import pytest
from people import Waiter, asleep, in_child, in_thread, refused, until

import triveni
from triveni import Segment

#: What is prepared, what waits, how it is seen (mode and count), and is anybody in particular in the way?
WAITS = {
    "semaphore": (lambda s: None, lambda s: s.semaphore("x").wait(), "permit", 1, False),
    "permits": (lambda s: None, lambda s: s.semaphore("x").wait(n=4), "permit", 4, False),
    "lease": (lambda s: s.semaphore("x", 1, leased=True).wait(), lambda s: s.semaphore("x").wait(), "permit", 1, True),
    "mutex": (lambda s: s.mutex("x").lock(), lambda s: s.mutex("x").lock(), "lock", 0, True),
    "monitor": (lambda s: s.monitor("x").enter(), lambda s: s.monitor("x").enter(), "lock", 0, True),
    "read": (lambda s: s.rwlock("x").write(), lambda s: s.rwlock("x").read(), "read", 0, True),
    "write": (lambda s: s.rwlock("x").read(), lambda s: s.rwlock("x").write(), "write", 0, False),
    "barrier": (lambda s: None, lambda s: s.barrier("x", 2).wait(), "barrier", 0, False),
    "any": (lambda s: None, lambda s: s.event("x").wait_any(6), "flags", 6, False),
    "all": (lambda s: None, lambda s: s.event("x").wait_all(6), "flags", 6, False),
    "receive": (lambda s: None, lambda s: s.mailbox("x").receive(), "receive", 0, False),
    "send": (lambda s: s.mailbox("x", 1).send(b""), lambda s: s.mailbox("x").send(b""), "send", 0, False),
}


@pytest.mark.parametrize("case", WAITS.values(), ids=list(WAITS))
def test_a_sleeper_is_seen_with_what_it_sleeps_for(segment, case):
    prepare, wait, mode, count, held = case
    prepare(segment)
    waiter = Waiter(lambda: refused(triveni.Removed, lambda: wait(segment)))
    asleep(segment, "x")
    (seen,) = segment.waits()
    (info,) = segment.objects()
    assert (seen.object, seen.kind, seen.mode, seen.count) == ("x", info.kind, mode, count)
    assert seen.pid == os.getpid() and seen.tid == waiter.thread.native_id and seen.condition is None
    assert seen.slot == segment.participants()[0].slot and 0 <= seen.since < 1000
    assert [holder.pid for holder in seen.blocked_by] == ([os.getpid()] if held else [])
    assert f"process {os.getpid()}" in str(seen) and '"x"' in str(seen) and " s" in repr(seen)
    segment.remove("x")
    assert waiter.join() and segment.waits() == []


def test_a_sleeper_for_a_condition_is_seen_with_its_name(segment):
    monitor = segment.monitor("m")

    def wait():
        with monitor:
            monitor.condition("not_full").wait_for(lambda: done.is_set())

    done = threading.Event()
    waiter = Waiter(wait)
    asleep(segment, "m")
    (seen,) = segment.waits()
    assert (seen.mode, seen.condition) == ("condition", "not_full") and '"not_full"' in str(seen)
    done.set()
    monitor.condition("not_full").signal()
    waiter.join()


def test_a_circle_of_two_processes_is_named_while_it_stands(segment, other):
    code = "a, b = segment.mutex({!r}), segment.mutex({!r}); a.lock(); say('holding'); go(); b.lock()"
    peers = [other(code.format("a", "b")), other(code.format("b", "a"))]
    for peer in peers:
        peer.says("holding")
    assert segment.deadlocks() == []
    for peer in peers:
        peer.go()
    until(segment.deadlocks)
    (circle,) = segment.deadlocks()
    pids = {peer.pid for peer in peers}
    assert {wait.pid for wait in circle.cycle} == pids and {wait.object for wait in circle.cycle} == {"a", "b"}
    assert all(f"process {pid}" in str(circle) for pid in pids) and str(circle) in repr(circle)
    assert "deadlock" in segment._repr_html_()
    peers[0].kill()
    until(lambda: segment.deadlocks() == [])


def test_who_would_close_a_circle_gets_deadlock_with_the_circle_in_the_message(name):
    with Segment.create(name, 1 << 20, detect_deadlocks=True) as segment:
        assert segment.detects_deadlocks
        a, b = segment.mutex("a"), segment.mutex("b")

        def first():
            with a:
                holding.set()
                b.lock().unlock()

        holding = threading.Event()
        with b:
            waiter = Waiter(first)
            holding.wait()
            asleep(segment, "b")
            with pytest.raises(triveni.Deadlock) as caught:
                a.lock()
        waiter.join()
        assert all(f'"{object}"' in str(caught.value) for object in "ab") and str(os.getpid()) in str(caught.value)
        assert caught.value.errno == 35 and segment.deadlocks() == []


def test_circles_go_over_monitors_rwlocks_and_leases(name):
    with Segment.create(name, 1 << 20, detect_deadlocks=True) as segment:
        monitor, lock, room = segment.monitor("m"), segment.rwlock("w"), segment.semaphore("l", 1, leased=True)

        def through(inner, outer, object):
            def work():
                with outer():
                    ready.wait()
                    try:
                        with inner():
                            pass
                    except triveni.Deadlock:
                        told.append(object)
                        done.set()

            return Waiter(work)

        class Room:
            def __enter__(self):
                room.wait()

            def __exit__(self, *_):
                room.post()

        ready, done, told = threading.Barrier(3), threading.Event(), []
        waiters = [
            through(lock.write, monitor.enter, "w"),
            through(Room, lock.read, "l"),
            through(monitor.enter, Room, "m"),
        ]
        for waiter in waiters:
            waiter.join()
        assert len(told) == 1 and done.is_set()


def test_a_segment_does_not_detect_unless_asked(segment):
    assert not segment.detects_deadlocks
    with Segment.anonymous(1 << 20, detect_deadlocks=True) as anonymous:
        assert anonymous.detects_deadlocks


def test_a_watcher_sees_deaths_and_sweeps(segment, other):
    peer = other("m = segment.mutex('m'); m.lock(); say('holding'); time.sleep(1000)")
    peer.says("holding")
    with segment.watch() as watcher:
        assert watcher.deaths == 0 and "watching" in repr(watcher)
        peer.kill()
        until(lambda: watcher.deaths == 1)
        until(lambda: [p.pid for p in segment.participants()] == [os.getpid()])
        assert segment.objects()[0].state == {"holder": None, "owner_died": True}
    assert watcher.closed and watcher.deaths == 1 and "closed" in repr(watcher)
    watcher.close()
    with pytest.raises(ValueError, match="closed"):
        watcher.__enter__()


def test_a_watcher_that_is_collected_ends(segment):
    before = set(os.listdir("/proc/self/task"))  # one of an earlier test may be about to end
    watcher = segment.watch()
    its = set(os.listdir("/proc/self/task")) - before
    assert len(its) == 1
    del watcher
    assert its.isdisjoint(os.listdir("/proc/self/task"))


def test_a_child_has_no_watcher_and_may_start_one(segment):
    with segment.watch() as watcher:

        def child():
            watcher.close()
            with segment.watch():
                return watcher.closed

        in_child(child)
        assert not watcher.closed


def test_a_watcher_does_not_keep_signals_from_the_program(segment, other):
    peer = other("""
signal.signal(signal.SIGINT, signal.default_int_handler)
with segment.watch():
    try: say('waiting'); segment.semaphore('s').wait()
    except KeyboardInterrupt: say('interrupted')
""")
    peer.says("waiting")
    asleep(segment, "s")
    peer.signal(signal.SIGINT)
    peer.says("interrupted")
    peer.ends()


def test_a_notebook_shows_objects_holders_and_waiters(segment):
    mutex = segment.mutex("fork 1")
    segment.semaphore("s", 3), segment.barrier("b", 2), segment.event("e", 5), segment.rwlock("w").read()
    segment.mailbox("box", 4).send(b""), segment.ring("r")
    with mutex:
        waiter = Waiter(lambda: mutex.lock().unlock())
        asleep(segment, "fork 1")
        shown = segment._repr_html_()
    waiter.join()
    assert segment.name in shown and shown.startswith("<b>") and shown.count("<tr>") == 8
    for fact in ("fork 1", "value 3", "0 of 2", "0x5", "1 of 4 messages", "writers first", f"pid {os.getpid()} (lock"):
        assert fact in shown, fact


def test_a_notebook_shows_names_as_text(segment):
    segment.semaphore("<script>alert('&')<")
    shown = segment._repr_html_()
    assert "<script" not in shown and "&lt;script&gt;alert(&#39;&amp;&#39;)&lt;" in shown


def test_a_closed_segment_shows_nothing(segment):
    segment.close()
    assert segment._repr_html_() is None
    for use in (segment.waits, segment.deadlocks, segment.watch):
        with pytest.raises(ValueError, match="closed"):
            use()
