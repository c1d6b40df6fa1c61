"""The engine's public face: everything that the dashboard and the command line may use.

Importing this module is cheap; Docker, Redis and SQLite are imported when an engine is opened.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from engine.errors import BackendError, UnavailableError, UsageError
from engine.events import Event, RunStatus
from engine.standalone import document_schema, open_history, read_param, validate_file

if TYPE_CHECKING:
    from engine.agents.backend import AgentInfo, BackendFacts
    from engine.assembly import Parts
    from engine.history.reader import Reader as Reader
    from engine.history.records import AttemptRecord, ItemRecord, RunDetail, RunRecord, StepRecord
    from engine.history.subscription import Subscription
    from engine.settings import Settings as Settings
    from engine.workflows.catalog import WorkflowCatalog
    from engine.workflows.plan import ParamSpec
    from engine.workflows.plan import Plan as Plan
else:

    def __getattr__(name: str) -> Any:
        """Types that are only re-exported are imported when asked for: checking a file does without them."""
        if name in ("AttemptRecord", "ItemRecord", "RunDetail", "RunRecord", "StepRecord"):
            from engine.history import records as module
        elif name == "ParamSpec":
            from engine.workflows import plan as module
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(module, name)


__all__ = [
    "AttemptRecord",
    "Engine",
    "Event",
    "ItemRecord",
    "KeptAgent",
    "ParamSpec",
    "RunDetail",
    "RunRecord",
    "StepRecord",
    "answer_gate",
    "cancel_run",
    "document_schema",
    "open_history",
    "read_param",
    "validate_file",
]


@dataclass(frozen=True, slots=True)
class KeptAgent:
    """An agent that was kept for inspection (cleanup policy) and can be removed by hand."""

    attempt: AttemptRecord
    workflow: str
    status: str
    size_bytes: int | None = None

    @property
    def name(self) -> str:
        """The agent's name, by which it is removed."""
        return self.attempt.agent


async def cancel_run(settings: Settings, ref: str, *, by: str, hurry: bool = False) -> RunRecord:
    """Cancel a run wherever it is live: in another process of this home, or left behind by a dead one.

    Returns the run as it is afterwards (`cancelling`, if its tasks are still being stopped).

    Raises:
        UsageError: there is no such run, or it is over.
        UnavailableError: its engine does not answer.
    """
    from engine.history.lease import Lease
    from engine.service.control import ask

    reader = open_history(settings)
    try:
        run = await reader.run(ref)
        _require_unfinished(run)
        if Lease.holder(settings.home) is not None:
            await ask(settings.home, {"command": "cancel", "run": run.id, "by": by, "hurry": hurry})
            return await reader.run(run.id)
    finally:
        await reader.close()
    async with await Engine.open(settings, recover=False) as engine:
        await engine.cancel(run.id, by=by, hurry=hurry)
        return await engine.wait(run.id)


async def answer_gate(
    settings: Settings, ref: str, *, step: str | None, approved: bool, by: str, comment: str = ""
) -> tuple[RunRecord, str]:
    """Answer an approval step that waits, in the engine that is live on the home.

    Args:
        settings: of the home.
        ref: the run.
        step: the approval step; None means the only one that waits.
        approved: whether the run may go on through it.
        by: who says so, for history.
        comment: why, for history.

    Returns:
        The run, and the id of the step.

    Raises:
        UsageError: no such run or step, it does not wait, several wait, or no engine is live.
        UnavailableError: the engine does not answer.
    """
    from engine.history.lease import Lease
    from engine.service.control import ask

    async with open_history(settings) as history:
        run = await history.run(ref)
        _require_unfinished(run)
        if Lease.holder(settings.home) is None:
            raise UsageError(
                f"no engine is live on {settings.home}, so nobody can take the answer; run {run.id} waits "
                "until there is one",
                hint="open the dashboard (`agentainer`) or `agentainer watch`, then answer",
            )
        request = {"command": "answer", "run": run.id, "step": step, "approved": approved}
        answer = await ask(settings.home, {**request, "by": by, "comment": comment})
        return await history.run(run.id), str(answer["step"])


class Engine:
    """One engine on one home. Open it with `Engine.open`, use it on the loop that opened it, close it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.notes: list[str] = []
        self.catalog: WorkflowCatalog | None = None
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
    def store_description(self) -> str:
        """One line about the Redis in use."""
        return self._parts.store.describe()

    @property
    def redis_url(self) -> str:
        """The URL for `redis-cli -u`."""
        return self._parts.store.connection_url()

    # -- commands -------------------------------------------------------------------------------------

    async def start_run(self, plan: Plan, params: Mapping[str, Any], *, source: str = "cli") -> str:
        """Start a run; returns its id once its creation is durable.

        Args:
            plan: what to run.
            params: given params, text or JSON; checked and completed with the defaults.
            source: who asked, for history.

        Raises:
            DocumentError: params that do not fit, or a plan that cannot run on this backend.
        """
        from engine.workflows.params import resolve_params

        return await self._parts.orchestrator.start(plan, resolve_params(plan, params), source=source)

    async def retry(
        self,
        ref: str,
        *,
        from_step: str | None = None,
        only_step: str | None = None,
        failed: bool = False,
        source: str = "cli",
    ) -> str:
        """Run a finished run again as a new run: whole, from a step on, only a step, or what failed.

        Raises:
            UsageError: no such run or step, or it is not over.
            DocumentError: its document is not valid any more.
        """
        from engine.orchestrator.scopes import RetryScope

        detail = await self.history.detail(ref)
        plan = await self._parts.recovery.plan_of(detail.run)
        scope = RetryScope(from_step, only_step, failed)
        return await self._parts.orchestrator.retry(plan, detail, scope, source=source)

    async def cancel(self, ref: str, *, by: str = "user", hurry: bool = False) -> None:
        """Cancel a run: durable at return, its tasks are stopped after that. `hurry` skips their grace.

        Raises:
            UsageError: no such run, or it is over.
        """
        run = await self.history.run(ref)
        if await self._parts.orchestrator.cancel(run.id, by=by, hurry=hurry):
            return
        _require_unfinished(run)
        await self._parts.recovery.resume(run, cancel_by=by)

    async def wait(self, run_id: str) -> RunRecord:
        """Wait for the end of a run."""
        await self._parts.orchestrator.wait(run_id)
        return await self.history.run(run_id)

    async def kept_agents(self, ref: str | None = None) -> list[KeptAgent]:
        """Agents that were kept and still exist, of one run or of all, oldest first."""
        run_id = None if ref is None else (await self.history.run(ref)).id
        there = await self._existing_agents()
        kept = []
        for record in await self.history.kept_agents():
            if (info := there.get(record.agent)) is None or run_id not in (None, record.run_id):
                continue
            if record.run_id in self.active:
                continue
            kept.append(KeptAgent(record, info.identity.workflow, info.phase.value, info.size_bytes))
        return kept

    async def cleanup(self, names: list[str]) -> list[str]:
        """Remove exactly the kept agents of these names; returns those that are gone now.

        Raises:
            UsageError: a name that is not a kept agent; nothing was removed.
            BackendError: one could not be removed.
        """
        kept = {agent.name: agent.attempt for agent in await self.kept_agents()}
        if unknown := [name for name in names if name not in kept]:
            raise UsageError(f"not a kept agent: {', '.join(unknown)}", hint="see `agentainer agents`")
        return await self._parts.orchestrator.remove_agents([kept[name] for name in names])

    async def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Delete finished runs from the history, with their logs and artifacts.

        Raises:
            UsageError: one is not over, or kept agents; those before it are gone.
        """
        from engine.history.retention import delete_run

        for run_id in run_ids:
            await delete_run(
                self._parts.journal, self.settings.logs, run_id, artifacts=self.settings.artifacts
            )

    def shell_command(self, name: str) -> list[str] | None:
        """The argv that opens a shell in a kept or running agent, None where there is none."""
        return self._parts.services.backend.shell_command(name)

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

            self.catalog = WorkflowCatalog(directory)
            await self.catalog.open()
            self._stack.push_async_callback(self.catalog.close)
        if recover:
            self.notes += await self._parts.recovery.recover()

    async def _existing_agents(self) -> dict[str, AgentInfo]:
        try:
            agents = await self._parts.services.backend.list_agents(self._parts.services.instance)
        except BackendError as error:
            raise UnavailableError(f"agents cannot be listed: {error.message}") from error
        return {info.name: info for info in agents}

    async def _control(self, request: Mapping[str, Any]) -> dict[str, Any]:
        match request.get("command"):
            case "cancel":
                await self.cancel(
                    str(request.get("run")),
                    by=str(request.get("by", "user")),
                    hurry=bool(request.get("hurry")),
                )
                return {}
            case "cleanup":
                return {"gone": await self.cleanup([str(name) for name in request.get("agents", ())])}
            case "delete":
                await self.delete_runs([str(run_id) for run_id in request.get("runs", ())])
                return {}
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


def _require_unfinished(run: RunRecord) -> None:
    if RunStatus(run.status).is_terminal:
        raise UsageError(f"run {run.id} is over: it is {run.status}")
