"""The counting semaphore."""

import threading
import time

import pytest

import triveni


def test_initial_permits_count_for_the_creator_only(segment):
    assert segment.semaphore("s", initial=2).value() == 2
    assert segment.semaphore("s", initial=7).value() == 2
    assert segment.semaphore("zero").value() == 0


def test_wait_takes_what_post_added(segment):
    semaphore = segment.semaphore("s")
    semaphore.post()
    assert semaphore.value() == 1
    semaphore.wait()
    assert semaphore.value() == 0


def test_try_wait_answers(segment):
    semaphore = segment.semaphore("s", initial=1)
    assert semaphore.try_wait() is True
    assert semaphore.try_wait() is False


@pytest.mark.parametrize("timeout", [0, 0.0, 0.05])
def test_a_wait_without_a_permit_times_out_and_not_before(segment, timeout):
    start = time.monotonic()
    with pytest.raises(TimeoutError) as caught:
        segment.semaphore("s").wait(timeout=timeout)
    assert time.monotonic() - start >= timeout
    assert "s" in str(caught.value)


def test_a_timeout_on_another_thread_is_kept(segment):
    semaphore, seen = segment.semaphore("s"), []

    def wait():
        start = time.monotonic()
        try:
            semaphore.wait(timeout=0.2)
        except TimeoutError:
            seen.append(time.monotonic() - start)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert seen[0] >= 0.2


def test_a_post_wakes_a_waiter_in_another_process(segment, other):
    peer = other("s = segment.semaphore('s'); say('waiting'); s.wait(); say('woke')")
    peer.says("waiting")
    peer.asleep()
    segment.semaphore("s").post()
    peer.says("woke")


def test_waiters_let_other_threads_run(segment):
    semaphore = segment.semaphore("s")
    waiters = [threading.Thread(target=semaphore.wait) for _ in range(4)]
    for waiter in waiters:
        waiter.start()
    for _ in waiters:
        semaphore.post()  # would never come if a waiter kept the interpreter
    for waiter in waiters:
        waiter.join()
    assert semaphore.value() == 0


def test_as_many_waits_end_as_there_were_posts(segment):
    semaphore, n = segment.semaphore("s"), 2000
    taken = []

    def take():
        for _ in range(n):
            semaphore.wait()
        taken.append(n)

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(2 * n):
        semaphore.post()
    for thread in threads:
        thread.join()
    assert sum(taken) == 2 * n and semaphore.value() == 0


def test_a_semaphore_that_is_full_says_so(segment):
    semaphore = segment.semaphore("s", initial=2**31 - 1)
    with pytest.raises(OverflowError) as caught:
        semaphore.post()
    assert caught.value.errno == dict((row[1], row[0]) for row in triveni.ERRORS)["EOVERFLOW"]


def test_repr_shows_the_permits(segment):
    assert "value 3" in repr(segment.semaphore("s", initial=3))
