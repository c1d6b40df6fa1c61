"""Who does the jobs: command lines that run so many steps and then end."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AT_ONCE = 8

Command = list[str]


@dataclass(frozen=True, slots=True)
class Job:
    """So many steps that do nothing.

    Attributes:
        name: how the tables call it.
        kind: `chain` (each after the one before) or `fan` (side by side).
        count: how many steps.
        contained: whether each is a container of its own.
    """

    name: str
    kind: str
    count: int
    contained: bool


JOBS = (
    Job("one container", "chain", 1, contained=True),
    Job("chain of 20 containers", "chain", 20, contained=True),
    Job("fan-out of 50 containers", "fan", 50, contained=True),
    Job("one local step", "chain", 1, contained=False),
    Job("chain of 20 local steps", "chain", 20, contained=False),
    Job("fan-out of 50 local steps", "fan", 50, contained=False),
)


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who does jobs.

    Attributes:
        name: how the tables call them.
        about: how they do them, in a few words.
        command: what to run for a job; None = that is not for them.
        variables: what its environment has beyond ours.
    """

    name: str
    about: str
    command: Callable[[Job], Command | None]
    variables: Mapping[str, str]


def contenders(ours: str, peers: Path | None, image: str, place: Path) -> list[Contender]:
    """All who take part; `peers` is the Python that has the others, `place` outlives the passes."""

    def step(job: Job) -> Command:
        return ["docker", "run", "--rm", image, "true"] if job.contained else ["true"]

    def shell(job: Job) -> Command:
        once = shlex.join(step(job))
        loop = f"for i in $(seq {job.count}); do {once}; done"
        fan = f"seq {job.count} | xargs -P {AT_ONCE} -I% {once}"
        return ["sh", "-c", loop if job.kind == "chain" else fan]

    def agentainer(folder: str, **more: Any) -> Callable[[Job], Command | None]:
        def command(job: Job) -> Command | None:
            if more and not job.contained:
                return None  # there is but one way to run local steps
            file = place / f"{folder}-{job.kind}-{job.count}-{job.contained}.json"
            file.write_text(json.dumps(_document(job, image, more)), encoding="utf-8")
            backend = "docker" if job.contained else "process"
            home = str(place / "home")
            return [ours, "-m", "agentainer_tui", "--home", home, "run", str(file), "--backend", backend]

        return command

    def script(name: str) -> Callable[[Job], Command]:
        path = str(Path(__file__).with_name(f"{name}_job.py"))
        return lambda job: [str(peers), path, job.kind, str(job.count), str(AT_ONCE), *step(job)]

    found = [
        Contender("shell", "`docker run` or `true` in a loop, `xargs -P` for the fan-out", shell, {}),
        Contender("agentainer", "as it is", agentainer("plain"), {}),
        Contender(
            "agentainer, network: run", "one network for the run", agentainer("run", network="run"), {}
        ),
        Contender(
            "agentainer, pooled",
            "`pool: warm`, nothing warm at the start",
            agentainer("pool", pool="warm"),
            {},
        ),
    ]
    if peers is not None:
        home = place / "peers"
        home.mkdir(exist_ok=True)
        prefect = {
            "PREFECT_HOME": str(home),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
        }
        dagster = {"DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
        found += [
            Contender("luigi", "with its local scheduler", script("luigi"), {}),
            Contender("dagster", "in one process, so its fan-out is a chain", script("dagster"), dagster),
            Contender("prefect", "with the server that it starts for itself", script("prefect"), prefect),
        ]
    return found


def _document(job: Job, image: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """The job as a workflow of ours."""
    step: dict[str, Any] = {"type": "sequential" if job.kind == "chain" else "parallel", "command": ["true"]}
    if job.contained:
        step |= {"image": image, **more}
    document: dict[str, Any] = {
        "name": "bench",
        "config": {"max_parallel": AT_ONCE},
        "steps": [{"id": f"s{number}", **step} for number in range(job.count)],
    }
    return document | ({"pools": {"warm": {"warm_up": True}}} if "pool" in more else {})
