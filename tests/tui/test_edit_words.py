"""Edits in words, excerpts of files with problems, bars of runs: as plain functions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agentainer_tui.about import about_workflow
from agentainer_tui.bridge.editing import Versions, excerpts
from agentainer_tui.charts import LEVELS
from agentainer_tui.client import WorkflowEntry
from agentainer_tui.edit_words import diff_lines, field_words, news_of_saves, summary
from agentainer_tui.excerpts import problem_lines
from agentainer_tui.looks import ASCII, UNICODE
from agentainer_tui.run_bars import run_bars
from agentainer_tui.views import RunRow
from engine.errors import Problem, Severity
from engine.events import RunStatus
from engine.facade import FieldChange, PlanDiff, StepChange
from engine.workflows.directory import CatalogEntry
from engine.workflows.loader import load
from tests.tui.scenes import BROKEN, HELLO

LONG = "curl --fail --silent --show-error https://example.org/"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (FieldChange("timeout", 60.0, 5400.0), "timeout 1m00s → 1h30m"),
        (FieldChange("retry_policy.max_attempts", 1, 3), "retry_policy.max_attempts 1 → 3"),
        (FieldChange("env_vars.URL", None, "x"), "env_vars.URL set to x"),
        (FieldChange("condition", "$.n eq 1", None), "condition taken out"),
        (FieldChange("workflow inner", "abc", "def"), "workflow inner changed"),
        (
            FieldChange("command", LONG + "a", LONG + "b"),
            f"command …{LONG[-31:]}a → …{LONG[-31:]}b",
        ),
        (FieldChange("name", "a\x1b[2J", "b"), "name a␛[2J → b"),
        (FieldChange("image", "", "x"), 'image "" → x'),
    ],
)
def test_a_change_of_a_field_in_words(change: FieldChange, words: str) -> None:
    assert field_words(change) == words


def changed(step: str, *fields: FieldChange) -> StepChange:
    return StepChange(step, step, "changed", fields)


def test_what_all_changed_steps_have_alike_is_said_once() -> None:
    alike, own = FieldChange("timeout", None, 9.0), FieldChange("command", "a", "b")
    diff = PlanDiff((), (changed("x", alike, own), changed("y", alike), StepChange("z", "z", "added")))
    assert list(diff_lines(diff)) == [
        "~ every step: timeout set to 9.0s",
        "~ x: command a → b",
        "+ z: added",
    ]
    assert summary(diff) == "2 steps changed (x, y); 1 step added (z)"


def test_a_summary_of_many_names_a_few() -> None:
    steps = tuple(StepChange(f"s{n}", "", "removed") for n in range(9))
    assert summary(PlanDiff((FieldChange("timeout", 1, 2),), steps)) == (
        "9 steps removed (s0, s1, s2, s3, …); workflow: timeout"
    )


def test_saves_are_told_and_nothing_else() -> None:
    edit = PlanDiff((), (StepChange("b", "b", "added"),))
    bad = replace(HELLO, problems=(Problem(HELLO.path, 3, 7, "no"),))
    saved = replace(HELLO, digest="v2", save=edit)

    def news(before: list[WorkflowEntry], after: list[WorkflowEntry]) -> list[tuple[str, bool]]:
        return list(news_of_saves(before, after))

    assert news([HELLO], [HELLO]) == []
    assert news([], [HELLO, BROKEN]) == [
        ("hello.yaml is new here.", False),
        ("broken.yaml cannot be loaded.", True),
    ]
    assert news([HELLO], [bad]) == [("hello.yaml has 1 error at 3:7.", True)]
    assert news([bad], [bad]) == []
    assert news([bad], [HELLO]) == [("hello.yaml is good again.", False)]
    assert news([HELLO], [saved]) == [("hello.yaml: 1 step added (b)", False)]
    assert news([HELLO], [replace(HELLO, digest="v3", save=PlanDiff())]) == [
        ("hello.yaml: saved; nothing that runs was changed", False)
    ]


# -- excerpts -----------------------------------------------------------------------------------------


def drawn(problem: Problem, line: str, width: int = 60, glyphs: object = UNICODE) -> list[str]:
    found = problem_lines([problem], {problem.line: line}, width, glyphs)  # type: ignore[arg-type]
    return ["".join(text for text, _ in pieces) for pieces in found]


@pytest.mark.parametrize("column", [1, 5, 30, 90, 120])
@pytest.mark.parametrize("sign", ["x", "語", "\t", "\x1b"])
def test_the_caret_stands_under_the_place_and_nothing_is_wider_than_there_is_room(
    column: int, sign: str
) -> None:
    text = sign * (column - 1) + "!" + "y" * 200
    rows = drawn(Problem("f", 12, column, "what"), text)
    from rich.cells import cell_len

    assert rows[0] == f"12:{column}  what"
    assert all(cell_len(row) <= 60 for row in rows[1:])
    if len(rows) == 3:  # a place beyond the room has no caret
        before = rows[1].partition("!")[0]
        assert cell_len(before) == rows[2].index("^")
    assert len(rows) == 3 or column > 24


def test_errors_come_before_warnings_and_lines_that_are_not_known_are_left_out() -> None:
    problems = [
        Problem("f", 1, 1, "careful", Severity.WARNING),
        Problem("f", 9, 2, "wrong"),
        Problem("f", 0, 0, "all"),
    ]
    rows = ["".join(text for text, _ in each) for each in problem_lines(problems, {1: "a: b"}, 60, ASCII)]
    assert rows == ["9:2  wrong", "all", "1:1  careful", "    1 : a: b", "      : ^"]


def test_at_an_empty_line_the_line_before_is_shown_too(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("steps:\n  - [\n")
    problem = Problem("f", 3, 1, "expected a value")
    found = excerpts(file, [problem])
    assert found == {2: "  - [", 3: ""}
    rows = ["".join(text for text, _ in each) for each in problem_lines([problem], found, 60, ASCII)]
    assert rows == ["3:1  expected a value", "    2 :   - [", "    3 : ", "      : ^"]


def test_lines_of_problems_are_read_from_the_file_and_bounded(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_bytes(b"one\ntwo\xff\n" + b"z" * 5000 + b"\n")
    problems = [Problem("f", line, 1, "?") for line in (1, 2, 3, 4, 99, 0)]
    assert excerpts(file, problems) == {1: "one", 2: "two\ufffd", 3: "z" * 400, 4: ""}
    assert excerpts(tmp_path / "nothing", problems) == {}
    assert excerpts(file, []) == {}


# -- what is said of a workflow -----------------------------------------------------------------------


def test_changes_are_said_until_a_run_had_them_and_many_are_counted() -> None:
    edit = PlanDiff((), tuple(StepChange(f"s{n}", "", "added") for n in range(9)))
    entry = replace(HELLO, digest="v2", edit=edit)
    rows = ["".join(text for text, _ in each) for each in about_workflow(entry, None, 40, UNICODE)]
    assert rows == [
        "Says hello.",
        "hello.yaml  1 step",
        "Changed:",
        *(f"  + s{n}: added" for n in range(5)),
        "    … and 4 more",
    ]
    old, new = (RunRow("r", "hello", RunStatus.COMPLETED, digest=digest) for digest in ("v1", "v2"))
    assert any(
        "Changed since" in text for each in about_workflow(entry, old, 40, UNICODE) for text, _ in each
    )
    assert len(list(about_workflow(entry, new, 40, UNICODE))) == 2


def test_edits_are_told_against_what_last_ran_and_saves_against_the_save_before(tmp_path: Path) -> None:
    versions = Versions()
    file = tmp_path / "w.yaml"

    def save(command: str, timeout: str) -> WorkflowEntry:
        file.write_text(f"name: w\nsteps:\n  - {{id: a, command: {command}, timeout: {timeout}}}\n")
        loaded = load(file)
        entry = CatalogEntry(file, "w", loaded.plan, loaded.problems, None)  # type: ignore[arg-type]
        [shown] = versions.take([entry])
        plans.append(loaded.require())
        return shown

    def names(diff: PlanDiff | None) -> list[str]:
        return [field.name for step in diff.steps for field in step.fields] if diff else []

    plans: list[object] = []
    first = save("x", "1s")
    assert (names(first.save), names(first.edit)) == ([], [])
    second = save("y", "1s")
    assert (names(second.save), names(second.edit)) == (["command"], ["command"])
    third = save("y", "2s")
    assert (names(third.save), names(third.edit)) == (["timeout"], ["timeout", "command"])
    versions.ran(str(file), plans[1])  # type: ignore[arg-type]
    fourth = save("y", "3s")
    assert (names(fourth.save), names(fourth.edit)) == (["timeout"], ["timeout"])


# -- bars ---------------------------------------------------------------------------------------------


def run(seq: int, status: RunStatus, seconds: float | None) -> RunRow:
    ended = None if seconds is None else 100.0 + seconds
    return RunRow(f"r{seq}", "w", status, seq, started_at=100.0, finished_at=ended)


def test_bars_are_oldest_first_coloured_by_status_and_as_high_as_long() -> None:
    runs = [
        run(4, RunStatus.RUNNING, None),
        run(3, RunStatus.FAILED, 8.0),
        run(2, RunStatus.COMPLETED, 4.0),
        run(1, RunStatus.COMPLETED, 0.0),
    ]
    bars = list(run_bars(runs, 20, 102.0, UNICODE))
    assert [ink for _, ink in bars] == ["success", "success", "error", "running"]
    assert [LEVELS.index(sign) for sign, _ in bars] == [0, 4, 7, 2]
    assert len(list(run_bars(runs, 2, 102.0, UNICODE))) == 2
    assert "".join(sign for sign, _ in run_bars(runs, 20, 102.0, ASCII)) == "++x>"
    assert list(run_bars([], 20, 102.0, UNICODE)) == []
