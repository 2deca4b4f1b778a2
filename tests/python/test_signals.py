"""Ctrl-C ends any wait; other signals end none and move no deadline."""

import signal
import threading
import time

import pytest

#: Every call that waits: what to prepare, and the call; `t` is its timeout.
WAITS = {
    "semaphore.wait": ("s = segment.semaphore('s')", "s.wait(t)"),
    "semaphore.wait for several": ("s = segment.semaphore('s', 1)", "s.wait(t, n=2)"),
    "semaphore.wait for a lease": ("s = segment.semaphore('l')", "s.wait(t)"),
    "mutex.lock": ("m = segment.mutex('m')", "m.lock(t)"),
    "monitor.enter": ("m = segment.monitor('o')", "m.enter(t)"),
    "condition.wait_for": (
        "m = segment.monitor('free'); c = m.condition('c'); m.enter()\ndef late(): raise TimeoutError",
        "c.wait_for(lambda: False, t) or late()",
    ),
    "rwlock.read": ("l = segment.rwlock('written')", "l.read(t)"),
    "rwlock.write": ("l = segment.rwlock('read')", "l.write(t)"),
    "rwlock.write fair": ("l = segment.rwlock('read fair')", "l.write(t)"),
    "barrier.wait": ("b = segment.barrier('meeting', 2)", "b.wait(t)"),
    "event.wait_any": ("e = segment.event('e')", "e.wait_any(3, t)"),
    "event.wait_all": ("e = segment.event('e', 1)", "e.wait_all(3, t)"),
    "mailbox.send": ("b = segment.mailbox('b', 1); b.send(b'x')", "b.send(b'y', t)"),
    "mailbox.send of a bytearray": ("b = segment.mailbox('b', 1); b.send(b'x')", "b.send(bytearray(b'y'), t)"),
    "mailbox.receive": ("b = segment.mailbox('b')", "b.receive(t)"),
    "mailbox.receive_info": ("b = segment.mailbox('b')", "b.receive_info(t)"),
    "mailbox.receive_into": ("b = segment.mailbox('b')", "b.receive_into(bytearray(256), t)"),
    "mailbox.peek": ("b = segment.mailbox('b')", "b.peek(t)"),
    "mailbox.reserve": ("b = segment.mailbox('b', 1); b.send(b'x')", "b.reserve(1, t)"),
    "producer.write": (
        "r = segment.ring('r', 256); c = r.consumer(); p = r.producer()\nwhile p.try_write(bytes(100)): pass",
        "p.write(bytes(100), t)",
    ),
    "producer.reserve": (
        "r = segment.ring('r', 256); c = r.consumer(); p = r.producer()\nwhile p.try_write(bytes(100)): pass",
        "p.reserve(100, t)",
    ),
    "consumer.read": ("r = segment.ring('r'); p = r.producer(); c = r.consumer()", "c.read(t)"),
    "consumer.read_into": ("r = segment.ring('r'); p = r.producer(); c = r.consumer()", "c.read_into(bytearray(9), t)"),
    "consumer.peek": ("r = segment.ring('r'); p = r.producer(); c = r.consumer()", "c.peek(t)"),
}


@pytest.fixture(params=WAITS, ids=[name.replace(" ", "_") for name in WAITS])
def wait(request, segment):
    """The code of a wait that nothing ends; what can be held is held here."""
    held = [
        segment.mutex("m").lock(), segment.monitor("o").enter(), segment.rwlock("written").write(),
        segment.rwlock("read").read(), segment.rwlock("read fair", "fair").read(),
    ]  # fmt: skip
    segment.semaphore("l", 1, leased=True).wait()
    yield WAITS[request.param]
    for guard in held:
        guard.__exit__()
    segment.semaphore("l").post()


def test_ctrl_c_ends_the_wait(wait, other):
    prepare, call = wait
    peer = other(
        f"signal.signal(signal.SIGINT, signal.default_int_handler); t = None\n{prepare}\n"
        f"say('waiting')\ntry: {call}\nexcept KeyboardInterrupt: say('interrupted')\n"
    )
    peer.says("waiting")
    peer.asleep()
    peer.signal(signal.SIGINT)
    peer.says("interrupted")
    peer.ends()


def test_ctrl_c_is_served_also_when_it_lands_just_before_the_sleep(segment, other):
    """The signal is sent at every instant around the call, by the process itself, from another thread."""
    peer = other("""
signal.signal(signal.SIGINT, signal.default_int_handler)
s, served = segment.semaphore('s'), 0
main = threading.main_thread().ident
for k in range(100):
    def strike():
        time.sleep(k * 1e-5)
        signal.pthread_kill(main, signal.SIGINT)
    thread = threading.Thread(target=strike)
    try:
        thread.start()
        s.wait()
    except KeyboardInterrupt:
        served += 1
    thread.join()
say(served)
""")
    peer.says("100")
    peer.ends()


def test_ctrl_c_is_served_when_another_thread_gets_the_signal(segment, other):
    """The kernel may choose any thread; the main one is not interrupted then, and has to look."""
    peer = other("""
signal.signal(signal.SIGINT, signal.default_int_handler)
s = segment.semaphore('s')
def strike():
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
thread = threading.Timer(0.2, strike)
thread.start()
try: s.wait()
except KeyboardInterrupt: say('interrupted')
""")
    peer.says("interrupted")
    peer.ends()


def test_other_signals_leave_the_deadline_alone(wait, other):
    prepare, call = wait
    peer = other(f"""
hits = 0
def hit(*_):
    global hits
    hits += 1
signal.signal(signal.SIGALRM, hit)
t = 0.5
{prepare}
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
start = time.monotonic()
try: {call}
except TimeoutError: late = time.monotonic() - start
signal.setitimer(signal.ITIMER_REAL, 0)  # or it would end the interpreter while that ends
say(late >= t, hits >= 5)
""")
    peer.says("True True")
    peer.ends()


def test_a_handler_that_raises_ends_the_wait_with_its_exception(segment, other):
    peer = other("""
class Enough(Exception): pass
def hit(*_): raise Enough
signal.signal(signal.SIGALRM, hit)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try: segment.semaphore('s').wait(timeout=1000)
except Enough: say('enough')
""")
    peer.says("enough")
    peer.ends()


def test_a_handler_may_end_the_wait_by_what_it_does(segment):
    semaphore = segment.semaphore("s")
    before = signal.signal(signal.SIGALRM, lambda *_: semaphore.post())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        semaphore.wait()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert semaphore.value() == 0


def test_a_wait_on_another_thread_goes_on_through_signals(segment):
    semaphore, done = segment.semaphore("s"), []
    thread = threading.Thread(target=lambda: done.append(semaphore.wait()))
    thread.start()
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        for _ in range(20):
            signal.pthread_kill(thread.ident, signal.SIGALRM)
            time.sleep(0.001)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert done == [] and thread.is_alive()
    semaphore.post()
    thread.join()
    assert done == [None]
