"""The rows in Python: one repetition of each, as lines of JSON. Two processes, each on its CPU.

    bench.py [--quick] [--only NAME,…]

| case            | what happens                                                                     |
|-----------------|-----------------------------------------------------------------------------------|
| one by one      | 64 bytes to a call, sent and received                                              |
| in lists        | a hundred of them to a call, where the library has such a call                     |
| 8 MiB array     | a numpy array of 8 MiB: its first number is written, handed over, and read         |

The messages are made before. The time is that of the whole stream divided by its messages; the receiver checks number and size of each of them
before anything is timed, and their count and the last one's number always.
"""

import json
import multiprocessing
import os
import signal
import sys
import time

import rivals

SIZE, LIST = 64, 100
# Messages that differ: a multiple of a list.
DISTINCT = 4000
# Messages, lists or arrays before the time begins: first touches, imports, caches.
WARM = 10
PATIENCE = 30  # seconds; nothing here takes a tenth of it


def messages(case):
    """What is sent again and again, made before the time begins."""
    if case == "8 MiB array":
        return range(DISTINCT)
    made = [i.to_bytes(8, "little") + b"\x5a" * (SIZE - 8) for i in range(DISTINCT)]
    return [made[i : i + LIST] for i in range(0, DISTINCT, LIST)] if case == "in lists" else made


def send(channel, case, count, together):
    put, made = channel.sender(case), messages(case)
    laps, rest = divmod(count // LIST if case == "in lists" else count, len(made))
    together.wait()
    for message in made[:WARM]:
        put(message)
    together.start()
    for _ in range(laps):
        for message in made:
            put(message)
    for message in made[:rest]:
        put(message)


def receive(channel, case, count, proof, together):
    get = channel.receiver(case)
    together.wait()
    take(get, case, WARM * LIST if case == "in lists" else WARM, False)
    together.start()
    take(get, case, count, proof)


def take(get, case, count, proof):
    if case == "one by one":
        for i in range(count):
            message = get()
            if proof:
                check(message, i)
        check(message, (count - 1) % DISTINCT)
    elif case == "in lists":
        done = 0
        while done < count:
            some = get()
            if proof:
                for i, message in enumerate(some):
                    check(message, done + i)
            done += len(some)
        check(some[-1], (count - 1) % DISTINCT)
    else:
        for i in range(count):
            if (number := get()) != i % DISTINCT:
                raise AssertionError(f"array {i} says {number}")


def check(message, number):
    if len(message) != SIZE or int.from_bytes(message[:8], "little") != number or message[8] != 0x5A:
        raise AssertionError(f"message {number} was lost, doubled or torn")


def heat(make, case, count, proof):
    """Seconds for `count` messages. The receiver tells when it has the last one."""
    context = multiprocessing.get_context("fork")
    channel = make()
    barrier = context.Barrier(2)
    ours, theirs = context.Pipe()

    def play(role, cpu):
        try:
            os.sched_setaffinity(0, {cpu})

            class Together:
                @staticmethod
                def wait():
                    barrier.wait(PATIENCE)

                @staticmethod
                def start():
                    barrier.wait(PATIENCE)
                    Together.began = time.perf_counter()

            if role == "send":
                send(channel, case, count, Together)
            else:
                receive(channel, case, count, proof, Together)
            theirs.send((role, Together.began, time.perf_counter(), None))
            barrier.wait(PATIENCE)  # nobody closes what the other one still needs
        except BaseException as error:
            theirs.send((role, 0, 0, f"{type(error).__name__}: {error}"))
        finally:
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL) if channel.abrupt else os._exit(0)

    cpus = sorted(os.sched_getaffinity(0))
    team = [context.Process(target=play, args=(role, cpus[i % len(cpus)])) for i, role in enumerate(["receive", "send"])]
    for process in team:
        process.start()
    times = {}
    try:
        for _ in team:
            if not ours.poll(PATIENCE):
                raise RuntimeError(f"hangs: killed after {PATIENCE} s")
            role, began, ended, problem = ours.recv()
            if problem:
                raise RuntimeError(problem)
            times[role] = (began, ended)
    finally:
        for process in team:
            process.join(0.5 if len(times) == 2 else 0)
            process.kill()
            process.join()
        channel.close()
    return max(end for _, end in times.values()) - min(begin for begin, _ in times.values())


def measure(make, case, seconds):
    few = LIST if case == "in lists" else 10 if case == "8 MiB array" else 100
    took = heat(make, case, few, True)
    count = max(few, min(int(few * seconds / took), 1_000_000)) // few * few
    took = heat(make, case, count, False)
    count = max(few, min(int(count * seconds / took), 1_000_000)) // few * few
    took = heat(make, case, count, False)
    return {"p50": took / count * 1e9, "count": count}


def main():
    quick = "--quick" in sys.argv
    only = sys.argv[sys.argv.index("--only") + 1].lower().split(",") if "--only" in sys.argv else []
    for name, cases, make, facts in rivals.ALL:
        for case in cases:
            if only and not any(word in name.lower() for word in only):
                continue
            line = {"table": "python", "case": case, "name": name, "facts": {"between": "processes"} | facts}
            try:
                line["numbers"] = measure(lambda: make(case), case, 0.01 if quick else 0.04)
            except rivals.Missing as missing:
                line["reason"] = str(missing)
            except Exception as error:
                line["reason"] = f"{type(error).__name__}: {error}"[:300]
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
