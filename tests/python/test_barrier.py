"""The barrier: nobody goes on until all have arrived, and a death breaks it for the rest."""

import threading

import pytest
from people import Waiter, asleep, until

import triveni


def test_all_go_on_together_and_one_is_told_that_it_was_the_last(segment):
    barrier, last = segment.barrier("b", 3), []

    def meet():
        for _ in range(100):
            last.append(barrier.wait())

    others = [Waiter(meet) for _ in range(2)]
    meet()
    for other in others:
        other.join()
    assert last.count(True) == 100 and last.count(False) == 200 and barrier.arrived() == 0


def test_a_barrier_of_one_waits_for_nobody(segment):
    barrier = segment.barrier("b", 1)
    assert barrier.wait() is True and barrier.try_wait() is True


def test_try_wait_arrives_only_as_the_last(segment):
    barrier = segment.barrier("b", 2)
    assert barrier.try_wait() is False and barrier.arrived() == 0
    waiter = Waiter(barrier.wait)
    until(lambda: barrier.arrived() == 1)
    assert barrier.try_wait() is True and waiter.join() is False


def test_who_gives_up_has_not_arrived(segment):
    barrier = segment.barrier("b", 2)
    for timeout in (0, 0.05):
        with pytest.raises(TimeoutError):
            barrier.wait(timeout)
        assert barrier.arrived() == 0 and not barrier.broken


def test_processes_meet(segment, other):
    barrier = segment.barrier("b", 3)
    peers = [other("b = segment.barrier('b', 3)\nfor i in range(50): b.wait()\nsay('done'); go()") for _ in range(2)]
    for _ in range(50):
        barrier.wait()
    for peer in peers:
        peer.says("done")


def test_a_death_breaks_it_for_who_waits_and_who_comes_until_reset(segment, other):
    barrier = segment.barrier("b", 3)
    peer = other("b = segment.barrier('b', 3); say('in'); b.wait()")
    peer.says("in")
    waiter = Waiter(barrier.wait)
    until(lambda: barrier.arrived() == 2)
    peer.kill()
    with pytest.raises(triveni.Broken) as caught:
        waiter.join()
    assert "b" in str(caught.value) and caught.value.errno == 1004
    assert barrier.broken and "broken" in repr(barrier)
    for use in (barrier.wait, lambda: barrier.wait(0.05), barrier.try_wait):
        with pytest.raises(triveni.Broken):
            use()
    barrier.reset()
    assert not barrier.broken
    others = [Waiter(barrier.wait) for _ in range(2)]
    assert [barrier.wait(30)] + [waiter.join() for waiter in others] in (
        [True, False, False], [False, True, False], [False, False, True],
    )  # fmt: skip


def test_a_reset_is_told_to_who_waits(segment):
    barrier = segment.barrier("b", 2)
    waiter = Waiter(barrier.wait)
    asleep(segment, "b")
    barrier.reset()
    with pytest.raises(triveni.Broken):
        waiter.join()
    assert not barrier.broken and barrier.arrived() == 0


def test_a_removed_barrier_says_so_to_who_waits(segment):
    barrier = segment.barrier("b", 2)
    waiter = Waiter(barrier.wait)
    asleep(segment, "b")
    segment.remove("b")
    with pytest.raises(triveni.Removed):
        waiter.join()


def test_what_was_written_before_everybody_sees_afterwards(segment):
    barrier, n, rounds = segment.barrier("b", 4), 4, 50
    board, wrong = [0] * n, []

    def work(i):
        for k in range(1, rounds + 1):
            board[i] = k
            barrier.wait()
            if board != [k] * n:
                wrong.append((k, list(board)))
            barrier.wait()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_repr_and_info_show_who_is_missing(segment):
    barrier = segment.barrier("b", 3)
    waiter = Waiter(lambda: pytest.raises(triveni.Broken, barrier.wait))
    asleep(segment, "b")
    assert barrier.parties == 3 and barrier.arrived() == 1 and "1 of 3 arrived" in repr(barrier)
    assert segment.objects()[0].state == {"parties": 3, "arrived": 1, "broken": False}
    barrier.reset()
    waiter.join()
