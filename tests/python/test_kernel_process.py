"""Processes: children, pipelines, the chain and the fan, daemons."""

import os
import select
import signal
import subprocess
import sys
import threading
import time

import pytest
from people import until

import triveni
from triveni import kernel

SLEEP = ["sleep", "1000"]


@pytest.fixture
def sleeper():
    with kernel.spawn(SLEEP, kill_on_close=True) as child:
        yield child


def is_there(pid):
    """Is it still a process, if only a zombie?"""
    return os.path.exists(f"/proc/{pid}")


@pytest.mark.parametrize("script, returncode", [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -signal.SIGTERM)])
def test_an_end_is_told_as_subprocess_tells_it(script, returncode):
    child = kernel.spawn(["sh", "-c", script])
    assert child.returncode is None
    assert child.wait(timeout=60) == child.wait() == child.try_wait() == child.returncode == returncode
    assert subprocess.run(["sh", "-c", script]).returncode == returncode
    assert not is_there(child.pid)
    with pytest.raises(ProcessLookupError):
        child.kill()


def test_a_wait_ends_at_its_timeout_and_not_before(sleeper):
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        sleeper.wait(timeout=0.05)
    assert time.monotonic() - start >= 0.05
    assert sleeper.try_wait() is None


def test_pythons_handlers_run_during_a_wait_and_leave_the_timeout_alone(sleeper):
    hits = []
    before = signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            sleeper.wait(timeout=0.2)
        assert time.monotonic() - start >= 0.2 and len(hits) >= 3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "wait",
    [
        "kernel.spawn(['sleep', '1000'], kill_on_close=True).wait()",
        "kernel.Pipeline(['sleep', '1000']).run()",
        "kernel.Signals([signal.SIGUSR1]).receive()",
        "kernel.Handlers().dispatch()",
        "kernel.ChildEnds().receive()",
        "kernel.Mask([signal.SIGUSR1]).suspend()",
        "kernel.wait_stopped(os.getppid())",
    ],
)
def test_ctrl_c_ends_every_wait(wait, other):
    peer = other(
        f"from triveni import kernel\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nsay('waiting')\n"
        f"try: {wait}\nexcept KeyboardInterrupt: say('interrupted')"
    )
    peer.says("waiting")
    peer.asleep()
    peer.signal(signal.SIGINT)
    peer.says("interrupted")
    peer.ends()


def test_a_child_stops_continues_and_ends(sleeper):
    assert sleeper.try_wait_change() is None
    sleeper.stop()
    assert sleeper.wait_change(60) == ("stopped", signal.SIGSTOP)
    sleeper.cont()
    assert sleeper.wait_change() == ("continued", 0)
    sleeper.send(signal.SIGTERM)
    assert sleeper.wait_change(60) == ("killed", signal.SIGTERM)
    assert "signal: 15" in repr(sleeper)


def test_a_descriptor_tells_the_end():
    child = kernel.spawn(["cat"], redirect={0: b""})
    assert select.select([child], [], [], 60)[0] == [child]
    assert child.wait() == 0
    child.close()
    child.close()
    with pytest.raises(ValueError):
        child.wait()


def test_several_threads_wait_for_one_child():
    child, seen = kernel.spawn(["sh", "-c", "sleep 0.1; exit 3"]), []
    threads = [threading.Thread(target=lambda: seen.append(child.wait())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [3] * 4


def test_a_child_of_os_fork_is_adopted_and_a_strange_one_refused():
    pid = os.fork()
    if pid == 0:
        os._exit(9)
    assert kernel.Child(pid).wait(60) == 9
    with pytest.raises(ChildProcessError):
        kernel.Child(os.getppid())
    process = subprocess.Popen(["sh", "-c", "exit 4"])
    child = kernel.Child(process.pid)
    assert process.wait() == 4
    with pytest.raises(ChildProcessError, match="somebody else"):
        child.wait()


def test_a_forked_child_cannot_wait_for_its_parents(sleeper):
    pid = os.fork()
    if pid == 0:
        try:
            sleeper.wait()
        except triveni.Forked:
            os._exit(5)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    assert sleeper.try_wait() is None


def test_a_failed_start_says_why_and_leaves_no_child(tmp_path):
    script = tmp_path / "script"
    script.write_text("echo")
    for argv, options, error, words in [
        (["no-such-program"], {}, FileNotFoundError, "PATH is"),
        ([script], {}, PermissionError, "chmod"),
        (SLEEP, {"directory": "/no/such"}, FileNotFoundError, "/no/such"),
        (SLEEP, {"redirect": {0: "/no/such/file"}}, FileNotFoundError, "/no/such/file"),
        (SLEEP, {"redirect": {1: ("x", "z")}}, ValueError, "mode"),
        (SLEEP, {"redirect": {1: 3.5}}, TypeError, "float"),
        (SLEEP, {"inherit": [999]}, ValueError, "999"),
        (SLEEP, {"colour": 1}, KeyError, "colour"),
        ([], {}, ValueError, "argv"),
        ("sleep 1", {}, TypeError, "list"),
    ]:
        with pytest.raises(error, match=words):
            kernel.spawn(argv, **options)
    assert kernel.ended_children() == []


def test_the_environment_the_directory_and_redirections(tmp_path):
    out, err = tmp_path / "out", tmp_path / "err"
    os.environ["TRIVENI_TEST_GONE"] = "x"
    script = "echo $A $TRIVENI_TEST_GONE; pwd; echo err >&2; cat"
    child = kernel.spawn(
        ["sh", "-c", script],
        env={"A": "1", "TRIVENI_TEST_GONE": None},
        directory="/",
        redirect={0: b"input\n", 1: out, 2: err},
    )
    assert child.wait(60) == 0
    assert (out.read_text(), err.read_text()) == ("1\n/\ninput\n", "err\n")
    assert kernel.spawn(["sh", "-c", "echo a; echo b >&2"], redirect={1: (out, "a"), 2: 1}).wait() == 0
    assert out.read_text() == "1\n/\ninput\na\nb\n"
    reader, writer = kernel.pipe()
    assert kernel.spawn(["echo", "through a pipe"], redirect={1: writer}).wait() == 0
    writer.close()
    assert reader.read() == b"through a pipe\n"


def test_only_what_is_listed_is_inherited_and_sigpipe_kills():
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    run = kernel.Pipeline({"argv": ["ls", "/proc/self/fd"], "inherit": [writer]}).run(60)
    listed = {int(fd) for fd in run.output.split()}
    assert writer in listed and reader not in listed
    os.close(reader), os.close(writer)
    run = kernel.Pipeline(["yes"], ["head", "-n", "1"]).run(60)
    assert (run.output, run.statuses, run.pipefail) == (b"y\n", [-signal.SIGPIPE, 0], 141)


def test_a_pipeline_gives_what_the_shell_gives(tmp_path):
    data = b"".join(b"%d\n" % (n * 7919 % 1000) for n in range(100_000))
    stages = [["sort", "-n"], ["uniq", "-c"], ["tail", "-n", "3"]]
    shell = subprocess.run(["sh", "-c", "sort -n | uniq -c | tail -n 3"], input=data, stdout=subprocess.PIPE)
    pipeline = kernel.Pipeline(*stages, input=data)
    for _ in range(2):
        run = pipeline.run(60)
        assert run.output == shell.stdout and run.success and run.statuses == [0, 0, 0]
    (tmp_path / "in").write_bytes(data)
    run = kernel.Pipeline(*stages, input=tmp_path / "in", output=tmp_path / "out").run(60)
    assert run.output == b"" and (tmp_path / "out").read_bytes() == shell.stdout


def test_a_pipeline_tells_each_end_and_is_killed_at_its_timeout():
    run = kernel.Pipeline(["sh", "-c", "exit 3"], ["false"], ["true"], input=None).run(60)
    assert (run.statuses, run.pipefail, run.success) == ([3, 1, 0], 1, False)
    with pytest.raises(TimeoutError):
        kernel.Pipeline(SLEEP, ["cat"]).run(timeout=0.05)
    with kernel.Pipeline(SLEEP, ["cat"]).start() as running:
        assert running.try_wait() is None
        with pytest.raises(TimeoutError):
            running.wait(0.02)
        pids = running.pids
    assert not any(is_there(pid) for pid in pids)
    with pytest.raises(FileNotFoundError):
        kernel.Pipeline(SLEEP, ["no-such-program"]).start()
    with pytest.raises(TypeError):
        kernel.Pipeline(SLEEP, timeout=3)


def test_the_chain_and_the_fan():
    with kernel.chain(4) as family:
        parent = os.getpid()
        for pid, ppid in family.members:
            assert ppid == parent
            parent = pid
        tree = kernel.ProcessTree(family.members[0][0])
        assert (len(tree), tree.depth) == (4, 3)
        assert [node.depth for node in tree.nodes] == [0, 1, 2, 3]
        assert str(tree).splitlines()[3].startswith("      └─ ")
        pids = [pid for pid, _ in family.members]
    assert not any(is_there(pid) for pid in pids)
    with kernel.fan(4) as family:
        assert {ppid for _, ppid in family.members} == {os.getpid()}
        assert str(family.tree()).count("─ ") >= 4
    for n in (0, 5000):
        with pytest.raises(ValueError):
            kernel.chain(n)
    with pytest.raises(ProcessLookupError):
        kernel.ProcessTree(2**22 + 1)


def test_no_zombie_stays_of_children_that_are_dropped():
    pids = [kernel.spawn(["true"]).pid for _ in range(50)]
    until(lambda: not any(is_there(pid) for pid in pids) or kernel.spawn(["true"]).wait() != 0)


def test_a_segment_that_is_inherited_goes_on_working(segment):
    box = segment.mailbox("m", 4, 64)
    pid = os.fork()
    if pid == 0:
        box.send(b"from the child")
        os._exit(0)
    assert box.receive(60) == b"from the child"
    assert kernel.Child(pid).wait(60) == 0


DAEMON = """
import os, sys, time
from triveni import kernel
daemon = kernel.daemonize(pid_file=sys.argv[1], output=sys.argv[2])
if isinstance(daemon, int):
    print(daemon, flush=True)
    sys.exit()
print("session", os.getsid(0) not in (os.getpid(), int(sys.argv[3])), "in", os.getcwd(), flush=True)
if sys.argv[4] == "failed":
    daemon.failed("the coffee is out")
    sys.exit(1)
if sys.argv[4] == "mute":
    sys.exit(1)
with daemon:
    daemon.ready()
    os.read(os.open(sys.argv[5], os.O_RDONLY), 1)
"""


def test_a_daemon_comes_up_once_and_says_when_it_does_not(tmp_path):
    pid_file, log, gate = tmp_path / "pid", tmp_path / "log", tmp_path / "gate"
    os.mkfifo(gate)

    def start(how):
        argv = [sys.executable, "-c", DAEMON, pid_file, log, str(os.getsid(0)), how, gate]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60)

    first = start("ready")
    assert first.returncode == 0, first.stderr
    pid = int(first.stdout)
    try:
        assert pid_file.read_text() == f"{pid}\n"
        assert log.read_text() == "session True in /\n"
        second = start("ready")
        assert second.returncode == 1 and "Busy" in second.stderr and str(pid) in second.stderr
    finally:
        with open(gate, "w") as opened:
            opened.write("x")
    until(lambda: not pid_file.exists())
    assert "the coffee is out" in start("failed").stderr
    assert "PeerDead" in start("mute").stderr
