"""Random workflows retried in every scope, however they ended: a retry ends, whole, and leaves nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.events import RunStatus
from engine.history.records import RunDetail, StepRecord
from engine.orchestrator.scopes import RetryScope
from tests.engine import random_workflows as rw
from tests.engine.test_random_workflows import EXAMPLES, check_replay, check_results, tell, thorough
from tests.engine.world import World, plan_of


@settings(thorough, max_examples=EXAMPLES or 150)
@given(document=rw.documents(), seed=st.integers(0, 2**32))
def test_a_retry_in_any_scope_ends_whole_and_takes_over_only_what_stands(
    document: rw.Step, seed: int
) -> None:
    rng = random.Random(seed)
    text = rw.as_text(document)

    async def story(world: World) -> None:
        run_id = await world.start(text)
        if rng.random() < 0.3:
            await asyncio.sleep(rng.random() * 5)
            await world.orchestrator.cancel(run_id, by="test", hurry=rng.random() < 0.3)
        first = await world.finish(run_id)
        for _ in range(2):
            scope = _scope(rng, [step.id for step in first.steps])
            try:
                with world.loop.outside():
                    again = await world.orchestrator.retry(plan_of(text), first, scope, source="test")
            except UsageError:
                continue
            if rng.random() < 0.2:
                await asyncio.sleep(rng.random() * 3)
                detail = await world.crash(again)
                if not RunStatus(detail.run.status).is_terminal:
                    await world.reap()
                    await world.resume(detail, text)
            second = await world.finish(again)
            check_retry(first, second, scope)
            await check_replay(world, second)
            first = second

    tell(document, seed, story)


def _scope(rng: random.Random, steps: list[str]) -> RetryScope:
    kinds: Mapping[str, Any] = {
        "all": RetryScope(),
        "failed": RetryScope(failed=True),
        "from": RetryScope(from_step=rng.choice(steps)),
        "only": RetryScope(only_step=rng.choice(steps)),
    }
    scope: RetryScope = kinds[rng.choice([*kinds])]
    return scope


def check_retry(first: RunDetail, second: RunDetail, scope: RetryScope) -> None:
    """What was taken over is as it was; what was asked for ran, or was not given a turn anew."""
    before = {record.id: record for record in first.steps}
    for record in second.steps:
        check_results(record)
        if record.reused:
            assert _end_of(record) == _end_of(before[record.id])
    asked = scope.only_step or scope.from_step
    assert not any(record.reused and record.id == asked for record in second.steps)
    if scope.describe() == "all":
        assert not any(record.reused for record in second.steps)


def _end_of(record: StepRecord) -> tuple[Any, ...]:
    return record.status, record.reason, record.result, record.partial
