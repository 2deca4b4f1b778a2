"""Semaphores, POSIX and System V."""

import itertools
import os
import signal
import threading
import time

import pytest
from people import ctrl_c, until

import triveni as tvn
from triveni import kernel

_numbers = itertools.count()


@pytest.fixture
def name():
    fresh = f"/triveni-py-sem-{os.getpid()}-{next(_numbers)}"
    yield fresh
    try:
        kernel.PosixSemaphore.unlink(fresh)
    except FileNotFoundError:
        pass


@pytest.fixture
def sysv():
    try:
        kernel.SysvSemaphores.list()
    except tvn.Unsupported:
        pytest.skip("this system has no System V IPC")
    with kernel.SysvSemaphores.create(None, [1, 0, 5], owned=True) as made:
        yield made


def test_a_name_is_created_opened_and_unlinked(name):
    with pytest.raises(FileNotFoundError, match="create makes one"):
        kernel.PosixSemaphore.open(name)
    made = kernel.PosixSemaphore.create(name, 2)
    with pytest.raises(FileExistsError):
        kernel.PosixSemaphore.create(name, 2)
    same = kernel.PosixSemaphore.open_or_create(name[1:], 9)
    assert (same.name, same.value()) == (name, 2)
    with same:
        assert made.value() == 1
    assert made.value() == 2 and "value 2" in repr(made)
    kernel.PosixSemaphore.unlink(name)
    with pytest.raises(FileNotFoundError):
        kernel.PosixSemaphore.unlink(name)
    same.close()
    same.close()
    with pytest.raises(ValueError, match="closed"):
        same.post()
    assert "closed" in repr(same)


def test_waits_end_with_a_permit_or_their_timeout(name, sysv):
    posix = kernel.PosixSemaphore.create(name, owned=True)
    for wait, try_wait, post in (
        (posix.wait, posix.try_wait, posix.post),
        (lambda timeout: sysv.wait(1, timeout=timeout), lambda: sysv.try_wait(1), lambda: sysv.post(1)),
    ):
        assert not try_wait()
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            wait(timeout=0.03)
        assert time.monotonic() - begin >= 0.03
        poster = threading.Timer(0.02, post)
        poster.start()
        wait(timeout=None)
        poster.join()
        post()
        assert try_wait()


def test_ctrl_c_ends_a_wait(name, sysv):
    posix = kernel.PosixSemaphore.create(name, owned=True)
    for wait in (posix.wait, lambda: sysv.wait(1), lambda: sysv.operate([(0, -1), (1, -1)])):
        assert ctrl_c(wait)
    assert sysv.values() == [1, 0, 5]


def test_an_unnamed_one_lies_in_memory_of_either_kind(name, sysv):
    with (
        kernel.PosixSharedMemory.create(name, 128, owned=True) as posix,
        kernel.SysvSharedMemory.create(None, 128, owned=True) as segment,
    ):
        for memory in (posix, segment):
            made = kernel.PosixSemaphore.init_in(memory, 64, 1)
            same = kernel.PosixSemaphore.open_in(memory, 64)
            same.wait()
            assert made.value() == 0 and made.name is None
            for offset in (1, 128, 128 - kernel.PosixSemaphore.SIZE + kernel.PosixSemaphore.ALIGNMENT):
                with pytest.raises(ValueError):
                    kernel.PosixSemaphore.init_in(memory, offset)
            made.close(), same.close()
    with pytest.raises(TypeError, match="bytearray"):
        kernel.PosixSemaphore.init_in(bytearray(64), 0)


def test_too_many_permits_are_refused(name, sysv):
    posix = kernel.PosixSemaphore.create(name, 2**31 - 1, owned=True)
    with pytest.raises(OverflowError):
        posix.post()
    with pytest.raises(ValueError):
        kernel.PosixSemaphore.create("/triveni-py-none", 2**31)
    sysv.set(0, 32767)
    with pytest.raises(OverflowError):
        sysv.post(0)
    for wrong in (
        lambda: sysv.set(0, 32768),
        lambda: sysv.set(3, 0),
        lambda: sysv.post(0, 0),
        lambda: sysv.wait(70000),
        lambda: sysv.set_all([1]),
        lambda: sysv.operate([]),
        lambda: sysv.operate([(0, 40000)]),
        lambda: sysv.operate([(9, 1)]),
        lambda: kernel.SysvSemaphores.create(None, []),
        lambda: kernel.SysvSemaphores.open(None),
    ):
        with pytest.raises(ValueError):
            wrong()
    for wrong in (lambda: sysv.operate([0]), lambda: sysv.operate([("a", 1)]), lambda: sysv.operate(5)):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(tvn.TooLarge, match="/proc/sys/kernel/sem is"):
        sysv.operate([(0, 0)] * 40000)


def test_several_operations_happen_at_once_or_not_at_all(sysv):
    both = [(0, -1), kernel.SemaphoreOperation(1, -1), (2, -2, False)]
    assert not sysv.try_operate(both)
    with pytest.raises(TimeoutError):
        sysv.operate(both, timeout=0.01)
    assert sysv.values() == [1, 0, 5]
    sysv.post(1)
    sysv.operate(both)
    assert sysv.values() == [0, 0, 3] and len(sysv) == 3
    sysv.operate([(0, 0)])
    assert repr(kernel.SemaphoreOperation(1, 2, True)) == "triveni.kernel.SemaphoreOperation(1, +2, undo=True)"


def test_who_waits_is_counted_and_removal_wakes_him(sysv):
    ended = []

    def wait():
        with pytest.raises(tvn.Removed):
            sysv.wait(1)
        ended.append(True)

    waiter = threading.Thread(target=wait)
    waiter.start()
    until(lambda: sysv.semaphore_info(1).waiting == 1)
    sysv.remove()
    waiter.join()
    assert ended
    with pytest.raises(tvn.Removed):
        sysv.values()


def test_undo_gives_back_what_the_killed_have_taken(sysv):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        kernel.SysvSemaphores.open_id(sysv.id, undo=True).wait(2, 3)
        sysv.operate([(0, -1, True)])
        sysv.wait(2, 1)
        os.write(writer, b"x")
        signal.pause()
    os.read(reader, 1)
    assert sysv.values() == [0, 0, 1]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader), os.close(writer)
    assert sysv.values() == [1, 0, 4]


def test_a_set_tells_about_itself(sysv):
    sysv.set_all([7, 8, 9])
    sysv.post(0)
    info = sysv.semaphore_info(0)
    assert (info.value, info.waiting, info.waiting_for_zero, info.last_pid) == (8, 0, 0, os.getpid())
    whole = sysv.info()
    assert (whole.id, whole.key, whole.count, whole.mode) == (sysv.id, None, 3, 0o600) and whole.operated_at > 0
    assert [row.count for row in kernel.SysvSemaphores.list() if row.id == sysv.id] == [3]
    assert "values [8, 8, 9]" in repr(sysv)


def test_a_set_is_found_by_its_key(sysv):
    key = kernel.sysv_key(__file__, 1 + os.getpid() % 255)
    with kernel.SysvSemaphores.create(key, [4], owned=True) as made:
        with pytest.raises(FileExistsError):
            kernel.SysvSemaphores.create(key, [4])
        with pytest.raises(tvn.Incompatible):
            kernel.SysvSemaphores.open_or_create(key, [4, 4])
        with kernel.SysvSemaphores.open(key) as same, kernel.SysvSemaphores.open_or_create(key, [9]) as third:
            assert made.id == same.id == third.id and third.value(0) == 4
    with pytest.raises(FileNotFoundError):
        kernel.SysvSemaphores.unlink(key)
