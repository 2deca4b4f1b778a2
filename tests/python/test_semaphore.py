"""The semaphore: counting, several permits at once, with a maximum, and with permits that come back."""

import gc
import threading
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from people import Waiter, asleep, in_child, in_thread, refused, until

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


def test_several_permits_are_taken_all_or_none(segment):
    semaphore = segment.semaphore("s", initial=3)
    assert semaphore.try_wait(4) is False and semaphore.value() == 3
    with pytest.raises(TimeoutError):
        semaphore.wait(0.05, n=4)
    assert semaphore.value() == 3
    semaphore.wait(n=2)
    assert semaphore.value() == 1 and semaphore.try_wait(n=1)
    semaphore.post(5)
    assert semaphore.value() == 5


def test_who_waits_for_several_goes_on_once_there_are_enough(segment):
    semaphore = segment.semaphore("s")
    three, one = Waiter(lambda: semaphore.wait(n=3)), Waiter(semaphore.wait)
    asleep(segment, "s", 2)
    assert sorted(wait.count for wait in segment.waits()) == [1, 3]
    semaphore.post(4)
    three.join(), one.join()
    assert semaphore.value() == 0


def test_a_maximum_is_kept(segment):
    semaphore = segment.semaphore("s", 1, max=2)
    assert semaphore.max == 2 and not semaphore.leased and "at most 2" in repr(semaphore)
    semaphore.post()
    for n in (1, 2):
        with pytest.raises(OverflowError):
            semaphore.post(n)
    assert semaphore.value() == 2
    assert segment.semaphore("s").max == 2, "what is not asked for is taken as it is there"


def test_with_takes_a_permit_and_posts_it(segment):
    for semaphore in (segment.semaphore("s", 2), segment.semaphore("l", 2, leased=True)):
        with pytest.raises(KeyError), semaphore, semaphore:
            assert semaphore.value() == 0
            raise KeyError
        assert semaphore.value() == 2


@pytest.fixture
def leased(segment):
    return segment.semaphore("l", initial=3, leased=True)


def test_a_leased_permit_is_posted_by_who_took_it_alone(segment, leased):
    assert leased.leased and leased.max == 3 and "leased" in repr(leased)
    with pytest.raises(triveni.NotOwner):
        leased.post()
    leased.wait(n=2)
    me = segment.participants()[0].slot
    assert segment.objects()[0].state == {"value": 1, "max": 3, "leases": [me, me]}
    with pytest.raises(triveni.NotOwner):
        in_thread(leased.post)
    with pytest.raises(triveni.NotOwner):
        leased.post(3)
    leased.post(2)
    assert leased.value() == 3


def test_leased_permits_of_a_killed_process_come_back(segment, leased, other):
    peer = other("l = segment.semaphore('l'); l.wait(n=3); say('holding'); time.sleep(1000)")
    peer.says("holding")
    assert leased.try_wait() is False
    waiter = Waiter(lambda: leased.wait(n=2) or leased.post(2))
    asleep(segment, "l")
    assert {holder.pid for holder in segment.waits()[0].blocked_by} == {peer.pid}
    peer.kill()
    waiter.join()
    until(lambda: leased.value() == 3)


def test_leased_permits_of_a_thread_that_ends_come_back(leased):
    in_thread(lambda: leased.wait(n=3))
    leased.wait(30, n=3)
    leased.post(3)


def test_a_child_has_none_of_its_parents_leased_permits(leased):
    with leased:
        in_child(lambda: refused(triveni.NotOwner, leased.post) and leased.try_wait(2) and not leased.try_wait())
    leased.wait(30, n=3)


def test_a_leased_semaphore_that_is_collected_keeps_its_permits(segment, leased):
    segment.semaphore("l").wait()
    gc.collect()
    assert leased.value() == 2
    leased.post()


def test_a_removed_semaphore_says_so_to_who_waits(segment):
    for name, semaphore in (("s", segment.semaphore("s")), ("l", segment.semaphore("l", 1, leased=True))):
        semaphore.try_wait()
        waiter = Waiter(semaphore.wait)
        asleep(segment, name)
        segment.remove(name)
        with pytest.raises(triveni.Removed):
            waiter.join()


@pytest.mark.parametrize("is_leased", [False, True])
def test_permits_do_what_a_number_does(is_leased):
    most = 5

    class Permits(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.segment = triveni.Segment.anonymous(1 << 20)
            options = {"leased": True} if is_leased else {"max": most}
            self.semaphore, self.model = self.segment.semaphore("s", most, **options), most

        @rule(n=st.integers(1, most))
        def take(self, n):
            taken = self.semaphore.try_wait(n)
            assert taken == (n <= self.model)
            self.model -= n if taken else 0

        @rule(n=st.integers(1, most))
        def give(self, n):
            if self.model + n <= most:
                self.semaphore.post(n)
                self.model += n
            else:
                with pytest.raises(triveni.NotOwner if is_leased else OverflowError):
                    self.semaphore.post(n)

        @rule()
        @precondition(lambda self: self.model < most)
        def too_many(self):
            with pytest.raises(TimeoutError):
                self.semaphore.wait(0, n=self.model + 1)

        def teardown(self):
            assert self.semaphore.value() == self.model
            self.segment.close()

    run_state_machine_as_test(Permits, settings=settings(max_examples=50, deadline=None, database=None))
