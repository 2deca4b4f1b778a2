"""The kill matrix: what becomes of the others when a process is killed with an object in its hands.

    kill-matrix/run [--short] [--only LIBRARY,…] [--object TEXT] [--write]

    --short    few trials, under a minute for triveni and glibc; 1 is returned if a row of triveni is not recovered
    --only     these libraries only
    --object   only objects that have this in their name
    --write    puts the result into docs/kill-matrix.md; for the whole matrix only
"""

import argparse
import collections
import datetime
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import time

import stories
from actor import Broken, Hang
from libraries import LIBRARIES, MADE

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "kill-matrix.md"
BEGIN, END = "<!-- peers: made by make kill-matrix; do not edit -->", "<!-- peers: end -->"

Cell = collections.namedtuple("Cell", "verdict bad trials detail seconds")
Row = collections.namedtuple("Row", "library object step new asleep design")


class Numbers:
    """How often each story is told, how many bad ends are enough of it, and how long silence is a hang."""

    def __init__(self, library, short):
        ours, starts_fast = library.own, library.module is None or library.forks
        if short:
            self.certain, self.chance, self.steps = (2, 3, 6) if ours else (1, 2, 3)
        else:
            self.certain, self.chance, self.steps = (12, 40, 120) if ours else (4, 24 if starts_fast else 12, 40)
        self.enough = 1 if short else 2
        # The short form is about triveni, where a loaded machine shall not look like a hang.
        self.patience = 0.3 if short and not ours else 10.0 if short else 2.0


def cell(library, object_, step, story, survivor, numbers):
    """All trials of a story with one kind of survivor. First the control: nobody is killed."""
    try:
        control = stories.Trial(library, object_, survivor, True)
        verdict, _, detail = control.run(story)
        if verdict != stories.RECOVERED:
            raise Broken(f"with nobody killed: {verdict} {detail}")
        points = plan(step, story, control, numbers)
        ends = []
        for point in points:
            trial = stories.Trial(library, object_, survivor, False, point, numbers.patience)
            ends.append(trial.run(story))
            if sum(end[0] in stories.BAD for end in ends) == numbers.enough:
                break
    except (Broken, Hang, OSError) as broken:
        return Cell("probe broken", 0, 0, f"{type(broken).__name__}: {broken}", [])
    bad = [end for end in ends if end[0] in stories.BAD]
    worst = max(bad or ends, key=lambda end: (stories.BAD.index(end[0]) if bad else end[0] == stories.TOLD))
    return Cell(worst[0], len(bad), len(ends), worst[2], sorted(end[1] for end in ends if end[1] is not None))


def plan(step, story, control, numbers):
    """One entry for each trial: the number of instructions before the death, or None."""
    if getattr(story, "is_stepped", False):
        every = range(control.steps + 1)
        return random.sample(every, min(len(every), numbers.steps))
    if step.startswith("20 "):
        return [None]
    return [None] * (numbers.chance if step.startswith(stories.RANDOM) else numbers.certain)


def rows(library, wanted, numbers):
    for object_ in library.objects:
        if wanted not in object_.title.lower():
            continue
        for step, story in (told for kind in object_.kinds for told in stories.KINDS[kind]):
            stepped = getattr(story, "is_stepped", False)
            if stepped and not library.can_step or step in object_.without:
                continue
            new = cell(library, object_, step, story, "new", numbers)
            alone = stepped or step.startswith("20 ") or step.startswith("a ") or object_.single and not step.startswith(
                (f"{stories.RANDOM} of send", "with a"))
            asleep = None if alone else cell(library, object_, step, story, "asleep", numbers)
            design = next((why for begin, why in object_.design.items() if step.startswith(begin)), "")
            yield Row(library.name, object_.title, step, new, asleep, design)


def words(cell_):
    """What a cell says, without times."""
    if cell_ is None:
        return "·"
    if cell_.bad:
        return cell_.verdict + (f", {cell_.bad} of {cell_.trials}" if cell_.bad < cell_.trials else "")
    return cell_.verdict


def took(cell_):
    if cell_ is None or cell_.bad or not cell_.seconds:
        return ""
    return f"{span(statistics.median(cell_.seconds))} / {span(cell_.seconds[-1])}"


def span(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds * 1e6:.0f} µs"


def is_bad(cell_):
    return cell_ is not None and not cell_.verdict.startswith(stories.RECOVERED)


# ------------------------------------------------------------------------------------------------------- the document


def document(begin, libraries, versions, missing, all_rows):
    lines = ["## The peers and triveni, by the same probes", ""]
    lines += begin + ["", "### At a glance", ""]
    lines += ["| library | rows | recovered | lost, as documented | lost | error for ever | hang |", "|---|" + "---:|" * 6]
    for library in libraries:
        mine = [row for row in all_rows if row.library == library.name]
        if not mine:
            continue
        worst = collections.Counter((worst_of(row), bool(row.design)) for row in mine)
        counts = [worst[stories.RECOVERED, False] + worst[stories.RECOVERED, True], worst[stories.LOST, True], worst[stories.LOST, False]]
        counts += [worst[word, False] + worst[word, True] for word in (stories.ERROR, stories.HANG)]
        lines.append(f"| {library.name} | {len(mine)} | {' | '.join(map(str, counts))} |")
    for library in libraries:
        mine = [row for row in all_rows if row.library == library.name]
        lines += ["", f"### {library.name}", ""]
        if library.name in missing:
            lines.append(f"not installed: {missing[library.name]}")
            continue
        lines += [f"{versions[library.name]}. {library.remark}".strip(), ""]
        lines += ["| object | killed | a new caller | p50 / max | one already in it | p50 / max |", "|---|---|---|---|---|---|"]
        notes, last = [], None
        for row in mine:
            marks = []
            for why in dict.fromkeys(filter(None, [row.design if worst_of(row) != stories.RECOVERED else "", detail(row)])):
                if why not in notes:
                    notes.append(why)
                marks.append(f"[{notes.index(why) + 1}]")
            lines.append("| " + " | ".join([
                row.object if row.object != last else "", row.step + " ".join(["", *marks]), words(row.new), took(row.new),
                words(row.asleep), took(row.asleep)]) + " |")
            last = row.object
        lines += ["", *(f"{number}. {note}" for number, note in enumerate(notes, 1))] if notes else []
    return "\n".join(lines).rstrip() + "\n"


def worst_of(row):
    verdicts = [cell_.verdict for cell_ in (row.new, row.asleep) if cell_ is not None]
    for verdict in (*reversed(stories.BAD), "probe broken"):
        if verdict in verdicts:
            return verdict
    return stories.RECOVERED


def detail(row):
    """What went wrong, in the words of the library; where it hangs is in the step already."""
    for cell_ in (row.new, row.asleep):
        if is_bad(cell_) and cell_.detail and " " in cell_.detail:
            return cell_.detail.replace("|", "/")
    return ""


def machine():
    with open("/proc/cpuinfo") as cpus:
        facts = [line.partition(":")[2].strip() for line in cpus if line.startswith("model name")]
    ask = lambda *command: subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    commit = ask("git", "rev-parse", "--short", "HEAD") or "unknown"
    changed = " and changes" if ask("git", "status", "--porcelain", "core") else ""
    return [
        f"Machine: {facts[0] if facts else platform.machine()}, {len(facts) or '?'} cores. Kernel: {platform.release()}. "
        f"Date: {datetime.date.today()}. Python {platform.python_version()}. triveni at commit {commit}{changed}.",
        "",
        "Made by `sh kill-matrix/run --write`, which fetches the peers once. Trials in a cell: 12 where the step is certain, "
        "40 at random moments, 120 instructions taken at random (peers: 4; 24, or 12 where a process is slow to start; 40). Two bad ends are enough: each "
        "costs two seconds. The machine had other work to do: times are what a busy machine shows.",
    ]


HEAD = """# What is left when a process is killed

A process is brought to a step with an object in its hands, and killed with SIGKILL. What becomes of the others?

| word | meaning |
|---|---|
| recovered | the survivor went on, and what it got works: given back, and taken by a third |
| recovered, told | and it was told that somebody died, so that it can repair what the object guards |
| lost | a permit, a message or a wake is gone for ever, and nobody is told |
| error for ever | every later call fails |
| hang | nothing within two seconds; without a time limit, nothing ever |
| probe broken | the same steps fail when nobody is killed: that says nothing about the object |

*A new caller* had opened the object before, and comes to it after the death; its time is that of its call. *One already
in it* slept in it (or was busy with it) when the process died; its time begins with the kill, or with what it waited
for. Numbers such as "3 of 17" say how many trials ended so. A cell has the worst that was seen; · is a question that
cannot be asked.

Every peer gets its best documented settings: robust mutexes with `pthread_mutex_consistent`, SEM_UNDO, removal of dead
nodes, time limits. What a standard or a manual declares lost is marked, and counted all the same.
"""


def write(text):
    """Replaces our part of the document, and leaves the rest as it is."""
    old = DOCUMENT.read_text() if DOCUMENT.is_file() else ""
    if BEGIN not in old:
        old = f"{HEAD}\n{BEGIN}\n{END}\n{old}"
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{text}{END}{after}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--short", action="store_true")
    options.add_argument("--only", default="")
    options.add_argument("--object", default="")
    options.add_argument("--write", action="store_true")
    given = options.parse_args()
    if given.write and (given.short or given.only or given.object):
        options.error("--write is for the whole matrix")
    chosen = [library for library in LIBRARIES if not given.only or library.name in given.only.split(",")]
    facts = machine()  # now: the tree may be another one when all is done
    versions, missing, all_rows, wrong = {}, {}, [], []
    for library in chosen:
        try:
            versions[library.name] = library.version()
        except Broken as reason:
            missing[library.name] = str(reason)
            print(f"{library.name}: not installed: {reason}")
            continue
        print(f"\n{versions[library.name]}")
        for row in rows(library, given.object.lower(), Numbers(library, given.short)):
            all_rows.append(row)
            print(f"{row.object:28} {row.step:34} {words(row.new):24} {took(row.new):20} {words(row.asleep):24} {took(row.asleep)}",
                  flush=True)
            for cell_ in (row.new, row.asleep):
                if is_bad(cell_) and " " in cell_.detail:
                    print(f"{'':28} {cell_.detail}")
            if library.own and worst_of(row) in stories.BAD and not row.design:
                wrong.append(row)
    broken = [row for row in all_rows if worst_of(row) == "probe broken"]
    if given.write:
        write(document(facts, chosen, versions, missing, all_rows))
    for row in wrong + broken:
        print(f"WRONG: {row.library}, {row.object}, {row.step}: {worst_of(row)}")
    print(f"{len(all_rows) - len(wrong) - len(broken)} passed, {len(wrong) + len(broken)} failed" if given.short else "")
    return 1 if wrong or broken or "triveni" in missing or not all_rows else 0


if __name__ == "__main__":
    begin = time.monotonic()
    code = main()
    print(f"{time.monotonic() - begin:.0f} s")
    sys.exit(code)
