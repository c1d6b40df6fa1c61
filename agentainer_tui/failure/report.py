"""A failure as Markdown, for an issue, a colleague or a coding agent: all that is needed to begin."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agentainer_tui.client import RetryScope
from agentainer_tui.failure.causes import Cause, ranges
from agentainer_tui.failure.changes import Change, took
from agentainer_tui.failure.words import last_attempt, verdict
from agentainer_tui.markdown_text import code, fenced
from agentainer_tui.secrecy import MASK, is_secret, masked
from agentainer_tui.text import clean, counted, duration
from agentainer_tui.twins import Twins
from agentainer_tui.views import ItemView, RunView, StepView

_LONG = 2_000


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known of a failure.

    Attributes:
        run, step, item: what failed; `item` is the one that is shown of several.
        lines: the last that it wrote, oldest first.
        causes: of a step with items, why they failed.
        changes: since the last run that went well; None if there was none, or it is not known yet.
        good: that run.
        usual_seconds: how long the step takes in runs that go well.
    """

    run: RunView
    step: StepView
    item: ItemView | None = None
    lines: Sequence[str] = ()
    causes: Sequence[Cause] = ()
    changes: Sequence[Change] | None = None
    good: RunView | None = None
    usual_seconds: float | None = None

    @property
    def node(self) -> StepView | ItemView:
        """The item that is shown, else the step."""
        return self.item if self.item is not None else self.step

    @property
    def is_many(self) -> bool:
        """Whether several items failed."""
        return sum(len(cause.items) for cause in self.causes) > 1

    @property
    def usual(self) -> float | None:
        """How long it usually takes; an item: how long the one of the same number took when it went well."""
        step = self.good.steps.get(self.step.id) if self.good is not None else None
        if self.item is None:
            return self.usual_seconds if self.usual_seconds is not None else took(step)
        if step is None or self.item.index >= len(step.items):
            return None
        return took(step.items[self.item.index])

    @property
    def tries(self) -> str:
        """`try 2 of 3`, "" if it never began."""
        number = len(self.node.attempts)
        if not number:
            return ""
        of = f" of {self.step.max_attempts}" if self.step.max_attempts > 1 else ""
        return f"try {number}{of}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where it happened: versions, and command lines, for those who try it again."""

    version: str
    backend: str
    twins: Twins = field(default_factory=Twins)
    system: str = field(default_factory=lambda: f"{platform.system()} {platform.machine()}")
    python: str = field(default_factory=platform.python_version)


def commands(case: Case, twins: Twins) -> list[str]:
    """The commands that show more, or do it again."""
    run, step = case.run.id, case.step.id
    item = case.item.index if case.item is not None else None
    lines = [twins.show(run), twins.logs(run, step, item)]
    if any(attempt.kept for attempt in case.node.attempts):
        lines.append(twins.shell_of(run, step, item))
    return [*lines, twins.retry(run, RetryScope(from_step=step))]


def markdown(case: Case, place: Place) -> str:
    """The report."""
    return "\n".join(_lines(case, place)) + "\n"


def _lines(case: Case, place: Place) -> Iterator[str]:
    run, node = case.run, case.node
    why = verdict(node)
    item = f", item {case.item.index}" if case.item is not None else ""
    yield f"## `{code(run.workflow)}`: step `{code(case.step.id)}`{item} failed: {clean(why.words)}"
    yield ""
    path = f" of `{code(run.path)}`" if run.path else ""
    yield f"- run `{run.id}`{path}"
    if node.finished_at is not None:
        when = datetime.fromtimestamp(node.finished_at, UTC)
        yield f"- at {when:%Y-%m-%d %H:%M:%S} UTC, {case.tries or 'before its first try'}"
    if (seconds := took(node)) is not None:
        usual = f"; usually {duration(case.usual)}" if case.usual is not None else ""
        yield f"- after {duration(seconds)}{usual}"
    attempt = last_attempt(node)
    if attempt is not None and attempt.image:
        yield f"- image `{code(attempt.image)}`"
    if case.item is not None:
        yield f"- item `{code(json.dumps(masked(case.item.value), ensure_ascii=False, default=str)[:200])}`"
    if run.params:
        params = json.dumps(masked(run.params), ensure_ascii=False, default=str)
        yield f"- params `{code(params[:_LONG])}`"
    machine = f"{place.system}, Python {place.python}"
    yield f"- agentainer {place.version}, backend {clean(place.backend)}, {machine}"
    if node.error:
        yield from _block("Error", node.error.rstrip("\n")[:_LONG].splitlines())
    if case.lines:
        yield from _block("Last lines", case.lines)
    if case.is_many:
        yield from _causes(case)
    yield from _changes(case)
    yield from _block("To look further", commands(case, place.twins), "sh")


def _causes(case: Case) -> Iterator[str]:
    failed = sum(len(cause.items) for cause in case.causes)
    yield from ("", f"### {failed} of {counted(len(case.step.items), 'item')} failed", "")
    for cause in case.causes:
        error = f": `{code(cause.error)}`" if cause.error else ""
        yield f"- {len(cause.items)} × {clean(cause.words)}{error} (items {ranges(cause.items)})"


def _changes(case: Case) -> Iterator[str]:
    if case.changes is None or case.good is None:
        return
    yield from ("", f"### Since the last run that went well, `{case.good.id}`", "")
    if not case.changes:
        yield "Nothing that the step depends on is different."
    for change in case.changes:
        if change.diff:
            yield from ("", f"{clean(change.what)}: {change.after}", *fenced(change.diff, "diff"), "")
        else:
            texts = (change.before, change.after)
            if change.what.startswith("param ") and is_secret(change.what):
                texts = (MASK, MASK)
            before, after = (f"`{code(text)}`" if text else "nothing" for text in texts)
            yield f"- {clean(change.what)}: {before} → {after}"


def _block(title: str, lines: Sequence[str], language: str = "") -> Iterator[str]:
    yield from ("", f"### {title}", "", *fenced(lines, language))
