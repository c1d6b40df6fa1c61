"""`history`, `show` and `stats`: what the history knows, read beside whatever engine is live."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from agentainer_tui.commands.console import err, out, print_json, print_table
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.commands.narration import ending, first_line, label
from agentainer_tui.commands.report import counts, outcome_of, seconds_taken
from agentainer_tui.text import brief, clean, counted, duration
from engine.events import StepStatus
from engine.facade import open_history

if TYPE_CHECKING:
    from engine.facade import ItemRecord, Reader, RunRecord, StepRecord

T = TypeVar("T")

_ITEMS_SHOWN = 20
_VALUE_LIMIT = 200


def read(options: Namespace, query: Callable[[Reader], Awaitable[T]]) -> T:
    """The answer of one query on the history of this call's home."""
    settings = settings_of(options)

    async def ask() -> T:
        async with open_history(settings) as history:
            return await query(history)

    return run_async(ask())


def history(options: Namespace) -> int:
    """`agentainer history`: the newest runs."""
    runs = read(
        options,
        lambda reader: reader.runs(limit=options.limit, workflow=options.workflow, status=options.status),
    )
    if options.json:
        print_json([run.to_json() for run in runs])
    elif not runs:
        err.line("no runs yet" if not (options.workflow or options.status) else "no such runs")
    else:
        print_table(
            ("RUN", "WORKFLOW", "STATUS", "STARTED", "TOOK", "REASON"),
            (
                (
                    run.id,
                    run.workflow,
                    run.status,
                    moment(run.created_at),
                    duration(seconds_taken(run)),
                    why(run),
                )
                for run in runs
            ),
            status=2,
        )
    return 0


def show(options: Namespace) -> int:
    """`agentainer show RUN`: everything about one run."""
    detail = read(options, lambda reader: reader.detail(options.run))
    if options.json:
        print_json(detail.to_json())
        return 0
    run = detail.run
    out.write(f"run {run.id} of {clean(run.workflow)}: {outcome_of(run)}\n")
    facts = [
        ("created", moment(run.created_at)),
        ("backend", run.backend),
        ("file", run.path),
        ("again after", f"run {run.retry_of}" if run.retry_of else ""),
        ("error", first_line(run.error)),
        ("params", ", ".join(f"{key}={brief(value, limit=60)}" for key, value in run.params.items())),
        ("steps", counts(detail)),
    ]
    for name, value in facts:
        if value:
            out.line(f"  {name:<12} {value}")
    out.line()
    print_table(("STEP", "STATUS", "TOOK", "TRIES", "DETAILS"), _rows(detail.steps), status=1, widest=40)
    results = [(step.id, step.result) for step in detail.steps if step.result is not None]
    for title, values in (("results", results), ("state", list(detail.state.items()))):
        if values:
            out.line(f"\n{title}:")
            for key, value in values:
                out.line(f"  {key}: {brief(value, limit=_VALUE_LIMIT)}")
    return 0


def stats(options: Namespace) -> int:
    """`agentainer stats`: figures over all runs, by workflow."""
    figures = read(options, lambda reader: reader.stats())
    if options.json:
        print_json([figure.to_json() for figure in figures])
    elif not figures:
        err.line("no runs yet")
    else:
        print_table(
            (
                "WORKFLOW",
                "RUNS",
                "COMPLETED",
                "FAILED",
                "SUCCESS",
                "AVERAGE",
                "P50",
                "P90",
                "RETRIES",
                "LAST RUN",
            ),
            (
                (
                    figure.workflow,
                    str(figure.runs),
                    str(figure.by_status.get("completed", 0)),
                    str(figure.by_status.get("failed", 0)),
                    "-" if figure.success_rate is None else f"{100 * figure.success_rate:.0f} %",
                    duration(figure.average) or "-",
                    duration(figure.p50) or "-",
                    duration(figure.p90) or "-",
                    str(figure.retries),
                    moment(figure.last_run_at),
                )
                for figure in figures
            ),
        )
    return 0


def moment(text: str | None) -> str:
    """A stored time, to the second, in UTC."""
    return f"{text[:10]} {text[11:19]}Z" if text else "-"


def why(run: RunRecord) -> str:
    """Reason and first line of the error of a run that did not simply complete."""
    return ending({"reason": run.reason, "error": run.error})


def _rows(steps: tuple[StepRecord, ...]) -> list[tuple[str, ...]]:
    rows = []
    for step in steps:
        name = ("  " if step.parent else "") + label(step.id, None)
        rows.append(_row(name, step, _item_tally(step)))
        telling = [
            item for item in step.items if item.status != StepStatus.COMPLETED or len(item.attempts) > 1
        ]
        rows += [
            _row(f"  {label(step.id, item.index)}", item, brief(item.value, limit=60))
            for item in telling[:_ITEMS_SHOWN]
        ]
        if len(telling) > _ITEMS_SHOWN:
            rows.append((f"  … {len(telling) - _ITEMS_SHOWN} more", "", "", "", ""))
    return rows


def _row(name: str, record: StepRecord | ItemRecord, more: str) -> tuple[str, ...]:
    last = record.attempts[-1] if record.attempts else None
    end = ending(
        {"reason": record.reason, "error": record.error, "exit_code": last.exit_code if last else None}
    )
    details = "; ".join(part for part in ("reused" if record.reused else "", more, end) if part)
    return name, record.status, duration(seconds_taken(record)), str(len(record.attempts) or ""), details


def _item_tally(step: StepRecord) -> str:
    if not step.items:
        return ""
    completed = sum(item.status == StepStatus.COMPLETED for item in step.items)
    noun = "worker" if step.type == "parallel" else "item"
    return f"{completed} of {counted(len(step.items), noun)} completed"
