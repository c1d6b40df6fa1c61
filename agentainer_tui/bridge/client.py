"""The real port, made of its parts."""

from __future__ import annotations

from agentainer_tui.bridge.agents import Agents
from agentainer_tui.bridge.comparing import Comparing
from agentainer_tui.bridge.exporting import Exporting
from agentainer_tui.bridge.failures import Failures
from agentainer_tui.bridge.history import History
from agentainer_tui.bridge.outlook import Outlook
from agentainer_tui.bridge.reading import Reading
from agentainer_tui.bridge.runs import Runs


class EngineClient(Reading, Outlook, Runs, Agents, Comparing, Exporting, Failures, History):
    """All that `client.Client` asks for, from an engine in this process."""
