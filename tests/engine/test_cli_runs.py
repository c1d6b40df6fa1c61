"""Runs from the command line to their exit codes, and everything that can be read of them afterwards."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.engine.command_line import CommandLine

GREET = """
name: greet
params:
  name: {default: world}
steps:
  - id: hello
    command: 'printf "{\\"greeting\\": \\"hello %s\\"}" "$NAME"'
    env_vars: {NAME: "{{ $.params.name }}"}
  - id: shout
    command: "printf 'loud\\\\nlines\\\\n'; echo careful >&2"
"""

TROUBLE = """
name: trouble
config: {failure_strategy: continue}
steps:
  - id: flaky
    command: 'test "$AGENTAINER_ATTEMPT" = 2'
    retry_policy: {max_attempts: 2, delay: 50ms}
  - id: each
    type: map
    map_config: {input_path: $.numbers, item_alias: number, error_handling: continue_on_error}
    command: 'case "$MAP_INDEX" in 1) echo not this one >&2; exit 7;; esac'
  - id: broken
    command: "exit 3"
state:
  numbers: [10, 20, 30]
"""

FAILING = """
name: failing
steps:
  - id: a
    command: "echo why >&2; exit 9"
  - id: b
    command: ["true"]
"""


class Home(CommandLine):
    """A home in which three workflows were run: greet, trouble, failing, in this order."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.write("greet.yaml", GREET)
        self.write("trouble.yaml", TROUBLE)
        self.write("failing.yaml", FAILING)
        self.greeted = self.run("run", "greet", "-p", "name=Ada", "--json")
        self.troubled = self.run("run", "trouble.yaml")
        self.failed = self.run("run", str(self.directory / "failing.yaml"))

    @property
    def greeted_id(self) -> str:
        """The run of `greet`."""
        return str(json.loads(self.greeted.stdout)["run"]["id"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One for all tests here: they only read, or add runs of their own."""
    return Home(tmp_path_factory.mktemp("runs"))


def named(entries: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """The one entry with these fields."""
    (found,) = (entry for entry in entries if fields.items() <= entry.items())
    return found


def test_a_completed_run_ends_with_0_and_prints_its_document(home: Home) -> None:
    done = home.greeted
    document = json.loads(done.stdout)

    assert done.returncode == 0
    assert document["run"]["status"] == "completed"
    assert document["run"]["params"] == {"name": "Ada"}
    assert document["run"]["state"]["greeting"] == "hello Ada"
    assert named(document["steps"], id="shout")["result"] == "loud\nlines"


def test_progress_is_a_line_for_each_transition_on_stderr(home: Home) -> None:
    lines = home.greeted.stderr.splitlines()

    assert [re.sub(r"\d+\.\d+s|[0-9a-f]{12}", "…", " ".join(line.split())) for line in lines] == [
        "… run created greet …, 2 steps, backend process, name=Ada",
        "… hello running",
        "… hello completed …",
        "… shout running",
        "… shout completed …",
        "… run completed …",
    ]


def test_a_partially_completed_run_ends_with_3_and_says_what_failed(home: Home) -> None:
    done = home.troubled

    assert done.returncode == 3
    assert re.search(r"flaky +retrying +task_failed: exit code 1; try 2 in 0.1s", done.stderr)
    assert re.search(
        r"\neach\[1\] failed .*step each, item 1, attempt 1\n  reason: task_failed, exit code 7\n",
        done.stderr,
    )
    assert "not this one" in done.stderr
    assert re.search(r"more: agentainer logs [0-9a-f]{12} each --item 1\n", done.stderr)
    assert re.match(
        r"trouble [0-9a-f]{12}: partially completed in .*; 3 steps: 2 completed, 1 failed\n", done.stdout
    )


def test_a_failed_run_ends_with_1(home: Home) -> None:
    done = home.failed

    assert done.returncode == 1
    assert re.search(
        r"\na failed: run [0-9a-f]{12}, step a, attempt 1\n  reason: task_failed, exit code 9\n", done.stderr
    )
    assert "failing" in done.stdout


def test_show_prints_the_document_that_the_run_printed(home: Home) -> None:
    printed = json.loads(home.greeted.stdout)

    assert home.json("show", printed["run"]["id"]) == printed
    assert home.json("show", printed["run"]["id"][:6]) == printed


def test_the_document_has_exactly_the_fields_that_scripts_rely_on(home: Home) -> None:
    document = home.json("show", home.json("history", "--workflow", "trouble")[0]["id"])
    run, each = document["run"], named(document["steps"], id="each")
    flaky = named(document["steps"], id="flaky")

    assert run.keys() >= {
        "id", "workflow", "status", "reason", "backend", "params", "state",
        "created_at", "started_at", "finished_at",
    }  # fmt: skip
    assert each.keys() >= {
        "id", "name", "type", "status", "reason", "error", "result",
        "started_at", "finished_at", "attempts", "items",
    }  # fmt: skip
    assert flaky["attempts"][0].keys() >= {
        "number", "status", "reason", "exit_code", "error", "agent", "started_at", "finished_at",
    }  # fmt: skip
    assert each["items"][1].keys() >= {"index", "value", "status", "reason", "error", "result", "attempts"}
    assert [attempt["exit_code"] for attempt in flaky["attempts"]] == [1, 0]
    assert [item["value"] for item in each["items"]] == [10, 20, 30]
    assert [item["status"] for item in each["items"]] == ["completed", "failed", "completed"]
    assert each["items"][1]["attempts"][0]["exit_code"] == 7
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", run["started_at"])


def test_show_for_people_names_steps_items_and_reasons(home: Home) -> None:
    shown = home.run("show", home.json("history", "--workflow", "trouble")[0]["id"]).stdout

    assert re.search(r"^flaky +completed +\S+ +2", shown, re.MULTILINE)
    assert re.search(r"^  each\[1\] +failed +\S+ +1 +20; task_failed: exit code 7", shown, re.MULTILINE)
    assert '"numbers"' not in shown
    assert "numbers: [10, 20, 30]" in shown


def test_history_is_newest_first_and_can_be_narrowed(home: Home) -> None:
    everything = home.json("history")

    assert [run["workflow"] for run in everything[-3:]] == ["failing", "trouble", "greet"]
    assert [run["id"] for run in home.json("history", "-n", "1")] == [everything[0]["id"]]
    assert {run["workflow"] for run in home.json("history", "--workflow", "greet")} == {"greet"}
    assert {run["status"] for run in home.json("history", "--status", "partially_completed")} == {
        "partially_completed"
    }
    assert "greet" in home.run("history").stdout


def test_logs_mark_attempts_and_streams(home: Home) -> None:
    run_id = home.greeted_id
    lines = home.run("logs", run_id, "shout").stdout.splitlines()

    assert sorted(" ".join(line.split()) for line in lines) == [
        "shout#1 err | careful",
        "shout#1 out | lines",
        "shout#1 out | loud",
    ]


def test_logs_can_be_narrowed_to_an_item_and_an_attempt_and_timed(home: Home) -> None:
    run_id = home.json("history", "--workflow", "trouble")[0]["id"]
    (line,) = home.run("logs", run_id, "each", "--item", "1", "--attempt", "1", "-t").stdout.splitlines()
    record = json.loads(home.run("logs", run_id, "each", "--json").stdout)

    assert re.fullmatch(r"\S+Z +each\[1\]#1 +err \| not this one", line)
    assert record["text"] == "not this one"
    assert (record["stream"], record["step_id"], record["item"], record["attempt"]) == (
        "stderr",
        "each",
        1,
        1,
    )
    assert home.run("logs", run_id, "each", "--attempt", "2").stdout == ""


def test_logs_of_a_step_that_is_not_there_name_those_that_are(home: Home) -> None:
    done = home.run("logs", "last", "eech")

    assert done.returncode == 2
    assert "has no step 'eech'" in done.stderr
    assert "its steps:" in done.stderr


def test_events_are_the_journal_in_order(home: Home) -> None:
    run_id = home.greeted_id
    events = [json.loads(line) for line in home.run("events", run_id, "--json").stdout.splitlines()]
    shown = home.run("events", run_id).stdout.splitlines()

    assert [event["type"] for event in events][:2] == ["run.created", "run.started"]
    assert events[-1]["type"] == "run.finished"
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
    assert {event["run_id"] for event in events} == {run_id}
    assert events[0].keys() == {"seq", "time", "type", "run_id", "step_id", "item", "attempt", "data"}
    assert len(shown) == len(events)


def test_following_a_run_that_is_over_ends_at_once(home: Home) -> None:
    run_id = home.greeted_id

    assert home.run("events", run_id, "-f").stdout == home.run("events", run_id).stdout
    followed = home.run("logs", run_id, "-f").stdout
    assert sorted(followed.splitlines()) == sorted(home.run("logs", run_id).stdout.splitlines())


def test_stats_count_by_workflow(home: Home) -> None:
    trouble = named(home.json("stats")["workflows"], workflow="trouble")

    assert trouble["by_status"] == {"partially_completed": 1}
    assert trouble["success_rate"] == 0
    assert trouble["retries"] == 1
    assert trouble["avg_duration"] > 0
    assert "trouble" in home.run("stats").stdout


def test_list_shows_workflows_with_their_last_runs_and_problems(home: Home) -> None:
    home.write("broken.yaml", "name: broken\nsteps: {}\n")
    try:
        entries = home.json("list", str(home.directory))
        shown = home.run("list").stdout
    finally:
        (home.directory / "broken.yaml").unlink()

    assert named(entries, workflow="trouble")["last_run"]["status"] == "partially_completed"
    broken = named(entries, valid=False)
    assert Path(broken["path"]).name == "broken.yaml"
    assert broken["problems"][0]["line"] == 2
    assert re.search(r"^trouble +trouble.yaml +3 +[0-9a-f]{12} +partially_completed", shown, re.MULTILINE)
    assert re.search(r"^broken +broken.yaml .* 2:\d+: ", shown, re.MULTILINE)


def test_a_retry_of_what_failed_takes_the_rest_over(home: Home) -> None:
    old = home.json("history", "--workflow", "failing")[-1]
    done = home.run("retry", old["id"], "--failed", "--json")
    document = json.loads(done.stdout)

    assert done.returncode == 1
    assert document["run"]["retry_of"] == old["id"]
    assert document["run"]["id"] != old["id"]


def test_a_retry_from_a_step_runs_it_with_the_state_it_had(home: Home) -> None:
    old = home.json("history", "--workflow", "greet")[-1]
    done = home.run("retry", old["id"], "--from", "shout", "--json")
    document = json.loads(done.stdout)

    assert done.returncode == 0
    assert named(document["steps"], id="hello")["reused"] is True
    assert named(document["steps"], id="shout")["reused"] is False
    assert document["run"]["state"]["greeting"] == "hello Ada"


def test_a_retry_of_a_step_that_is_not_there_starts_nothing(home: Home) -> None:
    before = len(home.json("history", "-n", "100"))
    done = home.run("retry", "last", "--only", "nothing")

    assert done.returncode == 2
    assert "nothing" in done.stderr
    assert len(home.json("history", "-n", "100")) == before


def test_doctor_finds_what_an_engine_stands_on(home: Home) -> None:
    done = home.run("doctor", "--json")
    findings = json.loads(done.stdout)

    assert done.returncode == 0
    assert named(findings, name="redis")["health"] == "good"
    assert named(findings, name="engine")["found"] == "no engine is live on this home"
    assert str(home.home) in named(findings, name="home")["found"]
    assert "runs" in named(findings, name="history")["found"]
    assert {"python", "packages", "docker", "settings"} <= {one["name"] for one in findings}


def test_schema_is_a_json_schema(home: Home) -> None:
    schema = json.loads(home.run("schema").stdout)

    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert {"name", "steps"} <= schema["properties"].keys()


def test_a_reader_that_leaves_early_is_no_error(home: Home) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as nobody:
        done = home.run("events", "last", "--json", stdout=nobody)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_demo_without_a_terminal_runs_a_sample_to_its_end(home: Home) -> None:
    done = home.run("demo")

    assert done.returncode == 0
    assert re.search(r"process\[\d\] +retrying", done.stderr)
    assert re.search(r"run +completed", done.stderr)
    assert re.match(r"mapreduce [0-9a-f]{12}: completed in ", done.stdout)
