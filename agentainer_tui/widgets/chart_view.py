"""A scrolling page of text and charts."""

from __future__ import annotations

from rich.style import Style

from agentainer_tui.widgets.lines_view import LinesView

_NOTHING = Style()


class ChartView(LinesView):
    """Lines whose inks may be of the form `below:above`: two colours that share a cell."""

    def ink(self, name: str) -> Style:
        """The style of an ink."""
        below, _, above = name.partition(":")
        if above:
            return super().ink(below) + Style(bgcolor=super().ink(above).color)
        return super().ink(below) if below else _NOTHING
