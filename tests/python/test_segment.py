"""Segments: made, found, shared, listed, removed, closed."""

import os
import socket
import stat
from pathlib import Path

import pytest
from people import in_child, refused

import triveni
from triveni import Segment


def file_of(name: str) -> Path:
    return Path("/dev/shm") / f"triveni.{name}"


def test_create_makes_a_private_file_of_that_size(name):
    with Segment.create(name, size=1 << 20) as segment:
        seen = file_of(name).stat()
        assert stat.S_IMODE(seen.st_mode) == 0o600
        assert segment.size >= 1 << 20 and seen.st_size == segment.size
        assert segment.name == name and not segment.closed and not segment.is_unlinked()


def test_a_segment_without_a_size_has_the_default_one(name):
    with Segment.create(name) as segment:
        assert segment.size == triveni.DEFAULT_SIZE == 64 << 20


def test_mode_is_the_mode_of_the_file(name):
    Segment.create(name, size=1 << 20, mode=0o660).close()
    assert stat.S_IMODE(file_of(name).stat().st_mode) == 0o660


def test_a_name_that_is_taken_is_not_created_again(name, segment):
    with pytest.raises(FileExistsError) as caught:
        Segment.create(name)
    assert name in str(caught.value)


def test_open_or_create_opens_what_is_there(name, segment):
    segment.semaphore("s", initial=3)
    with Segment.open_or_create(name, size=2 << 20) as again:
        assert again.size == segment.size and again.semaphore("s").value() == 3


def test_open_or_create_makes_what_is_not_there(name):
    with Segment.open_or_create(name, size=1 << 20) as segment:
        assert segment.objects() == []


def test_an_unlinked_segment_goes_on_and_its_name_is_free(name, segment):
    box = segment.mailbox("m")
    Segment.unlink(name)
    assert segment.is_unlinked() and name not in Segment.list()
    box.send(b"still here")
    assert box.receive() == b"still here"
    with pytest.raises(FileNotFoundError):
        Segment.open(name)


def test_list_names_it(name, segment):
    assert name in Segment.list()


def test_closing_twice_is_fine_and_use_after_close_is_a_value_error(name):
    segment = Segment.create(name, size=1 << 20)
    segment.close()
    segment.close()
    assert segment.closed and "closed" in repr(segment)
    for use in (
        segment.objects, segment.participants, segment.sweep, segment.fileno, segment.fd, segment.is_unlinked,
        segment.__enter__, lambda: segment.size, lambda: segment.mailbox("m"), lambda: segment.remove("m"),
    ):
        with pytest.raises(ValueError, match="closed"):
            use()
    assert segment.name == name


def test_with_closes_and_objects_taken_from_it_go_on(name):
    with Segment.create(name, size=1 << 20) as segment:
        box = segment.mailbox("m")
    assert segment.closed
    box.send(b"a")
    assert box.receive() == b"a"


def test_the_last_object_leaves_the_segment(name):
    with Segment.create(name, size=1 << 20) as segment:
        box = segment.mailbox("m")
        with Segment.open(name) as watcher:
            assert [p.pid for p in watcher.participants()] == [os.getpid()]
    del box


def test_an_object_is_shown_with_what_is_in_it(segment):
    semaphore, mutex = segment.semaphore("s", initial=2), segment.mutex("m")
    box, ring = segment.mailbox("b", capacity=4, message_size=32), segment.ring("r", size=4096)
    box.send(b"x")
    producer = ring.producer()
    with mutex:
        seen = {info.name: info for info in segment.objects()}
    me = segment.participants()[0].slot
    assert {info.kind for info in seen.values()} == {"semaphore", "mutex", "mailbox", "ring"}
    assert seen["s"].state == {"value": 2, "max": 2**31 - 1, "leases": []}
    assert seen["m"].state == {"holder": me, "owner_died": False}
    assert seen["b"].state == {
        "capacity": 4, "unbounded": False, "message_size": 32, "order": "fifo", "len": 1,
        "voided": 0, "redelivered": 0, "dropped": 0, "shut_down": False, "holders": [],
    }
    assert seen["r"].state == {
        "size": 4096, "used": 0, "record_size": None, "shut_down": False, "producer": me, "consumer": None,
    }
    assert all(info.attached == [os.getpid()] and info.size > 0 for info in seen.values())
    assert "'b'" in repr(seen["b"]) and "len 1" in repr(seen["b"])
    producer.close()
    del semaphore
    (left,) = [info for info in segment.objects() if info.name == "s"]
    assert left.attached == [], "it stays, also when nobody has it open"


def test_a_participant_is_shown_until_it_is_swept(segment, other):
    peer = other("say('in'); time.sleep(1000)")
    peer.says("in")
    alive = {p.pid: p.alive for p in segment.participants()}
    assert alive == {os.getpid(): True, peer.pid: True}
    peer.kill()
    assert [p.alive for p in segment.participants() if p.pid == peer.pid] in ([False], [])
    segment.sweep()
    assert [p.pid for p in segment.participants()] == [os.getpid()]


def test_participants_tell_who_and_since_when(segment):
    (me,) = segment.participants()
    assert (me.pid, me.uid, me.alive) == (os.getpid(), os.getuid(), True)
    assert me.slot >= 1 and me.since > 1.7e9 and str(me.pid) in repr(me)


def test_a_removed_object_goes_on_for_those_who_have_it_as_long_as_nobody_has_to_wait(segment):
    box, ring, cell, permits = segment.mailbox("m", 1, 8), segment.ring("r"), segment.cell("c", 1), segment.semaphore("s", 1)
    producer = ring.producer()
    for name in "mrcs":
        segment.remove(name)
    box.send(b"a")
    producer.write(b"a")
    cell.store(b"a")
    permits.wait()
    for waits in (lambda: box.send(b"b"), permits.wait, lambda: cell.load_newer(1), ring.consumer):
        with pytest.raises(triveni.Removed):
            waits()
    assert box.receive() == b"a" and cell.load() == b"a"
    with pytest.raises(triveni.Removed):
        box.receive()


def test_a_removed_object_is_gone_by_name_and_says_so_to_its_users(segment):
    box = segment.mailbox("m")
    segment.remove("m")
    assert segment.objects() == [] or segment.objects()[0].name != "m"
    with pytest.raises(triveni.Removed):
        box.receive(timeout=10)
    with pytest.raises(FileNotFoundError):
        segment.remove("m")


def test_a_table_of_participants_that_is_full_says_so(name):
    with Segment.create(name, size=1 << 20, max_participants=1):
        child = os.fork()
        if child == 0:
            try:
                Segment.open(name).objects()
                os._exit(1)
            except triveni.Error as error:
                os._exit(0 if isinstance(error, (triveni.Busy, triveni.NoSpace)) else 2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_full_segment_says_so(segment):
    with pytest.raises(triveni.NoSpace):
        segment.mailbox("big", capacity=1000, message_size=1 << 20)


def test_a_descriptor_opens_an_anonymous_segment_in_another_process():
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            _, (fd,), _, _ = socket.recv_fds(theirs, 1, 1)
            found = Segment.from_fd(fd)
            os.close(fd)
            found.mailbox("m").send(b"got it")
            os._exit(0)
        except BaseException as error:
            print(error)
            os._exit(1)
    with Segment.anonymous(size=1 << 20) as segment, ours, theirs:
        assert segment.name is None and not segment.is_unlinked()
        fd = segment.fd()
        socket.send_fds(ours, [b"x"], [fd])
        os.close(fd)
        assert segment.mailbox("m").receive(timeout=30) == b"got it"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_fileno_is_the_segments_own_and_closed_with_it():
    segment = Segment.anonymous(size=1 << 20)
    fd = segment.fileno()
    assert segment.fileno() == fd
    with Segment.from_fd(segment) as again:  # anything with fileno() will do
        again.semaphore("s").post()
    assert segment.semaphore("s").value() == 1
    segment.close()
    with pytest.raises(OSError):
        os.fstat(fd)


@pytest.fixture
def dead(name, segment, other):
    """A segment in which the last process was killed."""
    peer = other("s = segment.semaphore('s', 5); say('in'); go()")
    peer.says("in")
    segment.close()
    peer.kill()
    return name


def test_a_segment_that_was_left_in_order_is_not_stale(name, segment):
    segment.semaphore("s", initial=5)
    segment.close()
    with Segment.open(name, stale="fail") as again:
        assert again.semaphore("s").value() == 5


def test_stale_fail_refuses_a_segment_of_the_dead_and_recover_takes_it_over(dead):
    with pytest.raises(triveni.PeerDead, match=dead):
        Segment.open(dead, stale="fail")
    with Segment.open(dead) as recovered:
        assert recovered.semaphore("s").value() == 5
        assert [p.pid for p in recovered.participants()] == [os.getpid()]


def test_stale_recreate_starts_afresh(dead):
    with Segment.open_or_create(dead, size=1 << 20, stale="recreate") as fresh:
        assert fresh.objects() == []


def test_stale_recreate_does_not_find_a_segment_of_the_dead(dead):
    with pytest.raises(FileNotFoundError):
        Segment.open(dead, stale="recreate")


def test_repr_shows_the_live_state(name, segment):
    segment.mailbox("m")
    assert name in repr(segment) and "1 objects" in repr(segment) and "1 participants" in repr(segment)


#: How an object is made, beyond its name, and another geometry.
KINDS = {
    "semaphore": (2,), "mutex": (), "monitor": (), "rwlock": ("fair",), "barrier": (3,), "event": (5,),
    "mailbox": (3, 8), "ring": (4096,),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_create_makes_and_open_finds_and_each_refuses_what_is_not_so(segment, kind):
    create, find = getattr(segment, f"create_{kind}"), getattr(segment, f"open_{kind}")
    with pytest.raises(FileNotFoundError):
        find("x")
    made = create("x", *KINDS[kind])
    with pytest.raises(FileExistsError):
        create("x", *KINDS[kind])
    found, again = find("x"), getattr(segment, kind)("x", *KINDS[kind])
    assert type(made) is type(found) is type(again) and found.name == "x"
    assert repr(made) == repr(found)
    other = "mutex" if kind != "mutex" else "ring"
    with pytest.raises(triveni.Incompatible):
        getattr(segment, f"open_{other}")("x")


def test_a_leased_semaphore_and_a_bounded_one_are_created_as_asked(segment):
    assert segment.create_semaphore("l", 3, leased=True).leased
    assert segment.create_semaphore("b", 1, max=1).max == segment.open_semaphore("b").max == 1
    assert segment.semaphore("l").leased and segment.semaphore("l", leased=True).max == 3


def test_a_segment_opens_with_any_mode_that_is_one(name, segment):
    for use in (lambda mode: Segment.open(name, mode=mode), lambda mode: Segment.from_fd(segment, mode=mode)):
        with use(0o666) as again:
            assert again.size == segment.size
        with pytest.raises(ValueError, match="mode"):
            use(0o1000)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be another user")
def test_a_segment_of_another_user_is_opened_only_with_a_mode_that_admits_others(name):
    with Segment.create(name, size=1 << 20, mode=0o666) as segment:
        segment.semaphore("s")

        def child():
            os.setuid(65534)
            return refused(PermissionError, lambda: Segment.open(name)) and (
                Segment.open(name, mode=0o666).semaphore("s").post() is None
            )

        in_child(child)
        assert segment.semaphore("s").value() == 1


def test_every_kind_is_shown(segment):
    made = {
        "semaphore": segment.semaphore, "mutex": segment.mutex, "monitor": segment.monitor, "rwlock": segment.rwlock,
        "barrier": lambda name: segment.barrier(name, 2), "event": segment.event,
        "ring": lambda name: segment.ring(name, 4096), "mailbox": segment.mailbox,
        "topic": segment.topic, "service": segment.service, "port": segment.port,
        "array": lambda name: segment.array(name, (2, 3)), "cell": lambda name: segment.cell(name, 8),
    }
    kept = [make(kind) for kind, make in made.items()]
    shown = {info.name: info for info in segment.objects()}
    assert {name: info.kind for name, info in shown.items()} == {kind: kind for kind in made}
    html = segment._repr_html_()
    for kind, info in shown.items():
        assert info.state, kind
        assert f">{kind}<" in html, kind
    assert len(kept) == len(made)
