"""What the dashboard takes from the settings, from files of the user's, and from the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentainer_tui import preferences
from agentainer_tui.key_file import keys_file, read_keys
from agentainer_tui.looks import ASCII, choose_glyphs
from agentainer_tui.preferences import Preferences
from agentainer_tui.twins import Twins
from engine.settings import default_home

if TYPE_CHECKING:
    from engine.settings import Settings


def surroundings(settings: Settings, directory: Path) -> dict[str, Any]:
    """The arguments of the app that are not about the engine."""
    if os.environ.get("NO_COLOR") == "":
        del os.environ["NO_COLOR"]  # only one that says something counts (no-color.org); Textual takes any
    usual = settings.home == default_home().absolute()
    return {
        "glyphs": ASCII if settings.ascii else choose_glyphs(),
        "keys": read_keys(keys_file(settings), expected=settings.keys_file is not None),
        "preferences": Preferences.load(settings.home / preferences.NAME),
        "twins": Twins(
            home=None if usual else settings.home,
            directory=directory,
            here=Path.cwd(),
            backend=settings.backend,
        ),
        "theme": settings.theme,
    }
