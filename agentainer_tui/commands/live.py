"""The picture of a run in a terminal: every step from the start, redrawn in place when something changed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.live import Live
from rich.text import Text

from agentainer_tui.commands.console import err
from agentainer_tui.commands.family import Family
from agentainer_tui.commands.narration import first_line, label, tally
from agentainer_tui.explain import explain, look_of
from agentainer_tui.looks import LOOKS, UNKNOWN, choose_glyphs
from agentainer_tui.text import clean, counted, duration, fit
from agentainer_tui.views import ItemView, RunView, StepView, elapsed
from engine.events import Event, StepStatus

_STYLES = {
    "faint": "dim",
    "muted": "dim",
    "running": "cyan",
    "warning": "yellow",
    "success": "green",
    "error": "red",
    "accent": "magenta",
}
_RESTLESS = (StepStatus.RUNNING, StepStatus.RETRYING, StepStatus.FAILED)
_ITEMS_SHOWN = 5
_NAME_WIDTH = 28


class LiveProgress:
    """Redraws the steps of a run in place: glyph, status, duration, items, countdown of the next try."""

    interval: float | None = 0.2

    def __init__(self, console: Console | None = None, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._console = console or Console(
            stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=False
        )
        self._glyphs = choose_glyphs(self._console.encoding)
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._drawn = ""

    def show(self, family: Family, events: Sequence[Event]) -> None:
        """Draw the run unless the picture would be the same."""
        view = family.root
        if view is None:
            return
        with self._terminal():
            if not self._live.is_started:
                self._live.start()
            picture = Text("\n", no_wrap=True, overflow="ellipsis").join(self.rows(view, family))
            if picture.markup != self._drawn:
                self._drawn = picture.markup
                self._live.update(picture, refresh=True)

    def note(self, text: str) -> None:
        """Print it above the picture."""
        with self._terminal():
            self._console.print(Text(clean(f"agentainer: {text}")))

    def close(self) -> None:
        """Leave the last picture standing."""
        with self._terminal():
            self._live.stop()

    @contextlib.contextmanager
    def _terminal(self) -> Iterator[None]:
        """Go on silently when the terminal is gone: the run still has to be seen to its end."""
        try:
            yield
        except (OSError, ValueError):
            err.give_up()  # what Rich writes from now on goes nowhere

    # -- the picture ----------------------------------------------------------------------------------

    def rows(self, view: RunView, family: Family | None = None) -> Iterator[Text]:
        """The lines of the picture, as many as the terminal has room for."""
        family = family or Family(view.id)
        now = self._now()
        yield self._title(view, now)
        steps = sorted(view.steps.values(), key=lambda step: step.ordinal)
        room = max(5, self._console.height - 3)
        shown = steps if len(steps) <= room else _most_telling(steps, room - 1)
        lines = room - len(shown)
        for step in shown:
            yield self._step(view, step, now, family)
            items = _restless_items(step)[: min(_ITEMS_SHOWN, max(0, lines))]
            lines -= len(items)
            for item in items:
                yield self._item(view, step, item, now, family)
        if len(shown) < len(steps):
            yield Text(f"   {_hidden(steps, shown)}", "dim")

    def _title(self, view: RunView, now: float) -> Text:
        took = duration(elapsed(view.begun_at, view.finished_at, now))
        details = f"  {view.id}  {clean(view.backend)}  {took}".rstrip()
        end = first_line(view.error)
        return Text.assemble(
            *self._status(view.status.value),
            (clean(view.workflow, limit=60), "bold"),
            f" {LOOKS.get(view.status.value, UNKNOWN).word}",
            (details, "dim"),
            (f"  {end}" if end else "", "red"),
        )

    def _step(self, view: RunView, step: StepView, now: float, family: Family) -> Text:
        why = _child(family.child_of(step)) or explain(view, step, step, now)
        details = "  ".join(part for part in (tally(step), first_line(why)) if part)
        return self._line("  " if step.parent else "", step.id, step, details, now)

    def _item(self, view: RunView, step: StepView, item: ItemView, now: float, family: Family) -> Text:
        why = _child(family.child_of(item)) or explain(view, step, item, now)
        return self._line("  ", label(step.id, item.index), item, first_line(why), now)

    def _line(self, indent: str, name: str, node: StepView | ItemView, details: str, now: float) -> Text:
        look = look_of(node)
        glyph = (self._glyphs.sign(look), _STYLES[look.ink]), " "
        took = duration(elapsed(node.started_at, node.finished_at, now))
        return Text.assemble(
            indent,
            *glyph,
            fit(name, _NAME_WIDTH - len(indent)),
            (f" {look.word:<10}", _STYLES[look.ink]),
            f"{took:>7}",
            (f"  {details}" if details else "", "dim" if node.status is not StepStatus.FAILED else "red"),
        )

    def _status(self, status: str) -> tuple[tuple[str, str], str]:
        look = LOOKS.get(status, UNKNOWN)
        return (self._glyphs.of(status), _STYLES[look.ink]), " "


def _child(view: RunView | None) -> str:
    """How far a child run in progress is."""
    if view is None or view.status.is_terminal:
        return ""
    words = f"run {view.id}: {view.done} of {counted(len(view.steps), 'step')}"
    at_work = [step.id for step in view.steps.values() if step.status in _RESTLESS and not step.is_gate]
    asked = [step.id for step in view.gates]
    if asked:
        return f"{words}, {clean(asked[0])} waits for approval"
    return f"{words}, {clean(at_work[0])}" if at_work else words


def _restless_items(step: StepView) -> list[ItemView]:
    """The items worth a line of their own: those at work, and what failed."""
    if step.status.is_terminal and step.status is not StepStatus.FAILED:
        return [item for item in step.items if item.status is StepStatus.FAILED]
    order = {status: place for place, status in enumerate(_RESTLESS)}
    return sorted(
        (item for item in step.items if item.status in order),
        key=lambda item: (order[item.status], item.index),
    )


def _most_telling(steps: Sequence[StepView], room: int) -> list[StepView]:
    """The steps to show where not all fit: at work or failed, then next, then done."""

    def weight(step: StepView) -> tuple[int, int]:
        if step.status in _RESTLESS:
            return 0, step.ordinal
        return (1, step.ordinal) if step.status is StepStatus.PENDING else (2, -step.ordinal)

    return sorted(sorted(steps, key=weight)[:room], key=lambda step: step.ordinal)


def _hidden(steps: Sequence[StepView], shown: Sequence[StepView]) -> str:
    known = {step.id for step in shown}
    counts: dict[str, int] = {}
    for step in steps:
        if step.id not in known:
            counts[step.status.value] = counts.get(step.status.value, 0) + 1
    return "and " + ", ".join(f"{number} {status}" for status, number in counts.items())
