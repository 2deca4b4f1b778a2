"""Waiting for a wait set in asyncio: the event loop watches its descriptor, and no thread waits."""

import asyncio
import os

from ._triveni import Ready, WaitSet

# Closing a set, or taking its last member out, makes no descriptor readable: who waits looks again this often.
SLICE = 0.5


async def wait(waitset: WaitSet, timeout: float | None) -> list[Ready]:
    """What ``WaitSet.wait_async`` gives."""
    try:
        async with asyncio.timeout(timeout):
            while not (ready := waitset.try_wait()):
                if len(waitset) == 0:
                    return waitset.wait(timeout=0)  # says that there is nothing to wait for
                await readable(waitset.fileno())
            return ready
    except TimeoutError:
        return waitset.wait(timeout=0)  # says what was waited for, or was just in time


async def readable(fd: int) -> None:
    """Returns once the descriptor is readable, or a slice is over."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    own = os.dup(fd)  # somebody else may watch the same descriptor in the same loop
    end = loop.call_later(SLICE, told.set)
    try:
        loop.add_reader(own, told.set)
        await told.wait()
    finally:
        end.cancel()
        loop.remove_reader(own)
        os.close(own)
