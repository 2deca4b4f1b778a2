"""Who is on the stage: each library, how its probe is started, and which of its objects are tried as what."""

import dataclasses
import importlib
import os
import pathlib
import shutil
import subprocess
import sys
import tomllib

from actor import START, Actor, Broken

HERE = pathlib.Path(__file__).parent
MADE = HERE.parent / "target" / "kill-matrix"
sys.path.insert(0, str(HERE / "probes"))

FORKED = ("probe_multiprocessing", "probe_faster_fifo")  # their objects are shared by inheritance only
BY_POSIX = "a permit belongs to nobody, so none comes back: as POSIX has it"


@dataclasses.dataclass
class Object:
    """A row's object: what it is called, what the probe calls it, which stories are told of it."""

    title: str
    key: str
    kinds: tuple
    single: bool = False  # one sender and one receiver at a time: nobody else can be asleep in it
    design: dict = dataclasses.field(default_factory=dict)  # start of a step → why what happens there is documented
    without: tuple = ()  # stories it cannot take part in


class Library:
    """Its probe is a program (`command`), or a file in Python (`module`)."""

    def __init__(self, name, objects, command=None, module=None, remark="", prepares=False, own=False):
        self.name, self.objects, self.module, self.remark = name, objects, module, remark
        self.command = [str(word) for word in command or [sys.executable, "-B", HERE / "probes" / f"{module}.py"]]
        self.prepares = prepares  # who is to receive must have said so before
        self.forks = module in FORKED
        self.can_step = bool(command) and os.uname().machine == "x86_64"
        self.own = own

    def version(self):
        """What is tried; raises Broken with the reason if it is not there."""
        try:
            ended = subprocess.run([*self.command, "version"], capture_output=True, text=True, timeout=60)
        except OSError as error:
            raise Broken(self.reason() or str(error)) from None
        if ended.returncode:
            raise Broken(self.reason() or (ended.stderr.strip().splitlines() or ["no version"])[-1])
        own = tomllib.loads((HERE.parent / "Cargo.toml").read_text())["workspace"]["package"]["version"] if self.own else ""
        return f"{ended.stdout.strip()} {own}".strip()

    def reason(self):
        """Why `run` could not install it."""
        log = MADE / "missing" / self.name
        return log.read_text().strip().splitlines()[-1] if log.is_file() else ""

    def stage(self, object_):
        return Stage(self, object_)


class Stage:
    """The processes of one trial, and the object they share. Nothing of it is left after `close`."""

    number = 0

    def __init__(self, library, object_):
        Stage.number += 1
        self.library, self.key = library, object_.key
        self.name = f"kill-matrix-{os.getpid()}-{Stage.number}"
        self.actors = []
        self.errors = open(MADE / "errors", "a")
        if library.forks:
            self.module = importlib.import_module(library.module)
            self.shared = self.module.make(object_.key)
        else:
            owner = self._start("create")
            owner.owns = True
            try:
                owner.hear("ready", START)
            except Exception:
                self.close()
                raise

    def actor(self):
        if self.library.forks:
            self.actors.append(Actor.fork(self.module.play, self.key, self.shared, self.name))
            return self.actors[-1]
        return self._start("join")

    def _start(self, role):
        self.actors.append(Actor.execute([*self.library.command, self.key, self.name, role], self.errors))
        return self.actors[-1]

    def close(self):
        for actor in reversed(self.actors):  # the one that owns the object comes last
            if not actor.owns:
                actor.kill()
            actor.leave()
        for left in [*pathlib.Path("/dev/shm").glob(f"*{self.name}*"), *pathlib.Path("/tmp").glob(f"*{self.name}*")]:
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
        self.errors.close()


GLIBC = Library(
    "glibc",
    command=[MADE / "glibc"],
    objects=[
        Object("pthread_mutex", "mutex", ("lock",)),
        Object("pthread_mutex, robust", "robust", ("lock",)),
        Object("pthread_rwlock", "rwlock", ("rwlock",)),
        Object("pthread_cond, robust mutex", "cond", ("condition",)),
        Object("pthread_barrier", "barrier", ("barrier",)),
        Object("sem_t", "sem", ("semaphore",), design={"holding": BY_POSIX, "at": BY_POSIX}),
    ],
)

TRIVENI = Library(
    "triveni",
    command=[MADE / "cargo" / "debug" / "probe"],
    own=True,
    objects=[
        Object("Mutex", "mutex", ("lock",)),
        Object("Semaphore, leased", "leased", ("semaphore",)),
        Object("Semaphore, counting", "semaphore", ("semaphore",), design={"holding": BY_POSIX + "; leased ones do", "at": BY_POSIX + "; leased ones do"}),
        Object("Monitor", "monitor", ("condition",)),
        Object("RwLock, readers first", "readers", ("rwlock",)),
        Object("RwLock, writers first", "writers", ("rwlock",)),
        Object("RwLock, fair", "fair", ("rwlock",)),
        Object("Barrier", "barrier", ("barrier",)),
        Object("Event", "event", ("event",)),
        Object("Mailbox", "mailbox", ("queue", "loan")),
        Object("Ring", "ring", ("queue",), single=True),
    ],
)

MULTIPROCESSING = Library(
    "multiprocessing",
    module="probe_multiprocessing",
    remark="Its manual warns of processes that end while they hold a lock or use a queue.",
    objects=[
        Object("Lock", "Lock", ("lock",)),
        Object("RLock", "RLock", ("lock",)),
        Object("Semaphore", "Semaphore", ("semaphore",), design={"holding": BY_POSIX, "at": BY_POSIX}),
        Object("BoundedSemaphore", "BoundedSemaphore", ("semaphore",), design={"holding": BY_POSIX, "at": BY_POSIX}),
        Object("Condition", "Condition", ("condition",)),
        Object("Event", "Event", ("event",)),
        Object("Barrier", "Barrier", ("barrier",)),
        Object("Queue", "Queue", ("queue",)),
        Object("SimpleQueue", "SimpleQueue", ("queue",)),
        Object("SimpleQueue, 1 MiB messages", "large", ("queue",), without=("asleep in receive", "20 senders in a row")),
    ],
)

FASTER_FIFO = Library("faster-fifo", module="probe_faster_fifo", objects=[Object("Queue", "Queue", ("queue",))])

POSIX_IPC = Library(
    "posix_ipc",
    module="probe_posix_ipc",
    objects=[
        Object("Semaphore", "Semaphore", ("semaphore",), design={"holding": BY_POSIX, "at": BY_POSIX}),
        Object("MessageQueue", "MessageQueue", ("queue",)),
    ],
)

SYSV_IPC = Library(
    "sysv_ipc",
    module="probe_sysv_ipc",
    objects=[
        Object("Semaphore", "Semaphore", ("semaphore",), design={"holding": BY_POSIX, "at": BY_POSIX}),
        Object("Semaphore, SEM_UNDO", "undo", ("semaphore",)),
        Object("MessageQueue", "MessageQueue", ("queue",)),
    ],
)

SUBETHA = Library(
    "SubEtha",
    module="probe_subetha",
    remark="Package subetha-ipc. A message of Ring belongs to one of the registered consumers, also while that one does not "
    "receive; so two stories cannot be told of it.",
    objects=[
        Object("RWLock, read and write", "rwlock", ("rwlock",)),
        Object("RWLock, read_for and write_for", "parking", ("rwlock",)),
        Object("Semaphore", "semaphore", ("semaphore",)),
        Object("Condvar", "condvar", ("condition",), without=("holding its lock",)),
        Object("EpochBarrier with Heartbeat", "barrier", ("barrier",)),
        Object("Ring", "ring", ("queue",), without=("asleep in receive", "at a random moment of receive")),
        Object("SpscRing", "spsc", ("queue",), single=True),
    ],
)

BOOST = Library(
    "Boost.Interprocess",
    command=[MADE / "boost"],
    objects=[
        Object("interprocess_mutex", "mutex", ("lock",)),
        Object("named_mutex", "named", ("lock",)),
        Object("interprocess_semaphore", "semaphore", ("semaphore",), design={"holding": BY_POSIX, "at": BY_POSIX}),
        Object("interprocess_condition", "condition", ("condition",)),
        Object("interprocess_sharable_mutex", "sharable", ("rwlock",)),
        Object("interprocess_upgradable_mutex", "upgradable", ("rwlock",)),
        Object("message_queue", "queue", ("queue",)),
    ],
)

BOOST_TIMED = Library(
    "Boost.Interprocess with time limits",
    command=[MADE / "boost-timed"],
    remark="Built with BOOST_INTERPROCESS_ENABLE_TIMEOUT_WHEN_LOCKING, 300 ms.",
    objects=[
        Object("named_mutex", "named", ("lock",)),
        Object("interprocess_sharable_mutex", "sharable", ("rwlock",)),
        Object("message_queue", "queue", ("queue",)),
    ],
)

ICEORYX2 = Library(
    "iceoryx2",
    module="probe_iceoryx2",
    prepares=True,
    objects=[
        Object("publish-subscribe", "pubsub", ("queue", "loan"), without=("asleep in receive", "asleep in send, full")),
        Object("event", "event", ("event",)),
        Object("request-response", "request", ("service",)),
    ],
)

LIBRARIES = [TRIVENI, GLIBC, MULTIPROCESSING, POSIX_IPC, SYSV_IPC, ICEORYX2, SUBETHA, FASTER_FIFO, BOOST, BOOST_TIMED]
