"""The kernel's own mechanisms, with the verbs, the deadlines and the errors of our objects.

    from triveni import kernel
    reader, writer = kernel.pipe()
    writer.send(b"hello")
    reader.receive(timeout=1)

Queues, semaphores and memory of POSIX and System V, pipes, FIFOs, sockets, signals, file locks and processes: what the
operating system offers, with its semantics and its limits. Every wait takes ``timeout`` in seconds (``None``: for ever)
and raises ``TimeoutError``; Ctrl-C ends it; the ``try_`` forms answer at once. What has a name stays until somebody
removes it, unless it was created ``owned``: then it goes with the handle that made it.
"""

import os as _os

from ._triveni import (
    Child,
    ChildEnds,
    Daemon,
    Datagram,
    Family,
    Fifo,
    FileLock,
    FileLockGuard,
    Handlers,
    Listener,
    LockFile,
    LockFileGuard,
    LockFileHolder,
    Mask,
    PeerCredentials,
    PipeReader,
    PipeWriter,
    Pipeline,
    PipelineOutput,
    PosixQueue,
    PosixQueueInfo,
    PosixSemaphore,
    PosixSharedMemory,
    ProcessTree,
    RangeBlocker,
    RangeLock,
    RangeLockGuard,
    RunningPipeline,
    SemaphoreOperation,
    Seqpacket,
    SeqpacketListener,
    SignalInfo,
    Signals,
    SocketAddress,
    StopLock,
    Stream,
    SysvQueue,
    SysvQueueInfo,
    SysvSemaphoreInfo,
    SysvSemaphores,
    SysvSemaphoresInfo,
    SysvSharedMemory,
    SysvSharedMemoryInfo,
    TreeNode,
    chain,
    continue_process,
    continue_stopped,
    daemonize,
    ended_children,
    fan,
    is_stopped,
    pipe,
    queue_signal,
    send_signal,
    signal_name,
    spawn,
    stop_process,
    stop_self,
    sysv_key,
    wait_stopped,
)


def pipe_to_child() -> tuple[int, PipeReader | PipeWriter]:
    """Makes a pipe and forks: the child reads what the parent writes. ``(pid, writer)`` for the parent, ``(0, reader)``
    for the child; each process has closed the end that it does not use.

    As ``os.fork`` this is for programs with one thread. The child ends with ``os._exit``.
    """
    reader, writer = pipe()
    pid = _os.fork()
    (reader if pid else writer).close()
    return pid, writer if pid else reader


def pipe_from_child() -> tuple[int, PipeReader | PipeWriter]:
    """Makes a pipe and forks: the parent reads what the child writes. ``(pid, reader)`` for the parent, ``(0, writer)``
    for the child; otherwise as ``pipe_to_child``.
    """
    reader, writer = pipe()
    pid = _os.fork()
    (writer if pid else reader).close()
    return pid, reader if pid else writer


__all__ = [
    "Child",
    "ChildEnds",
    "Daemon",
    "Datagram",
    "Family",
    "Fifo",
    "FileLock",
    "FileLockGuard",
    "Handlers",
    "Listener",
    "LockFile",
    "LockFileGuard",
    "LockFileHolder",
    "Mask",
    "PeerCredentials",
    "PipeReader",
    "PipeWriter",
    "Pipeline",
    "PipelineOutput",
    "PosixQueue",
    "PosixQueueInfo",
    "PosixSemaphore",
    "PosixSharedMemory",
    "ProcessTree",
    "RangeBlocker",
    "RangeLock",
    "RangeLockGuard",
    "RunningPipeline",
    "SemaphoreOperation",
    "Seqpacket",
    "SeqpacketListener",
    "SignalInfo",
    "Signals",
    "SocketAddress",
    "StopLock",
    "Stream",
    "SysvQueue",
    "SysvQueueInfo",
    "SysvSemaphoreInfo",
    "SysvSemaphores",
    "SysvSemaphoresInfo",
    "SysvSharedMemory",
    "SysvSharedMemoryInfo",
    "TreeNode",
    "chain",
    "continue_process",
    "continue_stopped",
    "daemonize",
    "ended_children",
    "fan",
    "is_stopped",
    "pipe",
    "pipe_from_child",
    "pipe_to_child",
    "queue_signal",
    "send_signal",
    "signal_name",
    "spawn",
    "stop_process",
    "stop_self",
    "sysv_key",
    "wait_stopped",
]
