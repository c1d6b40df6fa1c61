"""`agentainer [DIR]`: the dashboard."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from agentainer_tui.commands.console import is_terminal
from agentainer_tui.commands.invocation import settings_of
from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.facade import Settings


def dashboard(options: Namespace) -> int:
    """Open the dashboard over a directory of workflow files."""
    directory = Path(options.dir or ".")
    if not directory.is_dir():
        raise UsageError(
            f"{directory} is not a directory",
            hint=f"`agentainer run {directory}` runs a file" if directory.exists() else "",
        )
    if not has_terminal():
        raise UsageError(
            "the dashboard needs a terminal for its input and output",
            hint="without one: `agentainer list`, `agentainer run`, `agentainer --help`",
        )
    return open_dashboard(settings_of(options), directory)


def has_terminal() -> bool:
    """Whether a person can see and type: the dashboard makes sense."""
    return is_terminal(sys.stdin) and is_terminal(sys.stdout)


def open_dashboard(settings: Settings, directory: Path) -> int:
    """Run the app until it is left; returns the exit code."""
    from agentainer_tui.app import run_dashboard
    from agentainer_tui.bridge.client import EngineClient

    return run_dashboard(EngineClient(settings, directory), settings, directory)
