"""New workflows from templates: every one is valid and runs; nothing is ever written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.workflows.finding import is_candidate
from engine.workflows.loader import load
from engine.workflows.step_lines import step_lines
from engine.workflows.templates import TEMPLATES, create_workflow
from tests.engine.world import by_step, in_world, prints

RESULTS = {
    "fetch": prints({"rows": 3}),
    "work": prints({"done": 3}),
    "list": prints({"words": ["one", "two"]}),
    "build": prints({"version": "1.0"}),
}


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("name", [template.name for template in TEMPLATES])
def test_a_template_makes_a_workflow_that_loads_without_a_remark_and_runs(tmp_path: Path, name: str) -> None:
    file = create_workflow(tmp_path, "my report", name)
    assert file == tmp_path / "my_report.yaml"
    loaded = load(file)
    assert loaded.problems == ()
    assert loaded.require().workflow == "my report"
    assert names(tmp_path) == ["my_report.yaml"], "nothing else is left in the directory"

    text = file.read_text(encoding="utf-8").replace("timeout: 1h", "timeout: 1s")
    text = text.replace("default: reject", "default: approve")

    async def story(world: object) -> str:
        return (await world.run(text)).run.status  # type: ignore[attr-defined, no-any-return]

    assert in_world(tmp_path / "home", story, by_step(RESULTS)) == "completed"


@pytest.mark.parametrize("name", ["no", "1.0", "true", "x"])
def test_names_that_yaml_reads_as_something_else_stay_names(tmp_path: Path, name: str) -> None:
    assert load(create_workflow(tmp_path, name)).require().workflow == name


@pytest.mark.parametrize(
    "name",
    ["", "../up", "a/b", "a\\b", ".hidden", "-x", "a\nb", "a\x1b[2J", "é" * 3, "x" * 200, "end.", "a: b"],
)
def test_names_that_are_no_names_are_refused_and_write_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        create_workflow(tmp_path, name)
    assert names(tmp_path) == []


def test_nothing_is_written_over_not_even_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "taken.yaml").write_text("mine")
    (tmp_path / "lost.yaml").symlink_to(tmp_path / "nowhere")
    for name in ("taken", "lost"):
        with pytest.raises(UsageError, match="exists already"):
            create_workflow(tmp_path, name)
    assert (tmp_path / "taken.yaml").read_text() == "mine"
    assert names(tmp_path) == ["lost.yaml", "taken.yaml"]


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: no such file"):
        create_workflow(tmp_path / "nowhere", "x")


def test_what_is_being_written_is_no_workflow_yet() -> None:
    assert not is_candidate(".new-abc.tmp")


def test_an_unknown_template_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"templates: hello, pipeline, map-reduce, decision, gate"):
        create_workflow(tmp_path, "x", "nothing")


def test_lines_of_steps_are_found_by_id_and_by_name_also_of_members(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(
        "name: w\nsteps:\n  - id: a\n    name: First\n    command: x\n"
        "  - id: g\n    type: parallel\n    steps:\n      - {id: m, command: x}\n"
        "finally:\n  - {id: z, command: x}\n"
    )
    assert step_lines(file) == {"a": 3, "First": 3, "g": 6, "m": 9, "z": 11}
    file.write_text("name: [unclosed")
    assert step_lines(file) == {}
    assert step_lines(tmp_path / "nothing.yaml") == {}
