"""The areas of the dashboard: one mode of the app each, with a key that leads there from everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentainer_tui.app import DashboardApp
    from agentainer_tui.screens.area import AreaScreen


@dataclass(frozen=True, slots=True)
class Area:
    """One area.

    Attributes:
        name: of the mode, and of its action: `area('<name>')`.
        key: leads there.
        label: in the bar at the top.
        help: what is there, for the help and the palette.
        screen: `module:class` of its first screen, imported when the area is first shown.
    """

    name: str
    key: str
    label: str
    help: str
    screen: str

    def opener(self, app: DashboardApp) -> Callable[[], AreaScreen]:
        """What makes its first screen."""

        def make() -> AreaScreen:
            module, _, name = self.screen.partition(":")
            screen: AreaScreen = getattr(import_module(module), name)(app.feed, now=app.now)
            return screen

        return make


WORKFLOWS = "workflows"
RUN = "run"
HISTORY = "history"
AGENTS = "agents"
METRICS = "metrics"

AREAS: tuple[Area, ...] = (
    Area(WORKFLOWS, "1", "Workflows", "Workflows of this directory, and their runs",
         "agentainer_tui.screens.home:HomeScreen"),
    Area(RUN, "2", "Run", "The run that was opened last",
         "agentainer_tui.screens.no_run:NoRunScreen"),
    Area(HISTORY, "3", "History", "All runs of this home: find, compare, retry, delete",
         "agentainer_tui.screens.history:HistoryScreen"),
    Area(AGENTS, "4", "Agents", "Running and kept agents, warm pools, orphans",
         "agentainer_tui.screens.agents:AgentsScreen"),
    Area(METRICS, "5", "Metrics", "Figures and charts over the runs of a period",
         "agentainer_tui.screens.metrics:MetricsScreen"),
)  # fmt: skip
