"""`stats`: figures and charts over the runs of a period."""

from __future__ import annotations

import shutil
from argparse import Namespace
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agentainer_tui.charts import bar, sparkline, thin
from agentainer_tui.commands.console import err, out, print_json, print_table
from agentainer_tui.commands.narration import first_line
from agentainer_tui.commands.runs import read
from agentainer_tui.looks import LOOKS, choose_glyphs
from agentainer_tui.text import ago, clean, counted, fit, precise, size
from engine.clock import parse_time
from engine.errors import UsageError
from engine.facade import insight, parse_since, prometheus_text

if TYPE_CHECKING:
    from engine.facade import Aggregate, Distribution, Insight, StepFigures

_NARROWEST, _WIDEST = 60, 120
_STEPS_SHOWN = 8
_ERRORS_SHOWN = 6
_TREND = 12
_LABEL = 11
_SHARE = 20

# The order in which statuses are told, best first.
_STATUSES = (
    *("completed", "partially_completed", "failed", "cancelled"),
    *("running", "cancelling", "pending"),
)


def stats(options: Namespace) -> int:
    """`agentainer stats [WORKFLOW]`."""
    if options.prometheus:
        if options.workflow or options.since or options.json or options.all:
            raise UsageError(
                "--prometheus tells of everything: Prometheus itself selects workflows and periods",
                hint="leave the other options out",
            )
        out.write(read(options, prometheus_text))
        return 0
    now = datetime.now(UTC)
    since = _since(options.since, now)
    found = read(
        options,
        lambda history: insight(
            history, workflow=options.workflow, since=since, until=now, children=options.all
        ),
    )
    if options.json:
        print_json(
            {**found.overall.to_json(), "workflows": [one.to_json() for one in found.workflows]}
            if options.workflow is None
            else found.overall.to_json()
        )
    elif not found.overall.runs and not found.overall.child_runs:
        err.line(_nothing(options))
    else:
        _Page(found, options, now).print()
    return 0


def _since(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_since(text, now)
    except ValueError as error:
        raise UsageError(f"--since: {error}") from None


def _nothing(options: Namespace) -> str:
    of = f" of {clean(options.workflow)}" if options.workflow else ""
    return f"no runs{of} since {options.since}" if options.since else f"no runs{of} yet"


class _Page:
    """The figures as text, no wider than the terminal."""

    def __init__(self, found: Insight, options: Namespace, now: datetime) -> None:
        self._found = found
        self._options = options
        self._now = now
        self._ascii = choose_glyphs().is_ascii
        self._width = min(_WIDEST, max(_NARROWEST, shutil.get_terminal_size((80, 24)).columns))

    def print(self) -> None:
        """Print all parts that have something to say."""
        figures = self._found.overall
        self._title(figures)
        self._summary(figures)
        self._trend(figures)
        self._steps(figures)
        self._errors(figures)
        if self._options.workflow is None and len(self._found.workflows) > 1:
            self._workflows()

    def _title(self, figures: Aggregate) -> None:
        what = clean(figures.workflow) if figures.workflow else "all workflows"
        start = figures.since or (parse_time(figures.first_run_at) if figures.first_run_at else None)
        since = f" since {start.astimezone():%Y-%m-%d %H:%M}" if start is not None else ""
        out.line(fit(f"{what}: {counted(figures.runs, 'run')}{since}", self._width).rstrip())

    def _summary(self, figures: Aggregate) -> None:
        counts = [
            f"{figures.by_status[status]} {LOOKS[status].word}"
            for status in _STATUSES
            if figures.by_status.get(status)
        ]
        if figures.child_runs and not self._options.all:
            counts.append(f"{figures.child_runs} more as part of others (--all)")
        self._line("runs", ", ".join(counts))
        if figures.judged:
            rate = self._share(figures.success_rate)
            self._line("success", f"{_percent(figures.success_rate):<6}{rate}", "completed")
        self._line("duration", _spread(figures.duration))
        if figures.queue.count and (figures.queue.longest or 0) > 0:
            self._line("waiting", f"{_spread(figures.queue)} (for a slot)")
        if figures.startup.count:
            self._line("start-up", f"{_spread(figures.startup)} (of agents)")
        tasks = [counted(figures.tasks, "task"), f"{figures.deployed} agents started"]
        tasks += [f"{figures.retries} retries"] if figures.retries else []
        if figures.tasks:
            self._line("work", ", ".join(tasks))
        if pooled := figures.pool_hits + figures.pool_misses:
            reuse = self._share(figures.pool_efficiency)
            ready = f"{figures.pool_hits} of {pooled} pooled tasks at once"
            self._line("reuse", f"{_percent(figures.pool_efficiency):<6}{reuse}  {ready}")
        self._line("used", _used(figures))

    def _line(self, label: str, text: str, ink: str = "") -> None:
        if text:
            line = fit(text, self._width - _LABEL - 2).rstrip()
            out.write(f"  {out.paint(f'{label:<{_LABEL - 2}}', 'faint')}  {out.paint(line, ink)}\n")

    def _trend(self, figures: Aggregate) -> None:
        buckets = figures.buckets
        if len(buckets) < 2:
            return
        room = self._width - _LABEL - 26
        series: tuple[tuple[str, list[float | None], Callable[[float], str], str], ...] = (
            ("runs", [bucket.runs for bucket in buckets], lambda most: f"at most {most:.0f}", "running"),
            (
                "failed",
                [bucket.by_status.get("failed", 0) for bucket in buckets],
                lambda most: f"at most {most:.0f}",
                "failed",
            ),
            ("success", [bucket.success_rate for bucket in buckets], lambda most: "of 100 %", "completed"),
            (
                "median",
                [bucket.duration.p50 for bucket in buckets],
                lambda most: f"at most {precise(most)}",
                "running",
            ),
        )
        out.line()
        out.write(f"{self._heading('over time', self._scale(figures))}\n")
        for name, values, tell, ink in series:
            most = max((value for value in values if value is not None), default=0.0)
            if most <= 0:
                continue
            top = 1.0 if name == "success" else None
            line = sparkline(thin(values, room), ascii_only=self._ascii, top=top)
            out.write(
                f"  {out.paint(f'{name:<{_LABEL - 2}}', 'faint')}  {out.paint(line, ink)}  {tell(most)}\n"
            )

    def _scale(self, figures: Aggregate) -> str:
        first, second = figures.buckets[0].start, figures.buckets[1].start
        if len(figures.buckets) > 2:  # the first one may be cut
            first, second = second, figures.buckets[2].start
        hours = round((second - first).total_seconds() / 3600)
        if hours < 23:
            return f"one column = {counted(max(1, hours), 'hour')}"
        return f"one column = {counted(max(1, round(hours / 24)), 'day')}"

    def _steps(self, figures: Aggregate) -> None:
        steps = [step for step in figures.step_figures if step.duration.p50][:_STEPS_SHOWN]
        if not steps:
            return
        out.line()
        of = f"median and p90, of the last {counted(figures.sampled, 'run')}"
        out.write(f"{self._heading('slowest steps', of)}\n")
        longest = max(step.duration.p50 or 0.0 for step in steps)
        name_room = min(32, max(len(_step_name(step, self._options)) for step in steps))
        room = self._width - name_room - 40
        for step in steps:
            chart = self._bar(step.duration.p50 or 0.0, longest, room)
            failed = f"  {step.failed} of {step.started} failed" if step.failed else ""
            times = f"{precise(step.duration.p50):>6}  {precise(step.duration.p90):>6}"
            name = fit(_step_name(step, self._options), name_room)
            line = f"  {name}  {out.paint(fit(chart, room), 'running')}  {times}"
            out.write(f"{line}{out.paint(fit(failed, 20).rstrip(), 'failed')}\n")

    def _errors(self, figures: Aggregate) -> None:
        if not figures.errors:
            return
        out.line()
        out.write(f"{self._heading('why runs ended early or failed', 'with the newest of each')}\n")
        most = figures.errors[0].count
        for error in figures.errors[:_ERRORS_SHOWN]:
            chart = out.paint(fit(self._bar(error.count, most, 12), 12), "failed")
            out.write(f"  {fit(error.reason, 20)}  {chart}  {error.count:>6}\n")
            where = f"{error.run_id} {error.workflow}: " if figures.workflow is None else f"{error.run_id}: "
            example = fit(f"{where}{first_line(error.error)}", self._width - 6).rstrip()
            out.write(f"    {out.paint(example, 'faint')}\n")
        if (more := len(figures.errors) - _ERRORS_SHOWN) > 0:
            out.line(f"  … {more} more reasons: --json has them all")

    def _workflows(self) -> None:
        out.line()
        room = self._width - 6 - 8 - 7 - 7 - _TREND - 9 - 12
        print_table(
            ("WORKFLOW", "RUNS", "SUCCESS", "MEDIAN", "P90", "TREND", "LAST RUN"),
            [self._row(one) for one in self._found.workflows],
            widest=max(12, room),
        )

    def _row(self, figures: Aggregate) -> Sequence[str]:
        medians = [bucket.duration.p50 for bucket in figures.buckets]
        last = ""
        if figures.last_run_at is not None:
            last = ago(max(0.0, (self._now - parse_time(figures.last_run_at)).total_seconds()))
        return (
            figures.workflow or "",
            str(figures.runs) if figures.runs else f"({figures.child_runs})",
            _percent(figures.success_rate) if figures.judged else "-",
            precise(figures.duration.p50) or "-",
            precise(figures.duration.p90) or "-",
            sparkline(thin(medians, _TREND), ascii_only=self._ascii),
            last,
        )

    def _heading(self, title: str, more: str) -> str:
        return f"{title} {out.paint(f'({more})', 'faint')}"

    def _share(self, value: float) -> str:
        """A bar of a part of all, with the rest to be seen."""
        return f"{self._bar(value, 1.0, _SHARE):{'.' if self._ascii else '░'}<{_SHARE}}"

    def _bar(self, value: float, whole: float, width: int) -> str:
        return bar(value, whole, max(1, width), ascii_only=self._ascii)


def _percent(share: float) -> str:
    """Whole percents; neither 0 nor 100 unless it is exactly that."""
    percent = round(100 * share)
    if 0 < share < 1:
        percent = min(99, max(1, percent))
    return f"{percent} %"


def _spread(figures: Distribution) -> str:
    if not figures.count:
        return ""
    parts = (
        ("median", figures.p50),
        ("p90", figures.p90),
        ("p99", figures.p99),
        ("longest", figures.longest),
    )
    return "  ".join(f"{name} {precise(value)}" for name, value in parts)


def _used(figures: Aggregate) -> str:
    parts = [f"{precise(figures.cpu_seconds)} CPU"] if figures.cpu_seconds else []
    parts += [f"at most {size(figures.memory_peak)} of memory"] if figures.memory_peak else []
    if figures.network_in or figures.network_out:
        parts.append(f"{size(figures.network_in)} received, {size(figures.network_out)} sent")
    return ", ".join(parts)


def _step_name(step: StepFigures, options: Namespace) -> str:
    return clean(step.step_id if options.workflow else f"{step.workflow}/{step.step_id}")
