"""How each kind of object is tried: what the victim does when it is killed, and what the survivors then attempt.

A story is told twice for each kind of survivor: `new`, a process that comes to the object after the death, and
`asleep`, one that was blocked in it (or busy with it) already. In a control nobody is killed: the victim ends what
it does as it should. A story whose control fails says nothing about the object.
"""

import os
import random
import time

from actor import START, Broken, Ended, Hang, watch

RECOVERED, TOLD, LOST, ERROR, HANG = "recovered", "recovered, told", "lost", "error for ever", "hang"
BAD = (LOST, ERROR, HANG)


class Outcome(Exception):
    """A trial is decided before its end: a verdict with a detail."""


class Trial:
    """One telling of a story: its processes, who survives, and what came out."""

    def __init__(self, probe, object_, survivor, control, point=None, patience=2.0):
        self.probe, self.object, self.survivor, self.control, self.point = probe, object_, survivor, control, point
        self.patience = patience
        self.asleep = survivor == "asleep"
        self.told, self.seconds, self.begin = False, None, None
        self.stage = probe.stage(object_)

    def actors(self, count):
        """So many processes that have opened the object."""
        actors = [self.stage.actor() for _ in range(count)]
        for actor in actors:
            actor.hear("ready", START)
        return actors

    def actor(self):
        return self.actors(1)[0]

    def prepare(self, actor):
        """Where only those receive who have said so before, it says so."""
        if self.probe.prepares:
            actor.do("prepare")

    def death(self, victim, polite):
        """Kills the victim, or in a control lets it go on politely."""
        if self.control:
            self.begin = time.monotonic_ns()
            polite()
        else:
            self.begin = victim.kill()

    def now(self):
        """From here on the survivor can go on: its recovery is counted from here."""
        self.begin = time.monotonic_ns()

    def step_in(self, actor, command, absent=HANG):
        """A survivor does this now, and must succeed. An error is tried again twice: some are told once."""
        error = ""
        for attempt in range(3):
            begun = actor.tell(command)
            if attempt == 0:
                self.begin = begun.ns
            said = self.end_of(actor, f"{command}, after the error {error}" if error else command, absent)
            if said.word != "fail":
                self.note(said, attempt)
                return said
            error = error or said.detail
        raise Outcome(ERROR, error)

    def step_out(self, actor, command, absent=HANG):
        """A survivor that was blocked in this must come back from it."""
        said = self.end_of(actor, command, absent)
        if said.word == "fail":
            began = self.begin
            self.step_in(actor, command)
            self.seconds, self.told = (time.monotonic_ns() - began) / 1e9, True
            return
        self.note(said, 0)

    def end_of(self, actor, command, absent=HANG):
        try:
            return actor.hear("end")
        except Hang:
            raise Outcome(absent, command) from None
        except Ended as ended:
            raise Outcome(ERROR, f"{command}: the survivor crashed: {ended}") from None

    def note(self, said, errors):
        self.told |= said.word == "told" or errors > 0
        if self.seconds is None:
            self.seconds = max(0, said.ns - self.begin) / 1e9

    def first_of(self, *actors):
        """The one of them that comes back first."""
        end = time.monotonic() + watch.seconds
        while time.monotonic() < end:
            for actor in actors:
                if any(said.kind == "end" for said in actor.said):
                    return actor
            actor.listen(0.01)
        raise Broken("nobody came back")

    def goes_on(self, actor, passes=2, absent=HANG, before=None):
        """A survivor in a loop makes so many passes more than before, or than now."""
        before, end = self.passes(actor) if before is None else before, time.monotonic() + watch.seconds
        while self.passes(actor) < before + passes:
            if any(said.kind == "end" and said.word == "fail" for said in actor.said):
                raise Outcome(ERROR, next(said.detail for said in actor.said if said.word == "fail"))
            if time.monotonic() > end:
                raise Outcome(absent, "the one that goes no further is the process that was busy with it all along")
            actor.listen(0.0002)
        if self.seconds is None:
            self.seconds = (time.monotonic_ns() - self.begin) / 1e9

    def passes(self, actor):
        try:
            with open(f"/dev/shm/{self.stage.name}.log.{actor.pid}", "rb") as log:
                return int.from_bytes(log.read(8), "little")
        except FileNotFoundError:
            return 0

    def loop(self, actor, commands):
        """Sets it going, and returns when it has made a pass at least."""
        actor.tell(f"loop {commands}")
        end = time.monotonic() + START
        while self.passes(actor) == 0:
            if time.monotonic() > end:
                raise Broken(f"loop {commands} makes no pass: {list(actor.said)}")
            actor.listen(0.0002)

    def random_moment(self):
        end = time.monotonic() + random.random() * 0.003
        while time.monotonic() < end:
            pass

    def run(self, story):
        watch.seconds = 10 if self.control else self.patience
        try:
            try:
                story(self)
                return (TOLD if self.told else RECOVERED), self.seconds, ""
            except Outcome as outcome:
                return outcome.args[0], None, outcome.args[1]
        finally:
            self.stage.close()


# ---------------------------------------------------------------------------------------- what is held and given back


def holding(take, give, then=None, absent=HANG):
    """Killed while it holds what `take` gave."""
    then = then or take

    def story(t):
        victim, survivor = t.actors(2)
        victim.do(take)
        if t.asleep:
            survivor.tell(then)
            survivor.fall_asleep()
        t.death(victim, lambda: victim.do(give))
        _get(t, survivor, then, absent)
        _again(t, survivor, then, give)

    return story


def waiting(take, give, first=None, then=None, then_asleep=None):
    """Killed while it sleeps, waiting for what another holds; the other gives it back later."""
    first = first or take

    def story(t):
        wants = (then_asleep if t.asleep else then) or take
        holder, victim, survivor = t.actors(3)
        holder.do(first)
        victim.tell(take)
        victim.fall_asleep()
        if t.asleep:
            survivor.tell(wants)
            survivor.fall_asleep()
        t.death(victim, lambda: None)
        t.now()
        holder.tell(give)
        _gave(t, holder, give)
        turns = [survivor]
        if t.control:  # the victim has its turn, too
            turns = [survivor, victim] if t.asleep and t.first_of(victim, survivor) is survivor else [victim, survivor]
        for actor in turns:
            if actor is survivor:
                _get(t, survivor, wants)
            else:
                victim.hear("end")
            t.step_in(actor, give)
        _again(t, None, wants, give)

    return story


def looping(take, give, then=None, absent=HANG):
    """Killed at a random moment of taking and giving back."""
    then = then or take

    def story(t):
        victim, survivor = t.actors(2)
        if t.asleep:
            t.loop(survivor, f"{then} {give}")
        t.loop(victim, f"{take} {give}")
        t.random_moment()
        t.death(victim, lambda: (victim.stop_loop(), victim.hear("end")))
        if t.asleep:
            t.goes_on(survivor, 128, absent)
            survivor.stop_loop()
            t.end_of(survivor, "loop")
        else:
            _get(t, survivor, then, absent)
            t.step_in(survivor, give)
        _again(t, None, then, give, absent)

    return story


def stepped(take, give, then=None, absent=HANG):
    """Killed after so many instructions of taking and giving back."""
    then = then or take

    def story(t):
        victim, survivor = t.actors(2)
        t.steps = victim.step(f"{take} {give}", 1_000_000 if t.point is None else t.point)
        t.death(victim, victim.run_on)
        _get(t, survivor, then, absent)
        _again(t, survivor, then, give, absent)

    story.is_stepped = True
    return story


def _get(t, survivor, command, absent=HANG):
    if t.asleep:
        t.step_out(survivor, command, absent)
    else:
        t.step_in(survivor, command, absent)


def _gave(t, actor, command):
    said = t.end_of(actor, f"{command} by the other process")
    if said.word == "fail":
        raise Outcome(ERROR, said.detail)


def _again(t, survivor, take, give, absent=HANG):
    """What was recovered works as before: it can be given back, and taken by a process that opens it now."""
    if survivor:
        t.step_in(survivor, give)
    later = t.actor()
    t.step_in(later, take, absent)
    t.step_in(later, give)


# ------------------------------------------------------------------------------------------------ signals and rounds


def waiting_for_signal(t):
    """Killed while it sleeps in wait, in front of another waiter; then somebody signals."""
    victim, survivor, caller = t.actors(3)
    victim.tell("wait")
    victim.fall_asleep()
    if t.asleep:
        survivor.tell("wait")
        survivor.fall_asleep()
    t.death(victim, lambda: (caller.do("signal"), t.asleep or victim.hear("end")))
    for turn in range(3):  # the first signal may work, and what the dead one left stop the next
        if not t.asleep:
            survivor.tell("wait")
            survivor.fall_asleep()
        begin = t.begin
        t.step_in(caller, "signal")
        t.begin = begin if t.asleep else t.begin
        t.step_out(survivor, "wait", LOST)
        if t.control and t.asleep and turn == 0:
            victim.hear("end")  # else the survivor's next wait may take what the victim was woken for
        if t.asleep:
            survivor.tell("wait")
            survivor.fall_asleep()
    t.seconds = t.seconds or 0


def signalling(t):
    """Killed at a random moment of signalling; a waiter is woken all the same."""
    victim, survivor, caller = t.actors(3)
    t.loop(victim, "signal")
    if t.asleep:
        t.loop(survivor, "wait")
    t.random_moment()
    t.death(victim, lambda: (victim.stop_loop(), victim.hear("end")))
    if t.asleep:
        survivor.fall_asleep()
        before = t.passes(survivor)
        t.step_in(caller, "signal")
        t.goes_on(survivor, 1, LOST, before)
    else:
        t.step_in(caller, "signal")
        t.step_in(survivor, "wait")


def waiting_for_event(t):
    """Killed while it sleeps until the event is set; then somebody sets it."""
    victim, survivor, caller = t.actors(3)
    victim.tell("wait")
    victim.fall_asleep()
    if t.asleep:
        survivor.tell("wait")
        survivor.fall_asleep()
    t.death(victim, lambda: None)
    if not t.asleep:
        t.prepare(survivor)
    t.now()
    caller.tell("set")
    said = t.end_of(caller, "set")
    if said.word == "fail":
        raise Outcome(ERROR, said.detail)
    if t.asleep:
        t.step_out(survivor, "wait", LOST)
    else:
        t.note(said, 0)
        t.step_in(survivor, "wait")


def setting(t):
    """Killed at a random moment of setting and clearing the event; then somebody else sets it."""
    victim, survivor, caller = t.actors(3)
    t.loop(victim, "set clear")
    t.random_moment()
    t.death(victim, lambda: (victim.stop_loop(), victim.hear("end")))
    t.step_in(caller, "clear")
    t.seconds = None
    if t.asleep:
        survivor.tell("wait")
        survivor.fall_asleep()
        t.step_in(caller, "set")
        t.step_out(survivor, "wait", LOST)
    else:
        t.prepare(survivor)
        t.step_in(caller, "set")
        t.step_in(survivor, "wait")


def before_arrival(t):
    """Three meet; one has done a round and is killed before it arrives for the next."""
    victim, survivor, other = t.actors(3)
    _round(t, [victim, survivor, other])
    waits = [other, survivor] if t.asleep else [other]
    for actor in waits:
        actor.tell("wait")
        actor.fall_asleep()
    t.death(victim, lambda: victim.tell("wait"))
    if not t.asleep:
        t.begin = survivor.tell("wait").ns
    _next_round(t, victim, survivor, other)


def after_arrival(t):
    """Three meet; one is killed while it sleeps at the barrier."""
    victim, survivor, other = t.actors(3)
    victim.tell("wait")
    victim.fall_asleep()
    if t.asleep:
        survivor.tell("wait")
        survivor.fall_asleep()
    t.death(victim, lambda: None)
    if not t.asleep:
        t.begin = survivor.tell("wait").ns
    other.tell("wait")
    _next_round(t, victim, survivor, other)


def _next_round(t, victim, survivor, other):
    """The survivors come back, and meet again with one who takes the place of the victim: now, or after they were told
    and have reset the barrier."""
    for actor in (survivor, other):
        said = t.end_of(actor, "wait")
        if said.word == "fail":
            raise Outcome(ERROR, said.detail)
        t.note(said, 0)
    if t.control:
        victim.hear("end")
    three = [victim if t.control else t.actor(), survivor, other]
    if not t.told and _round(t, three):
        return
    t.told = True
    t.step_in(survivor, "reset")
    if not _round(t, three):
        raise Outcome(ERROR, "the round after the reset")


def _round(t, actors):
    """All arrive; true if it was an ordinary round, and nobody was told of a death."""
    for actor in actors:
        actor.tell("wait")
    words = [t.end_of(actor, "the next round").word for actor in actors]
    if "fail" in words:
        raise Outcome(ERROR, "the next round")
    return "told" not in words


# ----------------------------------------------------------------------------------------------------------- messages


def receiving_asleep(t):
    """Killed while it sleeps in receive, on an empty queue; then a message is sent."""
    victim, survivor, sender = t.actors(3)
    victim.tell("receive")
    victim.fall_asleep()
    if t.asleep:
        survivor.tell("receive")
        survivor.fall_asleep()
    t.death(victim, lambda: (sender.do("send"), t.asleep or victim.hear("end")))
    t.now()
    sender.tell("send")
    _gave(t, sender, "send")
    _get(t, survivor, "receive")
    if t.control and t.asleep:
        victim.hear("end")
    _flows(t, sender, survivor)


def sending_asleep(t):
    """Killed while it sleeps in send, on a full queue; then somebody receives."""
    victim, survivor, receiver = t.actors(3)
    victim.tell("loop send")
    victim.fall_asleep()
    if t.asleep:
        survivor.tell("send")
        survivor.fall_asleep()
    t.death(victim, lambda: None)
    t.now()
    receiver.tell("loop receive")
    if t.control:
        victim.stop_loop()
        victim.hear("end")
    if t.asleep:
        t.step_out(survivor, "send")
    _marked(t, survivor, receiver, victim, not t.asleep, 1 if t.asleep else 0)


def sending(t):
    """Killed at a random moment of sending, while another receives; then a new one sends."""
    receiver, victim, sender = t.actors(3)
    t.prepare(receiver)
    receiver.tell("loop receive")
    t.loop(victim, "send")
    t.random_moment()
    t.death(victim, lambda: (victim.stop_loop(), victim.hear("end")))
    _marked(t, sender, receiver, victim, not t.asleep)


def _marked(t, sender, receiver, victim, count_send, others=0):
    """A new message gets through, behind all that the victim had sent."""
    sent = t.passes(victim)
    t.step_in(sender, "mark")
    if not count_send and t.begin:
        t.seconds = None
    said = _until_mark(t, receiver)
    if not count_send:
        t.note(said, 0)
    if _count(said) - others < sent:  # perhaps only late: order among senders is not asked for
        time.sleep(0.3)
        t.step_in(sender, "mark")
        said = _until_mark(t, receiver)
    came = _count(said) - others
    if came < sent:
        raise Outcome(LOST, f"{sent - came} of {sent} messages sent")


def _until_mark(t, receiver):
    while True:
        said = t.end_of(receiver, "receive")
        if said.word == "fail":
            raise Outcome(ERROR, said.detail)
        t.told |= said.word == "told"
        if said.detail.startswith("marked"):
            return said


def _count(said):
    return int(said.detail.split()[1])


def receiving(t):
    """Killed at a random moment of receiving, while another sends; then a new one receives."""
    sender, victim, survivor = t.actors(3)
    sender.tell("loop send")
    t.loop(victim, "receive")
    if t.asleep:
        survivor.tell("loop receive")
    t.random_moment()
    t.death(victim, lambda: (victim.stop_loop(), victim.hear("end"), t.probe.prepares and victim.leave(patient=True)))
    if t.asleep:
        t.goes_on(survivor)
    else:
        t.step_in(survivor, "receive")
        survivor.tell("loop receive")
    t.goes_on(sender, 10)


def with_loan(t):
    """Killed with a place for a message reserved and half written; then another sends."""
    receiver, victim, sender = t.actors(3)
    t.prepare(receiver)
    if t.asleep:
        receiver.tell("loop receive")
    victim.do("reserve")
    t.death(victim, lambda: victim.do("cancel"))
    if t.asleep:
        _marked(t, sender, receiver, victim, False)
    else:
        t.step_in(sender, "send")
        t.seconds = None
        t.step_in(receiver, "receive")


def churn(t):
    """Twenty senders in a row, each killed after its message; the receiver gets one from each."""
    receiver = t.actor()
    t.prepare(receiver)
    for _ in range(20):
        victim = t.actor()
        receiver.tell("receive")
        t.step_in(victim, "send")
        t.step_out(receiver, "receive", LOST)
        t.death(victim, lambda: victim.leave(patient=True))


def _flows(t, sender, receiver):
    for _ in range(3):
        t.step_in(sender, "send")
        t.step_in(receiver, "receive")


# ------------------------------------------------------------------------------------------------ request and response


def serving(t):
    """A server is killed with a request in its hands."""
    server, client = t.actors(2)
    t.prepare(server)
    server.tell("take")
    client.tell("call")
    server.hear("end")
    t.death(server, lambda: server.do("reply"))
    said = t.end_of(client, "call")
    if said.word == "fail":
        raise Outcome(ERROR, said.detail)
    t.note(said, 0)
    successor = t.actor() if not t.control else server
    t.prepare(successor)
    successor.tell("take")
    client.tell("call")
    t.end_of(successor, "take")
    t.step_in(successor, "reply")
    t.end_of(client, "call")


def calling(t):
    """A client is killed while its request is served."""
    server, victim, client = t.actors(3)
    t.prepare(server)
    server.tell("take")
    victim.tell("call")
    server.hear("end")
    t.death(victim, lambda: (server.do("reply"), victim.hear("end")))
    if not t.control:
        server.tell("reply")
        t.end_of(server, "reply")
    server.tell("take")
    t.now()
    client.tell("call")
    t.end_of(server, "take")
    t.step_in(server, "reply")
    t.step_out(client, "call")


# ------------------------------------------------------------------------------- what is told of each kind of object

HOLD, WAIT, RANDOM, STEPS = "holding it", "asleep, waiting for it", "at a random moment", "at any instruction"

KINDS = {
    "lock": [
        (HOLD, holding("lock", "unlock")),
        (WAIT, waiting("lock", "unlock")),
        (f"{RANDOM} of lock, unlock", looping("lock", "unlock")),
        (f"{STEPS} of lock, unlock", stepped("lock", "unlock")),
    ],
    "semaphore": [
        ("holding a permit", holding("wait", "post", absent=LOST)),
        ("asleep, waiting for a permit", waiting("wait", "post")),
        (f"{RANDOM} of wait, post", looping("wait", "post", absent=LOST)),
        (f"{STEPS} of wait, post", stepped("wait", "post", absent=LOST)),
    ],
    "rwlock": [
        ("holding it to read", holding("read", "unlock", "write")),
        ("holding it to write", holding("write", "unlock", "read")),
        ("asleep, a reader waiting", waiting("read", "unlock", "write", "write", "read")),
        ("asleep, a writer waiting", waiting("write", "unlock", "read", "read", "write")),
        (f"{RANDOM} of read, unlock", looping("read", "unlock", "write")),
        (f"{RANDOM} of write, unlock", looping("write", "unlock", "read")),
        (f"{STEPS} of read, unlock", stepped("read", "unlock", "write")),
        (f"{STEPS} of write, unlock", stepped("write", "unlock", "read")),
    ],
    "condition": [
        ("holding its lock", holding("lock", "unlock")),
        ("asleep in wait", waiting_for_signal),
        (f"{RANDOM} of signal", signalling),
    ],
    "event": [("asleep in wait", waiting_for_event), (f"{RANDOM} of set, clear", setting)],
    "barrier": [("before it arrives", before_arrival), ("asleep at it", after_arrival)],
    "queue": [
        ("asleep in receive", receiving_asleep),
        ("asleep in send, full", sending_asleep),
        (f"{RANDOM} of send", sending),
        (f"{RANDOM} of receive", receiving),
        ("20 senders in a row", churn),
    ],
    "loan": [("with a reserved message", with_loan)],
    "service": [("a server, serving", serving), ("a client, being served", calling)],
}
