"""`agentainer diff` over real runs of local processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.command_line import CommandLine

FLOW = """
name: flow
params: {limit: {type: integer, default: 3}}
steps:
  - id: list
    env_vars: {LIMIT: "{{ $.params.limit }}"}
    command: 'echo "{\\"files\\": [1, 2, $LIMIT], \\"total\\": $LIMIT}"'
  - {id: check, depends_on: [list], command: 'test "$LIMIT" -lt 5', env_vars: {LIMIT: "{{ $.params.limit }}"}}
"""
MORE = "  - {id: tell, depends_on: [list], command: 'echo told'}\n"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A home with four runs: two alike, one of an edited file, one that fails."""
    command_line = CommandLine(tmp_path_factory.mktemp("diff"))
    command_line.write("flow.yaml", FLOW)
    for words in ((), ()):
        assert command_line.run("run", "flow.yaml", "--backend", "process", *words).returncode == 0
    command_line.write("flow.yaml", FLOW + MORE)
    assert command_line.run("run", "flow.yaml", "--backend", "process", "-p", "limit=4").returncode == 0
    assert command_line.run("run", "flow.yaml", "--backend", "process", "-p", "limit=9").returncode == 1
    yield command_line
    command_line.close()


@pytest.fixture(scope="module")
def runs(line: CommandLine) -> list[str]:
    """The ids, oldest first."""
    return [run["id"] for run in reversed(line.json("history"))]


def test_two_runs_of_the_same_are_the_same(line: CommandLine, runs: list[str]) -> None:
    told = line.json("diff", runs[0], runs[1])
    assert told["same"] is True and told["rows"] == []
    done = line.run("diff", runs[0], runs[1], "--exit-code")
    assert done.returncode == 0 and "no differences" in done.stdout


def test_what_is_different_is_told_with_its_place(line: CommandLine, runs: list[str]) -> None:
    done = line.run("diff", runs[1], runs[2], "--exit-code")
    assert done.returncode == 1 and "\x1b" not in done.stdout
    for words in (
        "limit: 3 → 4",
        "result: $.total 3 → 4",
        "result: $.files[2] 3 → 4",
        "variables: $.LIMIT 3 → 4",
        "+ tell: added",
        "+  - {id: tell, depends_on: [list], command: 'echo told'}",
    ):
        assert words in done.stdout, done.stdout
    assert "+  tell" in done.stdout
    turned = line.run("diff", runs[2], runs[1])
    assert "limit: 4 → 3" in turned.stdout and "-  tell" in turned.stdout and turned.returncode == 0


def test_a_run_alone_is_compared_with_the_last_success_before_it(line: CommandLine, runs: list[str]) -> None:
    told = line.json("diff", "last")
    assert (told["before"]["id"], told["after"]["id"]) == (runs[2], runs[3])
    check = next(row for row in told["rows"] if row["key"] == "step:check")
    assert check["status"] == ["completed", "failed"] and check["mark"] == "~"
    refused = line.run("diff", runs[0])
    assert refused.returncode == 2 and "no earlier one" in refused.stderr


def test_markdown_for_an_issue(line: CommandLine, runs: list[str]) -> None:
    done = line.run("diff", runs[1], runs[3], "--markdown")
    assert done.stdout.startswith(f"## `flow`: run `{runs[1]}` and run `{runs[3]}`")
    assert "```diff" in done.stdout and done.stdout.count("```") % 2 == 0
