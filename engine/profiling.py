"""The profiler: a run's events and its documents are read, `engine.metrics` says where its time went.

It only reads, works while another process holds the home, and on every run, live or over, profiled or not.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.errors import HistoryError
from engine.events import Event, RunStatus
from engine.metrics.pieces import PARTS as PARTS
from engine.metrics.profile import profile_of
from engine.metrics.profile_records import AttemptProfile as AttemptProfile
from engine.metrics.profile_records import Bottleneck as Bottleneck
from engine.metrics.profile_records import Link as Link
from engine.metrics.profile_records import Profile as Profile
from engine.metrics.profile_records import Recommendation as Recommendation
from engine.metrics.profile_records import StepProfile as StepProfile
from engine.metrics.profile_records import StepSettings, Surroundings, WorkflowSettings
from engine.metrics.traces import chrome_trace as chrome_trace
from engine.metrics.traces import speedscope as speedscope
from engine.upkeep import holder

if TYPE_CHECKING:
    from engine.history.reader import Reader
    from engine.history.records import RunRecord
    from engine.settings import Settings
    from engine.workflows.plan import Plan, PlanStep

_PAGE = 5000
# How far back to look for a run of the same work.
_EARLIER_RUNS = 20


async def profile_run(history: Reader, ref: str, settings: Settings) -> Profile:
    """Where the time of a run went, with the runs that are part of it.

    A run that is live is looked at as of now; one that a dead engine left, as of the last that is known.

    Raises:
        UsageError: there is no such run.
        HistoryError: the history cannot be read.
    """
    run = await history.run(ref)
    family = await _family(history, run)
    events = sorted(
        [event for member in family for event in await _events(history, member.id)],
        key=lambda event: event.seq,
    )
    live = not RunStatus(run.status).is_terminal and holder(settings) is not None
    now = datetime.now(UTC).timestamp() if live else None
    earlier, repeated = await _repeated(history, run)
    surroundings = Surroundings(
        max_tasks=settings.max_tasks,
        cpus=os.cpu_count(),
        workflows=await _workflows(history, family),
        repeated=repeated,
        earlier_run=earlier,
    )
    return profile_of(events, run.id, surroundings, now=now)


async def _family(history: Reader, run: RunRecord) -> list[RunRecord]:
    """The run and all that are part of it."""
    family = [run]
    for member in family:  # grows while it is gone through
        family += await history.children(member.id)
    return family


async def _events(history: Reader, run_id: str) -> list[Event]:
    events: list[Event] = []
    while page := await history.events(run_id, after=events[-1].seq if events else 0, limit=_PAGE):
        events += page
        if len(page) < _PAGE:
            break
    return events


# -- what the documents say ---------------------------------------------------------------------------


async def _workflows(history: Reader, family: list[RunRecord]) -> dict[str, WorkflowSettings]:
    """The settings of each run; those whose document cannot be read any more are left out."""
    from engine.workflows.loader import load_text

    by_digest: dict[str, WorkflowSettings | None] = {}
    for run in family:
        if run.digest not in by_digest:
            try:
                plan = load_text(await history.document(run.digest), run.path).plan
            except HistoryError:
                plan = None
            by_digest[run.digest] = _settings(plan) if plan is not None else None
    return {run.id: known for run in family if (known := by_digest[run.digest]) is not None}


def _settings(plan: Plan) -> WorkflowSettings:
    return WorkflowSettings(plan.max_parallel, {step.id: _of_step(step) for step in plan.steps.values()})


def _of_step(step: PlanStep) -> StepSettings:
    task, items, pool = step.task, step.map, step.pool
    return StepSettings(
        max_concurrency=items.max_concurrency if items is not None else 0,
        batch_size=items.batch_size if items is not None else 1,
        cpu_limit=task.limits.nano_cpus if task is not None else None,
        memory_limit=task.limits.memory_bytes if task is not None else None,
        pool=pool.name if pool is not None else None,
        pool_max=pool.max_size if pool is not None else None,
        warm_up=pool is not None and pool.warm_up,
        network=task.network if task is not None else "none",
        pull_policy=task.pull_policy if task is not None else "missing",
        retry_delay=step.retry.delay,
        cached=step.cache is not None,
    )


async def _repeated(history: Reader, run: RunRecord) -> tuple[str | None, frozenset[str]]:
    """The run before that did the same work, and the steps that gave the same result in both."""
    runs = await history.runs(
        limit=_EARLIER_RUNS, before=run.seq, workflow=run.workflow, status=RunStatus.COMPLETED
    )
    same = [one for one in runs if one.digest == run.digest and one.params == run.params]
    if not same:
        return None, frozenset()
    before = {step.id: step for step in await history.steps(same[0].id)}
    repeated = {
        step.id
        for step in await history.steps(run.id)
        if step.result is not None and step.id in before and before[step.id].result == step.result
    }
    return same[0].id, frozenset(repeated)
