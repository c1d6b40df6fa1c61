"""`stats`, `show --metrics` and `prune` as commands, on runs of local processes and on a made history."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.clock import isoformat
from tests.engine.command_line import CommandLine

PARENT = """
name: parent
steps:
  - id: inner
    sub_workflow_name: child
  - id: after
    command: "echo done"
"""
CHILD = """
name: child
steps:
  - id: only
    command: ["true"]
"""
BREAKS = """
name: breaks
steps:
  - id: try
    name: "[bold]try[/]"
    command: "echo bad luck >&2; exit 3"
"""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """One for all tests here that only read."""
    made = CommandLine(tmp_path_factory.mktemp("stats"))
    for name, text in (("parent", PARENT), ("child", CHILD), ("breaks", BREAKS)):
        made.write(f"{name}.yaml", text)
    assert made.run("run", "parent").returncode == 0
    for _ in range(2):
        assert made.run("run", "breaks").returncode == 1
    return made


def test_stats_and_history_agree_on_parts_of_other_runs(line: CommandLine) -> None:
    for more in ((), ("--all",)):
        figures = line.json("stats", *more)
        listed = line.json("history", "-n", "100", *more)
        assert figures["total_workflows"] == len(listed)
        for one in figures["workflows"]:
            runs = [run for run in listed if run["workflow"] == one["workflow"]]
            assert one["total_workflows"] == len(runs), one["workflow"]
    assert line.json("stats")["child_workflows"] == 1
    assert "1 more as part of others (--all)" in line.run("stats").stdout


def test_stats_are_those_of_the_contract(line: CommandLine) -> None:
    figures = line.json("stats")
    contract = (
        *("period", "total_workflows", "completed_workflows", "failed_workflows", "success_rate"),
        *("total_steps", "failed_steps", "avg_duration", "agents_deployed", "agents_reused"),
        "pool_efficiency",
    )
    assert all(isinstance(figures[name], int | float) for name in contract)
    assert (figures["completed_workflows"], figures["failed_workflows"]) == (1, 2)
    assert figures["success_rate"] == pytest.approx(1 / 3)
    assert (figures["total_steps"], figures["failed_steps"], figures["agents_deployed"]) == (4, 2, 3)
    (error,) = figures["errors"]
    assert (error["reason"], error["count"], error["newest"]["workflow"]) == ("task_failed", 2, "breaks")
    assert {step["step_id"] for step in figures["steps"]} == {"inner", "after", "try"}


def test_stats_of_one_workflow_and_period(line: CommandLine) -> None:
    figures = line.json("stats", "breaks", "--since", "1h")
    assert (figures["workflow"], figures["total_workflows"], "workflows" in figures) == ("breaks", 2, False)
    tomorrow = line.run("stats", "--since", "2999-01-01")
    assert tomorrow.returncode == 2 and "in the past" in tomorrow.stderr
    assert line.run("stats", "--since", "soon").returncode == 2
    nothing = line.run("stats", "nobody")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "no runs of nobody yet\n")
    empty = line.json("stats", "nobody")
    assert (empty["total_workflows"], empty["success_rate"], empty["buckets"]) == (0, 0.0, [])


def test_prometheus_text_is_what_its_parser_reads(line: CommandLine) -> None:
    done = line.run("stats", "--prometheus")
    families = {family.name: family for family in text_string_to_metric_families(done.stdout)}
    runs = {tuple(sample.labels.values()): sample.value for sample in families["agentainer_runs"].samples}
    assert runs == {
        ("breaks", "false", "failed"): 2.0,
        ("child", "true", "completed"): 1.0,
        ("parent", "false", "completed"): 1.0,
    }
    refused = line.run("stats", "--prometheus", "--since", "7d")
    assert refused.returncode == 2 and "leave the other options out" in refused.stderr


def test_the_metrics_of_a_run_are_those_of_the_contract(line: CommandLine) -> None:
    run = next(run for run in line.json("history") if run["workflow"] == "parent")
    metrics = line.json("show", run["id"], "--metrics")
    assert (metrics["workflow_id"], metrics["status"], metrics["errors"]) == (run["id"], "completed", [])
    assert metrics["duration"] > 0
    inner, after = metrics["step_metrics"]["inner"], metrics["step_metrics"]["after"]
    assert (inner["agent_id"], inner["resource_usage"]["agents_deployed"]) == (None, 0)
    assert after["agent_id"] and after["agent_pooled"] is False
    assert metrics["resource_usage"]["agents_deployed"] == 1
    failed = line.run("show", "last", "--metrics").stdout
    assert "1 failure:" in failed and "try: task_failed: exit code 3: bad luck" in failed


def test_charts_fit_80_columns_and_have_no_colours_without_a_terminal(line: CommandLine) -> None:
    for words in (("stats",), ("stats", "breaks"), ("stats", "--all"), ("show", "last", "--metrics")):
        text = line.run(*words).stdout
        assert "\x1b" not in text
        assert max(map(len, text.splitlines())) <= 80, text
    assert "█" in line.run("stats", "breaks").stdout


@pytest.fixture
def home(tmp_path: Path) -> CommandLine:
    line = CommandLine(tmp_path)
    line.write("talk.yaml", "name: talk\nsteps:\n  - id: a\n    command: 'echo x'\n")
    return line


def age(line: CommandLine, run_id: str, days: float) -> None:
    """Make a run as old as it would be after so many days."""
    then = isoformat(datetime.now(UTC) - timedelta(days=days))
    with sqlite3.connect(line.home / "history.db") as connection:
        seq = "SELECT seq FROM runs WHERE id = ?"
        connection.execute(f"UPDATE run_figures SET created_at = ? WHERE seq = ({seq})", (then, run_id))
        connection.execute(
            "UPDATE runs SET created_at = ?, started_at = ?, finished_at = ? WHERE id = ?",
            (then, then, then, run_id),
        )
    connection.close()


def test_prune_goes_by_the_settings_and_tells_what_goes(home: CommandLine) -> None:
    for _ in range(3):
        home.run("run", "talk")
    newest, middle, oldest = (run["id"] for run in home.json("history"))
    age(home, oldest, 100)
    shown = home.run("prune", "--dry-run")
    assert oldest in shown.stdout and middle not in shown.stdout
    assert "would delete 1 run with " in shown.stderr and " B of logs and artifacts" in shown.stderr
    assert len(home.json("history")) == 3
    everything = home.run("prune", "--keep", "0", "--dry-run")
    assert "these are all finished runs of the history" in everything.stderr
    done = home.run("prune", "--yes", "--vacuum")
    assert "deleted 1 run with " in done.stdout and "the database had " in done.stdout
    assert [run["id"] for run in home.json("history")] == [newest, middle]
    home.write("agentainer.toml", "keep_days = 0\nkeep_runs = 0\n")
    refused = home.run("prune")
    assert refused.returncode == 2 and "keep_days and keep_runs are 0" in refused.stderr


def test_an_engine_that_lives_for_a_second_lets_old_runs_go(home: CommandLine) -> None:
    home.run("run", "talk")
    (first,) = (run["id"] for run in home.json("history"))
    age(home, first, 100)
    home.run("run", "talk")
    assert [run["id"] for run in home.json("history")] != [] and first not in {
        run["id"] for run in home.json("history")
    }
    assert not (home.home / "logs" / first).exists()
    assert json.loads(home.run("stats", "--json").stdout)["total_workflows"] == 1


def test_the_whole_history_is_not_written_anew_while_an_engine_uses_it(home: CommandLine) -> None:
    home.write("long.yaml", "name: long\nsteps:\n  - id: a\n    command: 'echo up; exec sleep 60'\n")
    live = home.start("run", "long")
    live.wait_for("running")
    refused = home.run("prune", "--vacuum")
    assert refused.returncode == 2 and f"process {live.process.pid} is using it" in refused.stderr
    live.end()
    home.close()
