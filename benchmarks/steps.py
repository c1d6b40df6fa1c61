"""Whole jobs, from command to exit: a chain of 20 and a fan-out of 50 local `true` steps."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, interleaved

CHAIN = 20
FAN = 50
AT_ONCE = 4


def document(count: int, kind: str) -> str:
    """A workflow of `count` steps of a kind that do nothing."""
    steps = [{"id": f"s{number}", "type": kind, "command": ["true"]} for number in range(count)]
    return json.dumps({"name": "bench", "config": {"max_parallel": AT_ONCE}, "steps": steps})


def process_figures() -> Iterator[Figure]:
    """Local processes against the same `true` from a shell."""
    with tempfile.TemporaryDirectory() as directory:
        for name, count, kind, limit in (
            ("one local step", 1, "sequential", 0.6),
            ("chain of 20 local steps", CHAIN, "sequential", 0.8),
            ("fan-out of 50 local steps", FAN, "parallel", 0.8),
        ):
            ours = _ours(Path(directory), document(count, kind))
            loop = f"for i in $(seq {count}); do /bin/true; done"
            value, floor = interleaved(ours, ["sh", "-c", loop])
            yield Figure(name, value, "sh loop of /bin/true", floor, limit=limit)


def _ours(directory: Path, text: str) -> list[str]:
    file = directory / f"{len(text)}.json"
    file.write_text(text, encoding="utf-8")
    home = directory / "home"
    command = [sys.executable, "-m", "agentainer_tui", "--home", str(home), "run", str(file)]
    return [*command, "--backend", "process"]
