"""What the pane beside the list of agents says about one, as lines. Pure: rows in, lines out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime

from agentainer_tui.agent_rows import AT_WORK, KEPT, AgentRow, reuse
from agentainer_tui.charts import sparkline, thin
from agentainer_tui.inspector.entries import Line
from agentainer_tui.lines import field, heading, line
from agentainer_tui.loads import Meter, percent
from agentainer_tui.text import ago, clean, clean_lines, counted, size

# Lines of an error that are shown here; the run has all of it.
_ERROR = 12


def agent_lines(
    row: AgentRow | None, meter: Meter | None, now: float, width: int, *, ascii_only: bool = False
) -> list[Line]:
    """All that is known of the selected row."""
    if row is None:
        return [line("Nothing is selected.", "muted")]
    if row.report is not None:
        return _pool_lines(row)
    lines = [field("agent", clean(row.name, limit=200), "strong")]
    if row.run_id:
        lines.append(field("run", f"{row.run_id}  {clean(row.workflow, limit=80)}"))
    if row.step_id:
        item = "" if row.item is None else f"[{row.item}]"
        lines.append(field("step", f"{clean(row.step_id, limit=80)}{item}, try {row.attempt}"))
    where = row.backend + (f", image {clean(row.image, limit=200)}" if row.image else "")
    lines.append(field("backend", where))
    if row.pool:
        lines.append(field("pool", clean(row.pool, limit=80)))
    if row.since is not None:
        word = {AT_WORK: "runs since", KEPT: "kept since"}.get(row.section, "made")
        at = datetime.fromtimestamp(row.since).astimezone()
        lines.append(field(word, f"{at:%Y-%m-%d %H:%M:%S}, {ago(now - row.since)}"))
    if row.size is not None and row.section != AT_WORK:
        lines.append(field("disk", f"{size(row.size)} of its own"))
    if row.section == AT_WORK:
        lines += _load_lines(row, meter, width, ascii_only)
    elif row.section == KEPT:
        lines += _kept_lines(row)
    else:
        lines += _orphan_lines(row)
    return lines


def _load_lines(row: AgentRow, meter: Meter | None, width: int, ascii_only: bool) -> list[Line]:
    lines = [field("health", clean(row.state, limit=40))] if row.state else []
    if meter is None or meter.memory is None:
        return lines
    room = max(8, min(60, width - 32))
    lines.append(_curve("CPU", percent(meter.millicores), meter.cpu_history, room, ascii_only))
    lines.append(_curve("memory", size(meter.memory), meter.memory_history, room, ascii_only))
    return lines


def _curve(name: str, now: str, values: Sequence[float], room: int, ascii_only: bool) -> Line:
    curve = sparkline(thin(values, room), ascii_only=ascii_only)
    return ((f"{name:<12}", "muted"), (f"{now:>10}  ", "number"), (curve, "running"))


def _kept_lines(row: AgentRow) -> list[Line]:
    lines = [field("because", clean(row.state, limit=120), "error" if row.error else "text")]
    if row.error:
        rows = clean_lines(row.error.rstrip("\n"))
        lines += heading("Error")
        lines += [line(each, "error") for each in rows[:_ERROR]]
    return lines


def _orphan_lines(row: AgentRow) -> list[Line]:
    lines = [field("state", clean(row.state, limit=40))]
    lines.append(field("because", clean(row.why, limit=300), "warning"))
    if row.remedy:
        lines.append(field("remedy", clean(shlex.join(row.remedy), limit=400), "accent"))
    else:
        lines.append(field("remedy", "the next engine that opens its home removes it", "muted"))
    return lines


def _pool_lines(row: AgentRow) -> list[Line]:
    report = row.report
    assert report is not None, "rows of pools have one"
    cleaned = report.size - report.busy - report.idle - report.starting
    counts = {
        "busy": report.busy,
        "idle": report.idle,
        "starting": report.starting,
        "being cleaned": cleaned,
    }
    parts = ", ".join(f"{count} {word}" for word, count in counts.items() if count > 0)
    size_words = f"{counted(report.size, 'agent')} of {report.min_size} to {report.max_size}"
    lines = [
        field("pool", clean(report.name, limit=200), "strong"),
        field("agents", f"{size_words}: {parts}" if parts else size_words),
    ]
    if report.mode:
        lines.append(field("mode", report.mode))
    tasks = counted(report.tasks, "task")
    if used := reuse(report):
        tasks += f", {used} reuse: {report.hits:,} hits, {report.misses:,} misses"
    lines.append(field("tasks", tasks))
    if report.waiting:
        lines.append(field("waiting", f"{counted(report.waiting, 'task')} for an agent", "warning"))
    if report.images:
        lines.append(field("images", clean(", ".join(report.images), limit=400)))
    if report.retired:
        gone = ", ".join(f"{count} {why}" for why, count in sorted(report.retired.items()))
        lines.append(field("removed", clean(gone, limit=200)))
    if report.note:
        lines += [(), *(line(each, "warning") for each in clean_lines(report.note)[:_ERROR])]
    return lines
