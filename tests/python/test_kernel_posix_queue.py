"""POSIX message queues."""

import itertools
import os
import select
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
        kernel.PosixQueue.open("/py-none")
    except tvn.Unsupported:
        return True
    except FileNotFoundError:
        pass
    return False


pytestmark = pytest.mark.skipif(absent(), reason="this system has no such queues")


@pytest.fixture
def place():
    """A name that is fresh now and gone afterwards."""
    name = f"/py-{os.getpid()}-{next(_numbers)}"
    yield name
    try:
        kernel.PosixQueue.unlink(name)
    except FileNotFoundError:
        pass


@pytest.fixture
def queue(place):
    with kernel.PosixQueue.create(place, capacity=3, message_size=16) as made:
        yield made


def test_the_highest_priority_comes_first_and_among_equals_the_oldest(queue):
    queue.send(b"a", priority=1)
    queue.send(bytearray(b"b"), priority=32767)
    assert queue.try_send(memoryview(b"c"), priority=1)
    assert len(queue) == 3 and not queue.try_send(b"d")
    assert queue.receive_envelope() == (b"b", 32767)
    assert queue.receive() == b"a"
    assert queue.try_receive_envelope() == (b"c", 1)
    assert queue.try_receive() is None and queue.try_receive_envelope() is None
    assert queue and len(queue) == 0
    with pytest.raises(ValueError, match="32767"):
        queue.send(b"", priority=32768)


def test_names_go_with_and_without_a_slash_and_what_is_there_is_said(place, queue):
    assert kernel.PosixQueue.open(place[1:]).name == place
    with pytest.raises(FileExistsError):
        kernel.PosixQueue.create(place)
    with pytest.raises(tvn.Incompatible, match="3 messages of 16 bytes"):
        kernel.PosixQueue.open_or_create(place, capacity=4)
    with kernel.PosixQueue.open_or_create(place, capacity=3) as same:
        assert (same.capacity, same.message_size) == (3, 16)
    kernel.PosixQueue.unlink(place)
    with pytest.raises(FileNotFoundError):
        kernel.PosixQueue.open(place)
    for bad in "", "/a/b", "..", "a\0b":
        with pytest.raises(ValueError):
            kernel.PosixQueue.open(bad)


def test_limits_are_named_with_their_files(place):
    with pytest.raises(ValueError, match="/proc/sys/fs/mqueue/msg_max"):
        kernel.PosixQueue.create(place, capacity=1 << 20)
    with pytest.raises(ValueError, match="/proc/sys/fs/mqueue/msgsize_max"):
        kernel.PosixQueue.create(place, message_size=1 << 30)


def test_what_does_not_fit_is_refused_and_nothing_is_lost(queue):
    with pytest.raises(tvn.TooLarge, match="17 bytes"):
        queue.send(bytes(17))
    queue.send(b"short")
    with pytest.raises(tvn.TooLarge):
        queue.receive_into(bytearray(15))
    buffer = bytearray(20)
    assert queue.receive_into(buffer) == 5 and buffer[:6] == b"short\0"
    assert queue.try_receive_into(buffer) is None


def test_deadlines(queue):
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        queue.receive(timeout=0.05)
    for _ in range(3):
        queue.send(b"x", timeout=0)
    with pytest.raises(TimeoutError):
        queue.send(b"x", timeout=0.05)
    assert time.monotonic() - begin >= 0.1


def test_a_wait_lets_other_threads_run_and_ends_with_a_message(queue):
    sender = threading.Timer(0.02, queue.send, [b"late"])
    sender.start()
    assert queue.receive(timeout=60) == b"late"
    sender.join()


def test_access_and_mode(place):
    with kernel.PosixQueue.create(place, capacity=1, message_size=8, mode=0o622) as queue:
        info = queue.info()
        assert (info.name, info.mode, info.uid, info.messages, info.bytes) == (place, 0o622, os.getuid(), 0, 0)
    with kernel.PosixQueue.open(place, access="send") as sender:
        sender.send(b"x")
        with pytest.raises(OSError, match="for sending only"):
            sender.receive()
        assert sender.info().bytes is None
    with kernel.PosixQueue.open(place, access="receive") as receiver:
        assert receiver.receive() == b"x"
    with pytest.raises(ValueError, match="access"):
        kernel.PosixQueue.open(place, access="all")


def test_an_owned_queue_goes_with_its_handle_and_not_with_a_childs(place):
    queue = kernel.PosixQueue.create(place, owned=True)
    child = os.fork()
    if child == 0:
        queue.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    kernel.PosixQueue.open(place).close()
    queue.close()
    with pytest.raises(FileNotFoundError):
        kernel.PosixQueue.open(place)


def test_a_closed_queue_says_so(place):
    queue = kernel.PosixQueue.create(place, capacity=1, message_size=8)
    assert place in repr(queue) and "0 of 1" in repr(queue)
    queue.close()
    queue.close()
    assert "closed" in repr(queue)
    for call in queue.receive, queue.try_receive, queue.fileno, queue.info, lambda: queue.send(b"x"), lambda: len(queue):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_select_and_a_wait_set_wait_for_it(queue):
    assert select.select([queue], [queue], [], 0) == ([], [queue], [])
    waits = tvn.WaitSet()
    waits.add_fd(queue)
    assert not waits.try_wait()
    queue.send(b"x")
    assert select.select([queue], [], [], 60)[0] == [queue]
    assert len(waits.wait(timeout=60)) == 1


def test_a_descriptor_becomes_a_queue_again(queue):
    queue.send(b"x")
    with kernel.PosixQueue.from_fd(os.dup(queue.fileno())) as same:
        assert same.receive() == b"x"
    reader, writer = os.pipe()
    with pytest.raises(tvn.Incompatible):
        kernel.PosixQueue.from_fd(reader)
    os.close(writer)


def test_a_signal_tells_of_a_message_once(queue):
    told = signal.SIGRTMIN + 1
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [told])
    try:
        queue.notify(told, 7)
        assert queue.info().notifies == os.getpid()
        with pytest.raises(tvn.Busy):
            queue.notify(told)
        queue.send(b"x")
        assert signal.sigtimedwait([told], 60).si_code == -3  # SI_MESGQ
        queue.receive()
        queue.notify(told)
        queue.cancel_notify()
        queue.send(b"y")
        assert signal.sigtimedwait([told], 0) is None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with pytest.raises(ValueError):
        queue.notify(1000)


def test_all_are_listed_or_the_remedy_is_told(queue):
    try:
        assert queue.name in [info.name for info in kernel.PosixQueue.list()]
    except tvn.Unsupported as error:
        assert "mount -t mqueue" in str(error)


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


def test_ctrl_c_ends_a_wait_for_ever(place, queue):
    # A program that was started in the background ignores SIGINT.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; from triveni import kernel; q = kernel.PosixQueue.open({place!r}); print('here', flush=True); q.receive()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "here\n"
        other.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in other.communicate(timeout=60)[1]
