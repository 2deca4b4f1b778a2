"""Waiting for a wait set in asyncio: the event loop watches its descriptor, and no thread waits."""

import asyncio
import os

from ._triveni import Ready, WaitSet


async def wait(waitset: WaitSet, timeout: float | None) -> list[Ready]:
    """What ``WaitSet.wait_async`` gives."""
    try:
        async with asyncio.timeout(timeout):
            while not (ready := waitset.try_wait()):
                await readable(waitset.fileno())
            return ready
    except TimeoutError:
        return waitset.wait(timeout=0)  # says what was waited for, or was just in time


async def readable(fd: int) -> None:
    """Returns once the descriptor is readable."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    own = os.dup(fd)  # somebody else may watch the same descriptor in the same loop
    try:
        loop.add_reader(own, told.set)
        await told.wait()
    finally:
        loop.remove_reader(own)
        os.close(own)
