"""Gates, child runs, decisions, remembered results and dry runs from the command line."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.facade import validate_file
from tests.engine.command_line import CommandLine, LiveCommand
from tests.samples import SAMPLES

RELEASE = """
name: release
state: {n: 5}
steps:
  - id: build
    command: "mkdir -p out; echo hi > out/a.txt; echo building"
    artifacts: [{path: out, name: out}]
  - {id: gate, type: approval, approval: {message: "Ship [/x] it?"}}
  - {id: deploy, type: subworkflow, sub_workflow_name: rollout}
  - id: triage
    type: decision
    decision_node:
      choices:
        - {condition: {field: $.n, operator: gt, value: 3}, next: big}
      default: small
  - {id: big, command: ["true"]}
  - {id: small, command: ["true"]}
on_failure:
  - {id: alarm, command: ["true"]}
finally:
  - {id: tidy, command: "echo $AGENTAINER_RUN_STATUS"}
"""
ROLLOUT = """
name: rollout
steps:
  - {id: copy, command: "echo copying"}
  - {id: check, type: approval, depends_on: [copy], approval: {message: "All well?"}}
"""
THRIFTY = """
name: thrifty
steps:
  - {id: work, command: "date +%N", cache: {}}
"""
GUARDED = """
name: guarded
params: {mode: {default: fast}}
secrets: [NOT_SET_ANYWHERE]
steps:
  - {id: a, command: ["true"]}
  - {id: b, command: ["true"], condition: {field: $.params.mode, operator: eq, value: slow}}
  - {id: c, command: ["true"], condition: {field: $.steps.a.result, operator: eq, value: 1}}
"""


TWO = """
name: two
steps:
  - {id: one, type: approval, depends_on: [], approval: {message: "[b]One?"}}
  - {id: two, type: approval, depends_on: [], approval: {message: Two?}}
"""


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine(tmp_path)
    for name, text in (
        ("release", RELEASE),
        ("rollout", ROLLOUT),
        ("thrifty", THRIFTY),
        ("guarded", GUARDED),
        ("two", TWO),
    ):
        line.write(f"{name}.yaml", text)
    yield line
    line.close()


def asked(live: LiveCommand, step: str) -> list[str]:
    """The words of the command that answers the gate of `step`, as the run prints it."""
    line = live.wait_for(f"{step} waits for an answer")
    return line.split("agentainer approve ", 1)[1].split("  (or reject)")[0].split()[:2]


def step_of(document: dict[str, Any], step_id: str) -> dict[str, Any]:
    (found,) = (step for step in document["steps"] if step["id"] == step_id)
    return dict(found)


def test_a_run_is_answered_from_another_process_to_its_end(cli: CommandLine) -> None:
    live = cli.start("run", "release.yaml")
    run_id, gate = asked(live, "gate")
    shown = cli.run("show", "last").stdout
    assert "gate waits for approval: Ship [/x] it?" in shown
    assert f"agentainer approve {run_id} gate" in shown
    assert "if the run fails:" in shown
    waiting = step_of(cli.json("show", run_id), "gate")["waiting"]
    assert waiting["message"] == "Ship [/x] it?"

    assert cli.run("approve", run_id, "deploy").returncode == 2, "that step does not wait"
    done = cli.run("approve", "last", "--comment", "go")
    assert (done.returncode, done.stdout) == (0, f"run {run_id}: step gate approved\n")

    child_id, check = asked(live, "check")
    assert (gate, check) == ("gate", "check")
    assert f"check of run {child_id} waits for approval" in cli.run("show", "last").stdout
    done = cli.run("approve", "last")
    assert (done.returncode, done.stdout) == (0, f"run {child_id}: step check approved\n"), "the part of it"
    assert live.wait() == 0
    told = "".join(live.stderr)
    summary = "".join(live.stdout)
    assert "not chosen: small" in summary
    assert f"1 artifact in {cli.home / 'artifacts' / run_id}" in summary
    assert "deploy/copy" in told
    assert "chose 1" in told

    document = cli.json("show", run_id)
    assert step_of(document, "gate")["result"]["comment"] == "go"
    assert step_of(document, "deploy")["attempts"][0]["child_run"] == child_id
    assert step_of(document, "tidy")["role"] == "finally"
    assert step_of(document, "tidy")["result"] == "completed"
    assert step_of(document, "small")["reason"] == "branch_not_taken"
    assert step_of(document, "build")["artifacts"] == [{"name": "out", "size": 3}]
    assert cli.json("show", child_id)["run"]["parent"]["step_id"] == "deploy"
    shown = cli.run("show", run_id).stdout
    assert f"run {child_id}" in shown
    assert "chose 1" in shown
    assert str(cli.home / "artifacts" / run_id) in shown
    assert (cli.home / "artifacts" / run_id / "build" / "out").is_dir()

    assert [run["id"] for run in cli.json("history")] == [run_id], "parts of others are left out"
    assert [run["id"] for run in cli.json("history", "--all")] == [child_id, run_id]
    assert cli.run("logs", run_id, "deploy").stdout == "deploy/copy#1  out | copying\n"
    followed = cli.run("logs", run_id, "-f").stdout.splitlines()
    assert "deploy/copy#1  out | copying" in followed
    lines = [json.loads(line) for line in cli.run("logs", run_id, "deploy", "--json").stdout.splitlines()]
    assert [(line["run_id"], line["step_id"]) for line in lines] == [(child_id, "copy")]


def test_a_run_that_waits_for_an_interrupted_one_says_what_that_one_waits_for(cli: CommandLine) -> None:
    killed = cli.start("run", "two.yaml")
    asked(killed, "two")
    killed.signal(signal.SIGKILL)
    killed.wait()
    cli.write("short.yaml", "name: short\nsteps:\n  - {id: a, command: ['true']}\n")
    live = cli.start("run", "short.yaml")
    for step in ("one", "two"):
        assert cli.run("approve", *asked(live, step)).returncode == 0
    assert live.wait() == 0
    assert {run["status"] for run in cli.json("history")} == {"completed"}


def test_a_rejected_gate_fails_the_run_and_says_by_whom(cli: CommandLine) -> None:
    live = cli.start("run", "release.yaml")
    run_id, _ = asked(live, "gate")

    assert cli.run("reject", run_id, "--comment", "not today").returncode == 0
    assert live.wait() == 1
    step = step_of(cli.json("show", run_id), "gate")
    assert step["reason"] == "rejected"
    assert step["error"].endswith(": not today")
    refused = cli.run("approve", run_id)
    assert refused.returncode == 2
    assert "is over" in refused.stderr


def test_events_for_people_tell_of_waits_and_of_what_a_run_comes_to_in_words(cli: CommandLine) -> None:
    text = (
        "name: w\nsteps:\n  - {id: d, type: delay, delay: 10ms}\n  - {id: g, type: approval, timeout: 10ms}\n"
    )
    cli.write("w.yaml", text + "finally:\n  - {id: f, command: ['true']}\n")
    assert cli.run("run", "w.yaml").returncode == 1

    told = [line.split(maxsplit=3) for line in cli.run("events", "last").stdout.splitlines()]
    said = [parts[3] for parts in told if parts[2] in ("step.waiting", "run.settled")]
    assert said[0].startswith("d  goes on at ")
    assert said[1].startswith("g  for approval: Go on? (fails at ")
    assert said[2].startswith("comes to failed; its on_failure and finally steps have their turn, timed_out")


def test_an_answer_that_fits_no_gate_says_what_does(cli: CommandLine) -> None:
    live = cli.start("run", "two.yaml")
    run_id, _ = asked(live, "one")
    asked(live, "two")

    several = cli.run("approve", run_id)
    assert several.returncode == 2
    assert "several steps wait for an answer" in several.stderr
    assert "one, two" in several.stderr
    wrong = cli.run("reject", run_id, "three")
    assert wrong.returncode == 2
    assert "'three' does not wait" in wrong.stderr
    unknown = cli.run("approve", "ffffffffffff")
    assert unknown.returncode == 2
    assert "ffffffffffff" in unknown.stderr
    assert cli.run("approve", run_id, "two").returncode == 0
    again = cli.run("approve", run_id, "two")
    assert again.returncode == 2
    assert "'two' does not wait" in again.stderr
    assert cli.run("approve", run_id).returncode == 0, "the only one that is left"
    assert live.wait() == 0


def test_a_run_without_gates_takes_no_answer_and_goes_on(cli: CommandLine) -> None:
    cli.write("busy.yaml", "name: busy\nsteps:\n  - {id: nap, type: delay, delay: 600s}\n")
    live = cli.start("run", "busy.yaml")
    live.wait_for("goes on at")
    refused = cli.run("approve", "last")
    assert refused.returncode == 2
    assert "no step that waits for an answer" in refused.stderr
    assert cli.json("show", "last")["run"]["status"] == "running"


def test_an_answer_while_no_engine_is_live_says_what_to_open(cli: CommandLine) -> None:
    live = cli.start("run", "release.yaml")
    run_id, _ = asked(live, "gate")
    live.process.kill()
    live.wait()
    refused = cli.run("approve", run_id)
    assert refused.returncode == 2
    assert "no engine is live" in refused.stderr
    assert "agentainer watch" in refused.stderr
    assert step_of(cli.json("show", run_id), "gate")["status"] == "running", "it still waits"


def test_a_follower_reads_the_logs_of_a_child_run_as_they_come(cli: CommandLine) -> None:
    live = cli.start("run", "release.yaml")
    run_id, _ = asked(live, "gate")
    follower = cli.start("logs", run_id, "-f")
    follower.wait_for("build#1")
    cli.run("approve", run_id)
    follower.wait_for("deploy/copy#1  out | copying")
    child_id, _ = asked(live, "check")
    cli.run("approve", child_id)
    assert live.wait() == 0
    assert follower.wait() == 0


def test_remembered_results_are_marked_and_left_alone_on_demand(cli: CommandLine) -> None:
    first = json.loads(cli.run("run", "thrifty", "--json").stdout)
    again = cli.run("run", "thrifty", "--json")
    assert f"remembered from run {first['run']['id']}" in again.stderr
    second = json.loads(again.stdout)
    assert step_of(second, "work")["result"] == step_of(first, "work")["result"]
    assert step_of(second, "work")["cached_from"]["run_id"] == first["run"]["id"]
    assert f"remembered from run {first['run']['id']}" in cli.run("show", "last").stdout
    anew = json.loads(cli.run("run", "thrifty", "--no-cache", "--json").stdout)
    assert step_of(anew, "work")["cached_from"] is None
    assert step_of(anew, "work")["result"] != step_of(first, "work")["result"]


def test_a_dry_run_says_what_would_run_and_keeps_nothing(cli: CommandLine) -> None:
    done = cli.run("run", "release", "--dry-run")
    assert done.returncode == 0, done.stderr
    rows = {line.split()[1]: line.split()[2] for line in done.stdout.splitlines() if line[:1].isdigit()}
    assert rows["build"] == "run"
    assert rows["small"] == "skip"
    assert "chooses 1 as of now" in done.stdout
    assert "workflow rollout" in done.stdout
    assert rows["copy"] == rows["check"] == "run", "the steps of the child run"
    assert not cli.home.exists(), "nothing was begun"


def test_a_dry_run_of_what_would_be_refused_says_so_with_its_code(cli: CommandLine) -> None:
    done = cli.run("run", "guarded", "--dry-run", "--json")
    assert done.returncode == 2
    assert "NOT_SET_ANYWHERE" in done.stderr
    document = json.loads(done.stdout)
    assert len(document["problems"]) == 1
    assert [(step["id"], step["would"]) for step in document["steps"]] == [
        ("a", "run"),
        ("b", "skip"),
        ("c", "depends"),
    ]
    assert document["steps"][2]["depends"] == [
        {"step": "c", "on": "condition", "reads": ["$.steps.a.result"]}
    ]
    assert document["params"] == {"mode": "fast"}


def test_a_dry_run_checks_the_params(cli: CommandLine) -> None:
    done = cli.run("run", "guarded", "--dry-run", "-p", "speed=1")
    assert done.returncode == 2
    assert "speed" in done.stderr


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_dry_run_of_every_sample_tells_of_every_step(cli: CommandLine, sample: Path) -> None:
    done = cli.run("run", str(sample), "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    plan, _ = validate_file(sample)
    assert plan is not None
    assert sorted(step["id"] for step in document["steps"]) == sorted(plan.steps)
    assert document["problems"] == []
    children = [child for step in document["steps"] for child in step["children"]]
    assert [child["workflow"] for child in children] == (
        ["hello", "toast"] if sample.stem == "subworkflow" else []
    )
    assert not cli.home.exists()
