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

from ._triveni import (
    Fifo,
    PipeReader,
    PipeWriter,
    PosixQueue,
    PosixQueueInfo,
    PosixSemaphore,
    PosixSharedMemory,
    SemaphoreOperation,
    SysvQueue,
    SysvQueueInfo,
    SysvSemaphoreInfo,
    SysvSemaphores,
    SysvSemaphoresInfo,
    SysvSharedMemory,
    SysvSharedMemoryInfo,
    pipe,
    sysv_key,
)

__all__ = [
    "Fifo",
    "PipeReader",
    "PipeWriter",
    "PosixQueue",
    "PosixQueueInfo",
    "PosixSemaphore",
    "PosixSharedMemory",
    "SemaphoreOperation",
    "SysvQueue",
    "SysvQueueInfo",
    "SysvSemaphoreInfo",
    "SysvSemaphores",
    "SysvSemaphoresInfo",
    "SysvSharedMemory",
    "SysvSharedMemoryInfo",
    "pipe",
    "sysv_key",
]
