"""File locks: on whole files, on ranges, and as lock files; with Python's own fcntl beside them."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from people import ctrl_c

import triveni as tvn
from triveni import kernel

SHORT = 0.05


def test_a_file_lock_excludes_and_its_guard_ends_it(tmp_path):
    path = tmp_path / "f"
    with kernel.FileLock.open_or_create(path) as mine, kernel.FileLock.open(path) as yours:
        with mine.lock() as guard:
            assert guard.held and mine.holders() == [os.getpid()]
            assert yours.try_lock() is None and yours.try_lock_shared() is None
            begin = time.monotonic()
            with pytest.raises(TimeoutError, match=f"process {os.getpid()} holds it"):
                yours.lock(timeout=SHORT)
            assert time.monotonic() - begin >= SHORT
        assert not guard.held and mine.holders() == []
        with mine.lock_shared(), yours.lock_shared(timeout=1):
            assert yours.try_lock() is None, "others share it"
        os.write(yours.fileno(), b"x")
        assert path.read_bytes() == b"x" and path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ValueError, match="closed"):
        mine.lock()
    with pytest.raises(FileNotFoundError):
        kernel.FileLock.open(tmp_path / "nowhere")


def test_a_file_lock_and_fcntl_flock_exclude_each_other(tmp_path):
    lock = kernel.FileLock.open_or_create(tmp_path / "f")
    with open(tmp_path / "f") as plain:
        with lock.lock(), pytest.raises(BlockingIOError):
            fcntl.flock(plain, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(plain, fcntl.LOCK_EX)
        assert lock.try_lock() is None
        same = kernel.FileLock.from_fd(os.dup(plain.fileno()))
        assert same.try_lock() is not None, "the same open file description"
        same.unlock()
        assert lock.try_lock() is not None


def test_a_wait_lets_other_threads_run_and_ends_when_the_lock_is_free(tmp_path):
    mine, yours = kernel.FileLock.open_or_create(tmp_path / "f"), kernel.FileLock.open(tmp_path / "f")
    guard = mine.lock()
    waits = threading.Thread(target=lambda: yours.lock().unlock())
    waits.start()
    guard.unlock()
    waits.join()


def test_a_forked_child_has_the_lock_too_and_its_with_block_does_not_end_it(tmp_path):
    mine, yours = kernel.FileLock.open_or_create(tmp_path / "f"), kernel.FileLock.open(tmp_path / "f")
    with mine.lock() as guard:
        child = os.fork()
        if child == 0:
            guard.__exit__()
            os._exit(0 if yours.try_lock() is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    child = os.fork()
    if child == 0:
        mine.lock()
        os.kill(os.getppid(), 0)
        signal.pause()
    while yours.try_lock() is not None:  # until the child has the lock, and with it we
        yours.unlock()
    mine.unlock()
    assert yours.try_lock() is not None, "one unlocks for both"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_ranges_exclude_where_they_overlap_and_say_what_is_in_the_way(tmp_path):
    path = tmp_path / "f"
    mine, yours = kernel.RangeLock.open_or_create(path), kernel.RangeLock.open(path)
    with mine.lock(10, 10):
        assert yours.try_lock(0, 11) is None and yours.try_lock_shared() is None
        with yours.lock(0, 10, timeout=1), yours.lock(start=20):
            pass
        blocker = yours.blocker(0)
        assert (blocker.exclusive, blocker.start, blocker.last, blocker.pid) == (True, 10, 19, None)
        with pytest.raises(TimeoutError, match="lock bytes 5 to 14 of file .* somebody has bytes 10 to 19"):
            yours.lock(5, 10, timeout=SHORT)
        mine.unlock(15, 1)
        assert yours.blocker(15, 1) is None and yours.blocker(14).last == 14
    assert yours.blocker() is None
    with mine.lock_shared(), yours.lock_shared():
        assert not yours.blocker(exclusive=True).exclusive
    with mine.lock(2**62):
        assert yours.blocker().last is None
    for start, length in [(0, 0), (2**63, None), (2**63 - 1, 2), (2**64 - 1, 2**64 - 1)]:
        with pytest.raises(ValueError):
            mine.lock(start, length)


def test_a_range_of_a_file_that_may_only_be_read_is_locked_shared_only(tmp_path):
    path = tmp_path / "f"
    path.touch()
    lock = kernel.RangeLock.from_fd(os.open(path, os.O_RDONLY))
    lock.lock_shared().unlock()
    with pytest.raises(OSError, match="needs it open for writing") as raised:
        lock.lock()
    assert raised.value.errno == errno.EBADF
    with pytest.raises(OSError, match="open for writing"):
        lock.lock(timeout=SHORT)


def test_the_older_locks_exclude_ranges_and_name_their_process(tmp_path):
    path = tmp_path / "f"
    lock = kernel.RangeLock.open_or_create(path)
    program = (
        "import fcntl, sys\nfile = open(sys.argv[1], 'r+b')\nfcntl.lockf(file, fcntl.LOCK_EX, 3, 4)\n"
        "print('holding', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "holding\n"
        blocker = lock.blocker()
        assert (blocker.start, blocker.last, blocker.pid) == (4, 6, other.pid)
        with pytest.raises(TimeoutError, match=f"process {other.pid} has bytes 4 to 6"):
            lock.lock(timeout=SHORT)
        other.kill()
        lock.lock(timeout=30).unlock()


def test_a_lock_file_stands_as_long_as_its_guard(tmp_path):
    path = tmp_path / "lock"
    lock = kernel.LockFile(path)
    assert lock.holder() is None and lock.path == path
    with lock.lock() as guard:
        assert path.read_text().split("\n")[0] == f"{os.getpid():10}"
        holder = kernel.LockFile(path).holder()
        assert (holder.pid, holder.alive) == (os.getpid(), True) and holder.program
        assert guard.left_by is None and guard.path == path
        assert lock.try_lock() is None
        with pytest.raises(TimeoutError, match=f"process {os.getpid()} .* has it"):
            lock.lock(timeout=SHORT)
        with pytest.raises(FileExistsError):
            os.open(path, os.O_CREAT | os.O_EXCL)
    assert not path.exists()
    guard.unlock()
    guard = lock.try_lock()
    path.unlink()
    with pytest.raises(tvn.NotOwner, match="somebody has removed it"):
        guard.unlock()
    with pytest.raises(FileNotFoundError):
        kernel.LockFile(tmp_path / "nowhere" / "lock").lock()


def killed_with(path):
    program = (
        "import sys\nfrom triveni import kernel\nguard = kernel.LockFile(sys.argv[1]).lock()\n"
        "print('holding', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "holding\n"
        assert kernel.LockFile(path).holder().alive
        other.kill()
    return other.pid


def test_one_that_a_dead_process_left_is_recognised_and_taken_over_when_asked(tmp_path):
    path = tmp_path / "lock"
    pid = killed_with(path)
    assert path.exists(), "a lock file outlives its maker"
    for wait in (kernel.LockFile(path).lock, kernel.LockFile(path).try_lock):
        with pytest.raises(tvn.PeerDead, match=f"process {pid} .* is dead"):
            wait()
    with kernel.LockFile(path, take_over=True).lock() as guard:
        assert (guard.left_by.pid, guard.left_by.alive) == (pid, False)
        assert kernel.LockFile(path).holder().pid == os.getpid()
        assert kernel.LockFile(path, take_over=True).try_lock() is None
    assert not path.exists()


def test_one_of_another_program_is_waited_for_and_never_taken(tmp_path):
    path = tmp_path / "lock"
    for text in (b"", b"\xff\xfe garbage", b"1\n", f"{2**22 + 1:10}\n".encode()):
        path.write_bytes(text)
        lock = kernel.LockFile(path, take_over=True)
        assert lock.holder().alive is None
        assert lock.try_lock() is None
        with pytest.raises(TimeoutError, match="remove"):
            lock.lock(timeout=SHORT)
    threading.Timer(SHORT, path.unlink).start()
    lock.lock(timeout=30).unlock()


def test_a_forked_child_neither_has_a_lock_file_nor_removes_it(tmp_path):
    lock = kernel.LockFile(tmp_path / "lock")
    with lock.lock() as guard:
        child = os.fork()
        if child == 0:
            try:
                guard.unlock()
            except tvn.NotOwner:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert lock.holder().pid == os.getpid()


def test_ctrl_c_ends_each_wait_and_python_handlers_move_no_deadline(tmp_path):
    path = tmp_path / "f"
    held = [kernel.FileLock.open_or_create(path).lock(), kernel.RangeLock.open(path).lock()]
    held.append(kernel.LockFile(tmp_path / "lock").lock())
    waits = [kernel.FileLock.open(path).lock, kernel.RangeLock.open(path).lock, kernel.LockFile(tmp_path / "lock").lock]
    rang = []
    before = signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
    try:
        for wait in waits:
            signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
            begin = time.monotonic()
            with pytest.raises(TimeoutError):
                wait(timeout=SHORT)
            assert time.monotonic() - begin >= SHORT and rang
            signal.setitimer(signal.ITIMER_REAL, 0)
        for wait in waits:
            assert ctrl_c(wait)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(held) == 3
