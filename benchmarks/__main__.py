"""`python -m benchmarks [PART ...]`: measure this machine, print a table, keep the figures as JSON.

Every part is measured in a process of its own, which has a bounded time: what one leaves in memory does not
weigh on the next, and one that fails or hangs does not keep the others from being measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import HEADER, Figure
from benchmarks.machine import docker_answers, machine
from benchmarks.parts import PARTS, measure

RESULTS = Path(__file__).parent / "results"
# Seconds that all parts may take together; on a quiet machine they take about half of that.
_ALLOWED = 690.0


def main() -> int:
    """Measure and print; returns the exit code."""
    arguments = _arguments()
    wanted = arguments.parts or list(PARTS)
    found: dict[str, list[Figure]] = {}
    failed = []
    began = time.monotonic()
    if not arguments.json:
        print(HEADER, flush=True)
    for name in wanted:
        if PARTS[name].docker and not docker_answers():
            _say(f"{name}: left out, no Docker engine answers")
            continue
        started = time.monotonic()
        found[name] = []
        try:
            for figure in measure(name, within=_ALLOWED - (started - began)):
                found[name].append(figure)
                if not arguments.json:
                    print(figure.line(), flush=True)
        except RuntimeError as error:
            failed.append(name)
            _say(f"{name}: {error}")
        _say(f"{name}: {time.monotonic() - started:.0f} s")
    document = {
        "kind": "bench",
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "seconds": round(time.monotonic() - began),
        "machine": machine(),
        "parts": {name: [figure.to_json() for figure in figures] for name, figures in found.items()},
        "failed": failed,
    }
    text = json.dumps(document, indent=1)
    if arguments.json:
        print(text)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"bench-{datetime.now():%Y-%m-%d-%H%M%S}.json"
    file.write_text(text + "\n", encoding="utf-8")
    figures = [figure for part in found.values() for figure in part]
    targets = [figure for figure in figures if figure.met is not None]
    _say(f"{sum(bool(figure.met) for figure in targets)} of {len(targets)} targets met; kept in {file}")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parts = "\n".join(f"  {name:<12} {part.about}" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure this machine; without a PART, all of them.",
        epilog=f"parts:\n{parts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON instead")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.parts if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)} (there are {', '.join(PARTS)})")
    return arguments


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
