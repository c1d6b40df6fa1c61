"""The lines at the top: the areas, where agents run, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from textual import events
from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from agentainer_tui.areas import AREAS
from agentainer_tui.client import EngineFacts
from agentainer_tui.looks import UNICODE, Glyphs
from agentainer_tui.text import clean, fit


class StatusHeader(Widget):
    """One line of areas and facts, and one more for each thing that the user should know about the engine."""

    DEFAULT_CSS = """
    StatusHeader {
        height: auto; background: $surface; color: $foreground; padding: 0 1; text-wrap: nowrap;
    }
    """
    ALLOW_SELECT = False

    facts: reactive[EngineFacts | None] = reactive(None, layout=True)
    active: reactive[int] = reactive(0)
    failed: reactive[int] = reactive(0)
    slots: reactive[tuple[int, int]] = reactive((0, 0))

    def __init__(self, area: str) -> None:
        super().__init__()
        self._area = area
        self._places: list[tuple[int, int, str]] = []
        self._badge = (0, 0)

    def render(self) -> RenderResult:
        """Brand and areas on the left, the engine on the right, notes below."""
        glyphs: Glyphs = getattr(self.app, "glyphs", UNICODE)
        width = max(1, self.size.width)
        facts = self.facts
        left = self._left(glyphs, width)
        badge = f"! {self.failed} failed  " if self.failed else ""
        if left.cell_length + len(badge) > width:
            badge = badge.partition(" failed")[0]
        room = max(0, width - left.cell_length - len(badge) - 2)
        right = "starting…" if facts is None else _as_many(self._facts(facts), f" {glyphs.dot} ", room)
        gap = " " * max(0, width - left.cell_length - len(badge) - cell_len(right))
        at = left.cell_length + len(gap)
        self._badge = (at, at + len(badge))
        notes = (
            [
                Content.styled(f"{glyphs.alert} {clean(note)}", "$warning").truncate(width, ellipsis=True)
                for note in facts.notes
            ]
            if facts
            else []
        )
        line = Content.assemble(left, gap, (badge, "bold $error"), (right, "$foreground 62%")).truncate(width)
        return Content("\n").join([line, *notes])

    def _left(self, glyphs: Glyphs, width: int) -> Content:
        """The areas; only as much of the brand as leaves room for them, and of the areas as there is."""
        app: Any = self.app
        keys = {area.name: app.key_of(f"app.{area.name}") for area in AREAS}
        names = sum(len(area.label) + cell_len(keys[area.name]) + 3 for area in AREAS)
        brand = f"{glyphs.brand} agentainer " if width >= names + 34 else f"{glyphs.brand} "
        parts: list[Content] = [Content.styled(brand, "bold $accent")]
        at = cell_len(brand)
        self._places = []
        for area in AREAS:
            key = keys[area.name]
            label = f" {key} {area.label} " if width >= names + 2 or area.name == self._area else f" {key} "
            here = area.name == self._area
            parts.append(Content.styled(label, "bold $accent on $accent 12%" if here else "$foreground 62%"))
            self._places.append((at, at + cell_len(label), area.name))
            at += cell_len(label)
        return Content("").join(parts)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """One line, and one for each note."""
        return 1 + (len(self.facts.notes) if self.facts is not None else 0)

    def _facts(self, facts: EngineFacts) -> list[str]:
        used, total = self.slots
        now = [f"{self.active} running", f"{used}/{total} slots"] if self.active else []
        read_only = ["read-only"] if facts.recording else []
        return [clean(part) for part in (*read_only, *now, facts.backend, facts.store) if part]

    async def on_click(self, event: events.Click) -> None:
        """Go to the area that was clicked, or to the failure."""
        offset = event.get_content_offset(self)
        if offset is not None and offset.y == 0 and self._badge[0] <= offset.x < self._badge[1]:
            await self.app.run_action("failure", self.app)
        for begin, end, name in self._places:
            if offset is not None and offset.y == 0 and begin <= offset.x < end:
                await self.app.run_action(f"area('{name}')", self.app)


def _as_many(facts: Sequence[str], between: str, room: int) -> str:
    """As many of the facts as there is room for, from the first on; that one is cut rather than left out."""
    while len(facts) > 1 and cell_len(between.join(facts)) > room:
        facts = facts[:-1]
    words = between.join(facts)
    return fit(words, min(cell_len(words), room))
