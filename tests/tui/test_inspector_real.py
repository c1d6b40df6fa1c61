"""What the inspector says of tasks, held against what real tasks find."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from agentainer_tui.bridge.client import EngineClient
from agentainer_tui.inspector.agent import agent_entries
from agentainer_tui.inspector.entries import Entry, Words
from agentainer_tui.inspector.env import env_entries
from agentainer_tui.inspector.input import task_input
from agentainer_tui.inspector.reading import Readings
from agentainer_tui.looks import UNICODE
from agentainer_tui.model import reduce_all
from agentainer_tui.views import ItemView, RunView, StepView
from engine.settings import Settings

# Each task says what it found: its variables and its input.
TELL = """
import json, os
given = {name: value for name, value in os.environ.items() if name not in HOST}
print(json.dumps({"env": given, "input": json.loads(os.environ["TASK_INPUT"])}))
"""
HOST = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "PWD",
    "SHLVL",
    "_",
    "OLDPWD",
)
DOCUMENT = """
name: telling
metadata: {team: docs, cost centre: "7"}
params: {who: {default: Ann}}
state: {names: [eve, bob], start: true}
env_file: more.env
secrets: [{name: DB_PASSWORD, env: INSPECTED_PASSWORD}]
config: {cleanup_policy: never}
steps:
  - id: one
    command: [PYTHON, tell.py]
    secrets: [DB_PASSWORD]
    env_vars: {WHO: "{{ $.params.who }}", MODE: fast, API_TOKEN: hunter2hunter2, URL: "http://ann:pass@host/"}
    working_dir: .
  - id: each
    type: map
    map_config: {input_path: names, item_alias: name}
    command: [PYTHON, tell.py]
    env_vars: {NAME: "{{ $.name }}"}
    working_dir: .
  - id: sum
    type: reduce
    depends_on: [each]
    command: [PYTHON, tell.py]
    working_dir: .
"""
PASSWORD = "correct-horse-battery"


@pytest.fixture
async def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A finished run of the document, and the client that can be asked about it."""
    monkeypatch.setenv("INSPECTED_PASSWORD", PASSWORD)
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "tell.py").write_text(f"HOST = {HOST!r}\n{TELL}")
    (flows / "more.env").write_text("FROM_FILE=quiet\n")
    (flows / "telling.yaml").write_text(DOCUMENT.replace("PYTHON", sys.executable))
    client = EngineClient(Settings(home=tmp_path / "home", backend="process"), flows)
    await client.open()
    try:
        await client.snapshot(page=10)
        run_id = await client.run(str(flows / "telling.yaml"), {})
        view: RunView | None = None
        async for _ in client.events():
            view = reduce_all(None, await client.run_events(run_id, after=0, limit=10_000))
            if view is not None and view.status.is_terminal:
                break
        assert view is not None
        assert view.status == "completed", (view.error, view.warnings)
        yield client, view
    finally:
        await client.close()


def shown(entries: list[Entry]) -> dict[str, str]:
    """The variables on the tab Env."""
    rows = [
        entry.value for entry in entries if isinstance(entry.value, Words) and entry.value.copied is not None
    ]
    return {words.text.split()[0]: words.copied or "" for words in rows}


def nodes(view: RunView) -> list[tuple[StepView, ItemView | None, dict[str, Any]]]:
    """Every step and item that told something."""
    one, each, total = (view.steps[name] for name in ("one", "each", "sum"))
    return [(one, None, one.result), (total, None, total.result), *((each, i, i.result) for i in each.items)]


async def test_every_variable_of_a_task_is_on_the_tab_env_and_no_secret_in_the_history(told: Any) -> None:
    client, view = told
    for step, item, found in nodes(view):
        env = shown(env_entries(view, step, item))
        assert set(found["env"]) - set(env) == {"AGENTAINER_AGENT"}  # for the backend alone
        for name, value in found["env"].items():
            if name not in env or name == "TASK_INPUT" or name.startswith("REDIS_"):
                continue
            expected = {"API_TOKEN": "***", "DB_PASSWORD": "***", "FROM_FILE": "***"}.get(name, value)
            assert env[name] == expected.replace(":pass@", ":***@"), name
    events = await client.run_events(view.id, after=0, limit=10_000)
    assert PASSWORD not in json.dumps([event.data for event in events])
    written = json.dumps([event.data for event in events if not event.type.endswith("finished")])
    assert "hunter2" not in written, "only what the task itself printed has it"


async def test_the_tab_input_shows_what_the_task_found_as_its_input(told: Any) -> None:
    client, view = told
    for step, item, found in nodes(view):
        readings = Readings()
        assert readings.wants("input", view, step, item)
        await readings.read(client, "input", view, step, item)
        assert readings.state is not None
        assert task_input(view, step, item, readings.state) == found["input"]
        assert not readings.wants("input", view, step, item)


async def test_the_tab_state_has_what_the_step_set(told: Any) -> None:
    client, view = told
    readings = Readings()
    await readings.read(client, "state", view, view.steps["one"], None)
    assert readings.change is not None
    assert {part.part: part.mark for part in readings.change.parts if part.part} == {"env": "+", "input": "+"}


async def test_a_kept_agent_is_described_and_one_that_was_removed_is_not(told: Any) -> None:
    client, view = told
    step, readings = view.steps["one"], Readings()
    await readings.read(client, "agent", view, step, None)
    assert readings.agent is not None
    assert readings.agent.facts is not None
    assert readings.agent.facts["state"]["status"] == "exited"
    entries = agent_entries(view, step, None, readings.agent, UNICODE)
    assert "directory" in str(entries[-1].value)
    async with asyncio.timeout(20):  # the run is over in the history a moment before its engine lets go of it
        while not await client.kept_agents(view.id):
            await asyncio.sleep(0.02)
    assert await client.cleanup([step.attempts[-1].agent])
    assert await client.describe_agent(step.attempts[-1].agent) is None


async def test_only_the_events_of_a_step_or_item_are_read(told: Any) -> None:
    client, view = told
    each = view.steps["each"]
    for item in (None, each.items[1]):
        readings = Readings()
        assert readings.wants("events", view, each, item)
        await readings.read(client, "events", view, each, item)
        assert {event.step_id for event in readings.events} == {"each"}
        assert {event.item for event in readings.events} == ({None, 0, 1} if item is None else {1})
        assert not readings.wants("events", view, each, item)
