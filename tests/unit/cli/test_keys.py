from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentainer_tui.cli import main
from agentainer_tui.keymap import KEYS


def test_keys_lists_every_action_with_its_present_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keys.toml").write_text('"home.run" = ["ctrl+r", "?"]\n"list.up" = "u"')

    assert main(["keys", "--home", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    lines = {line[2:].split()[0]: line for line in printed.out.splitlines() if line[:2] in ("  ", "* ")}
    assert set(lines) == {key.id for key in KEYS}
    assert lines["list.up"].startswith("* list.up")
    assert lines["home.run"].startswith("  home.run"), "? is taken: nothing changes"
    assert f"{tmp_path}/keys.toml:1:1: home.run (Run): ? is app.help (Help) already" in printed.err

    assert main(["keys", "--json", "--home", str(tmp_path)]) == 2
    entries = {entry["id"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert entries["list.up"]["keys"] == ["u"]
    assert entries["list.up"]["changed"]
    assert entries["app.help"]["keys"] == ["?", "f1"]
    assert not entries["app.help"]["changed"]


def test_without_a_file_the_keys_are_as_delivered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "--home", str(tmp_path)]) == 0
    assert "* " not in capsys.readouterr().out


def test_doctor_tells_mistakes_in_the_file_of_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keys.toml").write_text('"home.rum" = "r"')

    main(["doctor", "--json", "--home", str(tmp_path)])
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}

    assert found["keys"]["health"] == "warning"
    assert "keys.toml:1:1: there is no action 'home.rum': did you mean 'home.run'?" in found["keys"]["found"]
