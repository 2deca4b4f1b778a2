"""Processes and signals; the roles are told in process.rs."""

import os
import signal
import sys

from triveni import kernel

REAL_TIME = signal.SIGRTMIN + 3

match sys.argv[1:]:
    case ["take", n]:
        with kernel.Signals([signal.SIGUSR1, REAL_TIME]) as signals:
            print("ready")
            kernel.stop_self()
            for _ in range(int(n)):
                info = signals.receive()
                print(info.signal, info.value, info.pid)
            assert signals.try_receive() is None
            print("ok")
    case ["queue", pid, n]:
        kernel.wait_stopped(int(pid))
        for k in range(int(n)):
            kernel.queue_signal(int(pid), REAL_TIME, k)
            kernel.send_signal(int(pid), signal.SIGUSR1)
        kernel.continue_stopped(int(pid))
    case ["end", how]:
        if int(how) >= 0:
            sys.exit(int(how))
        kernel.send_signal(os.getpid(), -int(how))
    case ["children", n]:
        for k in range(int(n)):
            pid = os.fork()
            if pid == 0:
                os._exit(k % 7)
            with kernel.Child(pid) as child:
                assert child.wait() == k % 7
        print("ok", n)
    case ["pipeline", file]:
        run = kernel.Pipeline(["sort", "-n"], ["uniq", "-c"], ["tail", "-n", "5"], input=file).run()
        print(run.output.decode(), end="")
        print(run.statuses, run.pipefail)
    case _:
        sys.exit(2)
