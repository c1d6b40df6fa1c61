"""Workflow files while people edit them: what a save changed, what a retry by it would do, new files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentainer_tui.bridge.link import EngineLink
from agentainer_tui.client import Preview, RetryScope, RunFile, WorkflowEntry
from engine.errors import DocumentError, Problem

if TYPE_CHECKING:
    from engine.facade import Plan, PlanDiff, RetryPreview
    from engine.settings import Settings
    from engine.upkeep import CatalogEntry

# Of a file with problems: characters that are looked at, of a line that are shown; problems with their lines.
_LOOKED_AT, _LONGEST, _PROBLEMS = 1 << 20, 400, 8


@dataclass(slots=True)
class _Known:
    """A good version of a file, the one that edits are told against, and what was changed."""

    plan: Plan
    base: Plan
    save: PlanDiff | None = None
    edit: PlanDiff | None = None


class Versions:
    """The good versions of the watched files, one after the other."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def take(self, entries: Sequence[CatalogEntry]) -> tuple[WorkflowEntry, ...]:
        """The entries as the dashboard shows them; reads files that have problems."""
        known = self._known
        self._known = {}
        for entry in entries:
            path = str(entry.path)
            if entry.plan is not None:
                self._known[path] = _next(known.get(path), entry.plan)
        return tuple(_entry(entry, self._known.get(str(entry.path))) for entry in entries)

    def ran(self, path: str, plan: Plan) -> None:
        """A version ran: from now on edits are told against it."""
        from engine.facade import diff_plans

        if (known := self._known.get(path)) is not None:
            edit = diff_plans(plan, known.plan) if known.plan is not plan else None
            self._known[path] = _Known(known.plan, plan, known.save, edit)


def _next(known: _Known | None, plan: Plan) -> _Known:
    from engine.facade import diff_plans

    if known is None:
        return _Known(plan, plan)
    if known.plan is plan:
        return known
    return _Known(plan, known.base, diff_plans(known.plan, plan), diff_plans(known.base, plan))


def _entry(entry: CatalogEntry, known: _Known | None) -> WorkflowEntry:
    plan = entry.plan
    return WorkflowEntry(
        path=str(entry.path),
        name=entry.name,
        description=plan.description if plan is not None else "",
        steps=tuple(step.name for step in plan.steps.values()) if plan is not None else (),
        params=tuple(plan.params.values()) if plan is not None else (),
        problems=entry.problems,
        runnable=plan is not None,
        digest=plan.digest if plan is not None else "",
        save=known.save if known is not None else None,
        edit=known.edit if known is not None else None,
        excerpts=excerpts(entry.path, entry.problems),
    )


def excerpts(path: Path, problems: Iterable[Problem]) -> Mapping[int, str]:
    """The lines of a file that its first problems are about, by number; none where it cannot be read."""
    wanted = {problem.line for problem in list(problems)[:_PROBLEMS] if problem.line}
    if not wanted:
        return {}
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(_LOOKED_AT).split("\n")
    except OSError:
        return {}
    # A problem at an empty line, or at the end, is about the line before.
    wanted |= {n - 1 for n in wanted if 1 < n <= len(lines) + 1 and not "".join(lines[n - 1 : n]).strip()}
    return {number: lines[number - 1][:_LONGEST] for number in wanted if number <= len(lines)}


class Editing(EngineLink):
    """Reads edited files, and writes new ones."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        super().__init__(settings, directory)
        self._versions = Versions()

    async def preview_retry(
        self, run_id: str, scope: RetryScope, *, params: Mapping[str, Any] | None = None
    ) -> Preview:
        """What `retry` would do; worked out beside the engine, which a large workflow does not hold up."""
        plan = await self._edited_plan(run_id) if scope.edited else None
        found = await asyncio.to_thread(lambda: asyncio.run(self._preview(run_id, scope, plan, params)))
        rerun = found.rerun
        return Preview(rerun.decision.fates, found.worked, found.seconds_saved, rerun.diff, rerun.plan.digest)

    async def _preview(
        self, run_id: str, scope: RetryScope, plan: Plan | None, params: Mapping[str, Any] | None
    ) -> RetryPreview:
        from engine.facade import open_history, preview_retry

        async with open_history(self._settings) as history:
            return await preview_retry(
                history,
                self._settings,
                run_id,
                from_step=scope.from_step,
                only_step=scope.only_step,
                failed=scope.failed,
                plan=plan,
                params=params,
            )

    async def run_file(self, run_id: str) -> RunFile:
        """The file that a run came from, as it is now."""
        path, plan, problems = await self._read(run_id)
        found = await asyncio.to_thread(excerpts, path, problems)
        if plan is None:
            return RunFile(str(path), "", problems, found)
        return RunFile(str(path), plan.digest, problems, found, tuple(plan.params.values()))

    async def step_line(self, path: str, step: str) -> int:
        """The line at which a step begins in a file."""
        from engine.facade import step_lines

        return (await asyncio.to_thread(step_lines, Path(path))).get(step, 0)

    async def create_workflow(self, name: str, template: str) -> str:
        """Write a new workflow into the watched directory."""
        from engine.facade import create_workflow

        return str(await asyncio.to_thread(create_workflow, self._directory, name, template))

    async def _edited_plan(self, run_id: str) -> Plan:
        path, plan, problems = await self._read(run_id)
        if plan is None:
            raise DocumentError(problems, path=path)
        return plan

    async def _read(self, run_id: str) -> tuple[Path, Plan | None, tuple[Problem, ...]]:
        from engine.facade import edited_plan

        run = await self._call(self._engine.history.run(run_id))
        plan, problems = await asyncio.to_thread(
            edited_plan, run, self._directory, max_depth=self._settings.max_depth
        )
        return Path(run.path or ""), plan, problems
