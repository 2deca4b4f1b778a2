"""The half of the kill matrix that is exact: our own objects, killed after single instructions.

    sh kill-matrix/exact [--write]

The test program tests/process/exact writes a line of JSON for each case into the file that TRIVENI_EXACT_ROWS names;
this makes a table of them. `--write` puts it into docs/kill-matrix.md.
"""

import argparse
import datetime
import json
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "kill-matrix.md"
BEGIN, END = "<!-- exact: made by make kill-matrix; do not edit -->", "<!-- exact: end -->"


def time(micros):
    """A time in three digits; nothing where none was measured."""
    if micros is None:
        return ""
    return f"{micros:.0f} µs" if micros < 1000 else f"{micros / 1000:.1f} ms"


def table(rows):
    lines = ["| object | step | killed at | outcome | recovery p50 | longest |", "|---|---|---|---|---|---|"]
    for row in rows:
        object_, _, step = row["case"].partition(": ")
        outcome = "recovered" if row["violations"] == 0 else f"**{row['violations']} violations**"
        p50, longest = time(row["recovery_p50_us"]), time(row["recovery_max_us"])
        lines.append(f"| {object_} | {step} | {row['points']} points | {outcome} | {p50} | {longest} |")
    return "\n".join(lines)


def about(rows):
    points, violations = sum(row["points"] for row in rows), sum(row["violations"] for row in rows)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    cpu = next(
        (line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine()
    )
    return (
        f"{len(rows)} operations, killed at {points} points: {violations} violations. {cpu}, Linux {platform.release()}, "
        f"{datetime.date.today()}, triveni {commit or 'of no known commit'}."
    )


def document(rows):
    return f"""
## Ours, at exact instructions

A child carries the operation out one instruction at a time and is killed after some of them: after those that changed
shared memory or called the system, with a sweep before the survivor's first call and without, and at regular distances.
The survivor then checks all that the object promises: nothing half-changed without word of a death, no permit, message
or memory lost, nobody named who is dead. Recovery is how long the first survivor waited, or the sleeper who was in the
way of nobody else; single steps make the machine slow, so it is an upper bound. `TRIVENI_EXACT=all` kills after every
instruction there is (`make soak`).

{about(rows)}

{table(rows)}
"""


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("rows", type=pathlib.Path)
    options.add_argument("--write", action="store_true")
    given = options.parse_args()
    rows = sorted((json.loads(line) for line in given.rows.read_text().splitlines()), key=lambda row: row["case"])
    print(table(rows))
    print(about(rows))
    if given.write:
        whole = DOCUMENT.read_text()
        before, begin, rest = whole.partition(BEGIN)
        after = rest.partition(END)[2] if begin else "\n"
        DOCUMENT.write_text(f"{before}{BEGIN}\n{document(rows)}\n{END}{after}")
    return 1 if not rows or any(row["violations"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
