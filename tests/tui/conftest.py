"""What several files of tests of the dashboard take."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to the clipboard."""
    found: list[str] = []

    def copy(app: Any, text: str, otherwise: str = "") -> str:
        found.append(text)
        return "to the clipboard"

    monkeypatch.setattr("agentainer_tui.widgets.sheet_pane.copy", copy)
    return found
