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
