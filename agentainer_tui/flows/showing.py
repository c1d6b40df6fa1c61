"""Going from figures to the runs that they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentainer_tui.areas import HISTORY
from agentainer_tui.history_filter import HistoryFilter

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp


def show_runs(app: DashboardApp, chosen: HistoryFilter) -> None:
    """Show the history, narrowed down to some runs."""
    from agentainer_tui.screens.history import HistoryScreen

    app.show_area(HISTORY)
    if isinstance(app.screen, HistoryScreen):
        app.screen.choose(chosen)
