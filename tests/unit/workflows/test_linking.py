"""Workflows that run each other: found by name, linked into one family, or refused at the step's line."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import DocumentError
from engine.workflows.linking import link, link_from, load_linked
from engine.workflows.loader import Loaded, load, load_text
from engine.workflows.plan import Plan


def runs(name: str, *others: str, head: str = "") -> str:
    """A workflow with a step for each of the others, the first on line 3 (and those of `head`)."""
    steps = "".join(f"  - {{id: s{n}, sub_workflow_name: {one}}}\n" for n, one in enumerate(others))
    return f"name: {name}\n{head}steps:\n{steps or '  - {id: a, command: run}'}\n"


def write(directory: Path, **texts: str) -> None:
    directory.mkdir(exist_ok=True)
    for stem, text in texts.items():
        (directory / f"{stem}.yaml").write_text(text, encoding="utf-8")


def problem_of(loaded: Loaded) -> str:
    """The one problem, as `line:column: message`."""
    assert loaded.plan is None
    (problem,) = loaded.problems
    return f"{problem.line}:{problem.column}: {problem.message}"


def family(plan: Plan) -> dict[str, list[str]]:
    return {name: sorted(child.children) for name, child in plan.children.items()}


def test_children_are_flat_and_each_of_them_is_linked_itself(tmp_path: Path) -> None:
    write(tmp_path, a=runs("A", "B", "D"), b=runs("B", "C"), c=runs("C"), d=runs("D", "C"))
    plan = load_linked(tmp_path / "a.yaml").require()
    assert family(plan) == {"B": ["C"], "C": [], "D": ["C"]}
    assert plan.children["B"].children["C"] == plan.children["C"]
    assert plan.children["B"].path == str(tmp_path / "b.yaml")


def test_a_name_of_a_workflow_wins_over_the_name_of_a_file(tmp_path: Path) -> None:
    write(tmp_path, a=runs("A", "b", "third"), b=runs("other"), c=runs("b"), third=runs("Third one"))
    plan = load_linked(tmp_path / "a.yaml").require()
    assert {name: child.workflow for name, child in plan.children.items()} == {
        "b": "b",
        "third": "Third one",
    }
    assert plan.children["b"].path == str(tmp_path / "c.yaml")


def test_the_directory_of_the_document_comes_before_the_workflow_directory(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    write(here, a=runs("A", "B", "C"), b=runs("B"))
    write(there, b=runs("B"), c=runs("C", "B"))
    plan = load_linked(here / "a.yaml", there).require()
    assert plan.children["B"].path == str(here / "b.yaml")
    assert plan.children["C"].path == str(there / "c.yaml")
    assert plan.children["C"].children["B"].path == str(here / "b.yaml")


def test_json_documents_and_names_written_with_escapes_are_found(tmp_path: Path) -> None:
    write(tmp_path, a=runs("A", "Prüfung", "two words"), w=runs("two words"))
    (tmp_path / "p.json").write_text(
        '{"name": "Pr\\u00fcfung", "steps": [{"id": "a", "command": "run"}]}', encoding="utf-8"
    )
    (tmp_path / "package.json").write_text('{"name": "two words"}', encoding="utf-8")
    plan = load_linked(tmp_path / "a.yaml").require()
    assert set(plan.children) == {"Prüfung", "two words"}


def test_workflows_that_branches_inline_workflows_and_handlers_run_are_linked(tmp_path: Path) -> None:
    write(
        tmp_path,
        a="""\
name: A
steps:
  - id: fork
    branch_config: {condition: {field: x, operator: exists}, true_workflow: B, false_workflow: C}
  - id: inner
    workflow:
      steps: [{id: i, map_config: {input_path: xs}, sub_workflow_id: D}]
finally:
  - {id: end, sub_workflow_name: E}
""",
        b=runs("B"),
        c=runs("C"),
        d=runs("D", "E"),
        e=runs("E"),
    )
    plan = load_linked(tmp_path / "a.yaml").require()
    assert family(plan) == {"B": [], "C": [], "D": ["E"], "E": []}
    inner = plan.steps["inner"].sub
    assert inner is not None
    assert inner.inline is not None
    assert family(inner.inline) == {"D": ["E"], "E": []}


def test_a_plan_that_runs_no_workflows_is_given_back_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, a="name: A\nsteps: [{id: s, workflow: {steps: [{id: a, command: run}]}}]\n")
    plan = load(tmp_path / "a.yaml").require()

    def find(name: str) -> Plan:
        raise AssertionError(name)

    assert link(plan, find) is plan


def test_a_missing_workflow_is_named_with_what_there_is(tmp_path: Path) -> None:
    write(tmp_path, a=runs("A", "Repotr", "xyzzy"), b=runs("Report"), c="name: C\nstepz: []\n")
    loaded = load_linked(tmp_path / "a.yaml", tmp_path / "flows")
    where = f"in {tmp_path} or {tmp_path / 'flows'}"
    assert [f"{one.line}:{one.column}: {one.message}" for one in loaded.problems] == [
        f'3:33: there is no workflow "Repotr" {where}: did you mean "Report"? (with errors: c.yaml)',
        f'4:33: there is no workflow "xyzzy" {where}: workflows there: A, Report, C (with errors: c.yaml)',
    ]
    assert {one.path for one in loaded.problems} == {str(tmp_path / "a.yaml")}


def test_a_name_that_several_files_have_is_refused(tmp_path: Path) -> None:
    write(tmp_path, a=runs("A", "B"), b=runs("B"), b2=runs("B"))
    assert problem_of(load_linked(tmp_path / "a.yaml")) == (
        f'3:33: several workflows are called "B": {tmp_path / "b.yaml"}, {tmp_path / "b2.yaml"}: '
        "rename all but one"
    )


def test_a_broken_workflow_is_named_with_its_file_and_first_problem(tmp_path: Path) -> None:
    write(tmp_path, a=runs("A", "b"), c="name: b\nsteps:\n  - {id: a, comand: run}\n  - {id: 5 b}\n")
    assert problem_of(load_linked(tmp_path / "a.yaml")) == (
        f'3:33: the workflow "b" cannot run: {tmp_path / "c.yaml"}:3:13: "comand" is not known here: '
        'did you mean "command"?'
    )


def test_a_problem_further_down_is_told_as_it_stands_there(tmp_path: Path) -> None:
    write(tmp_path, a=runs("A", "B"), b=runs("B", "C"), c=runs("C", "nowhere"))
    assert problem_of(load_linked(tmp_path / "a.yaml")).startswith(
        f'3:33: the workflow "B" cannot run: {tmp_path / "c.yaml"}:3:33: there is no workflow "nowhere"'
    )


def test_every_workflow_of_a_circle_begins_it_with_itself(tmp_path: Path) -> None:
    write(tmp_path, a=runs("A", "B"), b=runs("B", "C"), c=runs("C", "A"), d=runs("D", "B"))
    circle = "these workflows run each other in a circle"
    for stem, way in (("a", "A -> B -> C -> A"), ("b", "B -> C -> A -> B"), ("c", "C -> A -> B -> C")):
        problem = problem_of(load_linked(tmp_path / f"{stem}.yaml"))
        assert problem == f"3:33: {circle}: {way}: take one of these steps out"
    assert problem_of(load_linked(tmp_path / "d.yaml")) == (
        f'3:33: the workflow "B" cannot run: {tmp_path / "b.yaml"}:3:33: {circle}: B -> C -> A -> B: '
        "take one of these steps out"
    )


def test_a_workflow_that_runs_itself_from_inside_of_a_step_is_a_circle(tmp_path: Path) -> None:
    write(
        tmp_path,
        a="name: A\nsteps:\n  - id: s\n    workflow:\n      name: in\n      steps:\n"
        "        - {id: i, sub_workflow_name: a}\n",
    )
    assert problem_of(load_linked(tmp_path / "a.yaml")) == (
        "7:38: these workflows run each other in a circle: A -> in -> A: take one of these steps out"
    )


def test_circles_that_share_workflows_end_the_search(tmp_path: Path) -> None:
    names = [f"w{number}" for number in range(7)]
    write(tmp_path, **{name: runs(name, *names) for name in names})
    loaded = load_linked(tmp_path / "w0.yaml")
    assert loaded.plan is None
    assert {one.line for one in loaded.problems} == set(range(3, 10))
    assert all(one.message and "circle" in one.message for one in loaded.problems)


def chain(directory: Path, length: int) -> None:
    write(directory, **{f"w{n}": runs(f"w{n}", f"w{n + 1}") for n in range(length)})
    write(directory, **{f"w{length}": runs(f"w{length}")})


def test_the_depth_limit_is_exact(tmp_path: Path) -> None:
    chain(tmp_path, 11)
    assert len(load_linked(tmp_path / "w1.yaml").require().children) == 10
    assert len(load_linked(tmp_path / "w0.yaml", max_depth=11).require().children) == 11
    loaded = load_linked(tmp_path / "w0.yaml")
    assert "workflows that run workflows are nested more than 10 levels deep" in problem_of(loaded)
    assert "w0 -> w1 -> w2" in problem_of(loaded)


def test_the_depth_counts_from_wherever_a_workflow_is_used(tmp_path: Path) -> None:
    """`w3`, known from a step high up, must not come in deep below unnoticed."""
    chain(tmp_path, 5)
    write(tmp_path, top=runs("top", "w3", "w0"))
    assert load_linked(tmp_path / "top.yaml", max_depth=6).plan is not None
    assert "nested more than 5 levels deep" in problem_of(load_linked(tmp_path / "top.yaml", max_depth=5))


def test_a_chain_of_thousands_is_refused_without_exhausting_the_stack(tmp_path: Path) -> None:
    texts = {f"w{n}": (runs(f"w{n}", f"w{n + 1}"), f"w{n}.yaml") for n in range(3000)}
    root = load_text(runs("root", "w0")).require()
    with pytest.raises(DocumentError, match="nested more than"):
        link_from(root, texts)


def test_inline_workflows_count_as_levels(tmp_path: Path) -> None:
    inner = "{steps: [{id: a, command: run}]}"
    for _ in range(3):
        inner = f"{{steps: [{{id: s, workflow: {inner}}}]}}"
    write(tmp_path, a=f"name: A\nsteps: [{{id: s, workflow: {inner}}}]\n")
    assert load_linked(tmp_path / "a.yaml", max_depth=4).plan is not None
    assert "nested more than 3 levels deep" in problem_of(load_linked(tmp_path / "a.yaml", max_depth=3))


def test_params_that_inputs_do_not_give_are_missed_at_load(tmp_path: Path) -> None:
    params = "params: {n: {required: true}, m: {required: true}, o: 3}\n"
    write(
        tmp_path,
        b=runs("B", head=params),
        a="name: A\nsteps:\n"
        "  - {id: whole, sub_workflow_name: B}\n"
        "  - {id: given, sub_workflow_name: B, inputs: {n: 1, m: 2}}\n"
        "  - {id: each, sub_workflow_name: B, map_config: {input_path: xs, item_alias: n}, inputs: {m: 1}}\n"
        "  - {id: lacking, sub_workflow_name: B, inputs: {o: 1}}\n"
        "  - {id: inside, inputs: {}, workflow: {params: {p: {required: true}}, "
        "steps: [{id: i, command: run}]}}\n",
    )
    loaded = load_linked(tmp_path / "a.yaml")
    assert [f"{one.line}:{one.column}: {one.message}" for one in loaded.problems] == [
        '6:38: the workflow "B" needs the params "n", "m": add what it is to be to `inputs`',
        '7:30: the workflow "inside" needs the param "p": add what it is to be to `inputs`',
    ]


def test_problems_of_linking_stand_beside_the_warnings_of_the_document(tmp_path: Path) -> None:
    write(tmp_path, a=runs("A", "x", head="metadata: {a-b: 1, a_b: 2}\n"))
    loaded = load_linked(tmp_path / "a.yaml")
    assert [one.line for one in loaded.problems] == [2, 4]


def test_what_is_wrong_with_the_file_itself_is_not_linked(tmp_path: Path) -> None:
    assert load_linked(tmp_path / "nothing.yaml").problems == load(tmp_path / "nothing.yaml").problems
    write(tmp_path, a="name: A\nsteps: [{id: s, sub_workflow_name: x, delay: no}]\n")
    assert load_linked(tmp_path / "a.yaml").problems == load(tmp_path / "a.yaml").problems


def test_a_family_is_linked_again_from_the_texts_that_a_run_keeps(tmp_path: Path) -> None:
    write(
        tmp_path,
        a="name: A\nsteps:\n  - {id: s, sub_workflow_name: B}\n"
        "  - {id: t, workflow: {steps: [{id: u, sub_workflow_id: C}]}}\n",
        b=runs("B", "C"),
        c=runs("C"),
    )
    plan = load_linked(tmp_path / "a.yaml").require()
    documents = {name: (child.document, child.path) for name, child in plan.children.items()}
    assert link_from(load_text(plan.document, plan.path).require(), documents) == plan
    inline = plan.steps["t"].sub
    assert inline is not None
    assert inline.inline is not None
    again = load_text(inline.inline.document, inline.inline.path).require()
    assert link_from(again, documents) == inline.inline


def test_a_text_that_was_not_kept_is_said(tmp_path: Path) -> None:
    plan = load_text(runs("A", "B")).require()
    with pytest.raises(DocumentError) as caught:
        link_from(plan, {})
    assert str(caught.value) == '<text>:3:33: the text of the workflow "B" was not kept'
