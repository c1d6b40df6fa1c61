"""Whole jobs, from command to exit: a chain of 20 and a fan-out of 50 `true` steps, on Docker and locally."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, interleaved

CHAIN = 20
FAN = 50
# More simultaneous container starts than this gain nothing on two cores, and hung dockerd at 32.
AT_ONCE = 4
NETWORK = "agentainer-network"


def document(count: int, kind: str, image: str | None, *, alone: bool = False) -> str:
    """A workflow of `count` steps of a kind that do nothing; `alone`: without network and Redis."""
    step = {"type": kind, "command": ["true"]} | ({"image": image} if image else {})
    if alone:
        step |= {"network": "none", "redis_access": "none"}
    steps = [{"id": f"s{number}", **step} for number in range(count)]
    return json.dumps({"name": "bench", "config": {"max_parallel": AT_ONCE}, "steps": steps})


def process_figures() -> Iterator[Figure]:
    """Local processes against the same `true` from a shell."""
    with tempfile.TemporaryDirectory() as directory:
        for name, count, kind, limit in (
            ("one local step", 1, "sequential", 0.6),
            ("chain of 20 local steps", CHAIN, "sequential", 0.8),
            ("fan-out of 50 local steps", FAN, "parallel", 0.8),
        ):
            ours = _ours(Path(directory), document(count, kind, None), "process")
            loop = f"for i in $(seq {count}); do /bin/true; done"
            value, floor = interleaved(ours, ["sh", "-c", loop])
            yield Figure(name, value, "sh loop of /bin/true", floor, limit=limit)


def docker_figures(image: str) -> Iterator[Figure]:
    """Containers against `docker run` from a shell: on the same network, and with no network of their own."""
    same = f"docker run --rm --network {NETWORK} {image} true"
    bare = f"docker run --rm {image} true"
    chain = "for i in $(seq {count}); do {once}; done"
    fan = "seq {count} | xargs -P {at_once} -I% {once}"
    with tempfile.TemporaryDirectory() as directory:
        for name, count, kind, alone, loop, once, target in (
            ("one container step", 1, "sequential", False, chain, same, None),
            ("chain of 20 containers", CHAIN, "sequential", False, chain, same, 0.95),
            ("fan-out of 50 containers", FAN, "parallel", False, fan, same, 0.95),
            ("chain of 20, network: none", CHAIN, "sequential", True, chain, bare, 0.55),
            ("fan-out of 50, network: none", FAN, "parallel", True, fan, bare, 0.55),
        ):
            ours = _ours(Path(directory), document(count, kind, image, alone=alone), "docker")
            shell = loop.format(count=count, at_once=AT_ONCE, once=once)
            value, floor = interleaved(ours, ["sh", "-c", shell])
            where = "bridge" if alone else "same network"
            yield Figure(name, value, f"docker run, {where}", floor, target=target)


def _ours(directory: Path, text: str, backend: str) -> list[str]:
    file = directory / f"{backend}-{len(text)}.json"
    file.write_text(text, encoding="utf-8")
    home = directory / "home"
    command = [sys.executable, "-m", "agentainer_tui", "--home", str(home), "run", str(file)]
    return [*command, "--backend", backend]
