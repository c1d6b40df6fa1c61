"""The area of runs before any was opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from agentainer_tui.areas import RUN
from agentainer_tui.screens.area import AreaScreen
from agentainer_tui.widgets.breadcrumbs import Crumb


class NoRunScreen(AreaScreen):
    """Says how to get to a run; runs are shown above it."""

    CSS_PATH = "no_run.tcss"
    AREA: ClassVar[str] = RUN
    AUTO_FOCUS = ""

    def compose_body(self) -> Iterable[Widget]:
        """A few words."""
        area, run, opened = map(self.app.key_of, ("app.workflows", "home.run", "list.open"))
        yield Static(
            Content.assemble(
                ("No run is open.", "bold"),
                "\n\nPress ", (area, "bold $accent"), ", choose a workflow, and press ",
                (run, "bold $accent"), " to run it or ", (opened, "bold $accent"), " to open its last run.",
            ),
            id="nothing",
        )  # fmt: skip

    def crumbs(self) -> Sequence[Crumb]:
        """Nowhere in particular."""
        return (Crumb("Run"),)
