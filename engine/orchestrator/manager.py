"""The Orchestrator: admits runs, owns the live ones, retries, resumes and cancels them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from engine.clock import parse_time
from engine.errors import DocumentError, Reason
from engine.events import Event, EventType, RunStatus
from engine.history.reader import Reader
from engine.history.records import RunDetail, RunRecord
from engine.orchestrator.admission import check_admission, check_secrets
from engine.orchestrator.approvals import Gate
from engine.orchestrator.closing import ends_of
from engine.orchestrator.context import RunContext, Services, Stop
from engine.orchestrator.creation import Beginning, initial_state
from engine.orchestrator.family import Family
from engine.orchestrator.fates import Reuse
from engine.orchestrator.kept import beginning_of
from engine.orchestrator.naming import new_run_id
from engine.orchestrator.queue import RunQueue
from engine.orchestrator.rerunning import work_out
from engine.orchestrator.run import RunExecutor
from engine.orchestrator.scopes import RetryScope
from engine.orchestrator.secrets import NO_SECRETS, Secrets, literal_warnings, read_secrets
from engine.orchestrator.takeover import collections_of, take_artifacts, taken_over
from engine.state.store import NO_COLLECTIONS
from engine.workflows.plan import Plan

_log = logging.getLogger("agentainer")

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run in progress, or one that waits for its turn, and the task that sees it to its end."""

    executor: RunExecutor
    task: asyncio.Task[RunStatus]


class Orchestrator:
    """Runs of one engine. `services` holds the backend that new runs use, `environ` the values of secrets."""

    def __init__(
        self, services: Services, reader: Reader, *, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._services = services
        self._reader = reader
        self._environ = environ
        self._live: dict[str, LiveRun] = {}
        self._family = Family(self, reader)
        self.queue = RunQueue()

    @property
    def active(self) -> list[str]:
        """Ids of the runs that have not ended, oldest first; some of them may wait for their turn."""
        return list(self._live)

    def is_live(self, run_id: str) -> bool:
        """Whether this engine sees the run to its end."""
        return run_id in self._live

    def context_of(self, run_id: str) -> RunContext | None:
        """What belongs to a live run, None if it is not live here."""
        live = self._live.get(run_id)
        return live.executor.context if live is not None else None

    # -- beginning ------------------------------------------------------------------------------------

    def admit(self, plan: Plan, services: Services | None = None) -> Secrets:
        """Check that `plan` can run here; returns its secrets.

        Raises:
            DocumentError: it cannot; nothing was created.
        """
        services = services or self._services
        check_admission(plan, services.facts, services.settings)
        return check_secrets(plan, self._environ, self._services.settings.allowed_roots)

    async def start(
        self,
        plan: Plan,
        params: Mapping[str, Any],
        *,
        source: str,
        use_cache: bool = True,
        scheduled_for: datetime | None = None,
    ) -> str:
        """Admit a run of `plan` and start it; returns its id once its creation is durable.

        Raises:
            DocumentError: it cannot run here; nothing was created.
        """
        secrets = self.admit(plan)
        begin = Beginning(
            new_run_id(),
            plan,
            params,
            initial_state(plan, params),
            source,
            use_cache=use_cache,
            scheduled_for=scheduled_for,
            secrets=secrets,
        )
        return await self.begin(begin, self._services)

    async def retry(
        self,
        plan: Plan,
        detail: RunDetail,
        scope: RetryScope,
        *,
        source: str,
        use_cache: bool = True,
        params: Mapping[str, Any] = NO_PARAMS,
    ) -> str:
        """Run a finished run again, whole or in part, as a new run that takes over what stands.

        With `scope.edited`, `plan` is another version of its document, and `params` are those that are to be
        others than they were.

        Raises:
            UsageError: it is not over yet, the scope makes no sense for it, or the params do not fit.
            DocumentError: it cannot run here.
        """
        rerun = await work_out(detail, scope, plan, self._reader, self._services.artifacts, params)
        begin = Beginning(
            new_run_id(),
            plan,
            rerun.params,
            rerun.state,
            source,
            use_cache=use_cache,
            retry_of=detail.run.id,
            retry_scope=scope.describe(),
            secrets=self.admit(plan),
            earlier_children=rerun.earlier_children,
        )
        return await self.begin(begin, self._services, taking=(detail, rerun.decision.reuse))

    async def begin(
        self, begin: Beginning, services: Services, *, taking: tuple[RunDetail, Reuse] | None = None
    ) -> str:
        """Create an admitted run and launch it. `taking` says which run it takes over what from."""
        now = services.clock.now()
        created = begin.created(services.backend.name, now)
        if taking is None:
            await services.journal.record(created)
            live = self._launch(begin, services, begin.detail(services.backend.name, now))
        else:
            detail, reuse = taking
            artifacts = await take_artifacts(begin.run_id, detail, reuse, services.artifacts)
            taken = await taken_over(begin.run_id, detail, reuse, self._reader, now, artifacts)
            await services.journal.record(created, *taken)
            fresh = await self._reader.detail(begin.run_id)
            made = await collections_of(self._reader, begin.run_id)
            live = self._launch(begin, services, fresh, collections=made)
        for warning in literal_warnings(begin.plan, begin.secrets):
            live.executor.context.warn(warning)
        return begin.run_id

    async def resume(
        self,
        plan: Plan,
        detail: RunDetail,
        services: Services | None = None,
        *,
        cancel_by: str | None = None,
        hurry: bool = False,
        stop: Stop | None = None,
    ) -> None:
        """Go on with a run that an interrupted engine left.

        With `cancel_by` or `stop` only to end it properly: as cancelled (`hurry`: without grace and without
        its `finally` steps), or for the reason of the stop.
        """
        run, services = detail.run, services or self._services
        stop = stop or self.parked(run)
        secrets = NO_SECRETS
        try:
            secrets = read_secrets(plan, self._environ, services.settings.allowed_roots)
        except DocumentError as error:
            stop = stop or Stop(Reason.INPUT_ERROR, f"interrupted, and cannot go on: {error}")
        begin = beginning_of(detail, plan, secrets)
        made = await collections_of(self._reader, run.id)
        now = services.clock.now()
        recovered = {"instance": services.instance, "recoveries": run.recoveries + 1}
        await services.journal.record(Event(run.id, EventType.RUN_RECOVERED, now, data=recovered))
        elapsed = max(0.0, (now - parse_time(run.started_at)).total_seconds()) if run.started_at else 0.0
        live = self._launch(begin, services, detail, elapsed=elapsed, collections=made)
        context = live.executor.context
        if hurry:
            context.hurry.set()
        if run.status == RunStatus.CANCELLING:
            context.request_stop(Stop(Reason.CANCELLED, "cancelled before the engine stopped"))
        elif stop is not None:
            context.request_stop(stop)
        elif cancel_by is not None:
            await self.cancel(run.id, by=cancel_by)
        if context.stop is not None:
            self.queue.withdraw(run.id)

    def parked(self, run: RunRecord) -> Stop | None:
        """Why a run is not gone on with, if it has ended the engine too often."""
        if run.recoveries < self._services.settings.max_recoveries:
            return None
        return Stop(
            Reason.INFRA_ERROR,
            f"parked: the engine ended abnormally {run.recoveries} times while this run was live",
        )

    async def give_up(self, run: RunRecord, reason: Reason, error: str) -> None:
        """End a run whose document cannot be read any more, with all that is open in it."""
        data = {"old": run.status, "status": RunStatus.FAILED.value, "reason": reason.value, "error": error}
        now = self._services.clock.now()
        detail = await self._reader.detail(run.id)
        ends = ends_of(detail, "its run was given up", now)
        finished = Event(run.id, EventType.RUN_FINISHED, now, data=data)
        await self._services.journal.record(*ends, finished)
        self.queue.leave(run.id)

    # -- while they live ------------------------------------------------------------------------------

    async def cancel(self, run_id: str, *, by: str, hurry: bool = False) -> bool:
        """Cancel a live run (False: it is not live here); `hurry` skips the grace, also belatedly."""
        live = self._live.get(run_id)
        if live is None:
            return False
        waiting = self.queue.is_waiting(run_id)
        if hurry or waiting:  # of a run that never began, nothing runs at its end either
            live.executor.context.hurry.set()
        if hurry:
            for child in self._children(run_id):
                await self.cancel(child, by=f"its parent, run {run_id}", hurry=True)
        await live.executor.cancel(by)
        if waiting and self.is_live(run_id):
            self.queue.withdraw(run_id)
        return True

    def gates(self, run_id: str) -> list[Gate]:
        """The gates of a live run that wait for an answer, longest waiting first; none if it is not live."""
        context = self.context_of(run_id)
        return context.approvals.waiting() if context is not None else []

    def answer(self, run_id: str, step_id: str, *, approved: bool, by: str, comment: str = "") -> bool:
        """Answer a gate of a live run; False when it does not wait (any more)."""
        context = self.context_of(run_id)
        return context is not None and context.approvals.answer(
            step_id, approved=approved, by=by, comment=comment
        )

    async def wait(self, run_id: str) -> None:
        """Wait for the end of a live run; returns at once if it is not live."""
        live = self._live.get(run_id)
        if live is not None:
            await asyncio.wait({live.task})

    async def cancel_all(self, *, by: str, hurry: bool = False) -> None:
        """Cancel all that runs. Child runs are their parents' affair."""
        for run_id in self.active:
            context = self.context_of(run_id)
            if context is not None and (context.parent is None or not self.is_live(context.parent.run_id)):
                await self.cancel(run_id, by=by, hurry=hurry)

    async def close(self, *, by: str) -> None:
        """Cancel what runs, and wait for it."""
        await self.cancel_all(by=by)
        while self._live:
            await asyncio.wait({live.task for live in self._live.values()})

    # -- inside ---------------------------------------------------------------------------------------

    def _children(self, run_id: str) -> list[str]:
        return [
            child
            for child, live in self._live.items()
            if (parent := live.executor.context.parent) is not None and parent.run_id == run_id
        ]

    def _launch(
        self,
        begin: Beginning,
        services: Services,
        prior: RunDetail,
        *,
        elapsed: float = 0.0,
        collections: Mapping[str, str] = NO_COLLECTIONS,
    ) -> LiveRun:
        run_id = begin.run_id
        executor = RunExecutor(
            services,
            begin.plan,
            run_id,
            params=begin.params,
            state=prior.state,
            prior=prior,
            elapsed=elapsed,
            collections=collections,
        )
        context = executor.context
        context.source = begin.source
        context.children = self._family
        context.parent = begin.parent
        context.use_cache = begin.use_cache
        context.earlier_children = begin.earlier_children
        context.secrets = begin.secrets
        parent = begin.parent
        if parent is not None and (above := self.context_of(parent.run_id)) is not None:
            context.secrets = begin.secrets.within(above.secrets)
        self._take_place(begin, prior.run, context)
        live = LiveRun(executor, asyncio.create_task(self._in_turn(executor), name=f"run {run_id}"))
        self._live[run_id] = live
        live.task.add_done_callback(lambda task: self._ended(run_id, task))
        return live

    def _take_place(self, begin: Beginning, run: RunRecord, context: RunContext) -> None:
        parent = begin.parent.run_id if begin.parent is not None else None
        self.queue.enter(
            begin.run_id,
            begin.plan.workflow,
            limit=begin.plan.max_active_runs,
            parent=parent,
            scheduled=begin.is_scheduled,
            alone=begin.waits_for_schedule,
            begun=run.status != RunStatus.PENDING,
        )
        if self.queue.is_waiting(begin.run_id):
            why = "schedule" if begin.waits_for_schedule else "max_active_runs"
            context.record(context.event(EventType.RUN_QUEUED, why=why))
            if (other := self.queue.waits_in_vain_for(begin.run_id)) is not None:
                message = (
                    f"it would wait for ever for run {other}, of which a part waits for a run that this is a "
                    "part of: raise max_active_runs, or do not let these workflows run each other"
                )
                context.request_stop(Stop(Reason.INVALID_DEFINITION, message))
                self.queue.withdraw(begin.run_id)

    async def _in_turn(self, executor: RunExecutor) -> RunStatus:
        run_id = executor.context.run_id
        try:
            await self.queue.turn(run_id)
            return await executor.run()
        finally:
            self.queue.leave(run_id)

    def _ended(self, run_id: str, task: asyncio.Task[RunStatus]) -> None:
        self._live.pop(run_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The journal did not take the end: the run stays open there and recovery deals with it.
            _log.error("run %s could not be ended in the history: %s", run_id, error)
