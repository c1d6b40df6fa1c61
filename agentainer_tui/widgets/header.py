"""The lines at the top: where we are, where agents run, and what is missing."""

from __future__ import annotations

from pathlib import Path

from rich.cells import cell_len
from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from agentainer_tui.client import EngineFacts
from agentainer_tui.looks import UNICODE, Glyphs
from agentainer_tui.text import clean, fit


class StatusHeader(Widget):
    """One line of facts, and one more for each thing that the user should know about the engine."""

    DEFAULT_CSS = """
    StatusHeader { dock: top; height: auto; background: $surface; color: $foreground; padding: 0 1; }
    """

    facts: reactive[EngineFacts | None] = reactive(None, layout=True)
    active: reactive[int] = reactive(0)

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = _homely(directory)

    def render(self) -> RenderResult:
        """Brand and directory on the left, the engine on the right, notes below."""
        glyphs: Glyphs = getattr(self.app, "glyphs", UNICODE)
        width = max(1, self.size.width)
        facts = self.facts
        right = "starting…" if facts is None else f" {glyphs.dot} ".join(self._facts(facts, glyphs))
        brand = f"{glyphs.brand} agentainer"
        room = width - cell_len(brand) - 2
        right = fit(right, min(cell_len(right), max(0, room)))
        left = room - cell_len(right) - 2
        line = Content.assemble(
            (brand, "bold $accent"),
            "  ",
            (fit(self._directory, max(0, left)), "$foreground 62%"),
            "  " if left >= 0 else "",
            (right, "$foreground 62%"),
        )
        notes = (
            [Content.styled(f"{glyphs.alert} {clean(note)}", "$warning") for note in facts.notes]
            if facts
            else []
        )
        return Content("\n").join([line, *notes])

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """One line, and one for each note."""
        return 1 + (len(self.facts.notes) if self.facts is not None else 0)

    def _facts(self, facts: EngineFacts, glyphs: Glyphs) -> list[str]:
        running = [f"{self.active} running"] if self.active else []
        return [clean(part) for part in (*running, facts.backend, facts.store) if part]


def _homely(directory: Path) -> str:
    home = Path.home()
    return f"~/{directory.relative_to(home)}" if directory.is_relative_to(home) else str(directory)
