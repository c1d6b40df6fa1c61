"""`agentainer profile` on the command line, over runs of real processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from agentainer_tui.profile_words import PARTS as WORDS
from engine.metrics.pieces import PARTS
from tests.engine.command_line import CommandLine, wait_until
from tests.unit.metrics.test_traces import CHROME, SPEEDSCOPE

SLOW = """\
name: slow
state: {pauses: [0.2, 0.2, 0.2, 0.2, 2.5]}
steps:
  - {id: prepare, command: 'sleep 0.2'}
  - {id: each, type: map, command: 'sleep $MAP_ITEM', map_config: {input_path: pauses, max_concurrency: 2}}
  - {id: flaky, command: 'exit 1', retry_policy: {max_attempts: 2, delay: 1s}}
"""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A home with one run."""
    command_line = CommandLine(tmp_path_factory.mktemp("profile"))
    command_line.write("slow.yaml", SLOW)
    command_line.run("run", "slow.yaml", "--backend", "process")
    yield command_line
    command_line.close()


@pytest.fixture(scope="module")
def document(line: CommandLine) -> Any:
    return line.json("profile", "last")


def test_the_report_has_every_section_and_fits_80_columns(line: CommandLine) -> None:
    done = line.run("profile", "last")
    assert (done.returncode, done.stderr) == (0, "")
    for title in (
        "where the time went",
        "tasks at a time",
        "critical path",
        "slowest steps",
        "bottlenecks",
        "what would help",
    ):
        assert title in done.stdout
    assert "each[4]" in done.stdout
    assert "pauses between tries" in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_parts_of_the_json_sum_up_to_the_duration(document: Any) -> None:
    parts = document["parts"]
    assert sum(part["seconds"] for part in parts.values()) == pytest.approx(document["duration"], abs=1e-3)
    assert sum(part["share"] for part in parts.values()) == pytest.approx(1, abs=1e-2)
    assert parts["run"]["seconds"] > 2.5
    assert parts["backoff"]["seconds"] > 0.9
    assert document["workflow_name"] == "slow"
    assert document["status"] == "failed"
    assert not document["live"]


def test_the_json_has_what_the_steps_and_the_path_took(document: Any) -> None:
    steps = {step["step_id"]: step for step in document["steps"]}
    assert list(steps) == ["prepare", "each", "flaky"]
    assert steps["each"]["max_at_once"] == 2
    assert steps["each"]["dependencies"] == pytest.approx(steps["prepare"]["end"], abs=1e-6)
    assert [item["index"] for item in steps["each"]["items"]] == [0, 1, 2, 3, 4]
    assert [link["step_id"] for link in document["critical_path"] if link["parts"].get("run")] == [
        "prepare", "each", "flaky", "flaky",
    ]  # fmt: skip
    for bottleneck in document["bottlenecks"]:
        assert set(bottleneck) == {"type", "severity", "component", "impact", "evidence"}
    assert ("concurrency", "step each, item 4") in [
        (one["type"], one["component"]) for one in document["bottlenecks"]
    ]


def test_traces_are_written_where_they_are_asked_for(line: CommandLine) -> None:
    done = line.run("profile", "last", "--trace", "t.json", "--speedscope", "s.json", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["workflow_name"] == "slow"
    assert done.stderr.splitlines() == ["wrote t.json", "wrote s.json"]
    trace = json.loads((line.directory / "t.json").read_text(encoding="utf-8"))
    jsonschema.validate(trace, CHROME)
    jsonschema.validate(json.loads((line.directory / "s.json").read_text(encoding="utf-8")), SPEEDSCOPE)
    assert {one["name"] for one in trace["traceEvents"]} >= {"prepare", "each[0]", "flaky #2"}


def test_a_file_that_cannot_be_written_is_told_without_a_traceback(line: CommandLine) -> None:
    done = line.run("profile", "last", "--trace", "nowhere/t.json")
    assert done.returncode == 2
    assert done.stderr == "error: nowhere/t.json cannot be written: No such file or directory\n"


def test_a_run_that_is_not_there_is_told(line: CommandLine) -> None:
    done = line.run("profile", "zzz")
    assert done.returncode == 2
    assert "there is no run 'zzz'" in done.stderr


def test_names_of_others_are_shown_as_they_are(line: CommandLine) -> None:
    hostile = "name: '[bold]w'\nsteps:\n  - {id: a, name: '[link=x]', command: 'sleep 0.1'}\n"
    line.write("hostile.yaml", hostile)
    assert line.run("run", "hostile.yaml", "--backend", "process").returncode == 0
    done = line.run("profile", "last")
    assert done.returncode == 0
    assert "of [bold]w: completed" in done.stdout


def test_a_run_in_progress_is_profiled_beside_its_engine(line: CommandLine) -> None:
    line.write("long.yaml", "name: long\nsteps:\n  - {id: wait, command: 'echo up; sleep 60'}\n")
    live = line.start("run", "long.yaml", "--backend", "process")

    def running() -> bool:
        found = line.json("profile", "last")
        return found["workflow_name"] == "long" and "run" in found["parts"]

    wait_until(running)
    found = line.json("profile", "last")
    assert found["live"]
    assert found["status"] == "running"
    first = found["duration"]
    assert line.json("profile", "last")["duration"] > first
    assert "running, so far" in line.run("profile", "last").stdout
    assert line.run("cancel", "last", "--now").returncode == 0
    live.wait()


def test_every_part_has_words() -> None:
    assert set(PARTS) <= set(WORDS)
