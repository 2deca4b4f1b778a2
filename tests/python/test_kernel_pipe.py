"""Pipes and FIFOs: bytes, messages, deadlines, Ctrl-C, fork, and Python's own tools at the other end."""

import errno
import os
import select
import signal
import subprocess
import sys
import threading
import time

import pytest
from people import ctrl_c
import triveni as tvn
from hypothesis import given, settings
from hypothesis import strategies as st
from triveni import kernel


@pytest.fixture
def ends():
    reader, writer = kernel.pipe()
    with reader, writer:
        yield reader, writer


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=20))
def test_messages_arrive_as_they_were_sent(messages):
    reader, writer = kernel.pipe()
    with reader:
        with writer:
            for message in messages:
                writer.send(message)
        assert [reader.receive() for _ in messages] == messages
        with pytest.raises(tvn.Closed):
            reader.receive()


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_on_a_stream_is_an_error_and_never_more(garbage):
    reader, writer = kernel.pipe()
    with reader:
        with writer:
            writer.send_all(garbage)
        total = 0
        try:
            while True:
                total += 4 + len(reader.receive(max_size=100))
        except (tvn.Closed, tvn.TooLarge):
            assert total <= len(garbage)


def test_bytes_and_deadlines(ends):
    reader, writer = ends
    assert reader.try_read() is None and reader.try_receive() is None and len(reader) == 0
    with pytest.raises(TimeoutError):
        reader.read(timeout=0.01)
    assert writer.write(b"abcdef") == 6
    assert len(reader) == 6 and reader.read(2) == b"ab"
    buffer = bytearray(3)
    assert reader.read_into(buffer) == 3 and buffer == b"cde"
    writer.send_all(memoryview(b"ghi"))
    assert reader.receive_exact(4) == b"fghi"
    with pytest.raises(TimeoutError):
        reader.receive_exact(1, timeout=0)
    writer.close()
    assert reader.read() == b""
    with pytest.raises(tvn.Closed, match="after 0 of them"):
        reader.receive_exact(1)


def test_a_message_that_is_too_large_stays(ends):
    reader, writer = ends
    writer.send(b"x" * 100)
    with pytest.raises(tvn.TooLarge, match="max_size=10"):
        reader.receive(max_size=10)
    assert reader.receive() == b"x" * 100


def test_a_hostile_length_takes_no_memory(ends):
    reader, writer = ends
    writer.send_all(b"\xff\xff\xff\xff")
    with pytest.raises(tvn.TooLarge):
        reader.receive(timeout=1)


def test_a_size_beyond_all_memory_asks_for_what_there_is(ends):
    reader, writer = ends
    writer.write(b"bytes")
    assert reader.read(1 << 62) == b"bytes"
    assert reader.try_read(1 << 62) is None


def test_a_long_message_that_timed_out_is_kept_and_flushed(ends):
    reader, writer = ends
    size = 4 * writer.set_capacity(4096)
    message = bytes(range(256)) * (size // 256)
    with pytest.raises(TimeoutError, match="do not send it again"):
        writer.send(message, timeout=0.01)
    assert writer.unsent == size + 4 - 4096
    reads = threading.Thread(target=lambda: received.append(reader.receive(timeout=30)))
    received = []
    reads.start()
    writer.flush(timeout=30)
    reads.join()
    assert received == [message] and writer.unsent == 0
    assert writer.try_send(b"x" * size) and writer.unsent > 0  # begun: the rest goes later
    assert reader.try_receive() is None


def test_without_a_reader_a_write_is_closed(ends):
    reader, writer = ends
    reader.close()
    for write in (writer.write, writer.send_all, writer.send, writer.try_write, writer.try_send):
        with pytest.raises(tvn.Closed) as caught:
            write(b"x")
        assert caught.value.errno == errno.EPIPE


def test_an_end_serves_one_thread_at_a_time_and_cannot_be_closed_under_it(ends):
    reader, writer = ends
    waits = threading.Thread(target=lambda: got.append(reader.receive(timeout=60)))
    got = []
    waits.start()
    while True:
        try:
            reader.try_read()
        except tvn.Busy:
            break
    with pytest.raises(tvn.Busy):
        reader.close()
    writer.send(b"now")
    waits.join()
    assert got == [b"now"]
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.read()
    assert "closed" in repr(reader)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_uses_and_closes_an_end_that_a_thread_of_its_parent_was_using(ends):
    reader, writer = ends
    long = bytes(1 << 20)
    sends = threading.Thread(target=lambda: writer.send(long, timeout=60))
    sends.start()
    while len(reader) < reader.capacity:  # then it is in the middle, and waits for room
        pass
    with pytest.raises(tvn.Busy):
        writer.unsent
    go, ready = kernel.pipe()
    child = os.fork()
    if child == 0:
        try:
            assert writer.unsent == 0
            go.receive(timeout=60)
            writer.send(b"mine", timeout=60)
            writer.close()
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    assert reader.receive(timeout=60) == long
    sends.join()
    writer.close()
    ready.send(b"go")
    assert reader.receive(timeout=60) == b"mine"
    assert os.waitpid(child, 0)[1] == 0
    with pytest.raises(tvn.Closed):
        reader.receive(timeout=60)


def test_ctrl_c_ends_a_wait_and_pythons_handlers_run(ends):
    reader, _writer = ends
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(time.monotonic()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            reader.receive(timeout=0.2)
        assert time.monotonic() - begin >= 0.2 and len(seen) > 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert ctrl_c(reader.receive)


def test_select_and_wait_sets_take_an_end(ends):
    reader, writer = ends
    assert select.select([reader], [writer], [], 0) == ([], [writer], [])
    with tvn.WaitSet() as waits:
        token = waits.add_fd(reader)
        assert waits.try_wait() == []
        writer.send(b"x")
        assert [member.token for member in waits.wait(timeout=10)] == [token]


def test_subprocess_takes_an_end():
    reader, writer = kernel.pipe()
    with subprocess.Popen(["cat"], stdin=reader, stdout=subprocess.PIPE) as cat:
        reader.close()
        with writer:
            writer.send_all(b"through cat")
        assert cat.stdout.read() == b"through cat"


def test_the_child_gets_one_end_and_the_parent_the_other():
    pid, end = kernel.pipe_to_child()
    if pid == 0:
        try:
            os._exit(7 if end.receive() == b"hello" and end.read() == b"" else 1)
        finally:
            os._exit(2)
    with end:
        end.send(b"hello")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    pid, end = kernel.pipe_from_child()
    if pid == 0:
        end.send(b"back")
        os._exit(0)
    with end:
        assert end.receive() == b"back" and end.read() == b""
    os.waitpid(pid, 0)


def test_a_fifo_and_a_plain_program(tmp_path):
    path = tmp_path / "fifo"
    with kernel.Fifo.create(path, owned=True) as fifo:
        assert fifo.try_reader() is None and fifo.try_writer() is None
        with pytest.raises(TimeoutError, match="nobody writes"):
            fifo.reader(timeout=0.02)
        program = f"open({str(path)!r}, 'wb').write(b'plain')"
        with subprocess.Popen([sys.executable, "-c", program]) as other:
            with fifo.reader(timeout=60) as reader:
                assert reader.receive_exact(5) == b"plain" and reader.read() == b""
            assert other.wait() == 0
        with pytest.raises(FileExistsError, match="owns it"):
            kernel.Fifo.create(path)
        assert kernel.Fifo.open(path).path == path and kernel.Fifo.open_or_create(path)
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        kernel.Fifo.open(path)
    path.write_text("")
    with pytest.raises(tvn.Incompatible):
        kernel.Fifo.open(path)
    with pytest.raises(ValueError, match="closed"):
        fifo.reader()


def test_bad_arguments(ends):
    reader, writer = ends
    for call in (lambda: reader.read(-1), lambda: writer.set_capacity(0), lambda: kernel.PipeReader.from_fd(-1)):
        with pytest.raises(ValueError):
            call()
    for call in (lambda: writer.send("text"), lambda: reader.read("many"), lambda: reader.receive("soon")):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ValueError, match="1 to 2147483647"):
        writer.set_capacity(1 << 31)
