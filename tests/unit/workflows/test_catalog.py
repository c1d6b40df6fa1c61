"""The workflows of a real directory: what is listed, and what edits do to it while it is watched."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.workflows.catalog import CatalogChange, CatalogEntry, WorkflowCatalog

PATIENCE = 30.0


def document(name: str, command: str = "run") -> str:
    return f"name: {name}\nsteps:\n  - {{id: a, command: {command}}}\n"


@asynccontextmanager
async def watching(directory: Path) -> AsyncIterator[WorkflowCatalog]:
    catalog = WorkflowCatalog(directory)
    await catalog.open()
    try:
        yield catalog
    finally:
        await catalog.close()


async def until(
    catalog: WorkflowCatalog, changes: AsyncIterator[CatalogChange], true: Callable[[], bool]
) -> list[CatalogChange]:
    """Take changes until the catalog is as wanted; all of them."""
    seen: list[CatalogChange] = []
    async with asyncio.timeout(PATIENCE):
        while not true():
            seen.append(await anext(changes))
    return seen


def names(catalog: WorkflowCatalog) -> list[str]:
    return [entry.name for entry in catalog.entries]


async def listed(directory: Path) -> list[CatalogEntry]:
    async with watching(directory) as catalog:
        return list(catalog.entries)


async def test_workflow_files_are_listed_by_name(tmp_path: Path) -> None:
    (tmp_path / "z.yaml").write_text(document("alpha"))
    (tmp_path / "a.yml").write_text(document("Beta"))
    (tmp_path / "j.json").write_text('{"name": "gamma", "steps": [{"id": "a", "command": "run"}]}')
    entries = await listed(tmp_path)
    assert [(entry.name, entry.path.name) for entry in entries] == [
        ("alpha", "z.yaml"),
        ("Beta", "a.yml"),
        ("gamma", "j.json"),
    ]
    assert all(entry.plan is not None and not entry.problems and not entry.broken for entry in entries)


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.yaml",
        ".w.yaml.swp",
        "w.yaml~",
        "#w.yaml#",
        ".#w.yaml",
        "~w.yaml",
        "w.yaml.bak",
        "w.txt",
        "4913",
    ],
)
async def test_editors_leavings_are_not_workflows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(document("x"))
    assert await listed(tmp_path) == []


async def test_directories_and_what_they_hold_are_not_workflows(tmp_path: Path) -> None:
    (tmp_path / "sub.yaml").mkdir()
    (tmp_path / "sub.yaml" / "inner.yaml").write_text(document("inner"))
    assert await listed(tmp_path) == []


@pytest.mark.parametrize(
    "text", ['{"name": "package", "version": "1"}', "[1, 2]", "{broken", "", '{"compilerOptions": {}}']
)
async def test_json_files_of_other_tools_are_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "package.json").write_text(text)
    assert await listed(tmp_path) == []


@pytest.mark.parametrize("text", ['{"name": "x", "steps": []}', '{"name": "x", "steps": [', '{"steps": {}}'])
async def test_json_files_that_speak_of_steps_are_shown_with_their_problems(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "w.json").write_text(text)
    (entry,) = await listed(tmp_path)
    assert entry.broken and entry.name == "w"


async def test_a_yaml_file_is_shown_whatever_is_wrong_with_it(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: nginx}}\n")
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "nowhere.yaml").symlink_to("gone.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\0\1\2")
    os.mkfifo(tmp_path / "pipe.yaml")
    entries = await listed(tmp_path)
    assert [entry.path.name for entry in entries] == [
        "binary.yaml",
        "compose.yaml",
        "empty.yaml",
        "loop.yaml",
        "nowhere.yaml",
        "pipe.yaml",
    ]
    assert all(entry.broken and entry.plan is None and len(entry.problems) == 1 for entry in entries)


async def test_a_directory_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    for place in (tmp_path / "none", tmp_path / "file"):
        (tmp_path / "file").write_text("x")
        with pytest.raises(UsageError, match="cannot be read"):
            await WorkflowCatalog(place).open()


async def test_the_same_name_in_two_files_is_a_warning_at_both(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(document("twin"))
    (tmp_path / "b.yaml").write_text(document("twin"))
    (tmp_path / "c.yaml").write_text(document("single"))
    async with watching(tmp_path) as catalog:
        said = {
            entry.path.name: [str(problem.message) for problem in entry.problems] for entry in catalog.entries
        }
        assert said == {
            "a.yaml": ['the name "twin" is also used by b.yaml: rename one, or run it by its file'],
            "b.yaml": ['the name "twin" is also used by a.yaml: rename one, or run it by its file'],
            "c.yaml": [],
        }
        with pytest.raises(UsageError, match="several workflows are called"):
            catalog.find("twin")
        changes = catalog.changes()
        (tmp_path / "b.yaml").unlink()
        await until(catalog, changes, lambda: len(catalog.entries) == 2)
        assert catalog.find("twin").problems == ()


async def test_find_by_name_file_and_stem_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text(document("My workflow"))
    (tmp_path / "bad.yaml").write_text("name: [")
    async with watching(tmp_path) as catalog:
        for word in ("My workflow", "file.yaml", "file"):
            assert catalog.find(word).name == "My workflow"
        assert catalog.find("bad").broken
        with pytest.raises(UsageError, match='did you mean "My workflow"'):
            catalog.find("my workflo")


async def test_a_save_is_seen_and_a_bad_save_keeps_the_last_good_version(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(document("one"))
    async with watching(tmp_path) as catalog:
        changes = catalog.changes()
        path.write_text(document("two", "other"))
        seen = await until(catalog, changes, lambda: names(catalog) == ["two"])
        assert [change.changed for change in seen] == [{path}]
        good = catalog.entries[0].plan
        path.write_text("name: three\nsteps:\n  - {id: a, comand: run}\n")
        await until(catalog, changes, lambda: catalog.entries[0].broken)
        (entry,) = catalog.entries
        assert (entry.name, entry.plan) == ("two", good)
        assert [(problem.line, problem.column) for problem in entry.problems] == [(3, 13)]
        path.write_text(document("four"))
        await until(catalog, changes, lambda: names(catalog) == ["four"])
        assert not catalog.entries[0].problems


async def test_a_file_that_is_half_written_keeps_the_last_good_version(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    text = '{"name": "whole", "steps": [{"id": "a", "command": "run"}]}'
    path.write_text(text)
    async with watching(tmp_path) as catalog:
        changes = catalog.changes()
        for half in ("", "{", text[:30]):
            path.write_text(half)
            await catalog.refresh()
            (entry,) = catalog.entries
            assert entry.broken and entry.plan is not None and entry.name == "whole"
        path.write_text(text)
        await until(catalog, changes, lambda: not catalog.entries[0].broken)


async def test_new_renamed_and_deleted_files_are_followed(tmp_path: Path) -> None:
    async with watching(tmp_path) as catalog:
        changes = catalog.changes()
        first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
        first.write_text(document("w"))
        assert (await until(catalog, changes, lambda: names(catalog) == ["w"]))[-1].added == {first}
        first.rename(second)
        seen = await until(catalog, changes, lambda: [entry.path for entry in catalog.entries] == [second])
        assert seen[-1] == CatalogChange(added=frozenset({second}), removed=frozenset({first}))
        second.unlink()
        assert (await until(catalog, changes, lambda: not catalog.entries))[-1].removed == {second}


async def test_a_save_by_replacing_the_file_is_a_change_not_a_removal(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(document("old"))
    async with watching(tmp_path) as catalog:
        changes = catalog.changes()
        (tmp_path / ".w.yaml.tmp").write_text(document("new"))
        (tmp_path / ".w.yaml.tmp").replace(path)
        (change,) = await until(catalog, changes, lambda: names(catalog) == ["new"])
        assert change == CatalogChange(changed=frozenset({path}))


async def test_a_thousand_changed_files_are_one_reload(tmp_path: Path) -> None:
    staged = tmp_path / "staged"
    staged.mkdir()
    watched = tmp_path / "watched"
    watched.mkdir()
    for number in range(1000):
        (staged / f"w{number}.yaml").write_text(document(f"workflow {number}"))
    async with watching(watched) as catalog:
        changes = catalog.changes()
        for path in staged.iterdir():
            path.rename(watched / path.name)
        (change,) = await until(catalog, changes, lambda: len(catalog.entries) == 1000)
        assert len(change.added) == 1000


async def test_touching_a_file_without_changing_it_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(document("same"))
    async with watching(tmp_path) as catalog:
        before = catalog.entries
        path.write_text(document("same"))
        os.utime(path, (1, 1))
        assert not await catalog.refresh({path})
        assert catalog.entries == before


async def test_a_change_that_leaves_size_and_time_alone_is_seen_through_the_notice(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(document("aaa"))
    async with watching(tmp_path) as catalog:
        changes = catalog.changes()
        facts = path.stat()
        with path.open("r+") as file:
            file.write(document("bbb"))
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        await until(catalog, changes, lambda: names(catalog) == ["bbb"])


async def test_other_files_that_change_all_the_time_do_not_delay_a_save(tmp_path: Path) -> None:
    async with watching(tmp_path) as catalog:
        changes = catalog.changes()

        async def chatter() -> None:
            while True:
                (tmp_path / "run.log").write_text("x")
                await asyncio.sleep(0.01)

        noise = asyncio.create_task(chatter())
        (tmp_path / "w.yaml").write_text(document("seen"))
        try:
            await until(catalog, changes, lambda: names(catalog) == ["seen"])
        finally:
            noise.cancel()


async def test_what_a_symbolic_link_leads_to_is_watched_too(tmp_path: Path) -> None:
    elsewhere, watched = tmp_path / "elsewhere", tmp_path / "watched"
    elsewhere.mkdir()
    watched.mkdir()
    (elsewhere / "real.yaml").write_text(document("one"))
    async with watching(watched) as catalog:
        changes = catalog.changes()
        (watched / "link.yaml").symlink_to(elsewhere / "real.yaml")
        await until(catalog, changes, lambda: names(catalog) == ["one"])
        (elsewhere / "real.yaml").write_text(document("two"))
        await until(catalog, changes, lambda: names(catalog) == ["two"])


async def test_a_directory_that_is_replaced_is_watched_again(tmp_path: Path) -> None:
    directory = tmp_path / "workflows"
    directory.mkdir()
    (directory / "w.yaml").write_text(document("before"))
    async with watching(directory) as catalog:
        changes = catalog.changes()
        shutil.rmtree(directory)
        await until(catalog, changes, lambda: not catalog.entries)
        await until(catalog, changes, lambda: "no such file or directory" in catalog.problem)
        directory.mkdir()
        (directory / "w.yaml").write_text(document("after"))
        await until(catalog, changes, lambda: names(catalog) == ["after"])
        assert catalog.problem == ""
        (directory / "w.yaml").write_text(document("later"))
        await until(catalog, changes, lambda: names(catalog) == ["later"])


async def test_every_listener_hears_of_a_change_and_a_slow_one_gets_one_sum(tmp_path: Path) -> None:
    async with watching(tmp_path) as catalog:
        quick, slow = catalog.changes(), catalog.changes()
        a, b = tmp_path / "a.yaml", tmp_path / "b.yaml"
        a.write_text(document("a"))
        await until(catalog, quick, lambda: names(catalog) == ["a"])
        b.write_text(document("b"))
        await until(catalog, quick, lambda: names(catalog) == ["a", "b"])
        a.unlink()
        await until(catalog, quick, lambda: names(catalog) == ["b"])
        async with asyncio.timeout(PATIENCE):
            assert await anext(slow) == CatalogChange(added=frozenset({b}))


async def test_iterators_end_when_the_catalog_is_closed(tmp_path: Path) -> None:
    catalog = WorkflowCatalog(tmp_path)
    await catalog.open()
    changes = catalog.changes()
    await catalog.close()
    async with asyncio.timeout(PATIENCE):
        assert [change async for change in changes] == []


PATHS = [Path("p"), Path("q")]


@pytest.mark.parametrize(
    ("first", "later", "both"),
    [
        ({"added": 0}, {"changed": 0}, {"added": 0}),
        ({"added": 0}, {"removed": 0}, {}),
        ({"changed": 0}, {"removed": 0}, {"removed": 0}),
        ({"removed": 0}, {"added": 0}, {"changed": 0}),
        ({"changed": 0}, {"changed": 1}, {"changed": None}),
        ({"added": 0}, {"added": 1}, {"added": None}),
    ],
)
def test_changes_add_up(first: dict[str, int], later: dict[str, int], both: dict[str, int | None]) -> None:
    def change(parts: dict[str, int] | dict[str, int | None]) -> CatalogChange:
        return CatalogChange(
            **{kind: frozenset(PATHS if which is None else [PATHS[which]]) for kind, which in parts.items()}
        )

    assert change(first).then(change(later)) == change(both)
