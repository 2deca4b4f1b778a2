"""Signals that are taken, queued, lost and dispatched; ends of children; processes that stop each other."""

import os
import select
import signal
import subprocess
import threading
import time

import pytest

import triveni
from triveni import kernel

ME = os.getpid()
RT = signal.SIGRTMIN + 2


def test_a_taken_signal_names_its_sender():
    with kernel.Signals([signal.SIGUSR1, RT]) as signals:
        assert signals.try_receive() is None
        subprocess.run(["sh", "-c", f"echo $$; kill -USR1 {ME}"], check=True)
        info = signals.receive(60)
        assert (info.signal, info.code, info.uid, info.value) == (signal.SIGUSR1, 0, os.getuid(), 0)
        assert info.pid not in (0, ME)
        kernel.queue_signal(ME, RT, -7)
        assert select.select([signals], [], [], 60)[0] == [signals]
        info = signals.receive()
        assert (info.signal, info.code, info.pid, info.value) == (RT, -1, ME, -7)
        with pytest.raises(TimeoutError, match="SIGUSR1"):
            signals.receive(timeout=0.02)
    signals.close()
    with pytest.raises(ValueError):
        signals.receive()


def test_standard_signals_coalesce_and_real_time_signals_queue():
    with kernel.Signals([signal.SIGUSR1, RT]) as signals:
        for n in range(5):
            kernel.queue_signal(ME, signal.SIGUSR1, n)
            kernel.queue_signal(ME, RT, n)
        seen = [(info.signal, info.value) for info in iter(signals.try_receive, None)]
    assert seen == [(signal.SIGUSR1, 0)] + [(RT, n) for n in range(5)]


@pytest.mark.parametrize(
    "take",
    [
        lambda over: kernel.Signals([signal.SIGUSR1, signal.SIGINT], take_over=over),
        lambda over: kernel.Handlers().on_signal(signal.SIGINT, print, take_over=over),
    ],
)
def test_pythons_handlers_are_never_replaced_silently(take):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(triveni.Busy, match="SIGINT.*take_over"):
            take(False)
        taken = take(True)
        del taken
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_of_pythons_and_taken_signals_go_together():
    hits = []
    before = signal.signal(signal.SIGUSR2, lambda *_: hits.append(1))
    try:
        with kernel.Signals([signal.SIGUSR1]) as signals:
            threading.Timer(0.05, lambda: (os.kill(ME, signal.SIGUSR2), kernel.send_signal(ME, signal.SIGUSR1))).start()
            assert signals.receive(60).signal == signal.SIGUSR1
            assert hits == [1]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_signal_between_the_check_and_the_sleep_is_not_lost():
    came = []
    before = signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
    try:
        with kernel.Mask([signal.SIGUSR1]) as mask:
            for n in range(1, 50):
                os.kill(ME, signal.SIGUSR1)
                assert len(came) == n - 1, "it is blocked"
                mask.suspend()
                assert len(came) == n
            with pytest.raises(TimeoutError):
                mask.suspend(timeout=0.02)
            os.kill(ME, signal.SIGUSR1)
        assert len(came) == 50, "it came when the mask went"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_callbacks_run_in_dispatch_alone():
    seen = []
    with kernel.Handlers() as handlers:
        handlers.on_signal(signal.SIGUSR1, lambda info: seen.append("old"))
        handlers.on_signal(signal.SIGUSR1, lambda info: seen.append(info.signal))
        handlers.on_signal(RT, lambda info: seen.append(info.value))
        for n in range(3):
            kernel.send_signal(ME, signal.SIGUSR1)
            kernel.queue_signal(ME, RT, n)
        assert seen == []
        assert handlers.dispatch(60) == 4 and seen == [signal.SIGUSR1, 0, 1, 2]
        assert handlers.try_dispatch() == 0
        with pytest.raises(TimeoutError):
            handlers.dispatch(timeout=0.02)
        handlers.on_signal(RT, lambda info: 1 / 0)
        kernel.queue_signal(ME, RT, 0)
        with pytest.raises(ZeroDivisionError):
            handlers.dispatch()


def test_children_that_ended_are_named_and_left_to_their_waiters():
    with kernel.ChildEnds() as ends:
        children = {}
        for n in range(4):
            child = kernel.spawn(["sh", "-c", f"exit {n}"])
            children[child.pid] = (child, n)
        process = subprocess.Popen(["false"])
        named = {}
        while len(named) < 5:
            named.update(ends.receive(60))
        assert named == {pid: n for pid, (_, n) in children.items()} | {process.pid: 1}
        assert ends.try_receive() == []
        assert sorted(kernel.ended_children()) == sorted(named.items())
        assert all(child.wait() == n for child, n in children.values()) and process.wait() == 1
        assert kernel.ended_children() == []


def test_the_child_of_a_thread_that_blocks_nothing_is_named():
    begin, end, children = threading.Event(), threading.Event(), []

    def start():
        begin.wait()
        children.append(kernel.spawn(["sleep", "0.1"]))
        end.wait()

    thread = threading.Thread(target=start)
    thread.start()  # before SIGCHLD is blocked: it would inherit that
    with kernel.ChildEnds() as ends:
        before = signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            assert ends.try_receive() == []  # it puts itself before the handler
            begin.set()
            [(pid, returncode)] = ends.receive(60)
        finally:
            signal.signal(signal.SIGCHLD, before)
            end.set()
            thread.join()
        assert (pid, returncode) == (children[0].pid, 0)
        children[0].wait()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            with pytest.raises(ChildProcessError, match="SIG_DFL"):
                ends.try_receive()
        finally:
            signal.signal(signal.SIGCHLD, before)


def test_refusals_are_sentences():
    with pytest.raises(ProcessLookupError, match="no process 4194305"):
        kernel.send_signal(2**22 + 1, 0)
    for pid in (0, -1):
        with pytest.raises(ValueError):
            kernel.send_signal(pid, signal.SIGTERM)
    for number in (-1, 65):
        with pytest.raises(ValueError, match="no signal"):
            kernel.send_signal(ME, number)
    for number in (signal.SIGKILL, signal.SIGSTOP):
        with pytest.raises(ValueError, match=number.name):
            kernel.Signals([number])
    assert kernel.signal_name(RT) == "SIGRTMIN+2" and kernel.signal_name(15) == "SIGTERM"
    with pytest.raises(ValueError, match="caller"):
        kernel.StopLock(ME)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_signal_to_another_users_process_names_both_users():
    pid = os.fork()
    if pid == 0:
        os.setuid(65534)
        try:
            kernel.send_signal(1, signal.SIGTERM)
        except PermissionError as error:
            os._exit(7 if "user 0" in str(error) and "user 65534" in str(error) else 1)
        os._exit(2)
    assert kernel.Child(pid).wait(60) == 7


def test_stopping_and_continuing_in_an_order():
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        kernel.stop_self()
        os.write(writer, b"Y")
        os._exit(0)
    kernel.wait_stopped(pid, 60)
    assert kernel.is_stopped(pid)
    os.write(writer, b"X")
    kernel.continue_stopped(pid, 60)
    assert os.read(reader, 1) + os.read(reader, 1) == b"XY"
    assert kernel.Child(pid).wait(60) == 0
    with pytest.raises(ProcessLookupError):
        kernel.is_stopped(pid)


def test_a_stop_lock_excludes_what_the_other_does_next():
    with kernel.spawn(["sh", "-c", "while :; do :; done"], kill_on_close=True) as child:
        lock = kernel.StopLock(child.pid)
        with lock:
            assert kernel.is_stopped(child.pid)
        deadline = time.monotonic() + 60
        while kernel.is_stopped(child.pid):
            assert time.monotonic() < deadline
        lock.lock(timeout=60)
        lock.unlock()
        with pytest.raises(TimeoutError):
            kernel.wait_stopped(child.pid, timeout=0.02)
