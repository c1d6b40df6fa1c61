"""The page of keys is made by a script, and must be what that makes now."""

from __future__ import annotations

import importlib.util

from agentainer_tui.keymap import KEYS
from tests.documentation import ROOT


def test_the_page_of_keys_is_what_the_list_of_keys_makes() -> None:
    spec = importlib.util.spec_from_file_location("make_keys", ROOT / "docs" / "make_keys.py")
    assert spec is not None
    assert spec.loader is not None
    make_keys = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_keys)
    written = make_keys.PAGE.read_text(encoding="utf-8")

    assert written == make_keys.page(), "run `python docs/make_keys.py`"
    assert all(f"`{key.id}`" in written for key in KEYS)
