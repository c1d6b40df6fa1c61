"""What can be asked of a home from outside a run, also while an engine in another process holds it.

The other half of the public face: `facade.Engine` executes runs, this looks after what they leave.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import UsageError
from engine.facade import Engine, KeptAgent, open_history

if TYPE_CHECKING:
    from pathlib import Path

    from engine.history.lease import Holder as Holder
    from engine.history.log_format import LogLine as LogLine
    from engine.history.log_index import LogIndex as LogIndex
    from engine.history.log_reader import LogReader as LogReader
    from engine.history.reader import Reader
    from engine.history.records import RunRecord
    from engine.settings import Settings
    from engine.workflows.catalog import CatalogEntry as CatalogEntry
    from engine.workflows.catalog import WorkflowCatalog as WorkflowCatalog
    from engine.workflows.plan_diff import PlanDiff

# A request to a live engine has to be answered soon; so much deleting at a time is.
_RUNS_PER_REQUEST = 20


async def read_directory(directory: Path) -> WorkflowCatalog:
    """The workflows of a directory as they are now, without watching it.

    Raises:
        UsageError: there is no such directory, or it cannot be read.
    """
    from engine.workflows.catalog import WorkflowCatalog

    catalog = WorkflowCatalog(directory)
    await catalog.refresh()
    if catalog.problem:
        raise UsageError(catalog.problem, hint="give a directory that holds workflow files")
    return catalog


def open_log(settings: Settings, log: str) -> LogReader:
    """The log of an attempt, by the `log` of its record."""
    from engine.history.log_reader import LogReader
    from engine.history.logs import log_file

    return LogReader(log_file(settings.logs, log))


def open_log_index(settings: Settings, log: str) -> LogIndex:
    """Random access to the log of an attempt, by the `log` of its record."""
    from engine.history.log_index import LogIndex
    from engine.history.logs import log_file

    return LogIndex(log_file(settings.logs, log))


def holder(settings: Settings) -> Holder | None:
    """Which process has an engine on the home now, if any."""
    from engine.history.lease import Lease

    return Lease.holder(settings.home)


async def live_status(settings: Settings) -> dict[str, Any]:
    """What the live engine says of itself: `pid`, `active` runs, `backend`, `redis`, `redis_url`.

    Raises:
        UnavailableError: it does not answer.
    """
    return await _ask(settings, {"command": "status"})


async def plan_changes(history: Reader, before: str, after: str) -> PlanDiff | None:
    """What the plan of one run changed against that of another; None where a document is not valid any more.

    Raises:
        UsageError: there is no such run.
    """
    from engine.errors import DocumentError
    from engine.orchestrator.kept import plan_of
    from engine.workflows.plan_diff import diff_plans

    try:
        plans = [await plan_of(await history.run(ref), history) for ref in (before, after)]
    except DocumentError:
        return None
    return diff_plans(*plans)


# -- agents -------------------------------------------------------------------------------------------


async def kept_agents(settings: Settings, ref: str | None = None) -> tuple[list[KeptAgent], list[str]]:
    """Agents that were kept for inspection and still exist, of one run or of all, oldest first.

    Returns:
        The agents, and for each backend that could not be asked a sentence why.
    """
    from engine.inventory import take_inventory

    async with open_history(settings) as history:
        run_id = None if ref is None else (await history.run(ref)).id
        records = await history.kept_agents(run_id)
        unfinished = {run.id for run in await history.unfinished()}
    if not records:
        return [], []
    found = await take_inventory(settings)
    infos = {info.name: info for info in found.agents}
    kept = [
        KeptAgent(record, info.identity.workflow, info.phase.value, info.size_bytes)
        for record in records
        if (info := infos.get(record.agent)) is not None and record.run_id not in unfinished
    ]
    return kept, found.problems


async def remove_agents(settings: Settings, agents: Sequence[KeptAgent]) -> list[str]:
    """Remove exactly these kept agents; returns the names of those that are gone now.

    Raises:
        UnavailableError: the engine that holds the home does not answer.
        BackendError: one could not be removed.
    """
    by_backend: defaultdict[str, list[str]] = defaultdict(list)
    for agent in agents:
        by_backend[agent.attempt.backend].append(agent.name)
    gone: list[str] = []
    for backend, names in by_backend.items():
        if holder(settings) is not None:
            answer = await _ask(settings, {"command": "cleanup", "agents": names})
            gone += answer["gone"]
            continue
        chosen = settings.model_copy(update={"backend": backend})
        async with await Engine.open(chosen, recover=False) as engine:
            gone += await engine.cleanup(names)
    return gone


# -- old runs -----------------------------------------------------------------------------------------


async def old_runs(
    settings: Settings, *, before: str | None = None, keep: int | None = None
) -> list[RunRecord]:
    """Finished runs that may be deleted, oldest first: those that have no kept agents, nor their children.

    Runs that are part of others are left out: they go with those. So are runs that a run in progress takes
    results from. Without a bound, the runs are meant that the settings (`keep_days`, `keep_runs`) let go.

    Args:
        settings: of the home.
        before: only runs that ended before this time (ISO 8601 UTC).
        keep: only runs that are not among the newest so many finished ones of their workflow.
    """
    from engine.clock import SystemClock
    from engine.history.housekeeping import expired_by

    async with open_history(settings) as history:
        if before is None and keep is None:
            return await expired_by(history, settings, SystemClock())
        return await history.expired(before=before, keep=keep)


async def finished_runs(settings: Settings) -> int:
    """How many runs that are part of no other are over."""
    async with open_history(settings) as history:
        return len(await history.expired()) if settings.database.exists() else 0


async def disk_use(settings: Settings, run_ids: Sequence[str]) -> dict[str, int]:
    """Bytes of logs and artifacts of runs, those that are part of them included."""
    import asyncio

    from engine.history.logs import log_file
    from engine.trees import size_of

    async with open_history(settings) as history:
        families = await history.families(run_ids)

    def measure() -> dict[str, int]:
        return {
            run_id: sum(
                size_of(log_file(root, member))
                for member in members
                for root in (settings.logs, settings.artifacts)
            )
            for run_id, members in families.items()
        }

    return await asyncio.to_thread(measure)


async def compact(settings: Settings) -> tuple[int, int]:
    """Write the database anew, without the room of deleted runs; returns its bytes before and after.

    Raises:
        UnavailableError: an engine holds the home.
        HistoryError: there is not as much room again on the disk.
    """
    from engine.history.journal import Journal
    from engine.history.lease import Lease

    lease = Lease.acquire(settings.home)
    try:
        before = settings.database.stat().st_size if settings.database.exists() else 0
        async with await Journal.open(settings.database) as journal:
            await journal.compact()
        return before, settings.database.stat().st_size
    finally:
        lease.release()


async def delete_runs(settings: Settings, run_ids: Sequence[str]) -> None:
    """Delete finished runs from the history, with their logs and artifacts.

    Raises:
        UsageError: one is not over, or has kept agents; those before it are gone.
        HistoryError: the database or the files could not be changed.
        UnavailableError: the engine that holds the home does not answer.
    """
    from engine.history.journal import Journal
    from engine.history.lease import Lease
    from engine.history.retention import delete_run, give_back_space

    if holder(settings) is not None:
        for start in range(0, len(run_ids), _RUNS_PER_REQUEST):
            some = list(run_ids[start : start + _RUNS_PER_REQUEST])
            await _ask(settings, {"command": "delete", "runs": some})
        return
    lease = Lease.acquire(settings.home)
    try:
        async with await Journal.open(settings.database) as journal:
            for run_id in run_ids:
                await delete_run(journal, settings.logs, run_id, artifacts=settings.artifacts)
            while await give_back_space(journal):
                pass
    finally:
        lease.release()


async def _ask(settings: Settings, request: dict[str, Any]) -> dict[str, Any]:
    from engine.service.control import ask

    return await ask(settings.home, request)
