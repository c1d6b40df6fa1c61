"""Child runs: the runs that a step's sub-workflow comes to, and what a retry of the parent makes of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from engine.errors import UsageError
from engine.events import RunStatus, StepStatus
from engine.history.reader import Reader
from engine.history.records import ItemRecord, RunDetail, RunRecord, StepRecord
from engine.orchestrator.creation import PARENT, Beginning, with_params
from engine.orchestrator.fates import Reuse
from engine.orchestrator.kept import plan_of
from engine.orchestrator.ports import ChildSpec
from engine.orchestrator.scopes import RetryScope, decide
from engine.orchestrator.shielding import uncancelled
from engine.workflows.plan import Plan

if TYPE_CHECKING:
    from engine.orchestrator.manager import Orchestrator

EarlierChildren = dict[tuple[str, int | None], str]


class Family:
    """Sees child runs through (`ports.ChildRuns`); else a child is a run like any other."""

    def __init__(self, orchestrator: Orchestrator, history: Reader) -> None:
        self._orchestrator = orchestrator
        self._history = history

    async def see_through(self, spec: ChildSpec) -> RunDetail:
        """Start the child, or go on with it where it exists already; returns it when it has ended.

        A cancellation of the caller cancels the child and gets through when that has ended.

        Raises:
            DocumentError: it cannot run here.
        """
        try:
            await uncancelled(self._begin(spec))
            await self._orchestrator.wait(spec.run_id)
        except asyncio.CancelledError:
            await uncancelled(self.end(spec.run_id))
            raise
        return await self._history.detail(spec.run_id)

    async def initial_state(self, run_id: str) -> dict[str, Any]:
        """The state that a child began with."""
        run = await self._history.run(run_id)
        return await self._history.state_at(run.id, run.seq)

    async def way_of(self, run_id: str) -> str | None:
        """Which way of a branch a child run belongs to; None where there is no such run."""
        run = await find_run(self._history, run_id)
        if run is None or run.parent is None:
            return None
        [created] = await self._history.events(run.id, limit=1)
        way: str | None = created.data["parent"].get("way")
        return way

    async def end(self, run_id: str) -> None:
        """Cancel a child that its parent does not go on with, to its end.

        Does nothing where there is no such run, or it has ended.
        """
        if not self._orchestrator.is_live(run_id):
            run = await find_run(self._history, run_id)
            if run is None or RunStatus(run.status).is_terminal:
                return
            await self._resume(run, await plan_of(run, self._history))
        child = self._orchestrator.context_of(run_id)
        parent = child.parent if child is not None else None
        above = self._orchestrator.context_of(parent.run_id) if parent is not None else None
        hurry = above is not None and above.hurry.is_set()
        by = f"its parent, run {parent.run_id}, step {parent.step_id}" if parent is not None else "its parent"
        await self._orchestrator.cancel(run_id, by=by, hurry=hurry)
        await self._orchestrator.wait(run_id)

    async def _begin(self, spec: ChildSpec) -> None:
        if self._orchestrator.is_live(spec.run_id):
            return
        run = await find_run(self._history, spec.run_id)
        if run is None:
            await self._create(spec)
        elif not RunStatus(run.status).is_terminal:
            await self._resume(run, spec.plan)

    async def _create(self, spec: ChildSpec) -> None:
        parent = self._orchestrator.context_of(spec.parent.run_id)
        assert parent is not None, "a child's parent is live while the child is made"
        plan = spec.plan
        secrets = self._orchestrator.admit(plan, parent.services).within(parent.secrets)
        earlier = await self._retried(spec)
        reuse, children = Reuse(), EarlierChildren()
        if earlier is not None:
            reuse = _what_stands(plan, earlier)
            children = await earlier_children(earlier, self._history)
        begin = Beginning(
            spec.run_id,
            plan,
            spec.params,
            with_params(plan, spec.state, spec.params),
            PARENT,
            parent=spec.parent,
            use_cache=parent.use_cache,
            retry_of=earlier.run.id if earlier is not None else None,
            retry_scope=RetryScope(failed=True).describe() if earlier is not None else None,
            secrets=secrets,
            earlier_children=children,
        )
        await self._orchestrator.begin(begin, parent.services, taking=(earlier, reuse) if earlier else None)

    async def _retried(self, spec: ChildSpec) -> RunDetail | None:
        """The run whose results the child takes over; not that of another text, whose steps are others."""
        if spec.retry_of is None:
            return None
        detail = await self._history.detail(spec.retry_of)
        return detail if detail.run.digest == spec.plan.digest else None

    async def _resume(self, run: RunRecord, plan: Plan) -> None:
        above = self._orchestrator.context_of(run.parent.run_id) if run.parent is not None else None
        detail = await self._history.detail(run.id)
        await self._orchestrator.resume(plan, detail, above.services if above is not None else None)


async def find_run(history: Reader, run_id: str) -> RunRecord | None:
    """The run with exactly that id, if there is one."""
    try:
        run = await history.run(run_id)
    except UsageError:
        return None
    return run if run.id == run_id else None


async def earlier_children(detail: RunDetail, history: Reader) -> EarlierChildren:
    """For what did not wholly complete in a run, by step and item: the child run that its retry goes on from.

    A child that was retried by itself stands for what that came to: if it completed then, nothing of it runs
    again.
    """
    found: EarlierChildren = {}
    for step in detail.steps:
        units: list[tuple[StepRecord | ItemRecord, int | None]] = [(step, None)]
        units += [(item, item.index) for item in step.items]
        for unit, item in units:
            child = unit.attempts[-1].child_run if unit.attempts else None
            if child is None or (unit.status == StepStatus.COMPLETED and not unit.partial):
                continue
            if (furthest := await _furthest(child, history)) is not None:
                found[step.id, item] = furthest
    return found


async def _furthest(child: str, history: Reader) -> str | None:
    """The run that a retry of a child goes on from; None to run it afresh."""
    run = await find_run(history, child)
    if run is None or run.status == RunStatus.COMPLETED:  # then it was not the child that failed
        return None
    tries, rest = [run], [run]
    while rest:
        for later in await history.retries(rest.pop().id):
            if RunStatus(later.status).is_terminal and later.parent is None:
                tries.append(later)
                rest.append(later)
    good = [one for one in tries if one.status == RunStatus.COMPLETED]
    return max(good or tries, key=lambda one: one.seq).id


def _what_stands(plan: Plan, earlier: RunDetail) -> Reuse:
    """What a child takes over: all that is good. Of a run that completed, that is everything."""
    try:
        return decide(plan, earlier, RetryScope(failed=True)).reuse
    except UsageError:  # nothing failed in it
        if earlier.run.status == RunStatus.COMPLETED:
            return Reuse(frozenset(step.id for step in earlier.steps))
        return Reuse()
