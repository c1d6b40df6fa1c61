"""The head of a run: workflow, status, how long, how far, and what is to be known about it."""

from __future__ import annotations

import time
from collections.abc import Callable

from textual.app import RenderResult
from textual.content import Content
from textual.widget import Widget

from agentainer_tui.explain import QUEUED, reason_words
from agentainer_tui.failure.finding import has_failed
from agentainer_tui.looks import LOOKS, UNICODE, UNKNOWN, Glyphs
from agentainer_tui.text import brief, clean, counted, duration
from agentainer_tui.views import RunView, elapsed

COLOURS = {
    "text": "$foreground",
    "strong": "bold $foreground",
    "muted": "$foreground 62%",
    "faint": "$foreground 38%",
    "accent": "$accent",
    "running": "$primary",
    "success": "$success",
    "warning": "$warning",
    "error": "$error",
    "key": "$primary",
    "number": "$secondary",
}


class RunTitle(Widget):
    """Two lines, and one more for an error of the run."""

    DEFAULT_CSS = """
    RunTitle { height: auto; padding: 0 2; }
    """

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._now = now
        self._view: RunView | None = None
        self.ahead = ""  # how long the run will take still

    def show(self, view: RunView) -> None:
        """Take a newer view."""
        grew = self._view is None or bool(self._view.error) != bool(view.error)
        self._view = view
        self.refresh(layout=grew)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """Two lines, and one for an error."""
        return 3 if self._view is not None and self._view.error else 2

    def render(self) -> RenderResult:
        """The lines."""
        view = self._view
        if view is None:
            return Content.styled("Reading the run…", COLOURS["muted"])
        lines = [self._first(view), self._second(view)]
        if view.error:
            lines.append(Content.styled(clean(view.error.split("\n", 1)[0]), COLOURS["error"]))
        return Content("\n").join(line.truncate(max(1, self.size.width), ellipsis=True) for line in lines)

    def _first(self, view: RunView) -> Content:
        glyphs: Glyphs = getattr(self.app, "glyphs", UNICODE)
        look = LOOKS.get(view.status, UNKNOWN)
        took = duration(elapsed(view.begun_at, view.finished_at, self._now()))
        told = view.reason in ("", "task_failed", view.status.value)
        reason = "" if told else f" ({reason_words(view.reason)})"
        return Content.assemble(
            (clean(view.workflow, limit=80), "bold"),
            (f"  {view.id}   ", COLOURS["faint"]),
            (f"{glyphs.of(view.status)} {look.word}{reason}", COLOURS[look.ink]),
            (f"   {took}", COLOURS["text"]),
            (f"   {self.ahead}" if self.ahead else "", COLOURS["muted"]),
        )

    def _second(self, view: RunView) -> Content:
        parts: list[tuple[str, str]] = [(f"{view.done}/{counted(len(view.steps), 'step')}", COLOURS["muted"])]
        for status in ("running", "retrying", "failed", "skipped", "cancelled"):
            number = next((n for s, n in view.tally.items() if s == status), 0)
            if number:
                look = LOOKS[status]
                parts.append((f"   {number} {look.word}", COLOURS[look.ink]))
        parts += _place(view)
        if view.gates:
            parts.append((f"   {counted(len(view.gates), 'step')} to approve, a answers", COLOURS["accent"]))
        if view.retry_of:
            parts.append((f"   retry of {view.retry_of[:6]}", COLOURS["muted"]))
        if view.recoveries:
            parts.append((f"   recovered {counted(view.recoveries, 'time')}", COLOURS["warning"]))
        if view.warnings:
            parts.append((f"   {counted(len(view.warnings), 'warning')}", COLOURS["warning"]))
        params = "  ".join(f"{clean(name)}={brief(value, limit=60)}" for name, value in view.params.items())
        if view.status.is_terminal and any(has_failed(step) for step in view.steps.values()):
            parts.append(("   ! shows why", COLOURS["key"]))
        if params:
            parts.append((f"   {params}", COLOURS["faint"]))
        return Content.assemble(*parts)


def _place(view: RunView) -> list[tuple[str, str]]:
    """Where the run stands among others, and in its own life."""
    parts: list[tuple[str, str]] = []
    if view.queued:
        parts.append((f"   {QUEUED.get(view.queued, 'queued')}", COLOURS["warning"]))
    if view.settled is not None and not view.status.is_terminal:
        look = LOOKS.get(view.settled, UNKNOWN)
        parts.append((f"   ends {look.word}, its last steps run", COLOURS[look.ink]))
    if view.parent is not None:
        item = "" if view.parent.item is None else f"[{view.parent.item}]"
        where = f"{clean(view.parent.step_id)}{item} of run {view.parent.run_id[:6]}"
        parts.append((f"   part of {where}, p opens it", COLOURS["muted"]))
    if view.scheduled_for is not None:
        parts.append(("   scheduled", COLOURS["muted"]))
    return parts
