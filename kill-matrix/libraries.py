"""Who is on the stage: each library, how its probe is started, and which of its objects are tried as what."""

import dataclasses
import importlib
import os
import pathlib
import subprocess
import tomllib

from actor import Actor, Broken

HERE = pathlib.Path(__file__).parent
MADE = HERE.parent / "target" / "kill-matrix"
PYTHON = MADE / "venv" / "bin" / "python"

BY_POSIX = "a permit belongs to nobody, so none comes back: as POSIX has it"
FEEDER = "put returns before its feeder thread has written the message"


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
    def __init__(self, name, objects, command=None, module=None, package=None, remark=""):
        self.name, self.objects, self.module, self.package, self.remark = name, objects, module, package, remark
        self.command = [str(word) for word in command] if command else [str(PYTHON), str(HERE / "probes" / f"{module}.py")]
        self.forks = bool(module) and not command and module in FORKED
        self.can_step = bool(command) and os.uname().machine == "x86_64"

    def version(self):
        """What is tried; raises Broken with the reason if it is not there."""
        try:
            ended = subprocess.run([*self.command, "version"], capture_output=True, text=True, timeout=60)
        except OSError as error:
            raise Broken(self.reason() or str(error)) from None
        if ended.returncode:
            raise Broken(self.reason() or (ended.stderr.strip().splitlines() or ["no version"])[-1])
        return " ".join([ended.stdout.strip(), *self.own_version()])

    def own_version(self):
        return [tomllib.loads((HERE.parent / "Cargo.toml").read_text())["workspace"]["package"]["version"]] if self.name == "triveni" else []

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
            owner.hear("ready", 30)

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
            left.unlink(missing_ok=True)
        self.errors.close()


FORKED = ("probe_multiprocessing", "probe_faster_fifo")

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

LIBRARIES = [TRIVENI, GLIBC]
