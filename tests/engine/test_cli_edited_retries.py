"""`agentainer retry --edited`, `--file`, `--dry-run`, as processes of their own, on files that are edited."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.engine.command_line import CommandLine

DOCUMENT = """\
name: chain
params: {who: {default: you}}
steps:
  - {id: fetch, command: "echo fetched >> calls; echo '{\\"fetched\\": 1}'", working_dir: HERE}
  - {id: parse, command: "exit 3"}
  - {id: send, command: "echo sent"}
"""


class Home(CommandLine):
    """A home in which `chain` has failed at its second step."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.save()
        self.first: dict[str, Any] = json.loads(self.run("run", "chain.yaml", "--json").stdout)

    def save(self, old: str = "", new: str = "") -> None:
        """Save the file, with an edit."""
        document = DOCUMENT.replace("HERE", str(self.directory))
        assert old in document
        self.write("chain.yaml", document.replace(old, new) if old else document)

    @property
    def calls(self) -> int:
        """How often the first step ran."""
        return len((self.directory / "calls").read_text(encoding="utf-8").splitlines())


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Fresh for each test: they edit its file."""
    return Home(tmp_path)


def test_a_retry_with_the_edited_file_takes_over_what_was_not_changed(home: Home) -> None:
    home.save("exit 3", "echo parsed")
    done = home.run("retry", "last", "--edited", "--json")
    document = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert document["run"]["retry_of"] == home.first["run"]["id"]
    assert [(step["id"], step["reused"]) for step in document["steps"]] == [
        ("fetch", True),
        ("parse", False),
        ("send", False),
    ]
    assert document["run"]["state"]["fetched"] == 1
    assert home.calls == 1


def test_a_dry_run_of_a_retry_says_what_and_why_and_runs_nothing(home: Home) -> None:
    home.save("exit 3", "echo parsed")
    done = home.run("retry", "last", "--edited", "--dry-run")

    assert done.returncode == 0, done.stderr
    assert "~ parse: command exit 3 → echo parsed" in done.stdout
    rows = [re.split(r" {2,}", line.strip()) for line in done.stdout.splitlines()]
    assert ["parse", "rerun", "changed: command"] in rows
    assert ["send", "rerun", "it was not reached"] in rows
    assert any(row[:2] == ["fetch", "reused"] and row[-1] == "its result stands" for row in rows)
    assert re.search(r"^2 steps would run; \S+ saved$", done.stdout, re.MULTILINE)
    assert len(home.json("history")) == 1

    document = home.json("retry", "last", "--edited", "--dry-run")
    assert [(step["id"], step["fate"]) for step in document["steps"]] == [
        ("fetch", "reused"),
        ("parse", "rerun"),
        ("send", "rerun"),
    ]
    assert document["changes"]["steps"] == [
        {
            "id": "parse",
            "kind": "changed",
            "fields": [{"name": "command", "before": "exit 3", "after": "echo parsed", "matters": True}],
        }
    ]
    assert len(home.json("history")) == 1


def test_a_dry_run_without_an_edit_previews_the_retry_of_what_failed(home: Home) -> None:
    document = home.json("retry", "last", "--failed", "--dry-run")
    assert [step["fate"] for step in document["steps"]] == ["reused", "rerun", "rerun"]
    assert document["scope"] == "failed"
    assert document["changes"] == {"workflow": [], "steps": []}


def test_another_file_can_be_given(home: Home) -> None:
    home.save("exit 3", "echo parsed")
    (home.directory / "chain.yaml").rename(home.directory / "next.yaml")

    gone = home.run("retry", "last", "--edited")
    assert gone.returncode == 2
    assert "chain.yaml" in gone.stderr

    done = home.run("retry", "last", "--file", "next.yaml", "--json")
    assert done.returncode == 0, done.stderr
    assert [step["reused"] for step in json.loads(done.stdout)["steps"]] == [True, False, False]


def test_an_edited_file_with_errors_starts_nothing_and_says_where(home: Home) -> None:
    home.save("exit 3", "echo {{ $.nothing")
    done = home.run("retry", "last", "--edited")
    assert done.returncode == 2
    assert re.search(r"chain\.yaml:5:\d+: ", done.stderr)
    assert len(home.json("history")) == 1


def test_a_file_that_holds_another_workflow_now_is_refused(home: Home) -> None:
    home.save("name: chain", "name: other")
    done = home.run("retry", "last", "--edited")
    assert done.returncode == 2
    assert "holds the workflow 'other'" in done.stderr
    assert home.run("retry", "last", "--file", "chain.yaml", "--dry-run").returncode == 0


def test_params_are_kept_and_given_anew_with_an_edited_file_only(home: Home) -> None:
    done = home.run("retry", "last", "-p", "who=me")
    assert done.returncode == 2
    assert "add --edited" in done.stderr

    document = home.json("retry", "last", "--edited", "-p", "who=me", "--dry-run")
    assert document["params"] == {"who": "me"}
    assert {step["why"] for step in document["steps"]} == {"params.who changed, which every task sees"}


def test_an_edit_that_changes_nothing_in_a_good_run_leaves_nothing_to_do(home: Home) -> None:
    home.save("exit 3", "echo parsed")
    assert home.run("retry", "last", "--edited").returncode == 0
    done = home.run("retry", "last", "--edited")
    assert done.returncode == 2
    assert "its document was not changed" in done.stderr


def test_a_new_workflow_is_written_runs_and_is_not_written_over(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    done = line.run("new", "my words", "--template", "map-reduce")
    assert (done.returncode, done.stdout, done.stderr) == (0, "my_words.yaml\n", "")
    ran = json.loads(line.run("run", "my_words.yaml", "--json").stdout)
    assert ran["run"]["status"] == "completed"
    assert ran["run"]["state"]["count_results"] == [
        {"letters": 3},
        {"letters": 3},
        {"letters": 5},
        {"letters": 4},
    ]

    again = line.run("new", "my words")
    assert (again.returncode, again.stdout) == (2, "")
    assert "exists already" in again.stderr
    assert line.run("new", "x", "--template", "nothing").returncode == 2
    assert line.run("new", "../x").returncode == 2
    assert line.run("new", "x", "--dir", "nowhere").returncode == 2


@pytest.mark.parametrize("template", ["hello", "pipeline", "decision"])
def test_templates_run_as_they_are(tmp_path: Path, template: str) -> None:
    line = CommandLine(tmp_path)
    assert line.run("new", "w", "--template", template).returncode == 0
    done = line.run("run", "w.yaml")
    assert done.returncode == 0, done.stderr
