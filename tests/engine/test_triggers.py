"""Triggers and tolerated failures: what a step asks of those before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.agents.memory import Script
from tests.engine.world import ends, run_once

BAD = Script(exit_code=1)


def diamond(trigger: str, a: str, b: str, strategy: str = "continue") -> str:
    """`last` behind two steps: each is good, bad (by its script), or skipped by its condition."""
    skip = ", condition: {field: $.never, operator: exists}"
    return f"""
name: diamond
config: {{failure_strategy: {strategy}}}
steps:
  - {{id: a, command: [x], depends_on: []{skip if a == "skipped" else ""}}}
  - {{id: b, command: [x], depends_on: []{skip if b == "skipped" else ""}}}
  - {{id: last, command: [x], depends_on: [a, b]{", trigger: " + trigger if trigger else ""}}}
"""


@pytest.mark.parametrize(
    ("trigger", "a", "b", "end"),
    [
        ("", "good", "good", "completed"),
        ("", "good", "bad", "completed"),
        ("", "good", "skipped", "completed"),
        ("", "skipped", "skipped", "completed"),
        ("all_success", "good", "good", "completed"),
        ("all_success", "good", "bad", "upstream_failed"),
        ("all_success", "good", "skipped", "condition_false"),
        ("all_done", "bad", "bad", "completed"),
        ("all_done", "skipped", "bad", "completed"),
        ("one_success", "good", "bad", "completed"),
        ("one_success", "good", "skipped", "completed"),
        ("one_success", "bad", "skipped", "upstream_failed"),
        ("one_success", "skipped", "skipped", "condition_false"),
        ("none_failed", "skipped", "skipped", "completed"),
        ("none_failed", "good", "skipped", "completed"),
        ("none_failed", "good", "bad", "upstream_failed"),
    ],
)
def test_a_trigger_asks_what_the_reference_says(
    tmp_path: Path, trigger: str, a: str, b: str, end: str
) -> None:
    scripts = {name: BAD for name, how in (("a", a), ("b", b)) if how == "bad"}

    assert ends(run_once(tmp_path, diamond(trigger, a, b), scripts))["last"] == end


def test_all_done_runs_after_a_failure_that_stops_the_run(tmp_path: Path) -> None:
    detail = run_once(tmp_path, diamond("all_done", "bad", "good", "fail_fast"), {"a": BAD})

    assert ends(detail)["last"] == "completed"
    assert (detail.run.status, detail.run.reason) == ("failed", "task_failed")


def test_all_done_elsewhere_in_the_graph_is_stopped_like_everything_else(tmp_path: Path) -> None:
    document = (
        "name: elsewhere\nsteps:\n"
        "  - {id: bad, command: [x], depends_on: []}\n"
        "  - {id: slow, command: [x], depends_on: []}\n"
        "  - {id: last, command: [x], depends_on: [slow], trigger: all_done}\n"
    )
    assert ends(run_once(tmp_path, document, {"bad": BAD, "slow": Script(delay=60)})) == {
        "bad": "failed",
        "slow": "cancelled",
        "last": "cancelled",
    }


def test_a_tolerated_failure_is_visible_to_the_steps_behind_it(tmp_path: Path) -> None:
    detail = run_once(
        tmp_path,
        """
name: see
steps:
  - {id: bad, command: [x], failure_strategy: continue}
  - id: last
    command: [x]
    condition:
      and:
        - {field: $.steps.bad.status, operator: eq, value: failed}
        - {field: $.steps.bad.reason, operator: eq, value: task_failed}
        - {field: $.steps.bad.exit_code, operator: eq, value: 7}
        - {field: $.steps.bad.error, operator: contains, value: boom}
        - {field: $.steps.bad.result, operator: eq, value: null}
""",
        {"bad": Script(exit_code=7, stderr="boom\n")},
    )
    assert ends(detail) == {"bad": "failed", "last": "completed"}
    assert detail.run.status == "partially_completed"


def test_a_steps_own_failure_strategy_wins_over_the_workflows(tmp_path: Path) -> None:
    document = (
        "name: own\nconfig: {failure_strategy: continue}\nsteps:\n"
        "  - {id: bad, command: [x], failure_strategy: fail_fast}\n  - {id: last, command: [x]}\n"
    )
    detail = run_once(tmp_path, document, {"bad": BAD})

    assert ends(detail) == {"bad": "failed", "last": "upstream_failed"}
    assert detail.run.status == "failed"
