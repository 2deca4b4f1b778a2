"""Shared memory, POSIX and System V."""

import itertools
import os
import subprocess
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest

import triveni as tvn
from triveni import kernel

_numbers = itertools.count()


def absent():
    try:
        kernel.SysvSharedMemory.list()
    except tvn.Unsupported:
        return True
    return False


sysv_only = pytest.mark.skipif(absent(), reason="this system has no System V IPC")


@pytest.fixture
def name():
    fresh = f"/triveni-py-shm-{os.getpid()}-{next(_numbers)}"
    yield fresh
    try:
        kernel.PosixSharedMemory.unlink(fresh)
    except FileNotFoundError:
        pass


@pytest.fixture(params=["posix", pytest.param("sysv", marks=sysv_only)])
def memory(request, name):
    if request.param == "posix":
        made = kernel.PosixSharedMemory.create(name, 4096, owned=True)
    else:
        made = kernel.SysvSharedMemory.create(None, 4096, owned=True)
    with made:
        yield made


def again(memory, **how):
    if isinstance(memory, kernel.PosixSharedMemory):
        return kernel.PosixSharedMemory.open(memory.name, **how)
    return kernel.SysvSharedMemory.open_id(memory.id, **how)


def test_a_name_is_created_opened_and_unlinked(name):
    with pytest.raises(FileNotFoundError, match="create makes one"):
        kernel.PosixSharedMemory.open(name)
    with kernel.PosixSharedMemory.create(name, 100) as made:
        with pytest.raises(FileExistsError):
            kernel.PosixSharedMemory.create(name, 100)
        with pytest.raises(tvn.Incompatible, match="100 bytes"):
            kernel.PosixSharedMemory.open(name, at_least=101)
        with kernel.PosixSharedMemory.open_or_create(name[1:], 100) as same:
            assert (same.name, same.size, len(same)) == (name, 100, 100)
            same.write_at(96, b"last")
            assert made.read_at(96) == made.read_at(96, 4) == b"last"
            assert os.fstat(same.fileno()).st_size == 100
    kernel.PosixSharedMemory.unlink(name)
    with pytest.raises(FileNotFoundError):
        kernel.PosixSharedMemory.unlink(name)


def test_an_array_is_the_memory_and_no_copy(memory):
    with again(memory) as same:
        here, there = np.frombuffer(memory, dtype=np.int32), np.frombuffer(same, dtype=np.int32)
        here[:] = np.arange(1024)
        assert there[1023] == 1023
        del here, there


def test_closing_under_a_live_view_is_a_buffer_error(memory):
    view = memoryview(memory)
    part = view[10:20]
    with pytest.raises(BufferError, match="view"):
        memory.close()
    view[0] = 7
    view.release()
    with pytest.raises(BufferError):
        memory.close()
    part.release()
    memory.close()
    memory.close()
    for use in (lambda: memoryview(memory), lambda: memory.read_at(), lambda: memory.write_at(0, b"x")):
        with pytest.raises(ValueError, match="closed"):
            use()
    assert "closed" in repr(memory)


def test_read_only_memory_is_read_only(memory):
    memory.write_at(0, b"abc")
    with again(memory, read_only=True) as seen:
        assert seen.read_only and not memory.read_only
        with memoryview(seen) as view:
            assert view.readonly and view[:3] == b"abc"
            with pytest.raises(TypeError):
                view[0] = 1
        array = np.frombuffer(seen, dtype=np.uint8)
        assert not array.flags.writeable
        del array
        with pytest.raises(PermissionError):
            seen.write_at(0, b"x")


def test_copies_stay_within_bounds(memory):
    assert memory.read_at(4096) == b""
    for wrong in (
        lambda: memory.read_at(4097),
        lambda: memory.read_at(4090, 7),
        lambda: memory.read_at(0, 1 << 60),
        lambda: memory.read_at(-1),
        lambda: memory.write_at(4096, b"x"),
    ):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(TypeError):
        memory.write_at(0, "text")


def test_a_view_of_the_memory_can_be_written_to_it(memory):
    text = bytes(range(200)) * 5
    memory.write_at(0, text)
    with memoryview(memory) as view:
        memory.write_at(3, view[:1000])
    assert memory.read_at(3, 1000) == text


def test_a_forked_child_goes_on_using_it_and_does_not_remove_it(memory):
    view = memoryview(memory)
    child = os.fork()
    if child == 0:
        view[0] = 9
        with memoryview(memory) as another:
            another[1] = 8
        view.release()
        memory.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert view[:2] == b"\x09\x08"
    view.release()
    with again(memory):
        pass


def test_pythons_own_shared_memory_is_the_same(name):
    with kernel.PosixSharedMemory.create(name, 100) as ours:
        theirs = SharedMemory(name)
        resource_tracker.unregister(theirs._name, "shared_memory")
        theirs.buf[:5] = b"hello"
        assert ours.read_at(0, 5) == b"hello"
        theirs.close()


def test_one_that_has_no_size_yet_is_refused(name):
    open(f"/dev/shm{name}", "x").close()
    with pytest.raises(tvn.Incompatible, match="ftruncate"):
        kernel.PosixSharedMemory.open(name)


def test_names_of_others_are_refused():
    for bad in ("", "/", "/a/b", "/triveni.lab", "/sem.x", "x" * 252):
        with pytest.raises(ValueError):
            kernel.PosixSharedMemory.create(bad, 1)
    with pytest.raises(ValueError):
        kernel.PosixSharedMemory.create("/triveni-py-none", 0)


@sysv_only
def test_a_segment_tells_about_itself_and_goes_with_the_last():
    made = kernel.SysvSharedMemory.create(None, 77, mode=0o640)
    with kernel.SysvSharedMemory.open_id(made.id) as same:
        info = made.info()
        assert (info.id, info.key, info.size, info.attached, info.mode) == (made.id, None, 77, 2, 0o640)
        assert info.creator_pid == info.last_pid == os.getpid() and not info.removed and info.attached_at > 0
        assert [row.size for row in kernel.SysvSharedMemory.list() if row.id == made.id] == [77]
        made.remove()
        made.close()
        assert same.info().removed and "removed" in repr(same.info())
    with pytest.raises(FileNotFoundError):
        kernel.SysvSharedMemory.open_id(info.id)


@sysv_only
def test_a_segment_is_found_by_its_key():
    key = kernel.sysv_key(__file__, 1 + os.getpid() % 255)
    with kernel.SysvSharedMemory.create(key, 10, owned=True) as made:
        with pytest.raises(FileExistsError):
            kernel.SysvSharedMemory.create(key, 10)
        with kernel.SysvSharedMemory.open(key) as same, kernel.SysvSharedMemory.open_or_create(key, 10) as third:
            assert made.id == same.id == third.id and same.key == key
    with pytest.raises(FileNotFoundError):
        kernel.SysvSharedMemory.open(key)
    with pytest.raises(FileNotFoundError):
        kernel.SysvSharedMemory.unlink(key)
    with pytest.raises(ValueError):
        kernel.SysvSharedMemory.open(None)


@sysv_only
def test_a_view_outlives_the_name_of_its_object_and_a_program_that_forgets_it_ends_well():
    code = (
        "from triveni import kernel\n"
        "view = memoryview(kernel.SysvSharedMemory.create(None, 10, owned=True))\n"
        "view[0] = 1; print(view[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
