"""One live engine on one home: `facade` hands it on as `Engine`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from engine.errors import UsageError
from engine.events import RunStatus
from engine.live_agents import EngineAgents

if TYPE_CHECKING:
    from datetime import datetime

    from engine.agents.backend import BackendFacts
    from engine.assembly import Parts
    from engine.history.reader import Reader
    from engine.history.records import RunRecord
    from engine.history.subscription import Subscription
    from engine.orchestrator.approvals import Gate
    from engine.orchestrator.schedule import Scheduled, Scheduler
    from engine.settings import Settings
    from engine.workflows.catalog import WorkflowCatalog
    from engine.workflows.plan import Plan


class Engine(EngineAgents):
    """One engine on one home. Open it with `Engine.open`, use it on the loop that opened it, close it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.notes: list[str] = []
        self.catalog: WorkflowCatalog | None = None
        self._scheduler: Scheduler | None = None
        self._stack = AsyncExitStack()
        self._parts: Parts

    @classmethod
    async def open(cls, settings: Settings, *, directory: Path | None = None, recover: bool = True) -> Engine:
        """Take the home's lease, open history, backend and Redis, and go on with interrupted runs.

        Args:
            settings: the settings.
            directory: of workflows to watch, if any.
            recover: whether to go on with runs that an earlier engine left unfinished.

        Raises:
            UnavailableError: the home, the backend that was demanded, or Redis cannot be had.
        """
        engine = cls(settings)
        try:
            await engine._open(directory, recover=recover)
        except BaseException:
            await engine._stack.aclose()
            raise
        return engine

    async def __aenter__(self) -> Self:
        """Use it as a context manager."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    async def close(self) -> None:
        """Cancel runs in progress, wait for them, and let go of everything."""
        await self._stack.aclose()

    # -- what it is -----------------------------------------------------------------------------------

    @property
    def history(self) -> Reader:
        """Everything that was ever recorded in this home."""
        return self._parts.history

    @property
    def facts(self) -> BackendFacts:
        """The backend in use and what its machine can do."""
        return self._parts.services.facts

    @property
    def instance(self) -> str:
        """The id of this home, which every agent of it carries."""
        return self._parts.services.instance

    @property
    def active(self) -> list[str]:
        """Ids of the runs in progress, oldest first."""
        return self._parts.orchestrator.active

    @property
    def tasks(self) -> int:
        """Tasks that hold a place of this machine's now; any thread may ask."""
        return self._parts.services.slots.held

    @property
    def store_description(self) -> str:
        """One line about the Redis in use."""
        return self._parts.store.describe()

    @property
    def redis_url(self) -> str:
        """The URL for `redis-cli -u`."""
        return self._parts.store.connection_url()

    # -- commands -------------------------------------------------------------------------------------

    async def start_run(
        self,
        plan: Plan,
        params: Mapping[str, Any],
        *,
        source: str = "cli",
        use_cache: bool = True,
        scheduled_for: datetime | None = None,
    ) -> str:
        """Start a run; returns its id once its creation is durable. It may have to wait for its turn.

        Args:
            plan: what to run, linked (`validate_file`).
            params: given params, text or JSON; checked and completed with the defaults.
            source: who asked, for history.
            use_cache: whether results of earlier work may stand in for its own.
            scheduled_for: the time of the schedule that it is started for.

        Raises:
            UsageError: params that do not fit.
            DocumentError: a plan that cannot run here: on this backend, without a secret.
        """
        from engine.workflows.params import resolve_params

        return await self._parts.orchestrator.start(
            plan,
            resolve_params(plan, params),
            source=source,
            use_cache=use_cache,
            scheduled_for=scheduled_for,
        )

    async def retry(
        self,
        ref: str,
        *,
        from_step: str | None = None,
        only_step: str | None = None,
        failed: bool = False,
        source: str = "cli",
        use_cache: bool = True,
        plan: Plan | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> str:
        """Run a finished run again as a new run: whole, from a step on, only a step, or what failed.

        Args:
            ref: the run.
            from_step: run it and what depends on it again.
            only_step: run it alone again.
            failed: run again what failed, was cancelled or was never reached. None of the three: all.
            source: who asked, for history.
            use_cache: whether results of earlier work may stand in for its own.
            plan: another version of its document; what that changed runs again in any case.
            params: those that are to be others than they were; with `plan` only.

        Raises:
            UsageError: no such run or step, it is not over, or its params do not fit `plan`.
            DocumentError: its document is not valid any more, or cannot run here.
        """
        from engine.orchestrator.kept import plan_of
        from engine.orchestrator.scopes import RetryScope

        detail = await self.history.detail(ref)
        scope = RetryScope(from_step, only_step, failed, edited=plan is not None)
        return await self._parts.orchestrator.retry(
            plan or await plan_of(detail.run, self.history),
            detail,
            scope,
            source=source,
            use_cache=use_cache,
            params=params or {},
        )

    async def cancel(self, ref: str, *, by: str = "user", hurry: bool = False) -> None:
        """Cancel a run: durable at return, its tasks are stopped after that. `hurry` skips their grace.

        Raises:
            UsageError: no such run, or it is over.
        """
        run = await self.history.run(ref)
        if await self._parts.orchestrator.cancel(run.id, by=by, hurry=hurry):
            return
        require_unfinished(run)
        await self._parts.recovery.resume(run, cancel_by=by, hurry=hurry)

    async def cancel_all(self, *, by: str = "user", hurry: bool = False) -> None:
        """Cancel all runs in progress, as `cancel` does; child runs with their parents."""
        await self._parts.orchestrator.cancel_all(by=by, hurry=hurry)

    async def waiting(self, ref: str) -> list[Gate]:
        """The approval steps of a run that wait for an answer, longest waiting first.

        Raises:
            UsageError: no such run.
        """
        return self._parts.orchestrator.gates((await self.history.run(ref)).id)

    async def approve(self, ref: str, step: str | None = None, *, by: str = "user", comment: str = "") -> str:
        """Let a run go on through an approval step (None: the only one that waits); returns the step's id.

        Raises:
            UsageError: no such run or step, it does not wait, or several wait.
        """
        return await self._answer(ref, step, approved=True, by=by, comment=comment)

    async def reject(self, ref: str, step: str | None = None, *, by: str = "user", comment: str = "") -> str:
        """Let an approval step fail as `rejected`; as `approve`."""
        return await self._answer(ref, step, approved=False, by=by, comment=comment)

    def schedules(self) -> list[Scheduled]:
        """The workflows of the watched directory that run by themselves, with their next times."""
        return self._scheduler.schedules() if self._scheduler is not None else []

    async def schedules_changed(self) -> None:
        """Wait until `schedules` has something new to say; without a watched directory, for ever."""
        if self._scheduler is None:
            import asyncio  # not at the top: checking a file does without it

            await asyncio.Event().wait()
        else:
            await self._scheduler.changed()

    async def wait(self, run_id: str) -> RunRecord:
        """Wait for the end of a run."""
        await self._parts.orchestrator.wait(run_id)
        return await self.history.run(run_id)

    async def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Delete finished runs from the history, with their logs and artifacts.

        Raises:
            UsageError: one is not over, or kept agents; those before it are gone.
        """
        from engine.history.retention import delete_run, give_back_space

        for run_id in run_ids:
            await delete_run(
                self._parts.journal, self.settings.logs, run_id, artifacts=self.settings.artifacts
            )
        await give_back_space(self._parts.journal)

    def subscribe(self, after: int | None = None, *, run_id: str | None = None) -> Subscription:
        """Committed events after a sequence number (None: from now on), then live ones, without a gap."""
        return self._parts.journal.subscribe(after, run_id=run_id)

    # -- inside ---------------------------------------------------------------------------------------

    async def _open(self, directory: Path | None, *, recover: bool) -> None:
        from engine.assembly import assemble
        from engine.service.control import ControlServer

        self._parts = await assemble(self.settings, self._stack)
        self.notes += self._parts.notes
        control = ControlServer(self.settings.home, self._control)
        await control.open()
        self._stack.push_async_callback(control.close)
        if directory is not None:
            from engine.workflows.catalog import WorkflowCatalog

            self.catalog = WorkflowCatalog(directory, self.settings.max_depth)
            await self.catalog.open()
            self._stack.push_async_callback(self.catalog.close)
        if recover:
            self.notes += await self._parts.recovery.recover()
        if self.catalog is not None:
            from engine.orchestrator.schedule import Scheduler

            self._scheduler = Scheduler(
                self.catalog, self._parts.orchestrator, self.history, self._parts.services.clock
            )
            await self._scheduler.open()
            self._stack.push_async_callback(self._scheduler.close)

    async def _answer(self, ref: str, step: str | None, *, approved: bool, by: str, comment: str) -> str:
        run = await self.history.run(ref)
        require_unfinished(run)
        gates = {gate.step_id: gate for gate in self._parts.orchestrator.gates(run.id)}
        if step is None and len(gates) == 1:
            step = next(iter(gates))
        if step is None or step not in gates:
            what = f"run {run.id}: " + (
                f"step {step!r} does not wait for an answer" if step else "several steps wait for an answer"
            )
            if not gates:
                raise UsageError(f"run {run.id} has no step that waits for an answer")
            raise UsageError(what, hint=f"waiting: {', '.join(gates)}")
        if not self._parts.orchestrator.answer(run.id, step, approved=approved, by=by, comment=comment):
            raise UsageError(f"run {run.id}: step {step!r} has its answer already")
        return step

    async def _control(self, request: Mapping[str, Any]) -> dict[str, Any]:
        match request.get("command"):
            case "cancel":
                await self.cancel(
                    str(request.get("run")),
                    by=str(request.get("by", "user")),
                    hurry=bool(request.get("hurry")),
                )
                return {}
            case "answer":
                step = request.get("step")
                answered = await self._answer(
                    str(request.get("run")),
                    None if step is None else str(step),
                    approved=request.get("approved") is True,
                    by=str(request.get("by", "user")),
                    comment=str(request.get("comment", "")),
                )
                return {"step": answered}
            case "cleanup":
                return {"gone": await self.cleanup([str(name) for name in request.get("agents", ())])}
            case "delete":
                await self.delete_runs([str(run_id) for run_id in request.get("runs", ())])
                return {}
            case "pools":
                return {"pools": [asdict(report) for report in self.pools()]}
            case "status":
                return {
                    "pid": os.getpid(),
                    "active": self.active,
                    "backend": self.facts.name,
                    "redis": self.store_description,
                    "redis_url": self.redis_url,
                }
            case other:
                raise UsageError(f"unknown command {other!r}")


def require_unfinished(run: RunRecord) -> None:
    """Refuse what only makes sense while a run lives.

    Raises:
        UsageError: it is over.
    """
    if RunStatus(run.status).is_terminal:
        raise UsageError(f"run {run.id} is over: it is {run.status}")
