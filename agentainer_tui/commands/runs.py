"""`history` and `show`: what the history knows, read beside whatever engine is live."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from agentainer_tui.commands.console import err, out, print_json, print_table
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.invocation import command, settings_of
from agentainer_tui.commands.narration import ending, first_line, label
from agentainer_tui.commands.narration import origin as origin_words
from agentainer_tui.commands.report import counts, outcome_of, seconds_taken
from agentainer_tui.explain import QUEUED, SECTIONS
from agentainer_tui.text import brief, clean, counted, duration, size
from engine.events import RunStatus, StepStatus
from engine.facade import ItemRecord, StepRecord, open_history

if TYPE_CHECKING:
    from engine.facade import Reader, RunDetail, RunRecord

T = TypeVar("T")

_ITEMS_SHOWN = 20
_ARTIFACTS_SHOWN = 50
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
        lambda reader: reader.runs(
            limit=options.limit, workflow=options.workflow, status=options.status, children=options.all
        ),
    )
    if options.json:
        print_json([run.to_json() for run in runs])
    elif not runs:
        err.line("no runs yet" if not (options.workflow or options.status) else "no such runs")
    else:
        print_table(
            ("RUN", "WORKFLOW", "STATUS", "STARTED", "TOOK", "FROM", "REASON"),
            (
                (
                    run.id,
                    run.workflow,
                    run.status,
                    moment(run.created_at),
                    duration(seconds_taken(run)),
                    origin_of(run),
                    why(run),
                )
                for run in runs
            ),
            status=2,
        )
    return 0


def show(options: Namespace) -> int:
    """`agentainer show RUN`: everything about one run."""
    if options.metrics:
        from agentainer_tui.commands.metrics import show_metrics

        return show_metrics(options)
    detail, children, gates = read(options, lambda reader: _shown(reader, options.run))
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
        ("part of", _parent(run)),
        ("scheduled", moment(run.scheduled_for) if run.scheduled_for else ""),
        ("queued", QUEUED.get(run.queued, run.queued) if run.queued else ""),
        ("settled", _settled(run)),
        ("error", first_line(run.error)),
        ("params", ", ".join(f"{key}={brief(value, limit=60)}" for key, value in run.params.items())),
        ("steps", counts(detail)),
    ]
    for name, value in facts:
        if value:
            out.line(f"  {name:<12} {value}")
    for role, steps in _by_role(detail.steps).items():
        out.line(f"\n{SECTIONS[role]}:" if role in SECTIONS else "")
        rows = _rows(steps, children)
        print_table(("STEP", "STATUS", "TOOK", "TRIES", "DETAILS"), rows, status=1, widest=40)
    _print_gates(detail.run, gates, options)
    _print_artifacts(detail, options)
    results = [(step.id, step.result) for step in detail.steps if step.result is not None]
    for title, values in (("results", results), ("state", list(detail.state.items()))):
        if values:
            out.line(f"\n{title}:")
            for key, value in values:
                out.line(f"  {key}: {brief(value, limit=_VALUE_LIMIT)}")
    return 0


async def _shown(reader: Reader, ref: str) -> tuple[RunDetail, dict[str, RunRecord], list[StepRecord]]:
    """The run, its child runs by their ids, and the steps of both that wait for a person."""
    detail = await reader.detail(ref)
    children = {child.id: child for child in await reader.children(detail.run.id)}
    return detail, children, await reader.waiting_gates(detail.run.id)


def moment(text: str | None) -> str:
    """A stored time, to the second, in UTC."""
    return f"{text[:10]} {text[11:19]}Z" if text else "-"


def why(run: RunRecord) -> str:
    """Reason and first line of the error of a run that did not simply complete."""
    return ending({"reason": run.reason, "error": run.error})


def origin_of(run: RunRecord) -> str:
    """Where a run comes from: who asked for it, which run it is part of, or retries."""
    if run.parent is not None:
        return f"part of {run.parent.run_id}"
    return f"retry of {run.retry_of}" if run.retry_of else run.source or ""


def _parent(run: RunRecord) -> str:
    return f"{label(run.parent.step_id, run.parent.item)} of run {run.parent.run_id}" if run.parent else ""


def _settled(run: RunRecord) -> str:
    """What a run in progress is going to end as, while its last steps have their turn."""
    if run.settled is None or RunStatus(run.status).is_terminal:
        return ""
    return ending({**run.settled, "reason": run.settled["status"]})


def _by_role(steps: Sequence[StepRecord]) -> dict[str, list[StepRecord]]:
    found: dict[str, list[StepRecord]] = {}
    for step in steps:
        found.setdefault(step.role, []).append(step)
    return found


def _print_gates(run: RunRecord, gates: Sequence[StepRecord], options: Namespace) -> None:
    """The steps that wait for a person, each with the command that answers it."""
    settings = settings_of(options)
    for step in gates:
        inner = f" of run {step.run_id}" if step.run_id != run.id else ""
        message = first_line((step.waiting or {}).get("message"))
        out.line(f"\n{label(step.id, None)}{inner} waits for approval: {message}")
        out.line(f"  {command(settings, 'approve', step.run_id, step.id)}  (or reject)")


def _print_artifacts(detail: RunDetail, options: Namespace) -> None:
    """What the tasks left, with the folder that holds it."""
    found = [
        (label(step.id, index), artifact)
        for step in detail.steps
        for index, artifacts in [(None, step.artifacts), *((i.index, i.artifacts) for i in step.items)]
        for artifact in artifacts
    ]
    if not found:
        return
    folder = settings_of(options).artifacts / detail.run.id
    out.line(f"\nartifacts, in {folder}:")
    for name, artifact in found[:_ARTIFACTS_SHOWN]:
        unit = name.replace("[", ".").removesuffix("]")
        out.line(f"  {unit}/{artifact['name']}  {size(artifact.get('size') or 0)}")
    if len(found) > _ARTIFACTS_SHOWN:
        out.line(f"  … {counted(len(found) - _ARTIFACTS_SHOWN, 'more artifact')}")


def _rows(steps: Sequence[StepRecord], children: Mapping[str, RunRecord]) -> list[tuple[str, ...]]:
    rows = []
    for step in steps:
        name = ("  " if step.parent else "") + label(step.id, None)
        rows.append(_row(name, step, _item_tally(step) or _waiting(step)))
        rows += _child_rows(step, children)
        telling = [
            item
            for item in step.items
            if item.status != StepStatus.COMPLETED or len(item.attempts) > 1 or item.cached_from
        ]
        for item in telling[:_ITEMS_SHOWN]:
            rows.append(_row(f"  {label(step.id, item.index)}", item, brief(item.value, limit=60)))
            rows += _child_rows(item, children, indent="    ")
        if len(telling) > _ITEMS_SHOWN:
            rows.append((f"  … {len(telling) - _ITEMS_SHOWN} more", "", "", "", ""))
    return rows


def _child_rows(
    record: StepRecord | ItemRecord, children: Mapping[str, RunRecord], indent: str = "  "
) -> list[tuple[str, ...]]:
    """The runs that the tries of a step or item are."""
    return [
        (
            f"{indent}run {child.id}",
            child.status,
            duration(seconds_taken(child)),
            "",
            f"workflow {child.workflow}",
        )
        for attempt in record.attempts
        if attempt.child_run and (child := children.get(attempt.child_run)) is not None
    ]


def _row(name: str, record: StepRecord | ItemRecord, more: str) -> tuple[str, ...]:
    last = record.attempts[-1] if record.attempts else None
    end = ending(
        {"reason": record.reason, "error": record.error, "exit_code": last.exit_code if last else None}
    )
    origin = origin_words({"reused": record.reused, "cached_from": record.cached_from})
    details = "; ".join(part for part in (origin, _choice(record), more, end) if part)
    return name, record.status, duration(seconds_taken(record)), str(len(record.attempts) or ""), details


def _waiting(step: StepRecord) -> str:
    """What a step waits for that runs nothing itself."""
    waiting = step.waiting or {}
    if step.status != StepStatus.RUNNING or waiting.get("why") not in ("approval", "delay"):
        return ""
    due = f", until {moment(waiting['due'])}" if waiting.get("due") else ""
    return f"waits for {'approval' if waiting['why'] == 'approval' else 'time to pass'}{due}"


def _choice(record: StepRecord | ItemRecord) -> str:
    """Which way a decision or branch went."""
    if not isinstance(record, StepRecord) or not record.routes or not isinstance(record.result, dict):
        return ""
    return f"chose {brief(record.result.get('choice'), limit=60)}"


def _item_tally(step: StepRecord) -> str:
    if not step.items:
        return ""
    completed = sum(item.status == StepStatus.COMPLETED for item in step.items)
    noun = "worker" if step.type == "parallel" else "item"
    return f"{completed} of {counted(len(step.items), noun)} completed"
