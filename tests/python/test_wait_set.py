"""The wait set: any of several objects, descriptors, signals and timers, also from asyncio."""

import asyncio
import gc
import os
import select
import signal
import socket
import threading
import time

import pytest
from people import Waiter, asleep, in_child, in_thread, refused, until

import triveni
from triveni import WaitSet


@pytest.fixture
def waitset():
    with WaitSet() as made:
        yield made


def tokens(ready):
    return [member.token for member in ready]


#: What becomes ready: how it is made, how it is added, what makes it ready.
MEMBERS = {
    "semaphore": (lambda s: s.semaphore("x"), {}, lambda x: x.post()),
    "lease": (lambda s: held(s.semaphore("x", 1, leased=True), "wait"), {}, lambda x: x.post()),
    "mutex": (lambda s: held(s.mutex("x"), "lock"), {}, lambda x: x.unlock()),
    "monitor": (lambda s: held(s.monitor("x"), "enter"), {}, lambda x: x.leave()),
    "any flag": (lambda s: s.event("x"), {"any": 6}, lambda x: x.set(2)),
    "all flags": (lambda s: s.event("x", 2), {"all": 6}, lambda x: x.set(4)),
    "message": (lambda s: s.mailbox("x"), {}, lambda x: x.send(b"")),
    "room": (lambda s: filled(s.mailbox("x", 1)), {"send": True}, lambda x: x.receive()),
}


def held(lock, take):
    getattr(lock, take)()
    return lock


def filled(mailbox):
    mailbox.send(b"")
    return mailbox


@pytest.mark.parametrize("member", MEMBERS.values(), ids=[name.replace(" ", "_") for name in MEMBERS])
def test_a_member_is_told_once_it_is_ready_and_as_long_as_it_is(segment, waitset, member):
    make, how, prepare = member
    thing = make(segment)
    token = waitset.add(thing, **how)
    assert waitset.try_wait() == []
    with pytest.raises(TimeoutError):
        waitset.wait(timeout=0.05)
    waiter = Waiter(waitset.wait)
    until(lambda: [wait.mode for wait in segment.waits()] == ["any"])
    prepare(thing)
    assert tokens(waiter.join()) == [token] == tokens(waitset.try_wait()) == tokens(waitset.wait())


def test_the_ends_of_a_ring_are_members(segment, waitset):
    ring = segment.ring("r", 256)
    with ring.producer() as producer, ring.consumer() as consumer:
        record, small = waitset.add(consumer), waitset.add(producer, room=10)
        any_size = waitset.add(producer)
        assert sorted(tokens(waitset.wait())) == [small, any_size]
        while producer.try_write(bytes(10)):
            pass
        assert tokens(waitset.wait()) == [record]
        while consumer.try_read() is not None:
            pass
        assert record not in tokens(waitset.wait())


def test_the_first_of_several_ends_the_wait(segment, waitset):
    things = [segment.semaphore(f"s{i}") for i in range(5)]
    added = [waitset.add(thing) for thing in things]
    assert added == [0, 1, 2, 3, 4] and len(waitset) == 5 and "5 members" in repr(waitset)
    for i in (3, 0):
        waiter = Waiter(waitset.wait)
        asleep(segment, "s0")
        things[i].post()
        assert tokens(waiter.join()) == [added[i]]
        assert things[i].try_wait()


def test_a_member_that_was_taken_out_is_told_no_more(segment, waitset):
    semaphore = segment.semaphore("s", 1)
    token = waitset.add(semaphore)
    again = waitset.add(semaphore)
    assert tokens(waitset.wait()) == [token, again]
    waitset.remove(token)
    assert tokens(waitset.wait()) == [again]
    for gone in (token, 99):
        with pytest.raises(FileNotFoundError):
            waitset.remove(gone)
    waitset.remove(again)
    assert waitset.try_wait() == [] and len(waitset) == 0 and waitset


def test_descriptors_are_members(segment, waitset):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        readable, writable = waitset.add_fd(ours), waitset.add_fd(ours.fileno(), send=True)
        waitset.add(segment.semaphore("s"))
        assert tokens(waitset.wait()) == [writable]
        waitset.remove(writable)
        assert waitset.try_wait() == []
        waiter = Waiter(waitset.wait)
        asleep(segment, "s")
        theirs.send(b"x")
        assert tokens(waiter.join()) == [readable]


def test_timers_are_members_and_count(waitset):
    again, once = waitset.add_timer(0.01), waitset.add_timer_once(0.02)
    begin, counted, rung = time.monotonic(), 0, 0
    while counted < 5 or not rung:
        for ready in waitset.wait():
            assert ready.token in (again, once) and ready.count >= 1 and "ready" in repr(ready)
            counted += ready.count if ready.token == again else 0
            rung += ready.token == once
    assert time.monotonic() - begin >= 0.04 and rung == 1


def test_a_signal_is_told_instead_of_handled(segment, other):
    peer = other("""
signal.signal(signal.SIGUSR1, lambda *_: say('handled'))
w = triveni.WaitSet()
token = w.add_signal(signal.SIGUSR1)
say('waiting')
say([r.token for r in w.wait()] == [token], w.try_wait())
""")
    peer.says("waiting")
    peer.signal(signal.SIGUSR1)
    peer.says("True []")
    peer.ends()


def test_ctrl_c_ends_the_wait_and_other_signals_leave_the_deadline_alone(segment, other):
    for extra in ("", "w.add_timer(1000)"):
        peer = other(f"""
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGALRM, lambda *_: None)
w = triveni.WaitSet()
w.add(segment.semaphore('s')); {extra}
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
start = time.monotonic()
try: w.wait(0.3)
except TimeoutError: late = time.monotonic() - start >= 0.3
signal.setitimer(signal.ITIMER_REAL, 0)
say(late)
try: w.wait()
except KeyboardInterrupt: say('interrupted')
""")
        peer.says("True")
        asleep(segment, "s")
        peer.signal(signal.SIGINT)
        peer.says("interrupted")
        peer.ends()


def test_a_death_makes_a_lock_ready(segment, other, waitset):
    peer = other("m = segment.mutex('m'); m.lock(); say('holding'); time.sleep(1000)")
    peer.says("holding")
    mutex = segment.mutex("m")
    token = waitset.add(mutex)
    waiter = Waiter(waitset.wait)
    asleep(segment, "m")
    peer.kill()
    assert tokens(waiter.join()) == [token]
    with mutex.lock(timeout=30) as guard:
        assert guard.owner_died
        guard.recover()


def test_a_removed_member_is_named(segment, waitset):
    waitset.add(segment.semaphore("s"))
    token = waitset.add(segment.event("e"), any=1)
    waiter = Waiter(waitset.wait)
    asleep(segment, "s")
    segment.remove("e")
    with pytest.raises(triveni.Removed, match=f"member {token}"):
        waiter.join()
    waitset.remove(token)
    assert waitset.try_wait() == []


def test_an_end_of_a_ring_that_was_closed_is_named(segment, waitset):
    ring = segment.ring("r")
    consumer = ring.consumer()
    waitset.add(consumer)
    consumer.close()
    with pytest.raises(triveni.NotOwner):
        waitset.wait(timeout=30)


#: What is tried and what it raises.
BAD = {
    "nothing to wait for": (lambda s, w: w.wait(), ValueError),
    "no object": (lambda s, w: w.add("text"), TypeError),
    "a barrier": (lambda s, w: w.add(s.barrier("b", 2)), TypeError),
    "an event without flags": (lambda s, w: w.add(s.event("e")), ValueError),
    "an event with no flag": (lambda s, w: w.add(s.event("e"), any=0), ValueError),
    "a semaphore to send": (lambda s, w: w.add(s.semaphore("s"), send=True), ValueError),
    "flags of a mailbox": (lambda s, w: w.add(s.mailbox("m"), all=1), ValueError),
    "two wishes": (lambda s, w: w.add(s.event("e"), any=1, all=1), ValueError),
    "more room than there is": (lambda s, w: w.add(s.ring("r", 256).producer(), room=9999), triveni.TooLarge),
    "a negative descriptor": (lambda s, w: w.add_fd(-1), ValueError),
    "a closed descriptor": (lambda s, w: w.add_fd(1 << 20), OSError),
    "a regular file": (lambda s, w: w.add_fd(os.open(__file__, os.O_RDONLY)), ValueError),
    "SIGKILL": (lambda s, w: w.add_signal(signal.SIGKILL), ValueError),
    "no signal": (lambda s, w: w.add_signal(2**40), ValueError),
    "no time": (lambda s, w: w.add_timer(0), ValueError),
    "a negative time": (lambda s, w: w.add_timer_once(-1), ValueError),
    "a time that is text": (lambda s, w: w.add_timer("1"), TypeError),
    "an endless time": (lambda s, w: w.add_timer(1e300), ValueError),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=[name.replace(" ", "_") for name in BAD])
def test_bad_input_is_refused_and_nothing_is_wedged(segment, waitset, bad):
    attempt, error = bad
    with pytest.raises(error) as caught:
        attempt(segment, waitset)
    assert str(caught.value)
    assert len(waitset) == 0
    waitset.add(segment.semaphore("afterwards", 1))
    assert len(waitset.wait()) == 1


def test_a_second_thread_gets_busy(segment, waitset):
    semaphore = segment.semaphore("s")
    waitset.add(semaphore)
    waiter = Waiter(waitset.wait)
    asleep(segment, "s")
    for use in (waitset.wait, waitset.try_wait, waitset.fileno, waitset.close, lambda: waitset.add(semaphore)):
        with pytest.raises(triveni.Busy):
            use()
    assert "in use" in repr(waitset)
    semaphore.post()
    waiter.join()
    assert in_thread(waitset.try_wait)


def test_a_closed_set_says_so_and_its_members_go_on(segment):
    semaphore = segment.semaphore("s")
    waitset = WaitSet()
    waitset.add(semaphore)
    fd = waitset.fileno()
    waitset.close()
    waitset.close()
    assert waitset.closed and "closed" in repr(waitset)
    for use in (waitset.wait, waitset.try_wait, waitset.fileno, waitset.__enter__, lambda: len(waitset)):
        with pytest.raises(ValueError, match="closed"):
            use()
    with pytest.raises(OSError):
        os.fstat(fd)
    semaphore.post()
    assert semaphore.try_wait()


def test_a_set_that_is_collected_leaves_no_thread_behind(segment):
    before = len(os.listdir("/proc/self/task"))
    waitset = WaitSet()
    waitset.add(segment.semaphore("s"))
    waitset.fileno()
    del waitset
    gc.collect()
    until(lambda: len(os.listdir("/proc/self/task")) == before)


def test_a_child_has_no_set_of_its_parents(segment, waitset):
    semaphore = segment.semaphore("s")
    waitset.add(semaphore)
    waitset.fileno()

    def child():
        stale = (waitset.wait, waitset.try_wait, waitset.fileno, lambda: waitset.add(semaphore))
        if not all(refused(triveni.Forked, use) for use in stale):
            return False
        waitset.close()
        with WaitSet() as own:
            own.add(semaphore)
            semaphore.post()
            return len(own.wait()) == 1

    in_child(child)
    assert semaphore.value() == 1 and len(waitset.wait()) == 1


def test_one_descriptor_stands_for_all_members(segment, waitset):
    semaphore, box = segment.semaphore("s"), segment.mailbox("b")
    permit, message = waitset.add(semaphore), waitset.add(box)
    poll = select.poll()
    poll.register(waitset, select.POLLIN)
    assert waitset.fileno() == waitset.fileno() and poll.poll(0) == []
    for make_ready, take, token in ((semaphore.post, semaphore.wait, permit), (lambda: box.send(b""), box.receive, message)):
        waiter = Waiter(lambda: poll.poll(30_000))
        make_ready()
        assert len(waiter.join()) == 1 and tokens(waitset.try_wait()) == [token]
        take()
        while waitset.try_wait():
            pass
    outer = WaitSet()
    token = outer.add_fd(waitset)
    semaphore.post()
    assert tokens(outer.wait(timeout=30)) == [token] and tokens(waitset.try_wait()) == [permit]


def test_asyncio_waits_while_others_run(segment, waitset, other):
    peer = other("go()\nfor i in range(100): segment.mailbox('b').send(str(i).encode())")
    box = segment.mailbox("b")
    token = waitset.add(box)

    async def receive():
        got = []
        while len(got) < 100:
            assert tokens(await waitset.wait_async(timeout=30)) == [token]
            while (message := box.try_receive()) is not None:
                got.append(int(message))
        return got

    async def tick(ticks):
        while True:
            ticks.append(1)
            await asyncio.sleep(0.001)

    async def main():
        ticks = []
        ticker = asyncio.create_task(tick(ticks))
        receiver = asyncio.create_task(receive())
        while len(ticks) < 5:
            await asyncio.sleep(0.001)
        assert not receiver.done()
        peer.go()
        got = await receiver
        ticker.cancel()
        return got

    threads = threading.active_count()
    assert asyncio.run(main()) == list(range(100)) and threading.active_count() == threads


def test_asyncio_ends_when_the_set_is_emptied_or_closed(segment, waitset):
    async def waiting():
        waiter = asyncio.create_task(waitset.wait_async(timeout=30))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiter.done()
        return waiter

    async def main():
        with pytest.raises(ValueError):
            await waitset.wait_async()
        token = waitset.add(segment.semaphore("never"))
        waiter = await waiting()
        waitset.remove(token)
        with pytest.raises(ValueError):
            await waiter
        waitset.add(segment.semaphore("never"))
        waiter = await waiting()
        waitset.close()
        with pytest.raises(ValueError):
            await waiter

    asyncio.run(main())


def test_asyncio_timeouts_and_cancellation_are_kept(segment, waitset):
    semaphore = segment.semaphore("s")
    token = waitset.add(semaphore)

    async def main():
        start = time.monotonic()
        with pytest.raises(TimeoutError, match="s"):
            await waitset.wait_async(timeout=0.1)
        assert time.monotonic() - start >= 0.1
        with pytest.raises(TimeoutError):
            await waitset.wait_async(0)
        task = asyncio.create_task(waitset.wait_async())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        two = [asyncio.create_task(waitset.wait_async()) for _ in range(2)]
        await asyncio.sleep(0.01)
        semaphore.post()
        assert [tokens(await one) for one in two] == [[token], [token]]
        with pytest.raises(ValueError):
            waitset.wait_async(-1)
        semaphore.wait()
        waitset.remove(token)
        timer = waitset.add_timer_once(0.01)
        assert tokens(await waitset.wait_async(30)) == [timer]

    asyncio.run(main())


def test_asyncio_learns_of_a_death(segment, waitset, other):
    peer = other("m = segment.mutex('m'); m.lock(); say('holding'); time.sleep(1000)")
    peer.says("holding")
    mutex = segment.mutex("m")
    token = waitset.add(mutex)

    async def main():
        task = asyncio.create_task(waitset.wait_async())
        await asyncio.sleep(0.01)
        peer.kill()
        return tokens(await task)

    assert asyncio.run(main()) == [token]
    with mutex.lock(timeout=30) as guard:
        assert guard.owner_died
        guard.recover()
