"""The grammar: verbs, options before and after them, the form without a verb, and what is refused."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from agentainer_tui.cli import main
from agentainer_tui.commands.dispatch import parse
from agentainer_tui.commands.parser import VERBS, command_parser
from engine.errors import UsageError

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "cli.md"


def verb_parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of every verb."""
    (action,) = (one for one in command_parser()._actions if isinstance(one, argparse._SubParsersAction))
    return dict(action.choices)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "a.yaml"], {"verb": "run", "workflow": "a.yaml", "param": [], "backend": None}),
        (["run", "a", "-p", "k=v", "-p", "l=w"], {"param": ["k=v", "l=w"]}),
        (["retry", "last", "--from", "s"], {"run": "last", "from_step": "s", "only_step": None}),
        (["cleanup"], {"run": None, "all": False, "dry_run": False, "yes": False}),
        (["cleanup", "abc", "-y"], {"run": "abc", "yes": True}),
        (["logs", "last", "step", "-f", "--item", "0"], {"step": "step", "follow": True, "item": 0}),
        (["history", "-n", "5", "--status", "failed"], {"limit": 5, "status": "failed"}),
        (["prune", "--older-than", "30d", "--keep", "0"], {"older_than": 30.0, "keep": 0}),
        (["list"], {"dir": "."}),
        (["shell", "last", "s", "-c", "ls"], {"agent": "last", "step": "s", "item": None, "command": "ls"}),
    ],
)
def test_a_verb_takes_its_options(words: list[str], expected: dict[str, object]) -> None:
    options = vars(parse(words))

    assert expected.items() <= options.items()


@pytest.mark.parametrize(
    "words",
    [["--home", "/h", "history"], ["history", "--home", "/h"], ["--home=/h", "history", "-n", "3"]],
)
def test_options_for_everything_stand_before_or_after_the_verb(words: list[str]) -> None:
    assert parse(words).home == "/h"


def test_an_option_after_the_verb_wins_over_one_before_it() -> None:
    assert parse(["--home", "/before", "history", "--home", "/after"]).home == "/after"


@pytest.mark.parametrize("words", [[], ["."], ["--home", "history", "."], ["--backend", "process", "."]])
def test_without_a_verb_it_is_the_dashboard(words: list[str]) -> None:
    assert parse(words).verb == "dashboard"


def test_a_mistyped_command_is_named_with_its_neighbour() -> None:
    with pytest.raises(UsageError, match="no directory and no command 'vaildate'") as caught:
        parse(["vaildate", "a.yaml"])

    assert caught.value.hint == "did you mean `agentainer validate`?"


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["run", "a", "--backend", "podman"],
        ["history", "-n", "0"],
        ["history", "-n", "²"],
        ["history", "--status", "done"],
        ["logs", "last", "--item", "-1"],
        ["prune", "--older-than", "soon"],
        ["retry", "last", "--from", "a", "--only", "b"],
        ["show", "last", "--js"],
        ["cleanup", "last", "--all"],
    ],
)
def test_wrong_usage_is_two_lines_and_exit_code_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(words)
    except SystemExit as error:
        assert isinstance(error.code, int)
        code = error.code

    assert code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(rf"error: [^\n]+\n  see `agentainer {words[0]} --help`\n", shown.err)


def test_control_characters_of_an_argument_are_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["history", "-n", "\x1b[2J"])

    assert "\x1b" not in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"agentainer {version('agentainer')}\n"


def test_every_verb_has_a_function() -> None:
    import importlib

    assert verb_parsers().keys() == VERBS.keys()
    for target in VERBS.values():
        module, function = target.split(":")
        assert callable(getattr(importlib.import_module(f"agentainer_tui.commands.{module}"), function))


def section_of(verb: str) -> str:
    """What the reference says under a verb's heading."""
    text = REFERENCE.read_text(encoding="utf-8")
    found = re.search(rf"^### `{verb}`\n(.*?)(?=^##)", text + "\n##", re.MULTILINE | re.DOTALL)
    assert found, f"cli.md has no section `{verb}`"
    return found.group(1)


@pytest.mark.parametrize("verb", VERBS)
def test_the_reference_shows_every_verb_with_an_example_and_all_its_options(verb: str) -> None:
    everywhere = {"-h", "--help", "--home", "--redis-url", "--version"}
    section = section_of(verb)

    assert f"$ agentainer {verb}" in section
    for action in verb_parsers()[verb]._actions:
        for option in set(action.option_strings) - everywhere:
            assert re.search(rf"{re.escape(option)}(?![\w-])", section), (
                f"cli.md, `{verb}`: {option} is missing"
            )


def test_the_reference_shows_the_options_for_everything() -> None:
    text = REFERENCE.read_text(encoding="utf-8").split("## Exit codes")[0]

    for option in ("--help", "--home", "--redis-url", "--version"):
        assert f"`{option}" in text
