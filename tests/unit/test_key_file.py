from __future__ import annotations

import string
from pathlib import Path

import pytest
from textual.keys import _character_to_key

from agentainer_tui.key_file import KeyTable, keys_file, parse_keys, read_keys
from agentainer_tui.key_names import is_typed, normal_key, shown_key
from agentainer_tui.keymap import KEYS, key_text
from engine.settings import Settings

FILE = Path("/k/keys.toml")


def parsed(text: str) -> KeyTable:
    return parse_keys(text, FILE)


def told(table: KeyTable) -> list[str]:
    return [str(problem) for problem in table.problems]


@pytest.mark.parametrize(
    "text",
    ['"home.run" = "ctrl+r"', 'home.run = "ctrl+r"', '[home]\nrun = "ctrl+r"', '["home"]\nrun=["ctrl+r"]'],
)
def test_a_key_can_be_set_in_every_way_that_toml_has(text: str) -> None:
    table = parsed(text)

    assert told(table) == []
    assert table.changed == {"home.run": "ctrl+r"}
    run = next(key for key in table.keys if key.id == "home.run")
    assert run.keys == "ctrl+r"
    assert key_text(run) == "ctrl+r"


def test_an_action_can_have_several_keys_and_what_is_not_named_stays() -> None:
    table = parsed('"list.down" = ["down", "f9", "?"]\n"app.help" = "f1"')

    assert told(table) == []
    assert table.changed["list.down"] == "down,f9,question_mark"
    others = [key for key in KEYS if key.id not in table.changed]
    assert set(others) <= set(table.keys)


def test_a_key_that_is_set_as_it_is_anyway_changes_nothing() -> None:
    assert parsed('"home.run" = "r"').changed == {}


def test_two_actions_can_change_places() -> None:
    table = parsed('"home.run" = "R"\n"home.retry" = "r"')

    assert told(table) == []
    assert table.changed == {"home.run": "R", "home.retry": "r"}


def test_an_unknown_action_is_told_with_its_line_and_the_nearest_name() -> None:
    table = parsed('# mine\n\n  "home.rum" = "u"\n"home.run" = "u"')

    assert told(table) == [f"{FILE}:3:3: there is no action 'home.rum': did you mean 'home.run'?"]
    assert table.changed == {"home.run": "u"}, "the other lines count"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('"ctlr+r"', "home.run: 'ctlr' is no key to hold down: did you mean 'ctrl'?"),
        ('"entre"', "home.run: there is no key 'entre': did you mean 'enter'?"),
        ('"ctrl+i"', "home.run: ctrl+i cannot be used: terminals send tab for it"),
        ('"ctrl+q"', "home.run: ctrl+q cannot be used: it stays the key that always leaves"),
        ("3", "home.run: expected a key such as \"ctrl+r\", or a list of keys, found 3"),
        ("[]", "home.run: expected a key such as \"ctrl+r\", or a list of keys, found []"),
        ('""', "home.run: expected a key such as \"ctrl+r\", or a list of keys, found ''"),
    ],
)  # fmt: skip
def test_what_is_no_key_is_told_with_its_line(value: str, message: str) -> None:
    table = parsed(f"\n[home]\nrun = {value}")

    assert told(table) == [f"{FILE}:3:1: {message}"]
    assert table.changed == {}


def test_a_key_with_two_meanings_in_one_place_is_refused_with_both_names() -> None:
    table = parsed('"home.run" = "q"')

    assert told(table) == [f"{FILE}:1:1: home.run (Run): q is app.quit (Quit) already"]
    assert table.changed == {}


def test_two_new_keys_that_clash_leave_one_of_them() -> None:
    table = parsed('"list.up" = "u"\n"home.run" = "u"')

    assert told(table) == [f"{FILE}:1:1: list.up (Up): u is home.run (Run) already"]
    assert table.changed == {"home.run": "u"}


def test_the_same_key_may_mean_two_things_where_only_one_of_them_is_active() -> None:
    assert told(parsed('"home.run" = "f"')) == [], "f is a key of logs, which are on another screen"
    assert told(parsed('"dialog.next" = "q"')) == [], "nothing below a dialog is active"


def test_a_letter_cannot_be_a_key_where_letters_are_typed() -> None:
    table = parsed('"filter.leave" = "q"')

    assert told(table) == [f"{FILE}:1:1: filter.leave: q is typed as text there"]


def test_a_file_that_is_no_toml_changes_nothing_and_is_told_with_its_line() -> None:
    table = parsed('"home.run" = "u"\n"list.up = ')

    assert table.changed == {}
    (problem,) = table.problems
    assert (problem.line, problem.column) == (2, 1)
    assert problem.message.startswith("no TOML: ")


def test_names_that_would_steer_a_terminal_are_told_harmlessly() -> None:
    table = parsed('"\\u001b[2J[/x]" = "u"')

    assert "\x1b" not in told(table)[0]


def test_names_without_end_are_told_like_any_other() -> None:
    table = parsed(".".join(["a"] * 5_000) + ' = "u"')

    assert len(table.problems) == 1
    assert len(told(table)[0]) < 400
    assert table.changed == {}


def test_the_file_is_looked_for_beside_the_history_then_in_the_users_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    home = tmp_path / "home"
    home.mkdir()
    assert keys_file(Settings(home=home)) != home / "keys.toml"
    assert keys_file(Settings(home=home)).name == "keys.toml"
    (home / "keys.toml").write_text("")
    assert keys_file(Settings(home=home)) == home / "keys.toml"
    assert keys_file(Settings(home=home, keys_file=tmp_path / "x")) == tmp_path / "x"


def test_a_missing_file_is_fine_unless_it_was_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    assert read_keys(missing) == KeyTable()
    assert told(read_keys(missing, expected=True)) == [f"{missing}: there is no such file"]
    assert read_keys(tmp_path).problems[0].message.startswith("cannot be read")
    missing.write_bytes(b"\xff\xfe")
    assert read_keys(missing).problems[0].message.startswith("cannot be read")


@pytest.mark.parametrize(
    ("written", "name", "shown"),
    [("esc", "escape", "esc"), ("?", "question_mark", "?"), ("ctrl+R", "ctrl+r", "ctrl+r"),
     ("shift+ctrl+Left", "ctrl+shift+left", "ctrl+shift+←"), ("shift+r", "R", "R"), ("F5", "f5", "f5"),
     ("space", "space", "space"), ("[", "left_square_bracket", "["), ("+", "plus", "+"),
     ("ctrl++", "ctrl+plus", "ctrl++"), (",", "comma", ","), ("ö", "ö", "ö"), ("slash", "slash", "/")],
)  # fmt: skip
def test_keys_are_understood_and_shown_as_people_write_them(written: str, name: str, shown: str) -> None:
    assert normal_key(written) == name
    assert shown_key(name) == shown


def test_every_key_of_the_list_is_one_that_a_file_could_name() -> None:
    for key in KEYS:
        for name in key.keys.split(","):
            if name != "ctrl+c":
                assert normal_key(name) == name, key.id


def test_keys_are_named_as_textual_names_them() -> None:
    for sign in string.printable.strip() + "äß¿€漢":
        assert normal_key(sign) == _character_to_key(sign)


def test_what_is_typed_is_known() -> None:
    assert is_typed("a")
    assert is_typed("slash")
    assert is_typed("space")
    assert not is_typed("ctrl+a")
    assert not is_typed("escape")
