from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from agentainer_tui.client import RetryScope
from agentainer_tui.commands.dispatch import parse
from agentainer_tui.commands.running import given_params
from agentainer_tui.twins import Twins
from tests.tui.test_hostile_text import HOSTILE

HERE = Path("/projects")
TWINS = Twins(directory=Path("flows"), here=HERE)


def test_a_run_names_its_file_relative_to_here_and_its_params() -> None:
    line = TWINS.run("/projects/flows/a b.yaml", {"topic": "it's", "limit": 3, "deep": {"k": [1]}})

    assert line == """agentainer run 'flows/a b.yaml' -p 'topic=it'"'"'s' -p limit=3 -p 'deep={"k": [1]}'"""
    assert TWINS.run("/elsewhere/a.yaml") == "agentainer run /elsewhere/a.yaml"
    assert TWINS.run("/projects/-x.yaml") == "agentainer run ./-x.yaml"


def test_a_param_that_is_called_like_a_secret_is_neither_shown_nor_copied() -> None:
    params = {"api_key": "k3y", "author": "me", "db": {"password": "x", "max_tokens": 5}}
    shown = """-p 'api_key=***' -p author=me -p 'db={"password": "***", "max_tokens": 5}'"""

    assert TWINS.run("/elsewhere/a.yaml", params) == f"agentainer run /elsewhere/a.yaml {shown}"
    assert TWINS.retry("abc", RetryScope(edited=True), params) == f"agentainer retry abc --edited {shown}"


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (RetryScope(), "agentainer retry abc"),
        (RetryScope(from_step="s"), "agentainer retry abc --from s"),
        (RetryScope(only_step="-s"), "agentainer retry abc --only=-s"),
        (RetryScope(failed=True), "agentainer retry abc --failed"),
    ],
)
def test_a_retry_says_how_much(scope: RetryScope, words: str) -> None:
    assert TWINS.retry("abc", scope) == words


def test_home_and_backend_are_named_where_they_are_not_the_usual_ones() -> None:
    twins = Twins(home=Path("/my home"), directory=Path("flows"), here=HERE, backend="process")

    assert twins.run("/projects/a.yaml") == "agentainer run a.yaml --backend process --home '/my home'"
    assert twins.cleanup(agents=["a", "b"]).startswith("agentainer cleanup --agent a --agent b --backend")
    assert twins.shell("agent-1").startswith("agentainer shell agent-1 --backend process")
    assert twins.shell_of("abc", "s x", 3).startswith("agentainer shell abc 's x' --item 3")
    assert twins.cleanup("abc") == "agentainer cleanup abc --backend process --home '/my home'"
    assert twins.show("abc") == "agentainer show abc --home '/my home'"
    assert twins.new("a b", "gate") == "agentainer new 'a b' --template gate --dir flows --home '/my home'"
    assert twins.list() == "agentainer list flows --home '/my home'"


def every_twin(twins: Twins) -> list[str]:
    return [
        twins.run("/projects/x.yaml", {"k": "v"}),
        twins.retry("abc", RetryScope(from_step="s")),
        twins.cancel("abc", hurry=True),
        twins.answer("abc", "s", approved=True),
        twins.answer("abc", "s", approved=False, comment="no, thanks"),
        twins.cleanup(),
        twins.show("abc"),
        twins.logs("abc", "s", 3),
        twins.profile("abc"),
        twins.retry("abc", RetryScope(edited=True)),
        twins.export("abc"),
        twins.diff("abc"),
        twins.diff("abc", "def"),
        twins.shell("agentainer-1"),
        twins.shell_of("abc", "s", 0),
        twins.cleanup(agents=["agentainer-1"]),
        twins.list(),
        twins.history("w"),
        twins.stats("w"),
        twins.agents(pools=True),
        twins.validate("/projects/x.yaml"),
        twins.keys(),
    ]


def test_every_twin_is_a_command_that_the_command_line_understands() -> None:
    for line in every_twin(Twins(home=Path("/h"), directory=Path("flows"), here=HERE)):
        program, *words = shlex.split(line)
        assert program == "agentainer"
        assert parse(words).home == "/h", line


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_stays_one_word_without_anything_that_a_terminal_obeys(text: str) -> None:
    line = TWINS.answer("abc", "s", approved=True, comment=text)
    assert not any(ord(sign) < 0x20 or 0x7F <= ord(sign) <= 0x9F for sign in line)

    script = f"agentainer() {{ printf '%s\\0' \"$@\"; }}; {line}"
    done = subprocess.run(["bash", "-c", script.encode("utf-8")], capture_output=True, check=True)
    words = done.stdout.decode("utf-8").split("\0")[:-1]
    expected = text.replace("\ud83d", "?")
    assert words == ["approve", "abc", "s", "--comment", expected]


def test_params_come_back_as_they_were() -> None:
    line = TWINS.run("/projects/x.yaml", {"a": "x=y; rm -rf /", "b": True, "c": "$HOME `id`"})

    options = parse(shlex.split(line)[1:])
    assert given_params(options.param, None) == {"a": "x=y; rm -rf /", "b": "true", "c": "$HOME `id`"}
