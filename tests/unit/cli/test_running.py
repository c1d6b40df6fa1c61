"""What `run` is given: params, and a file or a name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentainer_tui.commands.documents import find_workflow
from agentainer_tui.commands.running import given_params
from engine.errors import UsageError

DOCUMENT = "name: {name}\nsteps:\n  - id: a\n    command: ['true']\n"


def test_a_param_is_split_at_the_first_equals_sign() -> None:
    assert given_params(["url=http://x/?a=b", "empty="], None) == {"url": "http://x/?a=b", "empty": ""}


def test_the_last_of_two_values_for_one_param_wins_and_any_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_text(json.dumps({"a": [1], "b": {"c": None}}))

    assert given_params(["a=1", "a=2"], str(file)) == {"a": "2", "b": {"c": None}}


@pytest.mark.parametrize("pair", ["novalue", "=value", ""])
def test_a_param_without_name_or_value_is_refused(pair: str) -> None:
    with pytest.raises(UsageError, match="expected NAME=VALUE"):
        given_params([pair], None)


@pytest.mark.parametrize("text", ["[1]", "{", "\x00", "[" * 100_000])
def test_a_params_file_that_is_no_json_object_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_text(text)

    with pytest.raises(UsageError, match=r"--params .*params.json"):
        given_params([], str(file))


@pytest.mark.parametrize("file", ["absent.json", "."])
def test_a_params_file_that_cannot_be_read_is_refused(file: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        given_params([], str(tmp_path / file))


def test_an_existing_file_wins_over_a_workflow_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text(DOCUMENT.format(name="other"))
    (tmp_path / "b.yaml").write_text(DOCUMENT.format(name="a"))

    assert find_workflow("a", tmp_path) == Path("a")


@pytest.mark.parametrize("name", ["greeting", "hello", "hello.yaml"])
def test_a_name_is_that_of_a_workflow_or_of_its_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello.yaml").write_text(DOCUMENT.format(name="greeting"))

    assert find_workflow(name, tmp_path).resolve() == tmp_path / "hello.yaml"


def test_a_name_that_is_not_there_is_refused_with_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "hello.yaml").write_text(DOCUMENT.format(name="hello"))

    with pytest.raises(UsageError, match="hello"):
        find_workflow("helo", tmp_path)


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        find_workflow("hello", tmp_path / "absent")
