"""`validate`, `list` and `schema`: workflow documents, without running anything."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentainer_tui.commands.console import err, out, print_json, print_table
from agentainer_tui.text import counted
from engine.errors import DocumentError, Problem, Severity, UsageError
from engine.facade import document_schema, next_run, open_history, validate_file

if TYPE_CHECKING:
    from engine.facade import Plan, RunRecord
    from engine.upkeep import CatalogEntry, WorkflowCatalog

_SUFFIXES = (".yaml", ".yml", ".json")


def validate(options: Namespace) -> int:
    """`agentainer validate FILE…`: every problem of every file; 2 if one of them is an error."""
    documents: list[dict[str, Any]] = []
    counts = dict.fromkeys(Severity, 0)
    for path, plan, problems in _checked([Path(name) for name in options.paths]):
        documents.append(_document(path, plan, problems))
        for problem in problems:
            counts[problem.severity] += 1
            if not options.json:
                out.line(str(problem))
    errors = counts[Severity.ERROR]
    if options.json:
        print_json(documents)
    else:
        summary = f"{counted(errors, 'error')}, {counted(counts[Severity.WARNING], 'warning')}"
        err.line(f"{counted(len(documents), 'file')}: {summary}")
    return DocumentError.exit_code if errors else 0


def list_workflows(options: Namespace) -> int:
    """`agentainer list [DIR]`: the workflows of a directory and how their last runs ended."""
    from agentainer_tui.commands.interruptions import run_async
    from engine.clock import isoformat

    entries, last = run_async(_listing(options))
    now = datetime.now(UTC)
    if options.json:
        print_json(
            [
                _document(entry.path, None if entry.broken else entry.plan, entry.problems)
                | {
                    "last_run": last[entry.name].to_json() if entry.name in last else None,
                    "next_run": isoformat(time) if (time := _next_run(entry, now)) else None,
                }
                for entry in entries
            ]
        )
    elif not entries:
        err.line(f"there are no workflow files in {options.dir}")
    else:
        print_table(
            ("WORKFLOW", "FILE", "STEPS", "LAST RUN", "STATUS", "NEXT RUN", "PROBLEMS"),
            (_listed(entry, last.get(entry.name), _next_run(entry, now)) for entry in entries),
            status=4,
        )
    return 0


def new(options: Namespace) -> int:
    """`agentainer new NAME`: a workflow from a template; prints the file."""
    from engine.facade import create_workflow

    out.line(create_workflow(Path(options.dir), options.name, options.template))
    return 0


def schema(options: Namespace) -> int:
    """`agentainer schema`: the JSON Schema of the document."""
    print_json(document_schema())
    return 0


def load_plan(path: Path, directory: Path | None = None, *, max_depth: int | None = None) -> Plan:
    """The plan of a file, with the workflows that it runs (`validate_file`); its warnings go to stderr.

    Raises:
        DocumentError: it has errors.
    """
    plan, problems = validate_file(path, directory, max_depth=max_depth)
    if plan is None:
        raise DocumentError(problems, path=path)
    for problem in problems:
        err.line(str(problem))
    return plan


def find_workflow(name: str, directory: Path) -> Path:
    """The file that `run FILE|NAME` means: a path wins, then a file's stem, then a workflow's name.

    Raises:
        UsageError: there is none, or several have that name.
    """
    path = Path(name)
    if path.exists() or path.suffix.lower() in _SUFFIXES or len(path.parts) > 1:
        return path
    return _read_directory(directory).find(name).path


def _read_directory(directory: Path) -> WorkflowCatalog:
    # Not at the top: asyncio takes 35 ms to import, and checking single files does without it.
    from agentainer_tui.commands.interruptions import run_async
    from engine.upkeep import read_directory

    return run_async(read_directory(directory))


def _checked(paths: list[Path]) -> Iterator[tuple[Path, Plan | None, tuple[Problem, ...]]]:
    for path in paths:
        if not path.is_dir():
            yield path, *validate_file(path)
            continue
        entries = _read_directory(path).entries
        if not entries:
            raise UsageError(f"{path}: there are no workflow files (*.yaml, *.yml, *.json) in this directory")
        for entry in entries:
            yield entry.path, None if entry.broken else entry.plan, entry.problems


async def _listing(options: Namespace) -> tuple[Sequence[CatalogEntry], dict[str, RunRecord]]:
    """The workflows of a directory, and the newest run of each by its name."""
    from agentainer_tui.commands.invocation import settings_of
    from engine.upkeep import read_directory

    settings = settings_of(options)
    catalog = await read_directory(Path(options.dir))
    async with open_history(settings) as history:
        runs = await history.last_runs_by_workflow(1)
    return catalog.entries, {name: newest[0] for name, newest in runs.items()}


def _document(path: Path, plan: Plan | None, problems: tuple[Problem, ...]) -> dict[str, Any]:
    return {
        "path": str(path),
        "workflow": plan.workflow if plan else None,
        "valid": plan is not None,
        "steps": len(plan.steps) if plan else None,
        "problems": [
            {
                "line": problem.line,
                "column": problem.column,
                "severity": problem.severity.value,
                "message": problem.message,
            }
            for problem in problems
        ],
    }


def _next_run(entry: CatalogEntry, now: datetime) -> datetime | None:
    """When a schedule starts it, if an engine is up then."""
    return next_run(entry.plan, now) if entry.plan is not None and not entry.broken else None


def _listed(entry: CatalogEntry, run: RunRecord | None, due: datetime | None) -> tuple[str, ...]:
    problems = counted(len(entry.problems), "warning") if entry.problems else ""
    if entry.broken:
        first = next(problem for problem in entry.problems if problem.severity is Severity.ERROR)
        problems = f"{first.line}:{first.column}: {first.message}" if first.line else first.message
    return (
        entry.name,
        entry.path.name,
        str(len(entry.plan.steps)) if entry.plan and not entry.broken else "-",
        run.id if run else "-",
        run.status if run else "-",
        f"{due:%Y-%m-%d %H:%M}Z" if due else "-",
        problems,
    )
