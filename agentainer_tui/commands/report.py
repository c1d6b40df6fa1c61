"""The end of a run in words: a summary with the last result, and what is known of each failure."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentainer_tui.commands.console import err, is_terminal, json_text, out, safe
from agentainer_tui.commands.invocation import command
from agentainer_tui.commands.narration import first_line, label
from agentainer_tui.text import clean, clean_output, counted, duration
from agentainer_tui.views import elapsed, seconds
from engine.errors import Reason
from engine.events import RunStatus, StepStatus
from engine.upkeep import open_log

if TYPE_CHECKING:
    from engine.facade import AttemptRecord, ItemRecord, RunDetail, RunRecord, Settings, StepRecord

_FAILURES_SHOWN = 8
_LOG_LINES = 6
_LOG_TAIL = 200
_RESULT_LIMIT = 2_000
_RESULT_LINES = 16
_ONE_LINE = 100
_NAMES_SHOWN = 8


def print_summary(detail: RunDetail, settings: Settings) -> None:
    """The outcome on a line, and the result of the last step whose work has one."""
    run = detail.run
    out.write(f"{clean(run.workflow)} {run.id}: {outcome_of(run)}; {counts(detail)}\n")
    if run.error and run.status != RunStatus.COMPLETED:
        out.line(f"  {first_line(run.error)}")
    if untaken := [step.id for step in detail.steps if step.reason == Reason.BRANCH_NOT_TAKEN]:
        names = ", ".join(label(name, None) for name in untaken[:_NAMES_SHOWN])
        more = len(untaken) - _NAMES_SHOWN
        out.line(f"not chosen: {names}" + (f" and {more} more" if more > 0 else ""))
    if number := _artifacts_in(detail):
        out.line(f"{counted(number, 'artifact')} in {settings.artifacts / run.id}")
    last = next((step for step in reversed(detail.steps) if _is_work(step)), None)
    if last is not None and run.status in (RunStatus.COMPLETED, RunStatus.PARTIALLY_COMPLETED):
        out.line(f"result of {label(last.id, None)}:")
        lines = result_text(last.result, limit=_RESULT_LIMIT).splitlines()
        out.write("".join(f"{line}\n" for line in lines[:_RESULT_LINES]))
        if (left := len(lines) - _RESULT_LINES) > 0:
            out.line(f"… {counted(left, 'more line')}: {command(settings, 'show', run.id, '--json')}")


def _artifacts_in(detail: RunDetail) -> int:
    """How many artifacts the steps and items of a run left."""
    return sum(len(step.artifacts) + sum(len(item.artifacts) for item in step.items) for step in detail.steps)


def _is_work(step: StepRecord) -> bool:
    """Whether a step has a result of work: not a choice, an answer, or what follows every run."""
    return step.result is not None and step.role == "main" and not step.routes and step.type != "approval"


def outcome_of(run: RunRecord) -> str:
    """`completed in 3.2s`, `failed in 1.0s (task_failed)`."""
    took = seconds_taken(run)
    status = out.paint(run.status.replace("_", " "), run.status)
    return (
        status
        + (f" in {duration(took)}" if took is not None else "")
        + (f" ({run.reason})" if run.reason and run.reason != run.status else "")
    )


def seconds_taken(record: RunRecord | StepRecord | ItemRecord) -> float | None:
    """Seconds from start to end; None as long as one of them is missing."""
    if record.duration is not None or record.finished_at is None:
        return record.duration
    return elapsed(seconds(record.started_at), seconds(record.finished_at), 0.0)


def counts(detail: RunDetail) -> str:
    """`4 steps: 3 completed, 1 skipped`."""
    by_status: dict[str, int] = {}
    for step in detail.steps:
        by_status[step.status] = by_status.get(step.status, 0) + 1
    parts = ", ".join(f"{number} {status}" for status, number in by_status.items())
    return f"{counted(len(detail.steps), 'step')}: {parts}" if parts else "no steps"


def result_text(value: object, *, limit: int = 0) -> str:
    """A result as people read it: text as it is, anything else as JSON; cut to `limit` characters."""
    if isinstance(value, str):
        text = safe(value) if is_terminal(sys.stdout) else value
    else:
        text = json_text(value)
        text = text if len(text) <= _ONE_LINE else json_text(value, indent=2)
    if limit and len(text) > limit:
        return f"{text[:limit]}… ({len(text) - limit} more characters: `agentainer show RUN --json`)"
    return text


def print_failures(detail: RunDetail, settings: Settings) -> None:
    """For each step or item that failed: where, why, the last lines it wrote, where to look further."""
    failures = list(_failures(detail))
    if detail.run.status == RunStatus.COMPLETED:
        if failures:
            which = ", ".join(label(step.id, item.index if item else None) for step, item in failures[:5])
            more = ", …" if len(failures) > 5 else ""
            err.line(f"tolerated: {which}{more} failed ({command(settings, 'show', detail.run.id)})")
        return
    for step, item in failures[:_FAILURES_SHOWN]:
        _print_failure(detail.run, step, item, settings)
    if len(failures) > _FAILURES_SHOWN:
        more = counted(len(failures) - _FAILURES_SHOWN, "failure")
        err.line(f"\n… {more} more: {command(settings, 'show', detail.run.id)}")


def _failures(detail: RunDetail) -> Iterator[tuple[StepRecord, ItemRecord | None]]:
    for step in detail.steps:
        items = [item for item in step.items if item.status == StepStatus.FAILED]
        if items:
            yield from ((step, item) for item in items)
        elif step.status == StepStatus.FAILED and not _has_failed_member(step, detail):
            yield step, None


def _has_failed_member(step: StepRecord, detail: RunDetail) -> bool:
    return any(other.parent == step.id and other.status == StepStatus.FAILED for other in detail.steps)


def _print_failure(run: RunRecord, step: StepRecord, item: ItemRecord | None, settings: Settings) -> None:
    node = item or step
    last = node.attempts[-1] if node.attempts else None
    place = [f"run {run.id}", f"step {clean(step.id)}"]
    place += [f"item {item.index}"] if item else []
    # A gate, say, has no attempts although it began.
    place += [f"attempt {last.number}"] if last else [] if node.started_at else ["never started"]
    tolerated = (
        " (the run went on)" if run.status in (RunStatus.COMPLETED, RunStatus.PARTIALLY_COMPLETED) else ""
    )
    err.line()
    name = err.paint(f"{label(step.id, item.index if item else None)} failed{tolerated}", "failed")
    err.write(f"{name}: {', '.join(place)}\n")
    err.line(f"  reason: {node.reason or 'unknown'}{_exit_code(last)}")
    error = (node.error or "").strip()
    if error:
        err.line("\n".join(f"  {'error: ' if not n else '       '}{text}" for n, text in _bounded(error)))
    if last is not None and last.child_run:
        err.line(f"  its run: {command(settings, 'show', last.child_run)}")
    elif last is not None:
        _print_last_lines(settings, last)
    if last is not None:
        words = ["logs", run.id, step.id, *(["--item", str(item.index)] if item else [])]
        err.line(f"  more: {command(settings, *words)}")


def _bounded(text: str) -> Iterator[tuple[int, str]]:
    return enumerate(first_line(line) for line in itertools.islice(text.splitlines(), _LOG_LINES))


def _exit_code(attempt: AttemptRecord | None) -> str:
    return f", exit code {attempt.exit_code}" if attempt is not None and attempt.exit_code is not None else ""


def _print_last_lines(settings: Settings, attempt: AttemptRecord) -> None:
    """The end of what it wrote on standard error, unless that is the error shown already."""
    lines = [line.text for line in open_log(settings, attempt.log).tail(_LOG_TAIL) if line.stream == "stderr"]
    lines = [line for line in lines if line.strip()][-_LOG_LINES:]
    if not lines or (attempt.error or "").strip().endswith("\n".join(lines).strip()):
        return
    err.line("  last lines of stderr:")
    for line in lines:
        err.write(f"    | {first_line(clean_output(line))}\n")
