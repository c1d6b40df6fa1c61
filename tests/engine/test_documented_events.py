"""The events of a real run, held against the page that lists what each type carries."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from engine.events import EventType
from tests.documentation import REFERENCE, read
from tests.samples import run_sample

ALWAYS = {"duration"}  # said in the text: the `finished` types may have one


def documented_data() -> dict[str, set[str]]:
    """The names in the `data` column of each type; `as step.x` stands for what that type has."""
    rows = re.findall(r"^\| `([a-z]+(?:\.[a-z]+)?)` \| (.*) \|$", read(REFERENCE / "events.md"), re.MULTILINE)
    types = {member.value for member in EventType}
    cells = {name: cell for name, cell in rows if name in types}
    return {
        name: set(re.findall(r"`([a-z_]+)\??`", cells[cell[4:-1]] if cell.startswith("as `") else cell))
        for name, cell in cells.items()
    }


def test_events_carry_what_the_page_says_and_nothing_else(tmp_path: Path) -> None:
    seen: dict[str, set[str]] = {}
    for sample, params in (("pipeline", {}), ("mapreduce", {"pace": 0})):
        run_id = run_sample(sample, tmp_path, backend="process", params=params).document["run"]["id"]
        command = [
            sys.executable,
            "-m",
            "agentainer_tui",
            "--home",
            str(tmp_path),
            "events",
            run_id,
            "--json",
        ]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        for event in map(json.loads, lines):
            assert set(event) == {"seq", "run_id", "type", "time", "step_id", "item", "attempt", "data"}
            seen.setdefault(event["type"], set()).update(event["data"])

    documented = documented_data()
    assert documented.keys() == {member.value for member in EventType}
    assert {"step.retrying", "item.retrying", "step.expanded", "agent.removed"} <= seen.keys()
    undocumented = {name: keys - documented[name] - ALWAYS for name, keys in seen.items()}
    assert {name: keys for name, keys in undocumented.items() if keys} == {}
