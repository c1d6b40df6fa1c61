"""Answers to approval steps, given to the live engine from another process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import AgentainerError, UsageError
from engine.facade import answer_gate
from engine.settings import Settings
from tests.engine.command_line import CommandLine, LiveCommand, wait_until

GATE = """
name: gated
steps:
  - {id: ask, type: approval, approval: {message: "Go on?"}}
  - {id: after, command: ["true"]}
"""
TWO = """
name: gated
steps:
  - {id: one, type: approval, approval: {message: "One?"}, depends_on: []}
  - {id: two, type: approval, approval: {message: "Two?"}, depends_on: []}
"""


@pytest.fixture
def line(tmp_path: Path) -> Iterator[CommandLine]:
    command_line = CommandLine(tmp_path)
    yield command_line
    command_line.close()


def waiting_run(line: CommandLine, document: str, gates: int = 1) -> LiveCommand:
    line.write("gated.yaml", document)
    live = line.start("run", "gated.yaml")
    live.wait_for("created")

    def waits() -> bool:
        steps = line.json("show", "last")["steps"]
        return sum(step["waiting"] is not None for step in steps) == gates

    wait_until(waits)
    return live


def answer(line: CommandLine, step: str | None = None, *, approved: bool = True, **more: Any) -> str:
    settings = Settings(home=line.home)
    _, answered = asyncio.run(
        answer_gate(settings, "last", step=step, approved=approved, by="a person", **more)
    )
    return answered


def test_the_only_gate_that_waits_needs_no_name(line: CommandLine) -> None:
    live = waiting_run(line, GATE)
    assert answer(line, comment="looks good") == "ask"
    assert live.wait() == 0
    [ask, after] = line.json("show", "last")["steps"]
    assert {key: ask["result"][key] for key in ("approved", "by", "comment")} == {
        "approved": True,
        "by": "a person",
        "comment": "looks good",
    }
    assert after["status"] == "completed"


def test_a_rejected_gate_fails_its_run(line: CommandLine) -> None:
    live = waiting_run(line, GATE)
    answer(line, "ask", approved=False, comment="not today")
    assert live.wait() == 1
    [ask, _] = line.json("show", "last")["steps"]
    assert (ask["status"], ask["reason"]) == ("failed", "rejected")
    assert "not today" in ask["error"]


def test_of_several_gates_one_must_be_named(line: CommandLine) -> None:
    live = waiting_run(line, TWO, gates=2)
    with pytest.raises(AgentainerError, match="several steps wait") as caught:
        answer(line)
    assert (caught.value.hint, caught.value.exit_code) == ("waiting: one, two", 2)
    with pytest.raises(AgentainerError, match="'three' does not wait"):
        answer(line, "three")
    assert answer(line, "two") == "two"
    assert answer(line) == "one"
    assert live.wait() == 0


def test_a_run_that_is_over_takes_no_answer(line: CommandLine) -> None:
    live = waiting_run(line, GATE)
    answer(line)
    assert live.wait() == 0
    with pytest.raises(UsageError, match="is over"):
        answer(line)


def test_without_an_engine_nobody_can_take_the_answer(line: CommandLine) -> None:
    live = waiting_run(line, GATE)
    live.process.kill()
    live.wait()
    with pytest.raises(UsageError, match="no engine is live") as caught:
        answer(line)
    assert "agentainer watch" in caught.value.hint

    # The next engine goes on waiting, and takes it.
    line.write("other.yaml", "name: other\nsteps:\n  - {id: a, command: ['true']}\n")
    again = line.start("run", "other.yaml")
    again.wait_for("goes on; waiting for its end")
    gated = next(run for run in line.json("history") if run["workflow"] == "gated")
    settings = Settings(home=line.home)
    asyncio.run(answer_gate(settings, gated["id"], step=None, approved=True, by="a person"))
    assert again.wait() == 0
    assert line.json("show", gated["id"])["run"]["status"] == "completed"
