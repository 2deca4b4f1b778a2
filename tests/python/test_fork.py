"""fork, spawn, forkserver and pickle: what goes over, and what says that it does not."""

import multiprocessing
import os
import pickle

import pytest
from people import in_child, refused

import triveni
from triveni import Segment


def test_objects_go_on_in_the_child_as_those_of_another_participant(segment):
    semaphore, box, mutex = segment.semaphore("s"), segment.mailbox("m"), segment.mutex("l")

    def child():
        with mutex:
            box.send(str(os.getpid()).encode())
        semaphore.post()
        return [p.pid for p in segment.participants() if p.alive] == [os.getppid(), os.getpid()]

    in_child(child)
    semaphore.wait(timeout=30)
    assert int(box.receive()) != os.getpid()


def test_an_anonymous_segment_is_inherited():
    with Segment.anonymous(size=1 << 20) as segment:
        box = segment.mailbox("m")
        in_child(lambda: box.send(b"from the child") is None)
        assert box.receive() == b"from the child"


def test_roles_grants_and_guards_stay_with_the_parent(segment):
    ring = segment.ring("r")
    producer, consumer = ring.producer(), ring.consumer()
    producer.write(b"a")
    room, record, guard = producer.reserve(4), consumer.peek(), segment.mutex("m").lock()

    def child():
        uses = (
            lambda: producer.write(b"x"), consumer.read, room.commit, room.cancel, record.release,
            guard.unlock, guard.recover, guard.__enter__,
        )
        producer.close(), consumer.close()  # letting go of what is not ours is nothing to complain about
        return all(refused(triveni.Forked, use) for use in uses) and "parent" in repr(producer) and not guard.held

    in_child(child)
    room.commit()
    assert bytes(record) == b"a"
    record.release()
    assert consumer.read() == bytes(4)
    guard.unlock()


def test_what_a_mailbox_a_service_or_a_cell_has_lent_is_forked_in_the_child(segment):
    box, service, cell = segment.mailbox("m"), segment.service("s"), segment.cell("c", 4)
    box.send(b"lent")
    loan, lent, store, question = box.reserve(4), box.borrow(), cell.reserve(), service.reserve(4)
    call = service.start(b"first")
    request = service.receive()
    answer = request.answer(4)

    def child():
        uses = [
            loan.commit, loan.cancel, lent.release, lent.give_back, store.commit, store.cancel, question.send,
            question.cancel, call.wait, call.try_wait, answer.commit, lambda: request.is_cancelled,
            lambda: request.reply(b"x"), lambda: request.fail("x"), lambda: bytes(request),
        ] + [lambda held=held: memoryview(held) for held in (loan, lent, store, question, request, answer)]
        uses = [use for use in uses for _ in range(2)]  # and it stays so
        wrong = [i // 2 for i, use in enumerate(uses) if not refused(triveni.Forked, use)]
        call.cancel()  # letting go of what is not ours is nothing to complain about
        assert not wrong, wrong
        return True

    in_child(child)
    loan.commit()
    lent.release()
    assert store.commit() == 1
    question.cancel()
    assert request.reply(b"last") and call.wait() == b"last"


def test_a_child_that_drops_what_it_inherited_takes_nothing_from_the_parent(segment):
    ring, box = segment.ring("r"), segment.mailbox("b")
    held = {"p": ring.producer(), "c": ring.consumer(), "loan": box.reserve(4), "guard": segment.mutex("m").lock()}
    held["room"] = held["p"].reserve(4)

    def child():
        held.clear()
        return refused(triveni.Busy, ring.producer)

    in_child(child)
    held["room"].commit()
    held["loan"].commit()
    held["guard"].unlock()
    assert held["c"].read() == bytes(4) and box.receive() == bytes(4)


def test_what_the_parent_holds_stays_the_parents(segment):
    monitor, lock, room = segment.monitor("o"), segment.rwlock("w"), segment.semaphore("l", 2, leased=True)
    other = segment.rwlock("x")
    inside, reading, writing = monitor.enter(), lock.read(), other.write()
    room.wait()

    def child():
        stale = (
            inside.leave, inside.recover, inside.__enter__, reading.unlock, reading.__enter__,
            writing.unlock, writing.downgrade, writing.recover,
        )  # fmt: skip
        own = (monitor.leave, lock.unlock, other.unlock, room.post, monitor.condition("c").wait)
        return (
            all(refused(triveni.Forked, use) for use in stale)
            and all(refused(triveni.NotOwner, use) for use in own)
            and monitor.try_enter() is None and lock.try_write() is None and other.try_read() is None
            and not inside.held and lock.read().held and lock.readers() == 2
        )  # fmt: skip

    in_child(child)
    inside.leave(), reading.unlock(), writing.unlock(), room.post()
    for use in (monitor.enter, lock.write, other.write):
        with use() as guard:
            assert not guard.owner_died


def test_a_mutex_that_the_parent_holds_is_not_the_childs(segment):
    mutex = segment.mutex("m")
    with mutex:
        in_child(lambda: mutex.try_lock() is None and refused(triveni.NotOwner, mutex.unlock))


def test_a_child_that_dies_with_the_lock_is_a_dead_holder(segment):
    mutex = segment.mutex("m")
    in_child(lambda: mutex.lock() and True)
    with mutex.lock(timeout=30) as guard:
        assert guard.owner_died
        guard.recover()


def test_everything_with_a_name_is_pickled_by_it(segment):
    objects = [segment.semaphore("s", 2), segment.mutex("m"), segment.mailbox("b", 3, 8), segment.ring("r", 4096)]
    monitor, lock, room = segment.monitor("o"), segment.rwlock("w", "fair"), segment.semaphore("l", 3, leased=True)
    objects += [monitor, monitor.condition("c"), lock, room, segment.barrier("p", 7), segment.event("e", 5)]
    for before in [segment, *objects]:
        after = pickle.loads(pickle.dumps(before))
        assert type(after) is type(before) and after.name == before.name
    box = pickle.loads(pickle.dumps(objects[2]))
    assert (box.capacity, box.message_size) == (3, 8)
    box.send(b"same")
    assert objects[2].receive() == b"same"
    condition, lock, room, barrier, event = (pickle.loads(pickle.dumps(before)) for before in objects[5:])
    assert (lock.policy, room.max, room.leased, barrier.parties, event.flags()) == ("fair", 3, True, 7, 5)
    with monitor:
        condition.wait_for(lambda: True)
    with pytest.raises(triveni.NotOwner):
        condition.wait()


def test_what_has_no_name_refuses_to_be_pickled(name, segment):
    ring = segment.ring("r")
    producer = ring.producer()
    with Segment.anonymous(size=1 << 20) as anonymous:
        for unnamed in (anonymous, anonymous.mailbox("m")):
            with pytest.raises(ValueError, match="anonymous"):
                pickle.dumps(unnamed)
    guards = segment.mutex("l").lock(), segment.monitor("o").enter(), segment.rwlock("w").read(), segment.watch()
    for handle in (producer, producer.reserve(1), segment.mailbox("m").reserve(1), *guards, triveni.WaitSet()):
        with pytest.raises(TypeError):
            pickle.dumps(handle)
    Segment.unlink(name)
    with pytest.raises(ValueError, match="unlinked"):
        pickle.dumps(ring)


def test_a_pickle_of_an_object_that_is_gone_says_so(segment):
    frozen = pickle.dumps(segment.semaphore("s"))
    segment.remove("s")
    with pytest.raises(FileNotFoundError):
        pickle.loads(frozen)


def serve(requests, answers, mutex, done, meeting, lock, monitor, changed, flags, room):
    with mutex, room, lock.read():
        answers.send(requests.receive(timeout=30).upper())
    meeting.wait(timeout=30)
    flags.wait_any(1, timeout=30)
    with monitor:
        changed.signal()
    done.post()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_objects_are_arguments_of_a_process(segment, method):
    context = multiprocessing.get_context(method)
    requests, answers = segment.mailbox("requests"), segment.mailbox("answers")
    done = segment.semaphore("done")
    meeting, lock, monitor = segment.barrier("meeting", 2), segment.rwlock("lock"), segment.monitor("monitor")
    changed, flags, room = monitor.condition("changed"), segment.event("flags"), segment.semaphore("l", 1, leased=True)
    shared = (requests, answers, segment.mutex("m"), done, meeting, lock, monitor, changed, flags, room)
    process = context.Process(target=serve, args=shared)
    process.start()
    requests.send(b"hello")
    assert answers.receive(timeout=30) == b"HELLO"
    meeting.wait(timeout=30)
    with monitor:
        flags.set(1)
        changed.wait_for(done.value, timeout=0.2)
    done.wait(timeout=30)
    assert lock.readers() == 0 and room.value() == 1
    process.join()
    assert process.exitcode == 0
