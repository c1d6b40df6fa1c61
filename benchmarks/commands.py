"""Short commands as whole processes, beside the interpreter that starts and ends."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, interleaved
from benchmarks.steps import document

PASSES = 9
# Seconds for commands that only answer. 0.25 s is 13 times a bare interpreter that takes 19 ms.
SHORT = 0.25


def command_figures() -> Iterator[Figure]:
    """`--help`, `validate` and `history` against `python -c pass`."""
    bare = [sys.executable, "-c", "pass"]
    ours = [sys.executable, "-m", "agentainer_tui"]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "one.json"
        file.write_text(document(1, "sequential"), encoding="utf-8")
        for name, words, limit in (
            ("agentainer --help", ["--help"], SHORT),
            ("agentainer validate FILE", ["validate", str(file)], SHORT),
            ("agentainer history", ["history", "--home", directory], None),
        ):
            value, floor = interleaved([*ours, *words], bare, passes=PASSES)
            yield Figure(name, value, "python -c pass", floor, limit=limit)
