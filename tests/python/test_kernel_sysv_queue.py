"""System V message queues, and their keys."""

import ctypes
import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import triveni as tvn
from triveni import kernel

_numbers = itertools.count()


def absent():
    try:
        kernel.SysvQueue.list()
    except tvn.Unsupported:
        return True
    except FileNotFoundError:
        pass
    return False


pytestmark = pytest.mark.skipif(absent(), reason="this system has no such queues")


@pytest.fixture
def key():
    """A key that is fresh now, and whose queue is gone afterwards."""
    number = 0x3000_0000 | (os.getpid() & 0xF_FFFF) << 8 | next(_numbers)
    yield number
    try:
        kernel.SysvQueue.unlink(number)
    except FileNotFoundError:
        pass


@pytest.fixture
def queue(key):
    with kernel.SysvQueue.create(key) as made:
        yield made


def test_a_receiver_chooses_by_type(queue):
    for message, mtype in (b"a", 5), (bytearray(b"b"), 2), (memoryview(b"c"), 9), (b"d", 2), (b"e", 2**63 - 1):
        queue.send(message, mtype=mtype)
    assert len(queue) == 5
    assert queue.try_receive(mtype=3) is None
    assert queue.receive_envelope(mtype=-5) == (b"b", 2)
    assert queue.try_receive_envelope(except_mtype=5) == (b"c", 9)
    assert queue.receive(mtype=2**63 - 1) == b"e"
    assert queue.receive(mtype=0) == b"a"
    assert queue.receive(timeout=0, mtype=-(2**63)) == b"d"
    assert queue.try_receive_envelope() is None
    assert queue and len(queue) == 0
    with pytest.raises(ValueError, match="from 1 on"):
        queue.send(b"x", mtype=0)
    with pytest.raises(ValueError, match="not both"):
        queue.receive(mtype=1, except_mtype=1)
    with pytest.raises(ValueError):
        queue.receive(except_mtype=0)


def test_keys_and_what_is_there(key, queue):
    assert queue.key == key
    with pytest.raises(FileExistsError, match=f"{key:#x}"):
        kernel.SysvQueue.create(key)
    for same in kernel.SysvQueue.open(key), kernel.SysvQueue.open_or_create(key), kernel.SysvQueue.open_id(queue.id):
        assert (same.id, same.key) == (queue.id, key)
    kernel.SysvQueue.unlink(key)
    for gone in lambda: kernel.SysvQueue.open(key), lambda: kernel.SysvQueue.open_id(queue.id):
        with pytest.raises(FileNotFoundError):
            gone()
    with pytest.raises(tvn.Removed):
        queue.try_receive()


def test_private_queues_are_different_ones():
    with kernel.SysvQueue.create(owned=True) as a, kernel.SysvQueue.open_or_create(None, owned=True) as b:
        assert a.id != b.id and a.key is None
    with pytest.raises(FileNotFoundError):
        kernel.SysvQueue.open_id(a.id)


def test_a_key_of_a_file_is_the_c_librarys(tmp_path):
    assert kernel.sysv_key(tmp_path, 7) == ctypes.CDLL(None).ftok(os.fsencode(tmp_path), 7)
    with pytest.raises(FileNotFoundError):
        kernel.sysv_key(tmp_path / "none", 1)
    for bad in 0, 256, -1:
        with pytest.raises(ValueError):
            kernel.sysv_key(tmp_path, bad)


def test_a_key_may_be_written_with_and_without_its_sign():
    number = 0x9000_0000 | os.getpid() & 0xFF_FFFF
    with kernel.SysvQueue.create(number, owned=True) as queue:
        assert queue.key == number - 2**32
        assert kernel.SysvQueue.open(number - 2**32).id == queue.id
        assert f"{number:#x}" in repr(queue)
    for bad in 2**32, -(2**31) - 1:
        with pytest.raises(ValueError, match="32 bits"):
            kernel.SysvQueue.open(bad)


def test_what_does_not_fit_is_refused_and_nothing_is_lost():
    with kernel.SysvQueue.create(max_bytes=10, owned=True) as queue:
        queue.send(b"12345678")
        assert not queue.try_send(b"abc")
        with pytest.raises(tvn.TooLarge, match="10 bytes in all"):
            queue.send(bytes(11))
        with pytest.raises(tvn.TooLarge, match="it stays"):
            queue.receive_into(bytearray(7))
        buffer = bytearray(9)
        assert queue.receive_into(buffer) == 8 and buffer == b"12345678\0"
        assert queue.try_receive_into(buffer) is None
        queue.set_max_bytes(11)
        queue.send(bytes(11))
        assert queue.info().max_bytes == 11
        with pytest.raises(tvn.TooLarge, match="/proc/sys/kernel/msgmax"):
            queue.send(bytes(queue.message_size + 1))
        with pytest.raises(ValueError):
            queue.set_max_bytes(0)


def test_the_largest_message_arrives_whole():
    with kernel.SysvQueue.create(owned=True) as queue:
        message = os.urandom(min(queue.message_size, queue.info().max_bytes))
        queue.send(message)
        assert queue.receive() == message


def test_deadlines(queue):
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        queue.receive(timeout=0.05)
    with kernel.SysvQueue.create(max_bytes=1, owned=True) as full:
        full.send(b"x", timeout=0)
        with pytest.raises(TimeoutError):
            full.send(b"y", timeout=0.05)
    assert time.monotonic() - begin >= 0.1


def test_a_wait_in_any_thread_ends_with_a_message_or_with_the_queue(queue):
    got = []
    waiter = threading.Thread(target=lambda: got.append(queue.receive(mtype=4)))
    waiter.start()
    queue.send(b"other", mtype=3)
    queue.send(b"wanted", mtype=4)
    waiter.join()
    assert got == [b"wanted"] and queue.receive(timeout=60) == b"other"

    def removed():
        with pytest.raises(tvn.Removed):
            queue.receive()
        got.append(None)

    waiter = threading.Thread(target=removed)
    waiter.start()
    queue.remove()
    waiter.join()
    assert got[-1] is None


def test_info_and_the_list(queue):
    queue.send(b"123")
    info = queue.info()
    assert (info.id, info.key, info.mode, info.uid) == (queue.id, queue.key, 0o600, os.getuid())
    assert (info.messages, info.bytes, info.last_sender, info.last_receiver) == (1, 3, os.getpid(), 0)
    assert abs(info.sent_at - time.time()) < 100 and info.received_at == 0
    [listed] = [other for other in kernel.SysvQueue.list() if other.id == queue.id]
    assert repr(listed) == repr(info)


def test_an_owned_queue_does_not_go_with_a_childs_handle():
    queue = kernel.SysvQueue.create(owned=True)
    child = os.fork()
    if child == 0:
        queue.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    kernel.SysvQueue.open_id(queue.id)
    queue.close()
    with pytest.raises(FileNotFoundError):
        kernel.SysvQueue.open_id(queue.id)
    assert "closed" in repr(queue)
    with pytest.raises(ValueError, match="closed"):
        queue.receive()


def test_signals_are_served_during_a_wait_and_move_no_deadline(queue):
    served = []
    before = signal.signal(signal.SIGALRM, lambda *_: served.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    try:
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            queue.receive(timeout=0.1)
        assert time.monotonic() - begin >= 0.1 and served
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_ctrl_c_ends_a_wait_for_ever(queue):
    # A program that was started in the background ignores SIGINT.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; from triveni import kernel; q = kernel.SysvQueue.open({queue.key}); print('here', flush=True); q.receive()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "here\n"
        other.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in other.communicate(timeout=60)[1]
