"""Secrets reach the tasks that ask for them, and nothing that is kept or shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import pytest

from engine.agents.backend import AgentSpec
from engine.agents.memory import Behaviour, Script
from engine.errors import DocumentError
from engine.events import EventType
from engine.history.records import RunDetail
from engine.orchestrator.naming import child_run_id
from engine.state.store import StateChanges
from tests.engine.world import World, in_world, step_of

T = TypeVar("T")

TOKEN = 'to"ken/of+the?home'
PLAIN = (TOKEN, json.dumps(TOKEN)[1:-1], quote(TOKEN), quote(TOKEN, safe=""))
BASE64 = tuple(base64.b64encode(bytes(before) + TOKEN.encode()).decode() for before in range(3))


def in_home(
    home: Path,
    story: Callable[[World], Coroutine[Any, Any, T]],
    behaviour: Behaviour | None = None,
    environ: Mapping[str, str] | None = None,
) -> T:
    """Run a story in a world whose engine has a token in its environment."""

    async def with_environ(world: World) -> T:
        world.environ |= {"TOKEN": TOKEN} if environ is None else environ
        return await story(world)

    return in_world(home, with_environ, behaviour)


def everything_kept(home: Path) -> bytes:
    """All that a home has on disk, the write-ahead log of the history and the logs included."""
    return b"\0".join(file.read_bytes() for file in sorted(home.rglob("*")) if file.is_file())


def assert_hidden(home: Path) -> None:
    kept = everything_kept(home)
    assert b"run.created" in kept, "the history is among what is searched"
    # The ends of base64 texts may belong to what stands beside the secret.
    assert not [form for form in (*PLAIN, *(text[4:-4] for text in BASE64)) if form.encode() in kept]


def leaking(spec: AgentSpec) -> Script:
    """A task that prints its token in every way, and has it in its result or its error."""
    text = "\n".join(f"here it is: {form}" for form in (*BASE64, *PLAIN))
    if spec.identity.step_id == "failing":
        return Script(exit_code=3, stdout=text, stderr=f"{text}\nit failed with {spec.env['TOKEN']}")
    if spec.identity.step_id == "text":
        return Script(stdout=text)
    return Script(stdout=json.dumps({"mine": spec.env["TOKEN"], spec.env["TOKEN"]: [1]}), stderr=text)


LEAKING = """
name: leaks
secrets: [TOKEN]
config: {failure_strategy: continue, retry_policy: {max_attempts: 2}}
steps:
  - {id: json, image: x}
  - {id: text, image: x, depends_on: [json]}
  - {id: failing, image: x, command: [echo, "{{ $.mine }}"], depends_on: [text]}
  - {id: items, image: x, type: map, map_config: {input_path: $.list}, depends_on: [json]}
state: {list: [1, 2]}
"""


def test_nothing_that_is_kept_contains_a_secret_in_any_form(tmp_path: Path) -> None:
    async def story(world: World) -> RunDetail:
        return await world.run(LEAKING)

    detail = in_home(tmp_path, story, leaking)

    assert_hidden(tmp_path)
    assert step_of(detail, "json").result == {"mine": "***", "***": [1]}
    printed = step_of(detail, "text").result.splitlines()
    assert printed[len(BASE64) :] == ["here it is: ***"] * len(PLAIN)
    assert all("***" in line for line in printed)
    assert step_of(detail, "failing").error == "exit code 3: it failed with ***"
    assert detail.state["mine"] == "***"


def test_a_task_gets_the_secrets_that_its_step_names_and_the_stronger_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vars.env").write_text("A=file\nB=file\nTOKEN=file\nWORKFLOW_ID=file\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    seen: dict[str, dict[str, str]] = {}

    def look(spec: AgentSpec) -> Script:
        seen[spec.identity.step_id] = dict(spec.env)
        return Script()

    async def story(world: World) -> RunDetail:
        return await world.run("""
            name: variables
            env_file: [vars.env]
            secrets: [TOKEN, {name: SECOND, env: OTHER}]
            steps:
              - {id: all, image: x, env_vars: {B: step}}
              - {id: one, image: x, secrets: [SECOND]}
              - {id: none, image: x, secrets: []}
        """)

    detail = in_home(tmp_path / "home", story, look, {"TOKEN": TOKEN, "OTHER": "the other one"})

    def of(step_id: str) -> tuple[str | None, ...]:
        return tuple(seen[step_id].get(name) for name in ("A", "B", "TOKEN", "SECOND"))

    assert of("all") == ("file", "step", TOKEN, "the other one")
    assert of("one") == ("file", "file", None, "the other one")
    assert of("none") == ("file", "file", None, None)
    assert seen["all"]["WORKFLOW_ID"] == detail.run.id


def test_a_missing_secret_refuses_the_run_before_it_exists(tmp_path: Path) -> None:
    async def story(world: World) -> list[Any]:
        with pytest.raises(DocumentError, match="secret TOKEN: the variable TOKEN is not set"):
            await world.start(LEAKING)
        with world.loop.outside():
            return await world.reader.runs()

    assert in_home(tmp_path, story, environ={}) == []


def test_what_a_task_puts_into_the_state_reaches_the_next_one_but_not_the_history(tmp_path: Path) -> None:
    inputs: dict[str, Any] = {}

    async def story(world: World) -> RunDetail:
        async def put(spec: AgentSpec) -> None:
            changes = StateChanges(set={"session": TOKEN})
            await world.store.write_state(spec.identity.run_id, changes)

        def behaviour(spec: AgentSpec) -> Script:
            inputs[spec.identity.step_id] = json.loads(spec.env["TASK_INPUT"])
            return Script(action=put if spec.identity.step_id == "first" else None)

        world.backend._behaviour = behaviour
        return await world.run("""
            name: live
            secrets: [TOKEN]
            steps:
              - {id: first, image: x}
              - {id: second, image: x, depends_on: [first]}
        """)

    detail = in_home(tmp_path, story)

    assert inputs["second"]["session"] == TOKEN
    assert detail.state["session"] == "***"
    assert_hidden(tmp_path)


def test_redis_shows_the_run_and_its_results_masked(tmp_path: Path) -> None:
    shown: dict[str, str] = {}

    async def story(world: World) -> RunDetail:
        async def act(spec: AgentSpec) -> None:
            who, run_id = spec.identity, spec.identity.run_id
            await world.store.write_state(run_id, StateChanges(set={"session": TOKEN}))
            if who.step_id == "last":
                before = who.task_id.replace("-last-", "-json-")
                for key in (f"workflow:{run_id}", f"task:{before}:result", f"agent:{spec.name}"):
                    shown[key.split(":")[0]] = await world.store.get(key) or ""
                shown["variable"] = spec.env["MINE"]

        def behaviour(spec: AgentSpec) -> Script:
            return replace(leaking(spec), action=act)

        world.backend._behaviour = behaviour
        return await world.run("""
            name: redis
            secrets: [TOKEN]
            steps:
              - {id: json, image: x}
              - {id: middle, image: x, depends_on: [json]}
              - {id: last, image: x, depends_on: [middle], env_vars: {MINE: "{{ $.mine }}"}}
        """)

    detail = in_home(tmp_path, story)

    assert detail.run.status == "completed"
    assert json.loads(shown["task"]) == {"mine": "***", "***": [1]}
    assert shown["variable"] == "***", "a result is masked before the next step sees it"
    assert TOKEN not in json.loads(shown["workflow"])["state"].values()
    assert json.dumps(TOKEN)[1:-1] not in shown["workflow"] + shown["agent"]


def test_a_child_run_hides_what_its_parent_knows_and_gets_only_its_own(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    async def story(world: World) -> list[RunDetail]:
        async def put(spec: AgentSpec) -> None:
            changes = StateChanges(set={"session": TOKEN})
            await world.store.write_state(spec.identity.run_id, changes)

        def behaviour(spec: AgentSpec) -> Script:
            if spec.identity.step_id == "inner":
                seen.update(json.loads(spec.env["TASK_INPUT"]), TOKEN=spec.env.get("TOKEN"))
                return Script(stdout=f"got {seen['session']}")
            return Script(action=put)

        world.backend._behaviour = behaviour
        world.library["other"] = "name: other\nsteps: [{id: inner, image: x}]\n"
        parent = await world.run("""
            name: parent
            secrets: [TOKEN]
            steps:
              - {id: first, image: x}
              - id: sub
                type: subworkflow
                depends_on: [first]
                sub_workflow_name: other
        """)
        return [parent, await world.detail(child_run_id(parent.run.id, "sub", None, 1))]

    parent, child = in_home(tmp_path, story)

    assert parent.run.status == "completed"
    assert (seen["session"], seen["TOKEN"]) == (TOKEN, None)
    assert step_of(child, "inner").result == "got ***"
    assert_hidden(tmp_path)


def test_params_and_state_of_a_run_are_kept_masked(tmp_path: Path) -> None:
    seen: list[str] = []

    def look(spec: AgentSpec) -> Script:
        seen.append(spec.env["GIVEN"])
        return Script()

    async def story(world: World) -> RunDetail:
        return await world.run(
            """
            name: params
            params: {given: {type: string}}
            secrets: [TOKEN]
            steps:
              - {id: a, image: x, env_vars: {GIVEN: "{{ $.params.given }}"}}
            """,
            given=f"with {TOKEN} in it",
        )

    detail = in_home(tmp_path, story, look)

    assert set(seen) == {f"with {TOKEN} in it"}
    assert detail.run.params == {"given": "with *** in it"}
    assert_hidden(tmp_path)


def test_a_recovered_run_reads_its_secrets_again(tmp_path: Path) -> None:
    document = """
        name: again
        secrets: [TOKEN]
        steps:
          - {id: first, image: x}
          - {id: second, image: x, depends_on: [first]}
    """
    seen: list[tuple[str, str]] = []

    def look(spec: AgentSpec) -> Script:
        seen.append((spec.identity.step_id, spec.env["TOKEN"]))
        return Script(stdout=spec.env["TOKEN"], delay=10.0 if spec.identity.step_id == "first" else 0.0)

    async def story(world: World) -> RunDetail:
        run_id = await world.start(document)
        while not world.backend.started:
            await world.clock.sleep(1.0)
        interrupted = await world.crash(run_id)
        world.environ["TOKEN"] = "the new token"
        return await world.recover(interrupted, document)

    detail = in_home(tmp_path, story, look)

    # A backend looks at its script in several calls.
    assert dict(seen) == {"first": TOKEN, "second": "the new token"}
    assert step_of(detail, "second").result == "***"


def test_a_document_that_contains_a_secret_is_warned_of(tmp_path: Path) -> None:
    async def story(world: World) -> list[str]:
        detail = await world.run(
            "name: w\nsecrets: [TOKEN]\nsteps: [{id: a, image: x, env_vars: {X: literally this}}]\n"
        )
        events = await world.events(detail.run.id)
        return [event.data["message"] for event in events if event.type is EventType.WARNING]

    [warning] = in_home(tmp_path, story, environ={"TOKEN": "literally this"})
    assert "the document contains the value of the secret TOKEN" in warning


def test_a_secret_that_is_a_word_of_the_engine_breaks_nothing(tmp_path: Path) -> None:
    for word in ("completed", "running", "memory", "step", "policy"):

        async def story(world: World) -> RunDetail:
            return await world.run("name: w\nsecrets: [TOKEN]\nsteps: [{id: step, image: x}]\n")

        detail = in_home(tmp_path / word, story, environ={"TOKEN": word})
        assert detail.run.status == "completed"
        assert [step.id for step in detail.steps] == ["step"]
