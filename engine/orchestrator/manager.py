"""The Orchestrator: admits runs, owns the live ones, retries, recovers and cleans up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.agents.backend import AgentInfo
from engine.clock import isoformat, parse_time
from engine.errors import BackendError, Reason, UsageError
from engine.events import Event, EventType, RunStatus, StepStatus
from engine.history.reader import Reader
from engine.history.records import AttemptRecord, RunDetail, RunRecord, StepRecord
from engine.orchestrator.admission import check_admission
from engine.orchestrator.context import Services, Stop
from engine.orchestrator.naming import new_run_id
from engine.orchestrator.run import RunExecutor
from engine.orchestrator.scopes import RetryScope, Reuse, reuse_for
from engine.state.store import NO_COLLECTIONS
from engine.workflows.plan import Plan, PlanStep

_log = logging.getLogger("agentainer")


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run in progress and the task that executes it."""

    executor: RunExecutor
    task: asyncio.Task[RunStatus]


class Orchestrator:
    """Runs of one engine. `services` holds the backend that new runs use."""

    def __init__(self, services: Services, reader: Reader) -> None:
        self._services = services
        self._reader = reader
        self._live: dict[str, LiveRun] = {}

    @property
    def active(self) -> list[str]:
        """Ids of the runs in progress, oldest first."""
        return list(self._live)

    async def start(self, plan: Plan, params: Mapping[str, Any], *, source: str) -> str:
        """Admit a run of `plan` and start it; returns its id once its creation is durable.

        Raises:
            DocumentError: it cannot run here; nothing was created.
        """
        check_admission(plan, self._services.facts, self._services.settings)
        run_id = new_run_id()
        state = _initial_state(plan, params)
        created = self._created(run_id, plan, params, state, source)
        await self._services.journal.record(created)
        record = RunRecord(
            run_id,
            plan.workflow,
            plan.digest,
            RunStatus.PENDING,
            self._services.backend.name,
            created_at=isoformat(created.time),
        )
        self._launch(self._services, plan, params, state, RunDetail(record, state, ()))
        return run_id

    async def retry(self, plan: Plan, detail: RunDetail, scope: RetryScope, *, source: str) -> str:
        """Run a finished run again, whole or in part, as a new run that takes over what stands.

        Raises:
            UsageError: it is not over yet, or the scope makes no sense for it.
            DocumentError: it cannot run here.
        """
        old = detail.run
        if not RunStatus(old.status).is_terminal:
            raise UsageError(f"run {old.id} is still {old.status}", hint="cancel it, or wait for its end")
        check_admission(plan, self._services.facts, self._services.settings)
        reuse = reuse_for(plan, detail, scope)
        run_id = new_run_id()
        initial = _initial_state(plan, old.params)
        created = self._created(
            run_id, plan, old.params, initial, source, retry_of=old.id, retry_scope=scope.describe()
        )
        changes = await self._changes(old.id)
        events = [created, *self._taken_over(run_id, detail, reuse, changes)]
        await self._services.journal.record(*events)
        fresh = await self._reader.detail(run_id)
        made = await self._collections(run_id)
        self._launch(self._services, plan, old.params, fresh.state, fresh, collections=made)
        return run_id

    async def resume(
        self,
        plan: Plan,
        detail: RunDetail,
        services: Services,
        *,
        cancel_by: str | None = None,
        stop: Stop | None = None,
    ) -> None:
        """Go on with a run that an interrupted engine left.

        With `cancel_by` or `stop` only to end it properly: as cancelled, or for the reason of the stop.
        """
        run = detail.run
        now = services.clock.now()
        await services.journal.record(
            Event(
                run.id,
                EventType.RUN_RECOVERED,
                now,
                data={"instance": services.instance, "recoveries": run.recoveries + 1},
            )
        )
        elapsed = max(0.0, (now - parse_time(run.started_at)).total_seconds()) if run.started_at else 0.0
        made = await self._collections(run.id)
        live = self._launch(
            services, plan, run.params, detail.state, detail, elapsed=elapsed, collections=made
        )
        if run.status == RunStatus.CANCELLING:
            live.executor.context.request_stop(Stop(Reason.CANCELLED, "cancelled before the engine stopped"))
        elif stop is not None:
            live.executor.context.request_stop(stop)
        elif cancel_by is not None:
            await live.executor.cancel(cancel_by)

    async def give_up(self, run: RunRecord, reason: Reason, error: str) -> None:
        """End a run whose document cannot be read any more; its steps keep the state they had."""
        await self._services.journal.record(
            Event(
                run.id,
                EventType.RUN_FINISHED,
                self._services.clock.now(),
                data={
                    "old": run.status,
                    "status": RunStatus.FAILED.value,
                    "reason": reason.value,
                    "error": error,
                },
            )
        )

    async def cancel(self, run_id: str, *, by: str, hurry: bool = False) -> bool:
        """Cancel a live run (False: it is not live here); `hurry` skips the grace, also belatedly."""
        live = self._live.get(run_id)
        if live is None:
            return False
        if hurry:
            live.executor.context.hurry.set()
        await live.executor.cancel(by)
        return True

    async def wait(self, run_id: str) -> None:
        """Wait for the end of a live run; returns at once if it is not live."""
        live = self._live.get(run_id)
        if live is not None:
            await asyncio.wait({live.task})

    async def close(self, *, by: str) -> None:
        """Cancel what runs and wait for it."""
        for run_id in self.active:
            await self.cancel(run_id, by=by)
        while self._live:
            await asyncio.wait({live.task for live in self._live.values()})

    async def reap(self, services: Services) -> list[AgentInfo]:
        """Remove agents of this home that belong to nothing. To be called before anything is resumed.

        Left alone are those that a cleanup policy keeps and those of attempts that are still open.
        """
        known = {record.agent for record in await self._reader.kept_agents()}
        for run in await self._reader.unfinished():
            known |= _open_agents(await self._reader.detail(run.id))
        reaped = []
        for info in await services.backend.list_agents(services.instance):
            if info.name in known:
                continue
            try:
                await services.backend.remove(info.name)
                reaped.append(info)
            except BackendError as error:
                _log.warning("agent %s could not be removed: %s", info.name, error)
        return reaped

    async def remove_agents(self, agents: Sequence[AttemptRecord]) -> list[str]:
        """Remove kept agents, exactly these; returns the names of those that are gone now.

        Raises:
            BackendError: one could not be removed; those before it are.
        """
        gone = []
        for record in agents:
            await self._services.backend.remove(record.agent)
            await self._services.journal.record(
                Event(
                    record.run_id,
                    EventType.AGENT_REMOVED,
                    self._services.clock.now(),
                    record.step_id,
                    record.item,
                    record.number,
                    {"agent": record.agent, "by": "cleanup"},
                )
            )
            gone.append(record.agent)
        return gone

    # -- inside ---------------------------------------------------------------------------------------

    def _launch(
        self,
        services: Services,
        plan: Plan,
        params: Mapping[str, Any],
        state: Mapping[str, Any],
        prior: RunDetail,
        *,
        elapsed: float = 0.0,
        collections: Mapping[str, str] = NO_COLLECTIONS,
    ) -> LiveRun:
        run_id = prior.run.id
        executor = RunExecutor(
            services,
            plan,
            run_id,
            params=params,
            state=state,
            prior=prior,
            elapsed=elapsed,
            collections=collections,
        )
        live = LiveRun(executor, asyncio.create_task(executor.run(), name=f"run {run_id}"))
        self._live[run_id] = live
        live.task.add_done_callback(lambda task: self._ended(run_id, task))
        return live

    def _ended(self, run_id: str, task: asyncio.Task[RunStatus]) -> None:
        self._live.pop(run_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The journal did not take the end: the run stays open there and recovery deals with it.
            _log.error("run %s could not be ended in the history: %s", run_id, error)

    def _created(
        self,
        run_id: str,
        plan: Plan,
        params: Mapping[str, Any],
        state: Mapping[str, Any],
        source: str,
        **extra: Any,
    ) -> Event:
        data = {
            "workflow": plan.workflow,
            "digest": plan.digest,
            "path": plan.path,
            "document": plan.document,
            "params": dict(params),
            "backend": self._services.backend.name,
            "state": dict(state),
            "source": source,
            "plan": _summary(plan),
            **extra,
        }
        return Event(run_id, EventType.RUN_CREATED, self._services.clock.now(), data=data)

    async def _changes(self, run_id: str) -> dict[str, Mapping[str, Any]]:
        return {
            change.step_id: {
                "set": change.set,
                "removed": list(change.removed),
                "collections": change.collections,
            }
            for change in await self._reader.changes(run_id)
        }

    async def _collections(self, run_id: str) -> dict[str, str]:
        """Which names of a run's state are lists or sets of its tasks, as far as the history knows."""
        made: dict[str, str] = {}
        for change in await self._reader.changes(run_id):
            for name in (*change.set, *change.removed):
                made.pop(name, None)
            made |= change.collections
        return made

    def _taken_over(
        self, run_id: str, detail: RunDetail, reuse: Reuse, changes: Mapping[str, Mapping[str, Any]]
    ) -> list[Event]:
        """The events by which a new run begins with the outcomes of an old one."""
        now = self._services.clock.now()
        events: list[Event] = []
        # In the order in which they ended, so that the state folds to the same values.
        order = {step_id: place for place, step_id in enumerate(changes)}
        for record in sorted(detail.steps, key=lambda step: (order.get(step.id, -1), step.ordinal)):
            partly = reuse.items.get(record.id)
            if record.id not in reuse.steps and not partly:
                continue
            if record.items:
                events += _taken_items(run_id, record, partly, now)
            if record.id in reuse.steps:
                data = _end_of(record) | {"changes": changes.get(record.id)}
                events.append(Event(run_id, EventType.STEP_FINISHED, now, record.id, data=_present(data)))
        return events


def _open_agents(detail: RunDetail) -> set[str]:
    attempts = [
        attempt
        for step in detail.steps
        for attempt in (*step.attempts, *(a for item in step.items for a in item.attempts))
    ]
    return {attempt.agent for attempt in attempts if not StepStatus(attempt.status).is_terminal}


def _taken_items(run_id: str, record: StepRecord, partly: frozenset[int] | None, now: Any) -> list[Event]:
    values = [item.value for item in record.items]
    events = []
    if partly is not None:
        started = {"old": StepStatus.PENDING.value, "status": StepStatus.RUNNING.value}
        events.append(Event(run_id, EventType.STEP_STARTED, now, record.id, data=started))
    expanded = {"values": values, "workers": record.type == "parallel"}
    events.append(Event(run_id, EventType.STEP_EXPANDED, now, record.id, data=expanded))
    events += [
        Event(run_id, EventType.ITEM_FINISHED, now, record.id, item.index, data=_present(_end_of(item)))
        for item in record.items
        if StepStatus(item.status).is_terminal and (partly is None or item.index in partly)
    ]
    return events


def _end_of(record: Any) -> dict[str, Any]:
    return {
        "old": StepStatus.PENDING.value,
        "status": record.status,
        "reason": record.reason,
        "error": record.error,
        "result": record.result,
        "exit_code": record.exit_code,
        "reused": True,
    }


def _present(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value is not None}


def _initial_state(plan: Plan, params: Mapping[str, Any]) -> dict[str, Any]:
    return {**plan.state, "params": dict(params)} if plan.params else dict(plan.state)


def _summary(plan: Plan) -> list[dict[str, Any]]:
    """The plan as `run.created` has it: enough to draw every step before anything starts."""
    return [
        _present(
            {
                "id": step.id,
                "name": step.name,
                "type": step.type.value,
                "ordinal": step.ordinal,
                "depends_on": list(step.depends_on),
                "parent": step.parent,
                "image": step.task.image.source if step.task and step.task.image else None,
                "command": _command_text(step),
                "workers": step.workers if step.workers > 1 else None,
                "max_concurrency": step.map.max_concurrency if step.map else None,
                "max_attempts": step.retry.max_attempts,
                "timeout": step.timeout,
                "conditional": True if step.condition else None,
            }
        )
        for step in plan.steps.values()
    ]


def _command_text(step: PlanStep) -> str | list[str] | None:
    command = step.task.command if step.task else None
    if command is None or isinstance(command, str):
        return command
    return [part.source for part in command]
