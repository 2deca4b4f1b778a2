"""Rust, C and Python processes on one segment of memory and the same named objects.

    import triveni as tvn
    with tvn.Segment.open_or_create("lab") as seg:
        seg.mailbox("greetings").send(b"hello")

In another process, in any of the three languages: ``seg.mailbox("greetings").receive()``.
Every wait takes ``timeout`` in seconds (``None``: for ever) and raises ``TimeoutError``; the ``try_`` forms answer.
"""

import typing as _typing

from . import _forms as _forms
from ._triveni import (
    DEFAULT_SIZE,
    ERRORS,
    NAME_MAX,
    Answer,
    Array,
    ArrayGuard,
    ArraySnapshot,
    Barrier,
    Borrowed,
    Broken,
    Busy,
    Call,
    CallGrant,
    Cell,
    Closed,
    Condition,
    Consumer,
    Corrupt,
    Deadlock,
    DeadlockInfo,
    Delivery,
    Error,
    Event,
    Evicted,
    Failed,
    Forked,
    Holder,
    Incompatible,
    Loan,
    Lost,
    Mailbox,
    Monitor,
    MonitorGuard,
    Mutex,
    MutexGuard,
    NoSpace,
    NotOwner,
    ObjectInfo,
    OwnerDied,
    Panic,
    ParticipantInfo,
    PeekGrant,
    PeerDead,
    Port,
    PortSet,
    Process,
    Producer,
    PublishGrant,
    Publisher,
    ReadGrant,
    Ready,
    Removed,
    Request,
    Ring,
    RwLock,
    RwReadGuard,
    RwWriteGuard,
    Segment,
    Semaphore,
    Service,
    StoreGrant,
    Subscriber,
    TooLarge,
    Topic,
    Unsupported,
    Wait,
    WaitSet,
    Watcher,
    WriteGrant,
    __version__,
)

if _typing.TYPE_CHECKING:
    from ._types import Type


def type_of(source: _typing.Any) -> "Type":
    """What ``type=`` takes as a ``Type``: its ``tag`` and ``size``, ``pack(value)`` and ``unpack(bytes)``.

    For channels, whose messages are bytes: ``box.send(reading.pack(value))``, ``reading.unpack(box.receive())``.
    """
    from . import _types

    found = _types.type_of(source)
    if found is None:
        raise TypeError(
            f"{source!r} says how bytes lie, and no Python type; give a numpy dtype, a ctypes class, a struct.Struct "
            "or a dataclass"
        )
    return found


__all__ = [
    "DEFAULT_SIZE",
    "ERRORS",
    "NAME_MAX",
    "Answer",
    "Array",
    "ArrayGuard",
    "ArraySnapshot",
    "Barrier",
    "Borrowed",
    "Broken",
    "Busy",
    "Call",
    "CallGrant",
    "Cell",
    "Closed",
    "Condition",
    "Consumer",
    "Corrupt",
    "Deadlock",
    "DeadlockInfo",
    "Delivery",
    "Error",
    "Event",
    "Evicted",
    "Failed",
    "Forked",
    "Holder",
    "Incompatible",
    "Loan",
    "Lost",
    "Mailbox",
    "Monitor",
    "MonitorGuard",
    "Mutex",
    "MutexGuard",
    "NoSpace",
    "NotOwner",
    "ObjectInfo",
    "OwnerDied",
    "Panic",
    "ParticipantInfo",
    "PeekGrant",
    "PeerDead",
    "Port",
    "PortSet",
    "Process",
    "Producer",
    "PublishGrant",
    "Publisher",
    "ReadGrant",
    "Ready",
    "Removed",
    "Request",
    "Ring",
    "RwLock",
    "RwReadGuard",
    "RwWriteGuard",
    "Segment",
    "Semaphore",
    "Service",
    "StoreGrant",
    "Subscriber",
    "TooLarge",
    "Topic",
    "Unsupported",
    "Wait",
    "WaitSet",
    "Watcher",
    "WriteGrant",
    "type_of",
    "__version__",
]
