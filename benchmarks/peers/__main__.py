"""`python -m benchmarks.peers`: the same small jobs by us, by a shell, and by luigi, dagster and prefect.

Each is a program that is started, runs a chain of 20 steps, a fan-out of 50, or one step, and ends; a step is
`true` in a container of its own, or as a local process. All take turns, so that a drift of the machine hits
everybody, and what is told is the median over the passes. A pass is begun only if there is time for it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import docker_answers, machine
from benchmarks.peers.contenders import AT_ONCE, JOBS, Contender, Job, contenders
from benchmarks.peers.environment import peer_versions, peers_python

RESULTS = Path(__file__).parent.parent / "results"
# Seconds for all passes, and for one job: who is not done by then has no figure for it.
_BUDGET = 600.0
_PATIENCE = 90.0
_PASSES = 3


@dataclass(frozen=True, slots=True)
class Ran:
    """One job done once: seconds, and the memory of its largest process in bytes."""

    seconds: float
    memory: int


def main() -> int:
    """Compare and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="Compare with others.")
    parser.add_argument("--without-peers", action="store_true", help="install nothing: only us and a shell")
    parser.add_argument("--passes", type=int, default=_PASSES, help=f"at most so many (default: {_PASSES})")
    parser.add_argument("--local", action="store_true", help="local steps only, no containers")
    arguments = parser.parse_args()
    contained = docker_answers() and not arguments.local
    image = ""
    if contained:
        from tests import docker_images

        image = docker_images.image("busybox")
    try:
        peers = None if arguments.without_peers else peers_python()
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 1
    jobs = [job for job in JOBS if contained or not job.contained]
    with tempfile.TemporaryDirectory(prefix="agentainer-peers-", ignore_cleanup_errors=True) as place:
        found = contenders(sys.executable, peers, image, Path(place))
        taken, passes = _passes(found, jobs, arguments.passes)
    document = {
        "kind": "peers",
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": machine(),
        "versions": peer_versions() if peers is not None else [],
        "passes": passes,
        "at_once": AT_ONCE,
        "contenders": {one.name: one.about for one in found},
        "seconds": {
            job.name: {
                name: round(statistics.median(ran.seconds for ran in runs), 3)
                for name, runs in taken[job.name].items()
            }
            for job in jobs
        },
        "memory": {
            one.name: max(
                (ran.memory for runs in taken.values() for ran in runs.get(one.name, ())), default=0
            )
            for one in found
        },
    }
    _print_table(document)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"peers-{datetime.now():%Y-%m-%d-%H%M%S}.json"
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"kept in {file}", file=sys.stderr)
    return 0


def _passes(
    found: list[Contender], jobs: list[Job], most: int
) -> tuple[dict[str, dict[str, list[Ran]]], int]:
    """Let all take turns until the time is up; what they took by job and name, and the passes."""
    began = time.monotonic()
    for one in found:  # once without looking: what is made at the first start only is made then
        _note(f"first start of {one.name}")
        for job in {job.contained: job for job in reversed(jobs) if job.count == 1}.values():
            _once(one, job)
    taken: dict[str, dict[str, list[Ran]]] = {job.name: {} for job in jobs}
    longest, done = 0.0, 0
    while done < most and (done == 0 or time.monotonic() - began + longest < _BUDGET):
        started = time.monotonic()
        for job, one in itertools.product(jobs, found):
            if time.monotonic() - began > _BUDGET:
                _note("the time is up")
                return taken, done
            if (ran := _once(one, job)) is None:
                continue
            taken[job.name].setdefault(one.name, []).append(ran)
            _note(f"pass {done + 1}: {job.name:<26} {one.name:<26} {ran.seconds:7.2f} s")
        longest = max(longest, time.monotonic() - started)
        done += 1
    return taken, done


def _once(contender: Contender, job: Job) -> Ran | None:
    """Do a job once; None if it is not for this one, or did not succeed in time."""
    command = contender.command(job)
    if command is None:
        return None
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(Path(__file__).with_name("once.py")), str(_PATIENCE), *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **contender.variables},
    )
    told = json.loads(done.stdout)
    if told["code"] == 0:
        return Ran(told["seconds"], told["memory"])
    _note(f"{contender.name} did not do {job.name!r} ({told['code']}): {told['said']}")
    return None


def _print_table(document: dict[str, Any]) -> None:
    jobs = list(document["seconds"])
    print(f"{'':<26}" + "".join(f"{job:>28}" for job in jobs) + f"{'MB':>8}")
    for name, memory in document["memory"].items():
        cells = [document["seconds"][job].get(name) for job in jobs]
        row = "".join(f"{'-' if cell is None else f'{cell:.2f} s':>28}" for cell in cells)
        print(f"{name:<26}{row}{memory / 1e6:>8.0f}")


def _note(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
