"""triveni beside its rivals: rounds of every row, interleaved; medians; the table, the plot, the goals.

    versus/run [--quick] [--only NAME,…] [--table TABLE,…] [--minutes N] [--write]

    --quick    short rounds and few of them: does everything run? Do not quote it.
    --only     rows with one of these in their name; the machine's limits are always there
    --table    tables with one of these in their name: spinning, gaps, asleep, one by one, batches, bulk, hand-offs,
               contention, one to all, moderate rate, locks, python
    --minutes  for all rounds together, 20 where nothing is said
    --write    puts the result into docs/versus.md and docs/versus.svg
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

from goals import GOALS

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
MADE = pathlib.Path(os.environ["VERSUS_MADE"])
DOCS = ROOT / "docs"

# Title, what the numbers are, the unit of the ratios, and what is better.
TABLES = {
    "limits": ("The machine's limits", "L: one cache line to the other CPU, one way. fx: a futex wake, until the sleeper runs. C: an uncontended compare-and-swap and an exchange. memcpy: between two private buffers of one process."),
    "spinning": ("64 B one way, both spinning", "Ping-pong; half the round trip. Both sides poll."),
    "gaps": ("64 B one way, blocking calls, gaps of 5 µs", "Ping-pong with a pause of 5 µs before each message; half the round trip. `slept`: how many of the receives gave up their CPU."),
    "asleep": ("64 B one way, blocking calls, peer asleep", "The receiver has slept for 300 µs; from the send to the return of the receive."),
    "one by one": ("Messages per second, one by one", "One sender, one receiver, as fast as they can."),
    "batches": ("Messages per second, in batches", "Many messages in one call to send; the receiver takes as many as are there, up to the same number."),
    "bulk, copied": ("Large messages, from buffer to buffer", "Written from a buffer and read into one."),
    "bulk, in place": ("Large messages, written and read in place", "Every byte is written where it lies, and every byte is read there."),
    "hand-offs": ("Hand-offs of large messages", "Only the first eight bytes are written and read: what handing over costs."),
    "contention": ("Several senders and receivers", "Processes on the two CPUs in turn; each message goes to one receiver."),
    "one to all": ("One sender, every receiver gets every message", "Messages per second that the sender gets rid of. Eight receivers share the CPUs with it."),
    "moderate rate": ("Moderate rates, the receiver sleeps in between", "`cpu`: what the receiving process uses for each message. `send`: how long the sender is in its call."),
    "locks": ("Locks", "Alone, and between two that lock as fast as they can. Fairness: the smaller share by the larger one."),
    "python": ("Python", "Time for each message of a stream, both sides together; 64 B, but for the arrays."),
}

Row = collections.namedtuple("Row", "table case name facts")


def repetition(arguments, quick):
    """All rows once, ours and the rivals', interleaved by their order."""
    words = ["--quick"] if quick else []
    for option in ("only", "table"):
        if value := getattr(arguments, option):
            words += [f"--{option}", value]
    environment = os.environ | {"VERSUS_LIBRARIES": str(MADE / "libraries"), "VERSUS_RUN": str(os.getpid())}
    yield from lines([MADE / "cargo" / "release" / "versus", *words], environment)
    if not arguments.table or "python" in arguments.table:
        words = (["--quick"] if quick else []) + (["--only", arguments.only] if arguments.only else [])
        yield from lines([sys.executable, "-B", HERE / "python" / "bench.py", *words], environment)


def lines(command, environment):
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
        for line in running.stdout:
            yield json.loads(line)
    if running.returncode:
        raise SystemExit(f"{command[0]} ended with {running.returncode}")


class Results:
    """All rounds of all rows."""

    def __init__(self):
        self.rows, self.numbers, self.reasons = {}, {}, {}
        self.rounds = 0

    def add(self, line):
        key = (line["table"], line["case"], line["name"])
        self.rows.setdefault(key, Row(*key, line["facts"]))
        if "numbers" in line:
            self.numbers.setdefault(key, []).append(line["numbers"])
        else:
            self.reasons[key] = line["reason"]

    def values(self, table, case, name, number):
        return [numbers[number] for numbers in self.numbers[table, case, name]]

    def median(self, *key):
        values = [value for value in self.values(*key) if value is not None]
        return statistics.median(values) if values else None

    def quantile(self, key, share):
        """Of what few samples each round gives, over all rounds."""
        samples = sorted(s for numbers in self.numbers[key] for s in numbers["samples"])
        return samples[round((len(samples) - 1) * share)]


def said(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip().splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def machine(results):
    cpus = len(os.sched_getaffinity(0))
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    flags = open("/proc/cpuinfo").read()
    return {
        "CPU": f"{cpu}, {cpus} CPUs" + (", a guest of a virtual machine" if " hypervisor" in flags else ""),
        "kernel": platform.release(),
        "compilers": f"{said('rustc', '--version')}; {said('cc', '--version')}; Python {platform.python_version()}",
        "commit": said("git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"),
        "rivals": versions(),
        "date": datetime.date.today().isoformat(),
        "rounds": f"{results.rounds}, interleaved; medians over them",
        "load": " ".join(open("/proc/loadavg").read().split()[:3]),
    }


def versions():
    lock = (HERE / "Cargo.lock").read_text()
    found = []
    for crate in ("iceoryx2", "ringfire", "cloudtoid-interprocess", "rtrb", "crossbeam-queue", "crossbeam-channel", "disruptor", "parking_lot"):
        at = lock.find(f'name = "{crate}"\nversion = "')
        if at >= 0:
            found.append(f"{crate} {lock[at:].split(chr(34), 4)[3]}")
    import ctypes

    for library in sorted((MADE / "libraries").glob("*.so")):
        function = ctypes.CDLL(str(library)).versus_version
        function.restype = ctypes.c_char_p
        found.append(f"{library.stem} {function().decode()}")
    import importlib.metadata

    for package in ("pyzmq", "pynng", "posix-ipc", "faster-fifo", "subetha-ipc", "iceoryx2"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)} (Python)")
        except importlib.metadata.PackageNotFoundError:
            pass
    return ", ".join(found)


def three(value):
    for limit, digits in ((100, 0), (10, 1), (1, 2), (0.1, 3)):
        if abs(value) >= limit:
            return f"{value:.{digits}f}"
    return f"{value:.3f}"


def scaled(value, steps):
    by, unit = next(((by, unit) for by, unit in reversed(steps) if value >= by), steps[0])
    return f"{three(value / by)} {unit}"


def duration(ns):
    return scaled(ns, [(1, "ns"), (1e3, "µs"), (1e6, "ms")])


def rate(value):
    return scaled(value, [(1, "/s"), (1e3, "k/s"), (1e6, "M/s")])


def size_of(case):
    number, unit = case.split()[:2]
    return int(number) * {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}[unit.rstrip(",")]


def ratio_to_limit(results, row):
    """The figure as a multiple of the machine's limit, round by round; None where there is none."""
    limits = {"spinning": ("one way", "L"), "gaps": ("one way", "L"), "asleep": ("one way", "fx"), "locks": ("alone", "C"), "moderate rate": ("one way", "fx")}
    key = row[:3]
    try:
        if row.table in limits:
            units = results.values("limits", *limits[row.table], "p50")
            return statistics.median(a / b for a, b in zip(results.values(*key, "p50"), units)), limits[row.table][1]
        if row.table.startswith("bulk"):
            copies = results.values("limits", row.case, "memcpy", "p50")
            return statistics.median(r * ns / 1e9 for r, ns in zip(results.values(*key, "rate"), copies)), "× memcpy"
        if row.table in ("one by one", "batches", "contention", "one to all", "hand-offs"):
            lines_ = results.values("limits", "one way", "L", "p50")
            return statistics.median(1e9 / r / ns for r, ns in zip(results.values(*key, "rate"), lines_)), "L each"
    except (KeyError, TypeError, statistics.StatisticsError, ZeroDivisionError):
        return None
    return None


def cells(results, row):
    """The columns of a row: name to text."""
    key = row[:3]
    if key not in results.numbers:
        return {"": results.reasons.get(key, "")}
    numbers = results.numbers[key][0]
    out = {}
    for column in ("p50", "p99", "p99.9", "max"):
        if column in numbers:
            if "samples" in numbers:
                value = results.quantile(key, {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1}[column])
            elif column == "max":
                value = max(value for value in results.values(*key, column))
            else:
                value = results.median(*key, column)
            if value is not None:
                out["each" if row.table == "python" else column] = duration(value)
    if "rate" in numbers:
        median = results.median(*key, "rate")
        out["messages"] = rate(median)
        if row.table.startswith("bulk"):
            out["bytes"] = scaled(median * size_of(row.case), [(1e6, "MB/s"), (1e9, "GB/s")])
    if found := ratio_to_limit(results, row):
        out["ratio"] = f"{three(found[0])} {found[1]}"
    for column, text in (("fairness", three), ("slept", three), ("cpu", duration), ("send", duration)):
        if column in numbers:
            out[column] = text(results.median(*key, column))
    for fact in ("copies", "waits", "depth", "between"):
        out[fact] = row.facts.get(fact, "")
    return out


def tables(results):
    """Markdown of all tables."""
    out = []
    for table, (title, about) in TABLES.items():
        rows = [row for row in results.rows.values() if row.table == table]
        if not rows:
            continue
        out += [f"## {title}", "", about, ""]
        for case in dict.fromkeys(row.case for row in rows) if table != "limits" else [None]:
            here = [row for row in rows if case in (None, row.case)]
            made = [(row, cells(results, row)) for row in here]
            measured = [c for _, c in made if "" not in c]
            columns = [column for column in dict.fromkeys(column for c in measured for column in c) if any(c.get(column) for c in measured)]
            named = [row.case + " " if case is None and row.name == "memcpy" else "" for row in here]
            out += ["| " + " | ".join([case or "", *columns]) + " |", "|---" * (1 + len(columns)) + "|"]
            for (row, cell), extra in zip(made, named):
                name = f"**{row.name}**" if row.name.startswith("triveni") else extra + row.name
                if "" in cell:
                    out.append(f"| {name} | {cell[''].replace('|', '/')} |" + " |" * (len(columns) - 1))
                else:
                    out.append("| " + " | ".join([name, *(cell.get(column, "") for column in columns)]) + " |")
            out.append("")
    return out


def goals(results):
    out = ["| what | goal | measured | |", "|---|---|---|---|"]
    for goal in GOALS:
        try:
            values = goal.value(results.values)
            value = statistics.median(values)
        except (KeyError, TypeError, statistics.StatisticsError, ZeroDivisionError):
            out.append(f"| {goal.what} | {goal.goal} | not measured | |")
            continue
        met = value <= goal.limit if goal.at_most else value >= goal.limit
        off = value / goal.limit if goal.at_most else goal.limit / value
        out.append(f"| {goal.what} | {goal.goal} | {three(value)} | {'met' if met else f'not met, by a factor of {three(off)}'} |")
    return out


def document(results, facts, quick):
    out = [
        "# triveni beside its rivals",
        "",
        "Made by `make versus`, which measures all of this in one run: two processes, each bound to a CPU of its own, and",
        "what the machine itself can do, in every round. What runs in the threads of one process only says so in the last",
        "column: it has no shared memory and no dead peers to care for. Depths are matched where the rival lets us. Every",
        "rival is set up with its fastest way for the task; every channel first proves that messages come whole, once and",
        "in order. A rival that cannot take part is a row with the reason.",
        "",
        *[f"- {what}: {value}" for what, value in facts.items()],
        "",
        *(["**A quick run: it shows that everything works, and no speed.**", ""] if quick else []),
        "![one-way latency](versus.svg)",
        "",
        "## Goals",
        "",
        *goals(results),
        "",
        *tables(results),
    ]
    return "\n".join(out).rstrip() + "\n"


def plot(results, path):
    """One-way latencies, spinning and with gaps, as multiples of L."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "versus"
    import matplotlib.pyplot as plt

    panels = [
        ("spinning", "64 B one way, both spinning", "multiples of L"),
        ("gaps", "64 B one way, blocking calls, gaps of 5 µs", "multiples of L"),
        ("asleep", "64 B one way, blocking calls, peer asleep", "multiples of fx"),
        ("one by one", "64 B one by one", "million messages a second"),
    ]
    figure, axes = plt.subplots(2, 2, figsize=(13, 11), layout="constrained")
    for axis, (table, title, unit) in zip(axes.flat, panels):
        bars = []
        for row in results.rows.values():
            if row.table != table or row[:3] not in results.numbers or (table == "one by one" and not row.case.startswith("64 B")):
                continue
            value = results.median(*row[:3], "rate") / 1e6 if table == "one by one" else (ratio_to_limit(results, row) or (None,))[0]
            if value:
                bars.append((value, row))
        bars.sort(key=lambda bar: bar[0], reverse=table != "one by one")
        colours = ["#c0392b" if row.name.startswith("triveni") else "#b8b8b8" if row.facts.get("between") == "threads" else "#4a6fa5" for _, row in bars]
        axis.barh([row.name for _, row in bars], [value for value, _ in bars], color=colours)
        axis.set_xscale("log")
        axis.set_title(title)
        axis.set_xlabel(unit)
        for at, (value, _) in enumerate(bars):
            axis.text(value, at, f" {three(value)}", va="center", fontsize=8)
        axis.margins(x=0.15)
    figure.suptitle("red: triveni; blue: between processes; grey: between threads of one process")
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--table", default="")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    most, budget = (1, 90) if arguments.quick else (11, arguments.minutes * 60)
    results, began, all_lines = Results(), time.monotonic(), []
    while results.rounds < most and time.monotonic() - began < budget * (1 - 0.5 / (results.rounds + 1)):
        for line in repetition(arguments, arguments.quick):
            results.add(line)
            all_lines.append(line)
        results.rounds += 1
        print(f"versus: round {results.rounds}, {time.monotonic() - began:.0f} s", file=sys.stderr)
    (MADE / "versus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in all_lines))
    facts = machine(results)
    text = document(results, facts, arguments.quick)
    made = [
        row._asdict() | ({"numbers": results.numbers[key]} if key in results.numbers else {"reason": results.reasons.get(key)})
        for key, row in results.rows.items()
    ]
    (MADE / "versus.json").write_text(json.dumps({"machine": facts, "quick": arguments.quick, "rows": made}))
    (MADE / "versus.md").write_text(text)
    plot(results, MADE / "versus.svg")
    if arguments.write:
        (DOCS / "versus.md").write_text(text)
        (DOCS / "versus.svg").write_text((MADE / "versus.svg").read_text())
    print(text)
    print(f"versus: all rounds are in {MADE / 'versus.json'}", file=sys.stderr)


if __name__ == "__main__":
    main()
