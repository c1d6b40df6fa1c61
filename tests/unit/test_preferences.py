from __future__ import annotations

from pathlib import Path

import pytest

from agentainer_tui.preferences import Preferences


def test_what_is_saved_is_there_the_next_time(tmp_path: Path) -> None:
    file = tmp_path / "new" / "dashboard.json"
    before = Preferences.load(file)
    assert (before.theme, before.tour_seen) == ("", False)
    before.theme, before.tour_seen = "nord", True
    before.save()

    assert Preferences.load(file) == Preferences(file, "nord", True)
    assert [path.name for path in file.parent.iterdir()] == [file.name], "nothing is left beside it"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"theme": 3, "tour_seen": "yes"}', "\x00"])
def test_a_file_that_is_damaged_is_as_if_it_had_never_been_written(tmp_path: Path, text: str) -> None:
    file = tmp_path / "dashboard.json"
    file.write_text(text)

    assert Preferences.load(file) == Preferences(file)


def test_a_home_that_cannot_be_written_is_no_reason_to_complain(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Preferences(tmp_path / "file" / "dashboard.json", "nord").save()
    Preferences(None, "nord").save()

    assert Preferences.load(tmp_path / "file" / "dashboard.json").theme == ""
