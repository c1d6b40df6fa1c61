"""Workflows of a watched directory that run each other: linked, and linked again when one of them changes."""

from __future__ import annotations

from pathlib import Path

from engine.workflows.catalog import WorkflowCatalog
from tests.unit.workflows.test_catalog import document, listed, until, watching


def parent(name: str, *children: str) -> str:
    steps = "".join(f"  - {{id: s{n}, sub_workflow_name: {one}}}\n" for n, one in enumerate(children))
    return f"name: {name}\nsteps:\n{steps}"


async def test_workflows_that_run_others_are_linked(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(parent("A", "B"))
    (tmp_path / "b.yaml").write_text(parent("B", "c"))
    (tmp_path / "c.yaml").write_text(document("C"))
    entries = {entry.name: entry for entry in await listed(tmp_path)}
    plan = entries["A"].plan
    assert plan is not None
    assert set(plan.children) == {"B", "c"}
    assert not any(entry.broken for entry in entries.values())


async def test_a_workflow_is_linked_again_when_one_that_it_runs_changes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(parent("A", "B"))
    (tmp_path / "b.yaml").write_text(document("B", "one"))
    (tmp_path / "z.yaml").write_text(document("Z"))
    async with watching(tmp_path) as catalog:
        changes = catalog.changes()
        before = catalog.find("A"), catalog.find("Z")
        (tmp_path / "b.yaml").write_text(document("B", "two"))

        def relinked() -> bool:
            plan = catalog.find("A").plan
            return plan is not None and "two" in plan.children["B"].document

        seen = await until(catalog, changes, relinked)
        assert frozenset().union(*(change.changed for change in seen)) == {
            tmp_path / "a.yaml",
            tmp_path / "b.yaml",
        }
        assert catalog.find("A").loaded_at > before[0].loaded_at
        assert catalog.find("Z") is before[1]


async def test_a_child_that_breaks_breaks_its_parent_whose_last_good_plan_stays(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(parent("A", "B"))
    (tmp_path / "b.yaml").write_text(document("B"))
    async with watching(tmp_path) as catalog:
        changes = catalog.changes()
        good = catalog.find("A").plan
        (tmp_path / "b.yaml").write_text("name: B\nsteps: [{id: a}]\n")
        await until(catalog, changes, lambda: catalog.find("A").broken)
        entry = catalog.find("A")
        assert entry.plan == good
        (problem,) = entry.problems
        assert (problem.line, problem.column) == (3, 33)
        assert problem.message.startswith(f'the workflow "B" cannot run: {tmp_path / "b.yaml"}:2:')
        (tmp_path / "b.yaml").write_text(document("B"))
        await until(catalog, changes, lambda: not catalog.find("A").broken)
        assert catalog.find("A").plan == good


async def test_a_child_that_appears_mends_its_parent(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(parent("Parent", "child"))
    async with watching(tmp_path) as catalog:
        changes = catalog.changes()
        entry = catalog.find("Parent")
        assert entry.broken
        assert entry.plan is None
        (tmp_path / "child.yaml").write_text(document("child"))
        await until(catalog, changes, lambda: not catalog.find("Parent").broken)
        assert (mended := catalog.find("Parent").plan) is not None
        assert set(mended.children) == {"child"}


async def test_the_depth_limit_of_the_catalog_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(parent("A", "B"))
    (tmp_path / "b.yaml").write_text(parent("B", "C"))
    (tmp_path / "c.yaml").write_text(document("C"))
    catalog = WorkflowCatalog(tmp_path, max_depth=1)
    await catalog.refresh()
    assert [entry.broken for entry in catalog.entries] == [True, False, False]
