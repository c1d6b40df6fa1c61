"""A home with a rich, made-up history, written through the real journal: `python -m tests.fabricated HOME`.

The runs have whole stories: retries, maps with failures, warm agents, samples of containers, runs within
runs, retries of runs. The same seed gives the same history.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engine.clock import isoformat
from engine.events import Event, EventType
from engine.history.journal import Journal
from engine.settings import Settings

DAYS = 45


@dataclass(frozen=True)
class Step:
    """A step as its document has it: seconds it usually takes, and how likely it fails."""

    id: str
    seconds: float
    failing: float = 0.0
    after: tuple[str, ...] = ()
    items: int = 0
    pooled: bool = False
    tries: int = 1


@dataclass(frozen=True)
class Flow:
    """A workflow: `weight` says how often it runs, `slower` what became of its durations over the time."""

    name: str
    steps: tuple[Step, ...]
    weight: int
    params: dict[str, list[Any]] = field(default_factory=dict)
    slower: float = 1.0
    profiled: bool = False

    @property
    def document(self) -> str:
        lines = [f"name: {self.name}", "config: {enable_profiling: true, max_parallel: 4}"]
        lines += ["params:"] if self.params else []
        lines += [f"  {name}: {{default: {values[0]!r}}}" for name, values in self.params.items()]
        lines += ["state: {parts: [1]}", "steps:"]
        for step in self.steps:
            lines.append(f"  - id: {step.id}")
            lines.append(f"    depends_on: [{', '.join(step.after)}]")
            if step.items:
                lines += ["    type: map", "    map_config: {input_path: $.parts, max_concurrency: 3}"]
            lines += ["    image: python:3.12-alpine", f"    command: [python, -m, jobs.{step.id}]"]
            if step.tries > 1:
                lines.append(f"    retry_policy: {{max_attempts: {step.tries}, delay: 5}}")
        return "\n".join(lines) + "\n"


FLOWS = (
    Flow(
        "nightly-etl",
        (
            Step("extract", 22),
            Step("clean", 9, after=("extract",)),
            Step("load", 41, 0.05, ("clean",), items=6, tries=2),
            Step("report", 4, 0.01, ("load",)),
        ),
        3,
        {"date": ["2026-11-01", "2026-11-02", "2026-11-03"], "region": ["north", "south", "east"]},
        slower=1.7,
        profiled=True,
    ),
    Flow(
        "mapreduce",
        (
            Step("split", 2),
            Step("count", 8, 0.08, ("split",), items=8, pooled=True, tries=2),
            Step("sum", 1.5, 0.0, ("count",)),
        ),
        5,
        {"shards": [4, 8, 16], "pattern": ["whale", "ship", "[red] & <b>sea</b>"]},
    ),
    Flow(
        "train-classifier",
        (
            Step("fetch-data", 35, 0.02),
            Step("features", 55, after=("fetch-data",)),
            Step("train", 180, 0.22, ("features",), tries=3),
            Step("evaluate", 25, 0.03, ("train",)),
            Step("publish", 6, 0.02, ("evaluate",)),
        ),
        2,
        {"model": ["tiny", "base", "large"], "epochs": [3, 10], "learning_rate": [0.001, 0.0003]},
        slower=0.8,
    ),
    Flow("health-check", (Step("ping", 0.4, 0.03), Step("disk", 0.3)), 8),
    Flow(
        "deploy-docs",
        (Step("build", 31, 0.06), Step("links", 12, 0.1, ("build",)), Step("upload", 5, 0.02, ("links",))),
        1,
    ),
)
_ERRORS = (
    ("task_failed", "ConnectionError: HTTPSConnectionPool(host='db.internal', port=5432): refused", 1),
    ("task_failed", "ValueError: could not convert string to float: 'n/a' in column \"price\"", 1),
    ("task_failed", "step 'train': loss is nan after 412 batches\nTraceback (most recent call last)", 2),
    ("oom_killed", "killed for want of memory (limit 512 MiB)", 137),
    ("timed_out", "timed out after 300 s", 143),
    ("image_error", "pull of registry.example/jobs:2.1 was refused: unauthorized", None),
)


class _Teller:
    """Makes the events of one run on a clock of its own."""

    def __init__(self, run_id: str, start: datetime, chance: random.Random) -> None:
        self.run_id, self.now, self.chance = run_id, start, chance
        self.start = start
        self.events: list[Event] = []

    def say(
        self,
        kind: EventType,
        step: str | None = None,
        item: int | None = None,
        attempt: int | None = None,
        **data: Any,
    ) -> None:
        self.events.append(Event(self.run_id, kind, self.now, step, item, attempt, data))

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Fabricator:
    """Tells run after run; `retryable` are failed runs that nobody has tried again yet."""

    def __init__(self, seed: int, now: datetime) -> None:
        self.chance = random.Random(seed)
        self.now = now
        self.retryable: list[tuple[str, Flow, dict[str, Any]]] = []

    def runs(self, count: int) -> Iterator[list[Event]]:
        """The events of `count` runs, from the oldest to the newest."""
        weights = [flow.weight for flow in FLOWS]
        for number in range(count):
            age = DAYS * (1 - number / count)
            start = self.now - timedelta(days=age, minutes=self.chance.uniform(20, 60))
            if self.retryable and self.chance.random() < 0.3:
                retried, flow, params = self.retryable.pop()
                yield self._run(flow, params, start, age, retry_of=retried)
                continue
            (flow,) = self.chance.choices(FLOWS, weights)
            params = {name: self.chance.choice(values) for name, values in flow.params.items()}
            yield self._run(flow, params, start, age)

    def _run(
        self, flow: Flow, params: dict[str, Any], start: datetime, age: float, retry_of: str | None = None
    ) -> list[Event]:
        teller = _Teller(f"{self.chance.getrandbits(48):012x}", start, self.chance)
        plan = [
            {
                "id": step.id, "name": step.id.replace("-", " ").capitalize(), "ordinal": place,
                "type": "map" if step.items else "sequential", "depends_on": list(step.after),
                "image": "python:3.12-alpine", "command": ["python", "-m", f"jobs.{step.id}"],
                "max_concurrency": 3 if step.items else None,
            }
            for place, step in enumerate(flow.steps)
        ]  # fmt: skip
        digest = hashlib.sha256(flow.document.encode()).hexdigest()
        teller.say(
            EventType.RUN_CREATED, workflow=flow.name, digest=digest, document=flow.document,
            path=f"/projects/flows/{flow.name}.yaml", backend="docker", state={"parts": [1]}, params=params,
            plan=plan, retry_of=retry_of,
            source=self.chance.choice(("cli", "cli", "dashboard", "schedule")),
        )  # fmt: skip
        teller.wait(0.05)
        teller.say(EventType.RUN_STARTED, old="pending", status="running")
        pace = 1 + (flow.slower - 1) * (1 - age / DAYS)
        self._steps(teller, flow, pace)
        return teller.events

    def _steps(self, teller: _Teller, flow: Flow, pace: float) -> None:
        failed: tuple[str, str] | None = None
        partial = False
        stop = self.chance.random() < 0.03
        for place, step in enumerate(flow.steps):
            if failed or (stop and place == len(flow.steps) - 1):
                status, why = ("skipped", "upstream_failed") if failed else ("cancelled", "cancelled")
                teller.say(EventType.STEP_FINISHED, step.id, old="pending", status=status, reason=why)
                continue
            if step.items:
                partial = not self._map(teller, step, pace) or partial
            else:
                failed = self._step(teller, step, pace, profiled=flow.profiled)
        status = (
            "failed" if failed else "cancelled" if stop else "partially_completed" if partial else "completed"
        )
        ending: dict[str, Any] = {"duration": (teller.now - teller.start).total_seconds()}
        if failed:
            ending |= {"reason": failed[0], "error": failed[1]}
            created = teller.events[0].data
            self.retryable.append((teller.run_id, flow, created["params"]))
        if stop and not failed:
            teller.say(EventType.RUN_CANCELLING, old="running", status="cancelling", by="user")
            teller.say(
                EventType.RUN_FINISHED, old="cancelling", status="cancelled", reason="cancelled", **ending
            )
            return
        teller.say(EventType.RUN_FINISHED, old="running", status=status, **ending)

    def _step(self, teller: _Teller, step: Step, pace: float, *, profiled: bool) -> tuple[str, str] | None:
        """Tell a step with all its tries; returns why it failed for good."""
        begun = teller.now
        teller.say(EventType.STEP_STARTED, step.id, old="pending", status="running")
        for number in range(1, step.tries + 1):
            bad = self.chance.random() < step.failing ** (1 / step.tries)
            error = self.chance.choice(_ERRORS) if bad else None
            self._attempt(teller, step, None, number, step.seconds * pace, error, profiled=profiled)
            if error is None:
                self._end(teller, step.id, begun, "completed", result={"rows": self.chance.randint(10, 9000)})
                return None
            if number < step.tries:
                due = isoformat(teller.now + timedelta(seconds=5))
                teller.say(
                    EventType.STEP_RETRYING, step.id, old="running", status="retrying", delay=5,
                    next_attempt_at=due, reason=error[0], error=error[1],
                )  # fmt: skip
                teller.wait(5)
                teller.say(EventType.STEP_STARTED, step.id, old="retrying", status="running")
        assert error is not None
        self._end(teller, step.id, begun, "failed", reason=error[0], error=error[1], exit_code=error[2])
        return error[0], f"step {step.id!r} failed: {error[1]}"

    def _map(self, teller: _Teller, step: Step, pace: float) -> bool:
        """Tell a map, three items at a time; returns whether all of them went well."""
        begun, ends, failures = teller.now, [teller.now] * 3, 0
        teller.say(EventType.STEP_STARTED, step.id, old="pending", status="running")
        teller.say(EventType.STEP_EXPANDED, step.id, values=list(range(step.items)), workers=False)
        told: list[tuple[datetime, int, Event]] = []
        for item in range(step.items):
            lane = ends.index(min(ends))
            part = _Teller(teller.run_id, ends[lane], self.chance)
            part.say(EventType.ITEM_STARTED, step.id, item, old="pending", status="running")
            error = self.chance.choice(_ERRORS[:3]) if self.chance.random() < step.failing / 3 else None
            self._attempt(part, step, item, 1, step.seconds * pace / 2, error)
            status = "failed" if error else "completed"
            more = {"reason": error[0], "error": error[1]} if error else {"result": item}
            took = (part.now - ends[lane]).total_seconds()
            part.say(
                EventType.ITEM_FINISHED, step.id, item, old="running", status=status, duration=took, **more
            )
            failures += error is not None
            ends[lane] = part.now
            told += [(event.time, len(told), event) for event in part.events]
        teller.events += [event for _, _, event in sorted(told, key=lambda one: (one[0], one[1]))]
        teller.now = max(ends)
        self._end(teller, step.id, begun, "completed", partial=failures > 0)
        return not failures

    def _end(self, teller: _Teller, step: str, begun: datetime, status: str, **data: Any) -> None:
        took = (teller.now - begun).total_seconds()
        teller.say(EventType.STEP_FINISHED, step, old="running", status=status, duration=took, **data)

    def _attempt(
        self,
        teller: _Teller,
        step: Step,
        item: int | None,
        number: int,
        usual: float,
        error: tuple[str, str, int | None] | None,
        *,
        profiled: bool = False,
    ) -> None:
        where = (step.id, item, number)
        name = f"{teller.run_id}-{step.id}-{item}-{number}"
        teller.say(
            EventType.ATTEMPT_CREATED, *where, task_id=f"task-{name}", agent=f"agentainer-{name}",
            backend="docker", image="python:3.12-alpine", command=["python"], spec_digest="s",
            log=f"{teller.run_id}/{name}.log", pool="counters" if step.pooled else None,
        )  # fmt: skip
        warm = step.pooled and self.chance.random() < 0.9
        queue, create, start = self.chance.expovariate(2), 0.02 if warm else 0.15, 0.001 if warm else 0.3
        run = usual * self.chance.lognormvariate(0, 0.35) * (0.4 if error else 1)
        teller.wait(queue + create + start)
        placement = {"mode": "shell", "agent": "w", "reused": warm, "uses": 3 if warm else 1}
        teller.say(
            EventType.ATTEMPT_STARTED, *where, old="pending", status="running", agent_id=name,
            placement=placement if step.pooled else None,
        )  # fmt: skip
        teller.wait(run)
        if profiled:
            teller.say(EventType.ATTEMPT_SAMPLED, *where, **self._samples(run))
        teller.say(
            EventType.ATTEMPT_FINISHED, *where, old="running", status="failed" if error else "completed",
            **({"reason": error[0], "error": error[1], "exit_code": error[2]} if error else {"exit_code": 0}),
            kept=False, duration=run,
            phases={"queue": queue, "create": create, "start": start, "run": run},
            usage={
                "cpu_seconds": run * 0.6, "memory_peak": int(self.chance.uniform(30, 400) * 2**20),
                "network_in": self.chance.randint(0, 9 << 20), "network_out": self.chance.randint(0, 1 << 20),
                "sampled": True,
            },
        )  # fmt: skip

    def _samples(self, seconds: float) -> dict[str, Any]:
        rows, memory, received = [], 40 * 2**20, 0
        for second in range(int(seconds)):
            memory = min(380 * 2**20, int(memory * self.chance.uniform(0.98, 1.12)))
            received += self.chance.randint(0, 200_000)
            cpu = max(0.0, 700 + 500 * self.chance.gauss(0, 0.4))
            rows.append([second + 0.5, round(cpu, 1), memory, received, received // 9, 4096 * second, 0])
        return {"every": 1.0, "rows": rows}


async def fabricate(home: Path, *, runs: int = 400, seed: int = 7, now: datetime | None = None) -> None:
    """Fill the history of a home."""
    settings = Settings(home=home)
    settings.database.parent.mkdir(parents=True, exist_ok=True)
    fabricator = Fabricator(seed, now or datetime.now(UTC))
    async with await Journal.open(settings.database) as journal:
        for events in fabricator.runs(runs):
            await journal.record(*events)


def main() -> None:
    """Fill the home that is named."""
    parser = argparse.ArgumentParser(prog="python -m tests.fabricated", description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    asyncio.run(fabricate(options.home, runs=options.runs, seed=options.seed))


if __name__ == "__main__":
    main()
