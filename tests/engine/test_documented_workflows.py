"""The whole workflows in the guide do what the text around them says, here on local processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documentation import workflows
from tests.samples import run_sample

# Where, the params that it needs, and of some steps what the text promises: status, tries, result.
PROMISED: dict[str, tuple[dict[str, str], dict[str, tuple[str, int, object]]]] = {
    "write-a-workflow-1": (
        {},
        {"who": ("completed", 1, {"who": "world"}), "greet": ("completed", 1, "Hello, world")},
    ),
    "write-a-workflow-2": ({}, {"left": ("completed", 1, "left"), "join": ("completed", 1, "joined")}),
    "write-a-workflow-3": ({}, {"measure": ("completed", 0, [3, 5, 9]), "total": ("completed", 1, 17)}),
    "write-a-workflow-4": ({}, {"fetch": ("completed", 3, None)}),
    "write-a-workflow-5": ({}, {"repair": ("skipped", 0, None), "report": ("completed", 1, "done")}),
    "write-a-workflow-6": (
        {"name": "Ada", "tone": "formal"},
        {"greet": ("completed", 1, "Hello, Ada (formal)")},
    ),
}
GUIDE = {where: text for where, text in workflows() if where.startswith("write-a-workflow")}


def test_every_workflow_of_the_guide_is_tried() -> None:
    assert GUIDE.keys() == PROMISED.keys()


@pytest.mark.parametrize("where", PROMISED)
def test_a_workflow_of_the_guide_does_what_the_guide_says(where: str, tmp_path: Path) -> None:
    params, promised = PROMISED[where]
    file = tmp_path / "workflow.yaml"
    file.write_text(GUIDE[where], encoding="utf-8")

    done = run_sample(file, tmp_path, backend="process", params=params)

    assert (done.exit_code, done.status) == (0, "completed"), done.stderr
    found = {step_id: done.step(step_id) for step_id in promised}
    assert {
        step_id: (step["status"], len(step["attempts"]), step["result"]) for step_id, step in found.items()
    } == promised


# Of the page about steering: what a run comes to, and of some steps their status and result.
STEERED: dict[str, tuple[str, dict[str, tuple[str, object]]]] = {
    "steer-a-run-1": (
        "completed",
        {
            "review": ("completed", "reviewed"),
            "customs": ("skipped", None),
            "ship": ("skipped", None),
            "confirm": ("completed", "confirmed"),
        },
    ),
    "steer-a-run-2": (
        "completed",
        {"greet": ("completed", [{"greeting": "Hello, Ada"}, {"greeting": "Hello, Grace"}])},
    ),
    "steer-a-run-3": ("completed", {"publish": ("completed", "published")}),
    "steer-a-run-4": (
        "partially_completed",
        {
            "load": ("failed", None),
            "fallback": ("completed", "loaded from the copy"),
            "page": (
                "completed",
                "paged: step 'load' failed: exit code 3: no such table",
            ),
            "tidy": ("completed", "tidied after a run that is partially_completed"),
        },
    ),
    "steer-a-run-5": ("completed", {"work": ("completed", "done")}),
    "steer-a-run-6": ("completed", {"embed": ("completed", "a costly result")}),
}
STEERING = {where: text for where, text in workflows() if where.startswith("steer-a-run")}


def test_every_workflow_about_steering_is_tried() -> None:
    assert STEERING.keys() == STEERED.keys()


@pytest.mark.parametrize("where", STEERED)
def test_a_workflow_about_steering_does_what_the_guide_says(where: str, tmp_path: Path) -> None:
    status, promised = STEERED[where]
    file = tmp_path / "workflow.yaml"
    file.write_text(STEERING[where], encoding="utf-8")

    done = run_sample(file, tmp_path, backend="process")

    assert done.status == status, done.stderr
    found = {step_id: done.step(step_id) for step_id in promised}
    assert {step_id: (step["status"], step["result"]) for step_id, step in found.items()} == promised


def test_a_workflow_that_remembers_takes_the_earlier_result(tmp_path: Path) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_text(STEERING["steer-a-run-6"], encoding="utf-8")

    first, second = (run_sample(file, tmp_path, backend="process") for _ in range(2))

    assert (first.step("embed")["reused"], second.step("embed")["reused"]) == (False, True)
    assert second.step("embed")["result"] == first.step("embed")["result"]
    assert second.step("embed")["cached_from"]["run_id"] == first.document["run"]["id"]
