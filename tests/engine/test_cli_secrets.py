"""The command line with secrets and artifacts, on local processes: what the guide says, retries, prune."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.documentation import workflows
from tests.engine.command_line import CommandLine, wait_until

TOKEN = "up/load token"


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    monkeypatch.setenv("UPLOAD_TOKEN", TOKEN)
    command_line = CommandLine(tmp_path)
    yield command_line
    command_line.close()


def run(line: CommandLine, exit_code: int) -> tuple[str, dict[str, Any]]:
    """Run `w.yaml`; the run's id and its steps."""
    done = line.run("run", "w.yaml", "--json")
    assert done.returncode == exit_code, done.stderr
    return outcome(done.stdout)


def outcome(text: str) -> tuple[str, dict[str, Any]]:
    document = json.loads(text)
    return document["run"]["id"], {step["id"]: step for step in document["steps"]}


def assert_nowhere(line: CommandLine, secret: str) -> None:
    files = [file for file in line.home.rglob("*") if file.is_file()]
    assert "history.db" in {file.name for file in files}
    assert [file for file in files if secret.encode() in file.read_bytes()] == []


def test_the_workflow_of_the_guide_needs_what_the_guide_says(line: CommandLine) -> None:
    (text,) = [text for where, text in workflows() if where.startswith("secrets-and-artifacts")]
    line.write("w.yaml", text)
    refused = line.run("run", "w.yaml")
    assert refused.returncode == 2
    assert refused.stderr.count("does not exist") == 2, "the env file and the key are told at once"

    line.write(".env", "MODE=fast\n")
    (line.directory / "keys").mkdir()
    key = line.write("keys/signing.pem", "the key\n")
    key.chmod(0o644)
    refused = line.run("run", "w.yaml")
    assert (refused.returncode, "chmod 600" in refused.stderr) == (2, True)
    assert line.json("history") == []

    key.chmod(0o600)
    run_id, steps = run(line, 0)
    assert steps["upload"]["result"].endswith("/build/app.txt")
    assert (line.home / "artifacts" / run_id / "build" / "app.txt").is_file()
    assert_nowhere(line, TOKEN)


def test_a_task_that_prints_and_returns_its_secret_leaves_nothing_of_it(line: CommandLine) -> None:
    line.write(
        "w.yaml",
        """
        name: leak
        secrets: [UPLOAD_TOKEN]
        steps:
          - {id: said, command: 'printf "%s" "$UPLOAD_TOKEN" | base64 >&2; printf "it is %s" "$UPLOAD_TOKEN"'}
          - id: told
            depends_on: [said]
            env_vars: {SAID: "{{ $.steps.said.result }}"}
            command: 'echo "$SAID"; echo "no: $UPLOAD_TOKEN" >&2; exit 4'
        """,
    )
    _, steps = run(line, 1)
    assert steps["said"]["result"] == "it is ***"
    assert steps["told"]["error"] == "exit code 4: no: ***"
    assert "out | it is ***" in line.run("logs", "last", "told").stdout, "later steps get masked results"
    assert_nowhere(line, TOKEN)
    assert_nowhere(line, "dXAvbG9hZCB0b2tl")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_dry_run_shows_no_secret_that_a_param_holds(line: CommandLine, options: list[str]) -> None:
    steps = "steps:\n  - {id: a, image: 'x/{{ $.params.p }}', command: ['true']}\n"
    line.write("w.yaml", "name: w\nsecrets: [UPLOAD_TOKEN]\nparams: {p: {default: a}}\n" + steps)

    done = line.run("run", "w.yaml", "--dry-run", "-p", f"p={TOKEN}", *options)

    assert done.returncode == 0, done.stderr
    assert "***" in done.stdout
    assert TOKEN not in done.stdout + done.stderr


def test_a_retry_takes_artifacts_over_and_prune_removes_them(line: CommandLine) -> None:
    line.write(
        "w.yaml",
        """
        name: retried
        secrets: [UPLOAD_TOKEN]
        steps:
          - {id: build, command: "mkdir out && echo built > out/app.txt", artifacts: [out]}
          - id: use
            depends_on: [build]
            command: 'test "$UPLOAD_TOKEN" = "a new one" && cat "$AGENTAINER_ARTIFACTS/build/out/app.txt"'
        """,
    )
    first, steps = run(line, 1)
    assert (steps["build"]["status"], steps["use"]["status"]) == ("completed", "failed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UPLOAD_TOKEN", "a new one")
        done = line.run("retry", "last", "--failed", "--json")
    assert done.returncode == 0, done.stderr
    second, steps = outcome(done.stdout)
    assert steps["build"]["attempts"] == [] and steps["use"]["result"] == "built"
    files = [line.home / "artifacts" / run_id / "build" / "out" / "app.txt" for run_id in (first, second)]
    assert files[0].stat().st_ino == files[1].stat().st_ino

    assert line.run("prune", "--keep", "1", "--yes").returncode == 0
    assert [file.exists() for file in files] == [False, True]
    assert not (line.home / "artifacts" / first).exists()


@pytest.mark.parametrize(
    ("command", "path", "complaint"),
    [
        ("true", "out", "the artifact 'out' is missing"),
        ("ln -s /etc out", "out", "'out'"),
        ("mkdir out && ln -s /etc/passwd out/a", "out", "the link is absolute"),
        ("mkdir out && mkfifo out/pipe", "out", "cannot be copied: 'pipe'"),
        ("mkdir -p a && ln -s ../../.. a/up", "a/up/instance", "'a/up/instance'"),
    ],
    ids=["missing", "a link itself", "a link in it", "a pipe", "through a link"],
)
def test_an_artifact_that_is_none_or_leads_out_makes_a_bad_result(
    line: CommandLine, command: str, path: str, complaint: str
) -> None:
    line.write("w.yaml", f"name: w\nsteps: [{{id: a, command: {command!r}, artifacts: [{path}]}}]\n")
    run_id, steps = run(line, 1)
    assert (steps["a"]["reason"], complaint in steps["a"]["error"]) == ("bad_result", True), steps["a"]
    kept = line.home / "artifacts" / run_id
    assert [file for file in kept.rglob("*") if not file.is_dir()] == []


def test_an_artifact_path_that_goes_up_is_refused_at_load(line: CommandLine) -> None:
    line.write("w.yaml", "name: w\nsteps: [{id: a, command: 'true', artifacts: [../../secret]}]\n")
    done = line.run("validate", "w.yaml")
    assert done.returncode == 2 and "may not contain `..`" in done.stderr + done.stdout


def test_a_prompt_is_shown_while_the_task_waits(line: CommandLine) -> None:
    line.write(
        "w.yaml",
        "name: w\nsecrets: [UPLOAD_TOKEN]\n"
        """steps: [{id: ask, command: 'printf "%s? " "$UPLOAD_TOKEN"; sleep 300'}]\n""",
    )
    live = line.start("run", "w.yaml")
    wait_until(lambda: (line.home / "history.db").exists() and line.json("history") != [])
    logs = line.start("logs", "last", "-f")
    logs.wait_for("***? ")
    live.signal(signal.SIGINT)
    live.signal(signal.SIGINT)
    assert live.wait() == 130
    assert_nowhere(line, TOKEN)
