"""Waiting in asyncio: the event loop watches one descriptor for all waits of its tasks, and no thread waits for each.

Who has to wait makes its object a member of a ``WaitSet`` that belongs to the running loop (of a further one, when
that is full); when the set's descriptor
is readable, the first waiter of each ready member tries again. Those who are ready and not wanted leave the set, so
that an idle loop sleeps.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, ref

from ._triveni import Call, Error, Mailbox, Ready, Service, WaitSet, _Offer

# Closing a set, or taking its last member out, makes no descriptor readable: who waits looks again this often.
SLICE = 0.5

# Objects in one set: what a set takes.
MOST = 127

Interest = dict[str, Any]


def check(timeout: float | None) -> None:
    """As the waiting forms do."""
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"timeout {timeout} is no time to wait; give seconds from 0 on, or None for ever")


async def wait(waitset: WaitSet, timeout: float | None) -> list[Ready]:
    """What ``WaitSet.wait_async`` gives."""
    check(timeout)
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


class Member:
    """An object that tasks of one loop wait for, and who they are."""

    def __init__(self, thing: object, token: int):
        self.thing = thing  # kept alive: its id is a part of the key
        self.token = token
        self.waiters: deque[asyncio.Future[None]] = deque()

    def wake_first(self) -> bool:
        """Wakes who has waited longest; ``False`` if nobody waits."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return True
        return False


class Watch:
    """One wait set, and what tasks wait for in it. It lives as long as the loop looks at its descriptor."""

    def __init__(self, lookout: "Lookout", loop: asyncio.AbstractEventLoop):
        self.lookout = lookout  # kept alive by the loop, through this
        self.waitset = WaitSet()
        self.members: dict[tuple[Any, ...], Member] = {}
        loop.add_reader(self.waitset.fileno(), self.look)

    async def ready(self, key: tuple[Any, ...], thing: object, interest: Interest) -> None:
        """Returns when ``thing`` may be ready."""
        member = self.members.get(key)
        if member is None:
            member = self.members[key] = Member(thing, self.waitset.add(thing, **interest))  # type: ignore[arg-type]
        waiter = asyncio.get_running_loop().create_future()
        member.waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in member.waiters:
                member.waiters.remove(waiter)
            raise
        finally:
            # A call or an offer ends once it is answered, and is no member any more then.
            if isinstance(thing, Call | _Offer) and self.members.get(key) is member and not member.waiters:
                del self.members[key]
                self.waitset.remove(member.token)

    def look(self) -> None:
        """The descriptor is readable."""
        try:
            ready = {member.token for member in self.waitset.try_wait()}
        except Error:
            # A member has ended. Each waiter tries anew, and hears from its own object what has become of it.
            ready = {member.token for member in self.members.values()}
            wanted = set[int]()
            for member in self.members.values():
                while member.wake_first():
                    pass
        else:
            wanted = {m.token for m in self.members.values() if m.token in ready and m.wake_first()}
        for key, member in [*self.members.items()]:
            if member.token in ready - wanted:
                del self.members[key]
                self.waitset.remove(member.token)


class Lookout:
    """What the tasks of one event loop wait for: a set, and one more whenever all are full."""

    # Held by nothing but its loop: waiters know the loop, so a loop that is closed would stay for ever, and its sets.
    of_loop: "WeakKeyDictionary[asyncio.AbstractEventLoop, ref[Lookout]]" = WeakKeyDictionary()

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.watches: list[Watch] = []

    @classmethod
    def here(cls) -> "Lookout":
        """That of the running loop."""
        loop = asyncio.get_running_loop()
        held = cls.of_loop.get(loop)
        lookout = held() if held else None
        if lookout is None or lookout.pid != os.getpid():
            lookout = cls()
            cls.of_loop[loop] = ref(lookout)
        return lookout

    async def ready(self, thing: object, interest: Interest) -> None:
        """Returns when ``thing`` may be ready."""
        key = (id(thing), *interest.items())
        for watch in self.watches:
            if key in watch.members:
                return await watch.ready(key, thing, interest)
        for watch in self.watches:
            if len(watch.waitset) < MOST:
                return await watch.ready(key, thing, interest)
        self.watches.append(Watch(self, asyncio.get_running_loop()))
        return await self.watches[-1].ready(key, thing, interest)


async def until(
    attempt: Callable[[], Any], last: Callable[[], Any], timeout: float | None, thing: object, interest: Interest
) -> Any:
    """What ``attempt`` answers once it answers something; what ``last`` does when the time is up."""
    check(timeout)

    async def answered() -> Any:
        while (answer := attempt()) is None or answer is False:
            await Lookout.here().ready(thing, interest)
        return None if answer is True else answer

    if timeout is None:
        return await answered()
    try:
        async with asyncio.timeout(timeout):
            return await answered()
    except TimeoutError:
        return last()


async def call(service: Service, request: Any, timeout: float | None) -> bytes:
    """What ``Service.call_async`` gives: a free cell, and then the answer, in one time limit."""
    now = asyncio.get_running_loop().time
    end = None if timeout is None else now() + timeout
    started = await service.start_async(request, timeout)
    try:
        return await started.wait_async(None if end is None else max(0.0, end - now()))
    finally:
        started.cancel()  # when this task was cancelled, or is late: the cell is free again


async def meet(box: Mailbox, message: Any, timeout: float | None) -> None:
    """What ``Mailbox.send_async`` does at a rendezvous: the message lies there until a receiver has it. Cancelled, it is
    taken back, unless one has it by then.
    """
    check(timeout)
    offer: _Offer | None = None
    try:
        async with asyncio.timeout(timeout):
            while (offer := box._offer(message)) is None:
                await Lookout.here().ready(box, {"room": 0})
            while not offer.is_received():
                await Lookout.here().ready(offer, {"send": True})
    except TimeoutError:
        if offer is None or offer.withdraw():
            box.send(message, 0)  # says what was waited for, or was just in time
    except Error:
        if offer is None or offer.withdraw():
            raise
    except BaseException:
        if offer is not None:
            offer.withdraw()
        raise


async def meet_many(box: Mailbox, messages: list[Any], timeout: float | None) -> int:
    """What ``Mailbox.send_many_async`` does at a rendezvous."""
    now = asyncio.get_running_loop().time
    end = None if timeout is None else now() + timeout
    for sent, message in enumerate(messages):
        try:
            await meet(box, message, None if end is None else max(0.0, end - now()))
        except (TimeoutError, Error):
            if sent == 0:
                raise
            return sent
    return len(messages)
