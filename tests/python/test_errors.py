"""One table in three languages, and a sentence for every bad input."""

import builtins
import errno
import math
import os
import pickle
from pathlib import Path

import pytest

import triveni
from triveni import Segment

OURS = {
    "OwnerDied", "Broken", "Closed", "Lost", "Evicted", "Failed", "PeerDead", "Removed", "Forked", "Deadlock", "NotOwner", "Busy", "NoSpace", "TooLarge",
    "Corrupt", "Incompatible", "Unsupported", "Panic",
}  # fmt: skip


@pytest.mark.parametrize("row", triveni.ERRORS, ids=lambda row: row[1])
def test_a_row_of_the_table_has_a_number_a_name_a_class_and_a_sentence(row):
    number, c_name, cls, sentence = row
    if c_name.startswith("TVN_"):
        assert number >= 1000
    else:
        assert getattr(errno, c_name) == number
    assert issubclass(cls, Exception) and sentence
    if cls.__module__ == "triveni":
        assert getattr(triveni, cls.__name__) is cls and issubclass(cls, triveni.Error)
        assert cls.__doc__ == sentence and cls.__name__ in triveni.__all__
    else:
        assert getattr(builtins, cls.__name__) is cls


def test_the_table_names_every_class_once():
    assert len({row[0] for row in triveni.ERRORS}) == len({row[1] for row in triveni.ERRORS}) == len(triveni.ERRORS)
    assert {row[2].__name__ for row in triveni.ERRORS if row[2].__module__ == "triveni"} == OURS


def test_where_python_has_an_exception_it_is_that_one():
    classes = {row[1]: row[2] for row in triveni.ERRORS}
    assert classes["ETIMEDOUT"] is TimeoutError and classes["ENOENT"] is FileNotFoundError
    assert classes["EEXIST"] is FileExistsError and classes["EACCES"] is PermissionError
    assert classes["EINVAL"] is ValueError and classes["EOVERFLOW"] is OverflowError
    assert issubclass(triveni.PeerDead, ConnectionResetError)


def test_the_classes_carry_their_number():
    for number, _, cls, _ in triveni.ERRORS:
        if cls.__module__ == "triveni" and cls is not triveni.PeerDead:
            assert cls.errno == number
    assert triveni.PeerDead(errno.ECONNRESET, "x").errno == errno.ECONNRESET


def test_an_error_survives_pickle():
    for cls in (triveni.Removed, triveni.Corrupt):
        again = pickle.loads(pickle.dumps(cls("what happened")))
        assert type(again) is cls and str(again) == "what happened" and again.errno == cls.errno


def timeout_of(value):
    return lambda s: s.semaphore("s").wait(value)


#: What is tried, what it raises, and what its sentence must show.
BAD = {
    "no name": (lambda s: s.mailbox(""), ValueError, "empty"),
    "a slash in a name": (lambda s: s.mutex("a/b"), ValueError, "a/b"),
    "a name too long": (lambda s: s.ring("x" * 64), ValueError, "64 bytes"),
    "a control character": (lambda s: s.semaphore("a\0b"), ValueError, "control"),
    "a segment's slash": (lambda s: Segment.create("a/b"), ValueError, "a/b"),
    "a segment too long": (lambda s: Segment.open("x" * 64), ValueError, "64 bytes"),
    "a segment that is not there": (lambda s: Segment.open("not-there"), FileNotFoundError, "not-there"),
    "unlink of what is not there": (lambda s: Segment.unlink("not-there"), FileNotFoundError, "not-there"),
    "remove of what is not there": (lambda s: s.remove("not-there"), FileNotFoundError, "not-there"),
    "a negative timeout": (timeout_of(-1), ValueError, "-1"),
    "a timeout that is no number": (timeout_of(math.nan), ValueError, "NaN"),
    "a timeout that is text": (timeout_of("1"), TypeError, "timeout"),
    "negative permits": (lambda s: s.semaphore("s", -1), ValueError, "initial -1"),
    "too many permits": (lambda s: s.semaphore("s", 2**31), ValueError, str(2**31)),
    "permits that are no number": (lambda s: s.semaphore("s", 1.5), TypeError, "initial"),
    "more permits than the maximum": (lambda s: s.semaphore("s", 3, max=2), ValueError, "3"),
    "no leased permits": (lambda s: s.semaphore("s", leased=True), ValueError, "0"),
    "too many leased permits": (lambda s: s.semaphore("s", 4097, leased=True), ValueError, "4097"),
    "leases and another maximum": (lambda s: s.semaphore("s", 3, max=4, leased=True), ValueError, "4"),
    "another maximum": (lambda s: (s.semaphore("s", max=2), s.semaphore("s", max=3)), triveni.Incompatible, "3"),
    "leases where none are": (
        lambda s: (s.semaphore("s"), s.semaphore("s", 1, leased=True)), triveni.Incompatible, "leased",
    ),
    "a wait for no permits": (lambda s: s.semaphore("s").wait(n=0), ValueError, "0"),
    "a post of no permits": (lambda s: s.semaphore("s").post(0), ValueError, "0"),
    "a post of negative permits": (lambda s: s.semaphore("s").post(-2), ValueError, "n -2"),
    "a wait for more permits than there can be": (lambda s: s.semaphore("s", max=2).wait(n=3), ValueError, "3"),
    "a barrier of zero": (lambda s: s.barrier("b", 0), ValueError, "0"),
    "a barrier of too many": (lambda s: s.barrier("b", 65536), ValueError, "65536"),
    "a barrier of half a thread": (lambda s: s.barrier("b", 0.5), TypeError, "parties"),
    "a barrier of another number": (lambda s: (s.barrier("b", 2), s.barrier("b", 3)), triveni.Incompatible, "3"),
    "an rwlock without such a policy": (lambda s: s.rwlock("w", "me first"), ValueError, "me first"),
    "an rwlock of another policy": (lambda s: (s.rwlock("w", "fair"), s.rwlock("w", "readers first")),
                                    triveni.Incompatible, "readers first"),
    "no flags to wait for": (lambda s: s.event("e").wait_any(0), ValueError, "mask"),
    "all of no flags": (lambda s: s.event("e").wait_all(0), ValueError, "mask"),
    "a flag too high": (lambda s: s.event("e").set(1 << 32), ValueError, str(1 << 32)),
    "a negative flag": (lambda s: s.event("e").clear(-1), ValueError, "flags -1"),
    "flags that are no number": (lambda s: s.event("e").wait_any("a"), TypeError, "mask"),
    "an initial flag too high": (lambda s: s.event("e", 1 << 32), ValueError, str(1 << 32)),
    "a condition without a name": (lambda s: s.monitor("o").condition(""), ValueError, "empty"),
    "a condition with too long a name": (lambda s: s.monitor("o").condition("x" * 41), ValueError, "41"),
    "an eighth condition": (lambda s: [s.monitor("o").condition(c) for c in "abcdefgh"], triveni.NoSpace, "a, b"),
    "a wait outside": (lambda s: s.monitor("o").condition("c").wait(), triveni.NotOwner, "enter"),
    "a wait_for outside": (lambda s: s.monitor("o").condition("c").wait_for(lambda: 1), triveni.NotOwner, "enter"),
    "a negative capacity": (lambda s: s.mailbox("b", -3), ValueError, "capacity -3"),
    "an endless capacity": (lambda s: s.mailbox("b", 2**70), ValueError, "capacity"),
    "a rendezvous with priorities": (lambda s: s.mailbox("b", 0, order="priority"), ValueError, "0"),
    "too great a capacity": (lambda s: s.mailbox("b", 2**20 + 1), ValueError, str(2**20 + 1)),
    "a message size too large": (lambda s: s.mailbox("b", 1, 2**40), (ValueError, triveni.NoSpace), str(2**40)),
    "messages of nothing": (lambda s: s.mailbox("b", 1, 0), ValueError, 'mailbox "b": messages of 0 bytes'),
    "a ceiling of nothing": (lambda s: s.mailbox("b", 0, unbounded=True), ValueError, 'mailbox "b": unbounded'),
    "a port of nothing": (lambda s: s.port("p", 0), ValueError, 'port "p": capacity 0'),
    "a port for nothing": (lambda s: s.port("p", 1, 0), ValueError, 'port "p": messages of 0 bytes'),
    "too high a priority": (lambda s: s.mailbox("b", order="priority").send(b"", priority=2**31), ValueError,
                            'priority 65535 or more to mailbox'),
    "a ring too large": (lambda s: s.ring("r", 2**40), (ValueError, triveni.NoSpace), str(2**40)),
    "a ring of negative size": (lambda s: s.ring("r", -1), ValueError, "size -1"),
    "a mode that is none": (lambda s: Segment.create("m", mode=0o1777), ValueError, "mode"),
    "a policy that is none": (lambda s: Segment.open("m", stale="maybe"), ValueError, "maybe"),
    "a segment too small": (lambda s: Segment.create("tiny", size=1), (ValueError, triveni.NoSpace), "1"),
    "another kind": (lambda s: (s.mutex("m"), s.mailbox("m")), triveni.Incompatible, "mutex"),
    "too large a reservation": (lambda s: s.mailbox("b").reserve(257), triveni.TooLarge, "257"),
    "a negative reservation": (lambda s: s.mailbox("b").reserve(-1), ValueError, "size -1"),
    "a negative descriptor": (lambda s: Segment.from_fd(-1), ValueError, "-1"),
    "a closed descriptor": (lambda s: Segment.from_fd(1 << 20), OSError, "descriptor"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=[name.replace(" ", "_") for name in BAD])
def test_bad_input_gets_a_sentence_that_names_the_value(segment, bad):
    attempt, expected, shown = bad
    with pytest.raises(expected) as caught:
        attempt(segment)
    assert shown in str(caught.value)
    if not isinstance(caught.value, TypeError):
        assert caught.value.errno
    segment.semaphore("afterwards", 1).wait()  # and nothing else broke


def test_a_file_that_is_no_segment_is_refused(name):
    file = Path("/dev/shm") / f"triveni.{name}"
    for content in (b"", b"x", os.urandom(100_000)):
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises((triveni.Corrupt, triveni.Incompatible)) as caught:
            Segment.open(name)
        assert name in str(caught.value)


def test_a_segment_overwritten_with_random_bytes_raises_and_never_crashes(segment, other, name):
    """The objects go on in a process of their own, so that a crash would show as its end."""
    peer = other("""
s, m, b, r = segment.semaphore('s'), segment.mutex('m'), segment.mailbox('b'), segment.ring('r')
p, c = r.producer(), r.consumer()
l, o, w = segment.semaphore('l', 2, leased=True), segment.monitor('o'), segment.rwlock('w')
d, e, k = segment.barrier('d', 2), segment.event('e'), o.condition('k')
l.wait(), o.enter(), w.write()
say('ready'); go()
""")
    peer.says("ready")
    peer.kill()
    code = f"""
import os, triveni
segment = triveni.Segment.open({name!r})
s, m, b, r = segment.semaphore('s'), segment.mutex('m'), segment.mailbox('b'), segment.ring('r')
p, c = r.producer(), r.consumer()
l, o, w = segment.semaphore('l'), segment.monitor('o'), segment.rwlock('w')
d, e, k = segment.barrier('d', 2), segment.event('e'), o.condition('k')
l.try_wait(), o.enter(), w.read()
file = os.open('/dev/shm/triveni.{name}', os.O_RDWR)
os.pwrite(file, os.urandom(os.fstat(file).st_size - 4096), 4096)
uses = [lambda: s.wait(.01), s.post, s.value, lambda: m.lock(.01), m.unlock, m.holder, lambda: b.send(b'x', .01),
        lambda: b.receive(.01), lambda: b.peek(.01), lambda: len(b), lambda: b.reserve(9, .01).commit(),
        lambda: p.write(b'x', .01), lambda: c.read(.01), lambda: c.peek(.01), segment.objects, segment.participants,
        lambda: l.wait(.01), lambda: l.wait(.01, n=2), l.post, lambda: l.post(2), l.value, lambda: o.enter(.01), o.leave,
        o.recover, o.holder, lambda: o.condition('new'), lambda: k.wait(.01), k.signal, k.broadcast,
        lambda: w.read(.01), lambda: w.write(.01), w.unlock, w.writer, w.readers, w.try_read, w.try_write,
        lambda: d.wait(.01), d.try_wait, d.reset, d.arrived, lambda: d.broken, lambda: e.wait_any(1, .01),
        lambda: e.wait_all(3, .01, clear=True), lambda: e.set(1), lambda: e.clear(1), e.flags,
        segment.waits, segment.deadlocks, segment._repr_html_, lambda: segment.watch().close(),
        segment.sweep, lambda: segment.mailbox('new'), lambda: segment.remove('b'),
        lambda: repr([segment, s, m, b, r, p, c, l, o, w, d, e, k])]
for use in uses:
    try: use()
    except (triveni.Panic, SystemError): raise
    except (triveni.Error, OSError, ValueError, OverflowError): pass
print('whole', flush=True)
os._exit(0)
"""
    again = other(code)
    assert again.line() == "whole"
    again.ends()


def test_an_exception_of_a_number_of_its_own_is_passed_on(segment):
    class Number:
        def __index__(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segment.mailbox("m").receive_many(Number())
