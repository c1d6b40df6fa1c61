"""Thousands of random workflows, outcomes, interleavings, cancels and crashes: what must hold, holds.

Each example is reproducible: hypothesis prints the document and the seed that broke a promise.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, reject, settings
from hypothesis import strategies as st

from engine.events import EventType, RunStatus
from engine.history.projection import rebuild
from engine.history.records import RunDetail, StepRecord
from engine.workflows.loader import load_text
from tests.engine import random_workflows as rw
from tests.engine.world import World, in_world

# The same examples each time; RANDOM_WORKFLOWS=5000 looks at so many others.
EXAMPLES = int(os.environ.get("RANDOM_WORKFLOWS", "0"))
# Memory rather than a disk where there is such a place: the journal waits for every commit.
_FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None

thorough = settings(
    max_examples=EXAMPLES or 1000,
    deadline=None,
    derandomize=not EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


def tell(document: rw.Step, seed: int, story: Any) -> None:
    """Run a story about a document in a world of its own; documents that cannot be loaded are not told."""
    loaded = load_text(rw.as_text(document), "random.yaml")
    if loaded.plan is None:
        # The only mistake that the generator makes: a step behind choices that exclude each other.
        assert all("can never run" in problem.message for problem in loaded.problems), loaded.problems
        reject()
    with tempfile.TemporaryDirectory(dir=_FAST) as home:
        in_world(Path(home), story, lambda spec: rw.behaviour(seed, spec), max_tasks=3)


@thorough
@given(document=rw.documents(), seed=st.integers(0, 2**32))
def test_every_step_runs_or_is_skipped_as_the_documentation_says(document: rw.Step, seed: int) -> None:
    async def story(world: World) -> None:
        detail = await world.run(rw.as_text(document))
        check_run(world, document, detail)
        await check_replay(world, detail)

    tell(document, seed, story)


_RETRY = {"max_attempts": 1, "backoff": "constant", "delay": "2s", "jitter": "none"}
_NEVER = {"field": "$.a", "operator": "eq", "value": True}


def _step(id_: str, **more: Any) -> rw.Step:
    common = {"command": ["x"], "timeout": "4s", "retry_policy": _RETRY, "depends_on": []}
    return {"id": id_, **common, **more}


# Its run is stopped in the moment in which an attempt of before the crash is given up.
STOPPED_WHILE_GIVEN_UP = {
    "name": "random",
    "config": {
        "failure_strategy": "fail_fast",
        "cleanup_policy": "always",
        "max_parallel": 1,
        "timeout": "15s",
        "finally_timeout": "2s",
    },
    "state": {"a": False},
    "steps": [
        _step("s0"),
        _step("s1", condition=_NEVER),
        _step("s2", condition=_NEVER),
        _step("s3", type="parallel", max_workers=2),
        _step("s4", condition=_NEVER),
        _step("s5"),
    ],
}


@thorough
@example(document=STOPPED_WHILE_GIVEN_UP, seed=0)
@given(document=rw.documents(), seed=st.integers(0, 2**32))
def test_every_run_ends_once_and_leaves_nothing_whatever_befalls_it(document: rw.Step, seed: int) -> None:
    rng = random.Random(seed)
    text = rw.as_text(document)

    async def story(world: World) -> None:
        run_id = await world.start(text)
        for _ in range(rng.randint(0, 2)):
            await asyncio.sleep(rng.random() * 5)
            detail = await world.crash(run_id)
            if RunStatus(detail.run.status).is_terminal:
                break
            await world.reap()
            await world.resume(detail, text)
        if rng.random() < 0.4:
            await asyncio.sleep(rng.random() * 8)
            await world.orchestrator.cancel(run_id, by="test", hurry=rng.random() < 0.3)
        detail = await world.finish(run_id)
        check_run(world, document, detail)
        await check_replay(world, detail)

    tell(document, seed, story)


def check_run(world: World, document: rw.Step, detail: RunDetail) -> None:
    """Who ran, in what order results stand, what the run came to, and what is left of its agents."""
    records = {record.id: record for record in detail.steps}
    if rw.nothing_stopped(document, detail):
        for step in document["steps"]:
            record = records[step["id"]]
            skip = rw.expected_skip(step, records, document)
            found = record.reason if record.status == "skipped" else None
            assert found == skip, (
                f"step {record.id}: expected {skip or 'to run'}, found {record.status} ({found})"
            )
    for record in detail.steps:
        check_results(record)
    check_status(document, detail)
    attempts = [
        a for s in detail.steps for a in (*s.attempts, *(a for item in s.items for a in item.attempts))
    ]
    kept = {attempt.agent for attempt in attempts if attempt.kept}
    own = {
        name for name, agent in world.backend.agents.items() if agent.spec.identity.run_id == detail.run.id
    }
    assert own <= kept, f"agents left though nobody keeps them: {own - kept}"


def check_results(record: StepRecord) -> None:
    """The results of items stand in the order of the items, null where one did not complete."""
    if record.items and record.status == "completed":
        assert record.result == [item.result if item.status == "completed" else None for item in record.items]


def check_status(document: rw.Step, detail: RunDetail) -> None:
    """The run's status follows from those of its steps, members of parallel steps included."""
    main = [record for record in detail.steps if record.role == "main"]
    last = [record for record in detail.steps if record.role == "finally"]
    status = detail.run.status
    fine = all(record.status in ("completed", "skipped") for record in main)
    some = any(record.status == "completed" for record in main)
    if status == "completed":
        assert fine
        assert all(record.reason != "upstream_failed" for record in main)
        assert all(record.status == "completed" for record in last)
        assert all(record.status == "skipped" for record in detail.steps if record.role == "on_failure")
    elif status == "partially_completed":
        assert fine or some
    elif status == "failed" and rw.nothing_stopped(document, detail) and detail.run.reason != "timed_out":
        assert not fine
        assert not some


async def check_replay(world: World, detail: RunDetail) -> None:
    """Deriving the views from the events again gives the same views."""
    with world.loop.outside():
        await world.journal.maintain(lambda connection: rebuild(connection, detail.run.id))
    assert await world.detail(detail.run.id) == detail
    events = await world.events(detail.run.id)
    created = {(e.step_id, e.item, e.attempt) for e in events if e.type is EventType.ATTEMPT_CREATED}
    assert all((e.step_id, e.item, e.attempt) in created for e in events if e.attempt is not None)
