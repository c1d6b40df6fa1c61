"""Runs the samples through the command line, as a person would, and names what each must come to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "sample_workflows"
MAPREDUCE_JSON = ROOT / "tests" / "engine" / "fixtures" / "mapreduce.json"
_DEADLINE = 100.0


@dataclass(frozen=True, slots=True)
class SampleRun:
    """How one `agentainer run FILE --json` ended."""

    exit_code: int
    document: dict[str, Any]
    stderr: str

    @property
    def status(self) -> str:
        """The status of the run."""
        return str(self.document["run"]["status"])

    @property
    def state(self) -> dict[str, Any]:
        """The shared state at the end."""
        return dict(self.document["run"]["state"])

    def step(self, step_id: str) -> dict[str, Any]:
        """One step of the run."""
        return next(step for step in self.document["steps"] if step["id"] == step_id)

    def statuses(self) -> dict[str, str]:
        """The status of each step, in document order."""
        return {step["id"]: step["status"] for step in self.document["steps"]}


def run_sample(
    file: str | Path, home: Path, *, backend: str, params: Mapping[str, object] | None = None
) -> SampleRun:
    """Run a sample (its name, or a file) on a home of its own."""
    path = file if isinstance(file, Path) else SAMPLES / f"{file}.yaml"
    options = [option for name, value in (params or {}).items() for option in ("-p", f"{name}={value}")]
    command = [sys.executable, "-m", "agentainer_tui", "--home", str(home), "run", str(path)]
    done = subprocess.run(
        [*command, "--backend", backend, "--json", *options],
        capture_output=True,
        text=True,
        timeout=_DEADLINE,
        cwd=home,
        env={name: value for name, value in os.environ.items() if not name.startswith("AGENTAINER_")},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.stdout, f"exit code {done.returncode}, nothing on standard output: {done.stderr}"
    return SampleRun(done.returncode, json.loads(done.stdout), done.stderr)


def answered_sample(
    file: str, home: Path, *, backend: str, answer: str, params: Mapping[str, object] | None = None
) -> SampleRun:
    """Run a sample that asks a person, and answer from another process as soon as it does."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        running = pool.submit(run_sample, file, home, backend=backend, params=params)
        command = [sys.executable, "-m", "agentainer_tui", "--home", str(home), answer, "last"]
        while not running.done():
            asked = subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE, check=False)
            if asked.returncode == 0:
                break
        return running.result()


def outline(run: SampleRun) -> dict[str, Any]:
    """What must be the same wherever a sample runs: all but times, names of agents and the backend."""
    return {
        "exit_code": run.exit_code,
        "status": run.status,
        "reason": run.document["run"]["reason"],
        "state": run.state,
        "steps": [_step_outline(step) for step in run.document["steps"]],
    }


def _step_outline(step: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: step[key] for key in ("id", "name", "type", "status", "reason", "error", "result")}
    items = [
        {key: item[key] for key in ("index", "value", "status", "reason", "error", "result")}
        | {"attempts": _attempts(item)}
        for item in step["items"]
    ]
    return kept | {"attempts": _attempts(step), "items": items}


def _attempts(unit: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [(a["number"], a["status"], a["reason"], a["exit_code"], a["error"]) for a in unit["attempts"]]
