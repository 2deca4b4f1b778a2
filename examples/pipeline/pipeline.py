"""A shell's line in code: `sort <<words | uniq -c | sort -rn >FILE`, and what happens to a writer whose reader has gone.

    pipeline.py
"""

import tempfile
from pathlib import Path

from triveni import kernel

WORDS = b"pipe\nqueue\npipe\nsignal\npipe\nqueue\n"

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "counted"
    run = kernel.Pipeline(["sort"], ["uniq", "-c"], ["sort", "-rn"], input=WORDS, output=file).run()
    ours = file.read_bytes()
print(ours.decode(), end="")
shell = kernel.Pipeline(["sh", "-c", "sort | uniq -c | sort -rn"], input=WORDS).run()
print("the same bytes as from the shell:", "yes" if run.success and ours == shell.output else "no")
run = kernel.Pipeline(["yes"], ["head", "-n", "1"]).run()
print(f"yes | head -n 1: yes was ended by {kernel.signal_name(-run.statuses[0])}, pipefail says {run.pipefail}")
