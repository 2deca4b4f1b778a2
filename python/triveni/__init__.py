"""Rust, C and Python processes on one segment of memory and the same named objects.

    import triveni as tvn
    with tvn.Segment.open_or_create("lab") as seg:
        seg.mailbox("greetings").send(b"hello")

In another process, in any of the three languages: ``seg.mailbox("greetings").receive()``.
Every wait takes ``timeout`` in seconds (``None``: for ever) and raises ``TimeoutError``; the ``try_`` forms answer.
"""

from ._triveni import (
    DEFAULT_SIZE,
    ERRORS,
    NAME_MAX,
    Busy,
    Consumer,
    Corrupt,
    Deadlock,
    Error,
    Forked,
    Holder,
    Incompatible,
    Loan,
    Mailbox,
    Mutex,
    MutexGuard,
    NoSpace,
    NotOwner,
    ObjectInfo,
    OwnerDied,
    Panic,
    ParticipantInfo,
    PeerDead,
    Producer,
    ReadGrant,
    Removed,
    Ring,
    Segment,
    Semaphore,
    TooLarge,
    Unsupported,
    WriteGrant,
    __version__,
)

__all__ = [
    "DEFAULT_SIZE",
    "ERRORS",
    "NAME_MAX",
    "Busy",
    "Consumer",
    "Corrupt",
    "Deadlock",
    "Error",
    "Forked",
    "Holder",
    "Incompatible",
    "Loan",
    "Mailbox",
    "Mutex",
    "MutexGuard",
    "NoSpace",
    "NotOwner",
    "ObjectInfo",
    "OwnerDied",
    "Panic",
    "ParticipantInfo",
    "PeerDead",
    "Producer",
    "ReadGrant",
    "Removed",
    "Ring",
    "Segment",
    "Semaphore",
    "TooLarge",
    "Unsupported",
    "WriteGrant",
    "__version__",
]
