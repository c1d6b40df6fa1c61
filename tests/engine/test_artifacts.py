"""Artifacts of tasks: kept, shown to later tasks, and part of whether the task did what it should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.agents.backend import AgentSpec
from engine.agents.memory import Script
from engine.events import Event, EventType
from engine.history.records import Remembered, RunDetail
from engine.orchestrator.manager import Orchestrator
from engine.orchestrator.scopes import RetryScope
from tests.engine.world import World, by_step, in_world, plan_of, step_of, until

BUILD = """
name: build
steps:
  - id: build
    image: x
    artifacts: [out/app.bin, {path: log, name: notes, optional: true}]
  - id: use
    image: x
    depends_on: [build]
    env_vars: {KEPT: "{{ $.steps.build.artifacts }}"}
"""


def kept_in(home: Path, run_id: str) -> dict[str, bytes]:
    folder = home / "artifacts" / run_id
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def ends(events: list[Event], type_: EventType = EventType.STEP_FINISHED) -> dict[Any, Any]:
    """What the finishing events say of artifacts, by step and item."""
    return {
        (event.step_id, event.item): event.data.get("artifacts") for event in events if event.type is type_
    }


def test_artifacts_are_kept_and_later_tasks_are_told_where(tmp_path: Path) -> None:
    environments: dict[str, dict[str, str]] = {}

    def behaviour(spec: AgentSpec) -> Script:
        environments[spec.identity.step_id] = dict(spec.env)
        return Script(files={"out/app.bin": b"\0\1", "log/a": b"a"})

    async def story(world: World) -> tuple[RunDetail, list[Event]]:
        detail = await world.run(BUILD)
        return detail, await world.events(detail.run.id)

    detail, events = in_world(tmp_path, story, behaviour)

    run_id = detail.run.id
    assert kept_in(tmp_path, run_id) == {"build/app.bin": b"\0\1", "build/notes/a": b"a"}
    assert ends(events)["build", None] == [{"name": "app.bin", "size": 2}, {"name": "notes", "size": 1}]
    assert environments["use"]["AGENTAINER_ARTIFACTS"] == str(tmp_path / "artifacts" / run_id)
    assert environments["use"]["KEPT"] == '["app.bin","notes"]'


def test_a_workflow_without_artifacts_has_no_folder(tmp_path: Path) -> None:
    seen: list[bool] = []

    def behaviour(spec: AgentSpec) -> Script:
        seen.append("AGENTAINER_ARTIFACTS" in spec.env)
        return Script()

    in_world(tmp_path, lambda world: world.run("name: w\nsteps: [{id: a, image: x}]\n"), behaviour)
    assert not any(seen) and not (tmp_path / "artifacts").exists()


def test_a_missing_artifact_makes_a_bad_result(tmp_path: Path) -> None:
    scripts = by_step({"build": Script(files={"log/a": b"a"})})
    detail = in_world(tmp_path, lambda world: world.run(BUILD), scripts)

    step = step_of(detail, "build")
    assert (step.status, step.reason, step.exit_code) == ("failed", "bad_result", 0)
    assert "the artifact 'app.bin' is missing: there is nothing at 'out/app.bin'" in str(step.error)
    assert step_of(detail, "use").status in ("cancelled", "skipped")


def test_an_artifact_over_the_limit_makes_a_bad_result(tmp_path: Path) -> None:
    scripts = by_step({"build": Script(files={"out/app.bin": b"x" * 11})})
    detail = in_world(tmp_path, lambda world: world.run(BUILD), scripts, artifact_limit=10)

    step = step_of(detail, "build")
    assert (step.status, step.reason) == ("failed", "bad_result")
    assert "larger than 10 bytes" in str(step.error)


def test_a_failed_task_keeps_what_there_is_and_its_failure(tmp_path: Path) -> None:
    async def story(world: World) -> tuple[RunDetail, list[Event]]:
        detail = await world.run(BUILD)
        return detail, await world.events(detail.run.id)

    failing = Script(exit_code=7, stderr="no space", files={"log/a": b"why it failed"})
    detail, events = in_world(tmp_path, story, by_step({"build": failing}))

    step = step_of(detail, "build")
    assert (step.reason, step.error) == ("task_failed", "exit code 7: no space")
    assert kept_in(tmp_path, detail.run.id) == {"build/notes/a": b"why it failed"}
    assert ends(events)["build", None] == [{"name": "notes", "size": 13}]
    assert not [event for event in events if event.type is EventType.WARNING]


def test_a_timed_out_task_keeps_what_there_is(tmp_path: Path) -> None:
    document = "name: w\nsteps: [{id: a, image: x, timeout: 5s, artifacts: [half]}]\n"
    script = Script(delay=None, files={"half": b"of it"})
    detail = in_world(tmp_path, lambda world: world.run(document), by_step({"a": script}))

    assert step_of(detail, "a").reason == "timed_out"
    assert kept_in(tmp_path, detail.run.id) == {"a/half": b"of it"}


def test_a_later_try_replaces_what_an_earlier_one_left(tmp_path: Path) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        if spec.identity.step_id == "build" and spec.identity.attempt == 1:
            return Script(exit_code=1, files={"out/app.bin": b"broken", "log/a": b"trace"})
        return Script(files={"out/app.bin": b"good"})

    document = BUILD.replace(
        "image: x\n    artifacts", "image: x\n    retry_policy: {max_attempts: 2}\n    artifacts"
    )
    detail = in_world(tmp_path, lambda world: world.run(document), behaviour)

    assert detail.run.status == "completed"
    assert kept_in(tmp_path, detail.run.id) == {"build/app.bin": b"good"}


def test_a_missing_artifact_can_be_tried_again(tmp_path: Path) -> None:
    def behaviour(spec: AgentSpec) -> Script:
        return Script(files={"out/app.bin": b"late"} if spec.identity.attempt == 2 else {})

    document = BUILD.replace(
        "image: x\n    artifacts", "image: x\n    retry_policy: {max_attempts: 2}\n    artifacts"
    )
    detail = in_world(tmp_path, lambda world: world.run(document), behaviour)

    assert [attempt.reason for attempt in step_of(detail, "build").attempts] == ["bad_result", None]
    assert detail.run.status == "completed"


def test_items_and_workers_have_folders_of_their_own(tmp_path: Path) -> None:
    async def story(world: World) -> tuple[RunDetail, list[Event]]:
        detail = await world.run("""
            name: w
            state: {list: [a, b]}
            steps:
              - {id: items, image: x, type: map, map_config: {input_path: $.list}, artifacts: [out]}
              - {id: workers, image: x, type: parallel, max_workers: 2, artifacts: [out]}
        """)
        return detail, await world.events(detail.run.id)

    def behaviour(spec: AgentSpec) -> Script:
        return Script(files={"out": f"{spec.identity.step_id} {spec.identity.item}".encode()})

    detail, events = in_world(tmp_path, story, behaviour)

    assert kept_in(tmp_path, detail.run.id) == {
        "items.0/out": b"items 0",
        "items.1/out": b"items 1",
        "workers.0/out": b"workers 0",
        "workers.1/out": b"workers 1",
    }
    assert ends(events, EventType.ITEM_FINISHED)["items", 1] == [{"name": "out", "size": 7}]


def test_the_artifacts_of_an_adopted_agent_are_kept(tmp_path: Path) -> None:
    async def story(world: World) -> RunDetail:
        run_id = await world.start(BUILD)
        await until(lambda: len(world.backend.started) == 1)
        interrupted = await world.crash(run_id)
        return await world.recover(interrupted, BUILD)

    script = Script(delay=60.0, files={"out/app.bin": b"of an adopted agent"})
    detail = in_world(tmp_path, story, by_step({"build": script}))

    assert detail.run.status == "completed"
    assert kept_in(tmp_path, detail.run.id) == {"build/app.bin": b"of an adopted agent"}


def test_a_recovered_run_still_knows_the_artifacts_of_steps_that_had_ended(tmp_path: Path) -> None:
    seen: list[str] = []

    def behaviour(spec: AgentSpec) -> Script:
        if spec.identity.step_id == "build":
            return Script(files={"out/app.bin": b"whole"})
        if spec.identity.step_id == "last":
            seen.append(spec.env["KEPT"])
        return Script(delay=60.0)

    document = (
        BUILD
        + """
  - id: last
    image: x
    depends_on: [use]
    env_vars: {KEPT: "{{ $.steps.build.artifacts }}"}
"""
    )

    async def story(world: World) -> RunDetail:
        run_id = await world.start(document)
        await until(lambda: len(world.backend.started) == 2)
        interrupted = await world.crash(run_id)
        return await world.recover(interrupted, document)

    detail = in_world(tmp_path, story, behaviour)

    assert detail.run.status == "completed"
    assert set(seen) == {'["app.bin"]'}


def test_a_retry_takes_over_the_artifacts_of_what_it_does_not_run_again(tmp_path: Path) -> None:
    second = retried(tmp_path, pruned=False)
    assert step_of(second, "build").reused


def test_a_retry_makes_again_what_left_artifacts_that_are_gone(tmp_path: Path) -> None:
    second = retried(tmp_path, pruned=True)
    assert not step_of(second, "build").reused


def retried(tmp_path: Path, *, pruned: bool) -> RunDetail:
    broken = True

    def behaviour(spec: AgentSpec) -> Script:
        if spec.identity.step_id == "use":
            return Script(exit_code=1 if broken else 0)
        return Script(files={"out/app.bin": b"costly"})

    async def story(world: World) -> tuple[RunDetail, list[Event]]:
        nonlocal broken
        first = await world.run(BUILD)
        broken = False
        if pruned:
            artifact = tmp_path / "artifacts" / first.run.id / "build" / "app.bin"
            artifact.unlink()
            artifact.parent.rmdir()
        with world.loop.outside():
            again = await world.orchestrator.retry(
                plan_of(BUILD), first, RetryScope(failed=True), source="test"
            )
        return await world.finish(again), await world.events(again)

    second, events = in_world(tmp_path, story, behaviour)

    assert second.run.status == "completed"
    assert kept_in(tmp_path, second.run.id) == {"build/app.bin": b"costly"}
    assert ends(events)["build", None] == [{"name": "app.bin", "size": 6}]
    return second


def test_a_result_of_earlier_work_brings_its_artifacts_and_is_not_used_without_them(tmp_path: Path) -> None:
    document = BUILD.replace("image: x\n    artifacts", "image: x\n    cache: {}\n    artifacts")
    made: list[str] = []

    def behaviour(spec: AgentSpec) -> Script:
        return Script(files={"out/app.bin": b"costly"} if spec.identity.step_id == "build" else {})

    async def story(world: World) -> list[RunDetail]:
        first = await world.run(document)
        [finished] = [
            event
            for event in await world.events(first.run.id)
            if event.type is EventType.STEP_FINISHED and "cache_key" in event.data
        ]

        async def recall(key: str, max_age: float | None) -> Remembered | None:
            data = finished.data
            assert key == data["cache_key"]
            where = (first.run.id, "build", None)
            return Remembered(*where, None, 0, data.get("changes"), tuple(data["artifacts"]), "")

        services = replace(world.services, recall=recall)
        world.orchestrator = Orchestrator(services, world.history)
        runs = [first, await world.run(document)]
        made.extend(world.backend.started)
        for run in runs:
            folder = tmp_path / "artifacts" / run.run.id / "build"
            (folder / "app.bin").unlink()
            folder.rmdir()
        return [*runs, await world.run(document)]

    runs = in_world(tmp_path, story, behaviour)

    assert [step_of(run, "build").reused for run in runs] == [False, True, False]
    assert kept_in(tmp_path, runs[2].run.id) == {"build/app.bin": b"costly"}
    assert len(made) == 3, "the second run has only the step that is not remembered"
