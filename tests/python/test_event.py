"""32 event flags, to be waited for alone or together."""

import enum
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from people import Waiter, asleep

import triveni


class Alarm(enum.IntFlag):
    DOOR = 1
    WINDOW = 2
    FIRE = 1 << 31


def test_set_and_clear_say_what_was_set_before(segment):
    event = segment.event("e", 0b100)
    assert event.flags() == 0b100 and segment.event("e", 0b11).flags() == 0b100
    assert event.set(0b001) == 0b100 and event.flags() == 0b101
    assert event.clear(0b100) == 0b101 and event.flags() == 0b001


def test_flags_may_be_an_int_flag(segment):
    event = segment.event("e")
    event.set(Alarm.FIRE | Alarm.DOOR)
    assert event.wait_any(Alarm.FIRE | Alarm.WINDOW) == Alarm.FIRE
    assert event.try_wait_all(Alarm.WINDOW | Alarm.DOOR) is None


def test_any_is_content_with_one_and_all_is_not(segment):
    event = segment.event("e", 0b01)
    assert event.wait_any(0b11) == 0b01 and event.try_wait_any(0b11) == 0b01
    assert event.try_wait_all(0b11) is None and event.try_wait_any(0b10) is None
    event.set(0b10)
    assert event.wait_all(0b11) == 0b11 == event.try_wait_all(0b11)


def test_clear_takes_what_it_was_for_and_nothing_else(segment):
    event = segment.event("e", 0b111)
    assert event.wait_any(0b1001, clear=True) == 0b1 and event.flags() == 0b110
    assert event.wait_all(0b110, clear=True) == 0b110 and event.flags() == 0
    assert event.try_wait_any(0b1, clear=True) is None and event.try_wait_all(0b1, clear=True) is None


@pytest.mark.parametrize("timeout", [0, 0.05])
def test_flags_that_nobody_sets_time_out(segment, timeout):
    event = segment.event("e", 0b1)
    for wait in (event.wait_any, event.wait_all):
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            wait(0b110, timeout)
        assert time.monotonic() - start >= timeout


def test_set_wakes_all_who_keep_and_one_who_clears(segment):
    event = segment.event("e")
    keep = [Waiter(lambda: event.wait_any(1)) for _ in range(2)]
    clear = [Waiter(lambda: event.wait_any(2, clear=True)) for _ in range(3)]
    asleep(segment, "e", 5)
    event.set(1)
    assert [waiter.join() for waiter in keep] == [1, 1]
    for _ in clear:
        assert event.set(2) & 2 == 0
        while event.flags() & 2:
            time.sleep(0.001)
    assert [waiter.join() for waiter in clear] == [2, 2, 2]


def test_processes_wait_for_each_other(segment, other):
    event = segment.event("e")
    peer = other("e = segment.event('e')\nfor _ in range(200): e.wait_any(1, clear=True); e.set(2)\nsay('done')")
    for _ in range(200):
        event.set(1)
        assert event.wait_all(2, clear=True) == 2
    peer.says("done")


def test_removed_flags_say_so_to_who_waits(segment):
    event = segment.event("e")
    waiters = [Waiter(lambda: event.wait_any(1)), Waiter(lambda: event.wait_all(1))]
    asleep(segment, "e", 2)
    segment.remove("e")
    for waiter in waiters:
        with pytest.raises(triveni.Removed):
            waiter.join()


def test_repr_and_info_show_the_flags(segment):
    event = segment.event("e", 0x21)
    assert "0x21" in repr(event) and segment.objects()[0].state == {"flags": 0x21}


def test_flags_do_what_a_number_does():
    masks = st.integers(0, 2**32 - 1)
    wanted = st.integers(1, 2**32 - 1)

    class Flags(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.segment = triveni.Segment.anonymous(1 << 20)
            self.event, self.model = self.segment.event("e"), 0

        @rule(flags=masks)
        def set(self, flags):
            assert self.event.set(flags) == self.model
            self.model |= flags

        @rule(flags=masks)
        def clear(self, flags):
            assert self.event.clear(flags) == self.model
            self.model &= ~flags

        @rule(mask=wanted, clear=st.booleans())
        def any(self, mask, clear):
            found = self.model & mask
            assert self.event.try_wait_any(mask, clear=clear) == (found or None)
            self.model &= ~(found if clear else 0)

        @rule(mask=wanted, clear=st.booleans())
        def all(self, mask, clear):
            there = self.model & mask == mask
            assert self.event.try_wait_all(mask, clear=clear) == (mask if there else None)
            self.model &= ~(mask if there and clear else 0)

        def teardown(self):
            assert self.event.flags() == self.model
            self.segment.close()

    run_state_machine_as_test(Flags, settings=settings(max_examples=50, deadline=None, database=None))
