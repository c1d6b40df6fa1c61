"""`python -m benchmarks`: measure everything that this machine can, print a table, keep them as JSON."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from benchmarks import commands, containers, dashboard_log, engine, history, journal, state, steps
from benchmarks.figures import HEADER, Figure

RESULTS = Path(__file__).parent / "results"


def docker_answers() -> bool:
    """Whether a Docker engine answers."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON instead")
    arguments = parser.parse_args()
    sources = [
        commands.command_figures(),
        steps.process_figures(),
        engine.engine_figures(),
        journal.journal_figures(),
        state.state_figures(),
        history.history_figures(),
        dashboard_log.dashboard_log_figures(),
    ]
    if docker_answers():
        from tests import docker_images

        sources.append(containers.container_figures(docker_images.image("busybox")))
    else:
        print("no Docker engine answers: the container figures are left out", file=sys.stderr)
    figures: list[Figure] = []
    if not arguments.json:
        print(HEADER)
    for source in sources:
        for figure in source:
            figures.append(figure)
            if not arguments.json:
                print(figure.line(), flush=True)
    found = json.dumps([figure.to_json() for figure in figures], indent=1)
    if arguments.json:
        print(found)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{datetime.now():%Y-%m-%d-%H%M%S}.json").write_text(found + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
