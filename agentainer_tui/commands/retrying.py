"""`retry`: a finished run again, by its own document or an edited one; `--dry-run` says what it would do."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentainer_tui.commands.console import err, out, print_json, print_table
from agentainer_tui.commands.documents import load_plan
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.commands.narration import label
from agentainer_tui.commands.parser import BACKENDS
from agentainer_tui.commands.running import given_params
from agentainer_tui.edit_words import diff_lines
from agentainer_tui.text import clean, counted, duration
from engine.errors import DocumentError, UsageError

if TYPE_CHECKING:
    from engine.facade import Engine, Plan, RetryPreview, RunRecord, Settings, StepFate


def retry(options: Namespace) -> int:
    """`agentainer retry RUN`; on the backend that the run had, unless told otherwise."""
    from agentainer_tui.commands.runs import read

    old = read(options, lambda history: history.run(options.run))
    if options.backend is None and old.backend in BACKENDS:
        options.backend = old.backend
    settings = settings_of(options)
    plan = _plan(options, old, settings)
    scope: dict[str, Any] = {
        "from_step": options.from_step,
        "only_step": options.only_step,
        # What an edit means is: what it changed, and what did not work before.
        "failed": options.failed or (plan is not None and not (options.from_step or options.only_step)),
        "plan": plan,
        "params": given_params(options.param, None),
    }
    if options.dry_run:
        return _rehearse(settings, old.id, scope, as_json=options.json)

    async def begin(engine: Engine) -> str:
        return await engine.retry(old.id, **scope, use_cache=not options.no_cache)

    from agentainer_tui.commands.execution import execute

    return execute(settings, begin, as_json=options.json)


def _plan(options: Namespace, old: RunRecord, settings: Settings) -> Plan | None:
    """The edited version of the document, None to run the one that the run has.

    Raises:
        UsageError: params without one, or the run's file is another workflow's.
        DocumentError: it has errors.
    """
    from engine.facade import edited_plan

    if options.file:
        return load_plan(Path(options.file), max_depth=settings.max_depth)
    if not options.edited:
        if options.param:
            raise UsageError("-p: a retry has the params of its run", hint="to change one, add --edited")
        return None
    plan, problems = edited_plan(old, max_depth=settings.max_depth)
    if plan is None:
        raise DocumentError(problems, path=Path(old.path or ""))
    for problem in problems:
        err.line(str(problem))
    return plan


def _rehearse(settings: Settings, run_id: str, scope: dict[str, Any], *, as_json: bool) -> int:
    from engine.facade import open_history, preview_retry

    async def ask() -> RetryPreview:
        async with open_history(settings) as history:
            return await preview_retry(history, settings, run_id, **scope)

    preview = run_async(ask())
    if as_json:
        print_json(_document(preview))
    else:
        _print(preview)
    return 0


def _print(preview: RetryPreview) -> None:
    run, fates = preview.run, preview.rerun.decision.fates
    out.line(
        f"{clean(run.workflow)}: retry of {run.id} ({preview.scope.describe()}); a dry run, nothing runs"
    )
    for line in diff_lines(preview.rerun.diff):
        out.line(f"  {line}")
    out.line("")
    print_table(("STEP", "WOULD BE", "TOOK", "WHY"), (_row(step, preview) for step in fates), status=2)
    runs = sum(step.fate.runs for step in fates)
    saved = f"; {duration(preview.seconds_saved)} saved" if preview.worked else ""
    out.line(f"\n{counted(runs, 'step')} would run{saved}")


def _row(step: StepFate, preview: RetryPreview) -> tuple[str, str, str, str]:
    took = preview.worked.get(step.id)
    return label(step.id, None), step.fate.value, duration(took) if took is not None else "", clean(step.why)


def _document(preview: RetryPreview) -> dict[str, Any]:
    """The document of `retry --dry-run --json`."""
    rerun = preview.rerun
    return {
        "run": preview.run.id,
        "workflow": preview.run.workflow,
        "scope": preview.scope.describe(),
        "params": dict(rerun.params),
        "seconds_saved": round(preview.seconds_saved, 3),
        "steps": [_step(step, preview) for step in rerun.decision.fates],
        "changes": {
            "workflow": [_change(each) for each in rerun.diff.workflow],
            "steps": [
                {"id": step.id, "kind": step.kind, "fields": [_change(each) for each in step.fields]}
                for step in rerun.diff.steps
            ],
        },
    }


def _step(step: StepFate, preview: RetryPreview) -> dict[str, Any]:
    return {
        "id": step.id,
        "fate": step.fate.value,
        "why": step.why,
        "items": sorted(step.items),
        "seconds": preview.worked.get(step.id),
    }


def _change(change: Any) -> dict[str, Any]:
    return {"name": change.name, "before": change.before, "after": change.after, "matters": change.matters}
