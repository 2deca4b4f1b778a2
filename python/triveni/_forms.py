"""The ``_async`` forms of the verbs that wait for what a ``WaitSet`` can wait for; the stubs have their types.

asyncio itself is imported when the first of them is called: most programs do not need it.
"""

from . import _triveni


def adds_to(cls):
    """The methods of the decorated class become methods of ``cls``."""

    def add(forms):
        for name, form in vars(forms).items():
            if name in ("__aiter__", "__anext__"):
                setattr(cls, name, form)
            elif name.endswith("_async"):
                verb, form.__module__ = name.removesuffix("_async"), "triveni"
                form.__doc__ = f"``{verb}`` for asyncio: no thread waits, other tasks run meanwhile. Cancelled, it took nothing."
                setattr(cls, name, form)
        return forms

    return add


async def waits(thing, attempt, last, timeout, **interest):
    """What ``attempt`` answers once it answers something; after ``timeout`` what ``last`` does, which waits no more."""
    from . import _asyncio

    return await _asyncio.until(attempt, last, timeout, thing, interest)


@adds_to(_triveni.Semaphore)
class Semaphore:
    async def wait_async(self, timeout=None, *, n=1):
        await waits(self, lambda: self.try_wait(n), lambda: self.wait(0, n=n), timeout)


@adds_to(_triveni.Mutex)
class Mutex:
    async def lock_async(self, timeout=None):
        return await waits(self, self.try_lock, lambda: self.lock(0), timeout)


@adds_to(_triveni.Monitor)
class Monitor:
    async def enter_async(self, timeout=None):
        return await waits(self, self.try_enter, lambda: self.enter(0), timeout)


@adds_to(_triveni.Event)
class Event:
    async def wait_any_async(self, mask, timeout=None, *, clear=False):
        attempt, last = lambda: self.try_wait_any(mask, clear=clear), lambda: self.wait_any(mask, 0, clear=clear)
        return await waits(self, attempt, last, timeout, any=mask)

    async def wait_all_async(self, mask, timeout=None, *, clear=False):
        attempt, last = lambda: self.try_wait_all(mask, clear=clear), lambda: self.wait_all(mask, 0, clear=clear)
        return await waits(self, attempt, last, timeout, all=mask)


@adds_to(_triveni.Producer)
class Producer:
    async def write_async(self, record, timeout=None):
        size = memoryview(record).nbytes
        await waits(self, lambda: self.try_write(record), lambda: self.write(record, 0), timeout, room=size)

    async def reserve_async(self, size, timeout=None):
        return await waits(self, lambda: self.try_reserve(size), lambda: self.reserve(size, 0), timeout, room=size)

    async def reserve_packed_async(self, n, timeout=None):
        attempt, last = lambda: self.try_reserve_packed(n), lambda: self.reserve_packed(n, 0)
        return await waits(self, attempt, last, timeout)


@adds_to(_triveni.Consumer)
class Consumer:
    async def read_async(self, timeout=None):
        return await waits(self, self.try_read, lambda: self.read(0), timeout)

    async def peek_async(self, timeout=None):
        return await waits(self, self.try_peek, lambda: self.peek(0), timeout)

    async def read_into_async(self, buffer, timeout=None):
        return await waits(self, lambda: self.try_read_into(buffer), lambda: self.read_into(buffer, 0), timeout)

    async def read_many_async(self, n, timeout=None):
        if n == 0:
            return []
        return await waits(self, lambda: self.try_read_many(n) or None, lambda: self.read_many(n, 0), timeout)

    async def read_packed_async(self, n, timeout=None):
        if n == 0:
            return self.try_read_packed(0)
        return await waits(self, lambda: self.try_read_packed(n) or None, lambda: self.read_packed(n, 0), timeout)

    async def peek_packed_async(self, n, timeout=None):
        return await waits(self, lambda: self.try_peek_packed(n), lambda: self.peek_packed(n, 0), timeout)


@adds_to(_triveni.Mailbox)
class Mailbox:
    async def send_async(self, message, timeout=None, *, priority=None, mtype=None):
        envelope = {"priority": priority, "mtype": mtype}
        if self.capacity == 0 and priority is mtype is None:
            from . import _asyncio

            return await _asyncio.meet(self, message, timeout)
        attempt, last = lambda: self.try_send(message, **envelope), lambda: self.send(message, 0, **envelope)
        await waits(self, attempt, last, timeout, send=True)

    async def send_many_async(self, messages, timeout=None):
        messages = [*messages]
        if not messages:
            return 0
        if self.capacity == 0:
            from . import _asyncio

            return await _asyncio.meet_many(self, messages, timeout)
        attempt, last = lambda: self.try_send_many(messages) or None, lambda: self.send_many(messages, 0)
        return await waits(self, attempt, last, timeout, send=True)

    async def reserve_async(self, size, timeout=None):
        return await waits(self, lambda: self.try_reserve(size), lambda: self.reserve(size, 0), timeout, send=True)

    async def receive_async(self, timeout=None):
        return await waits(self, self.try_receive, lambda: self.receive(0), timeout)

    async def receive_many_async(self, n, timeout=None):
        if n == 0:
            return []
        return await waits(self, lambda: self.try_receive_many(n) or None, lambda: self.receive_many(n, 0), timeout)

    async def receive_many_into_async(self, buffer, timeout=None):
        attempt, last = lambda: self.try_receive_many_into(buffer) or None, lambda: self.receive_many_into(buffer, 0)
        return await waits(self, attempt, last, timeout)

    async def borrow_async(self, timeout=None):
        return await waits(self, self.try_borrow, lambda: self.borrow(0), timeout)

    async def peek_async(self, timeout=None):
        return await waits(self, self.try_peek, lambda: self.peek(0), timeout)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self.receive_async()
        except _triveni.Closed:
            raise StopAsyncIteration from None


@adds_to(_triveni.Port)
class Port:
    async def send_async(self, message, timeout=None):
        await waits(self, lambda: self.try_send(message), lambda: self.send(message, (), 0), timeout, send=True)

    async def receive_async(self, timeout=None):
        return await waits(self, self.try_receive, lambda: self.receive(0), timeout)


@adds_to(_triveni.Service)
class Service:
    async def call_async(self, request, timeout=None):
        from . import _asyncio

        return await _asyncio.call(self, request, timeout)

    async def start_async(self, request, timeout=None):
        return await waits(self, lambda: self.try_start(request), lambda: self.start(request, 0), timeout, send=True)

    async def reserve_async(self, size, timeout=None):
        return await waits(self, lambda: self.try_reserve(size), lambda: self.reserve(size, 0), timeout, send=True)

    async def receive_async(self, timeout=None):
        return await waits(self, self.try_receive, lambda: self.receive(0), timeout)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self.receive_async()
        except _triveni.Closed:
            raise StopAsyncIteration from None


@adds_to(_triveni.Call)
class Call:
    async def wait_async(self, timeout=None):
        return await waits(self, self.try_wait, lambda: self.wait(0), timeout)


@adds_to(_triveni.Publisher)
class Publisher:
    # In a tuple, as ``False`` and ``None`` are answers where the policy is to drop.
    async def publish_async(self, message, timeout=None):
        def attempt():
            return (True,) if self.try_publish(message) else None if self.policy == "block" else (False,)

        return (await waits(self, attempt, lambda: (self.publish(message, 0),), timeout))[0]

    async def reserve_async(self, size, timeout=None):
        def attempt():
            grant = self.try_reserve(size)
            return None if grant is None and self.policy == "block" else (grant,)

        return (await waits(self, attempt, lambda: (self.reserve(size, 0),), timeout))[0]


@adds_to(_triveni.Subscriber)
class Subscriber:
    async def receive_async(self, timeout=None):
        return await waits(self, self.try_receive, lambda: self.receive(0), timeout)

    async def peek_async(self, timeout=None):
        return await waits(self, self.try_peek, lambda: self.peek(0), timeout)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self.receive_async()
        except _triveni.Closed:
            raise StopAsyncIteration from None


@adds_to(_triveni.Array)
class Array:
    async def write_async(self, timeout=None):
        return await waits(self, self.try_write, lambda: self.write(0), timeout)

    async def snapshot_async(self, timeout=None):
        return await waits(self, self.try_snapshot, lambda: self.snapshot(0), timeout)


@adds_to(_triveni.Cell)
class Cell:
    async def load_newer_async(self, seen, timeout=None):
        return await waits(self, lambda: self.try_load_newer(seen), lambda: self.load_newer(seen, 0), timeout)
