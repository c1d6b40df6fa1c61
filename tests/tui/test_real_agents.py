"""The area of agents, shells and failures over the real engine with local processes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agentainer_tui.app import DashboardApp
from agentainer_tui.bridge.client import EngineClient
from agentainer_tui.screens.agents import AgentsScreen
from agentainer_tui.screens.failure import FailureScreen
from engine.agents.shells import Shell
from engine.settings import Settings
from tests.tui.driving import on_screen, until, until_seen

DOCUMENT = """
name: flow
config: {cleanup_policy: on_success}
params:
  bad: {type: integer, default: 0}
state: {names: [ann, bob, eve, zoe]}
steps:
  - id: greet
    type: map
    map_config: {input_path: names, error_handling: continue_on_error}
    env_vars: {BAD: "{{ $.params.bad }}"}
    command:
      - sh
      - -c
      - echo $0 > left; [ $BAD = 0 ] || { echo no greeting for $0 >&2; exit 3; }
      - "{{ $.item }}"
"""
WAITING = """
name: waiting
steps:
  - {id: wait, command: "echo begun; exec sleep 600"}
"""


def client_of(tmp_path: Path) -> tuple[EngineClient, Path]:
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "flow.yaml").write_text(DOCUMENT)
    (flows / "waiting.yaml").write_text(WAITING)
    return EngineClient(Settings(home=tmp_path / "home", backend="process", stop_grace=0.5), flows), flows


async def test_a_failure_is_found_entered_and_cleaned_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, flows = client_of(tmp_path)
    app = DashboardApp(client, flows)
    said: list[bytes] = []

    def run(_: object, shell: Shell) -> None:
        typed = subprocess.run(shell.argv, input=b"cat left\n", capture_output=True, check=False)
        said.append(typed.stdout)

    monkeypatch.setattr("agentainer_tui.flows.entering._run", run)
    try:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(pilot, lambda: len(app.feed.workflows) == 2)
            await client.run(str(flows / "flow.yaml"), {})
            await until(pilot, lambda: [row.status for row in app.feed.runs_of(None)] == ["completed"])
            await client.run(str(flows / "flow.yaml"), {"bad": 1})
            await until_seen(pilot, "! 1 failed")
            await pilot.press("exclamation_mark")
            await until_seen(pilot, "4 of 4 items failed")
            assert isinstance(app.screen, FailureScreen)
            await until_seen(pilot, "no greeting for ann")
            await until_seen(pilot, "param bad  0 → 1")
            assert "4 causes" in on_screen(app), "few enough to be told apart by their names"
            await pilot.press("s")
            await until(pilot, lambda: said == [b"ann\n"])
            await pilot.press("4")
            await until_seen(pilot, "Kept 4")
            assert isinstance(app.screen, AgentsScreen)
            await pilot.press("slash", *"greet[2]", "enter")
            await until_seen(pilot, "1 of 4")
            await pilot.press("home", "space", "X")
            await until_seen(pilot, "Remove 1 agent?")
            await pilot.click("#remove")
            await until_seen(pilot, "1 agent removed")
            await pilot.press("escape")
            await until_seen(pilot, "Kept 3")
            left = {agent.attempt.item for agent in await client.kept_agents()}
            assert left == {0, 1, 3}, "exactly the one that was listed"
    finally:
        await client.close()


async def test_what_runs_has_figures_and_goes_when_its_run_is_cancelled(tmp_path: Path) -> None:
    client, flows = client_of(tmp_path)
    app = DashboardApp(client, flows)
    try:
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(pilot, lambda: len(app.feed.workflows) == 2)
            await client.run(str(flows / "waiting.yaml"), {})
            await pilot.press("4")
            await until_seen(pilot, "wait  waiting")
            await until(pilot, lambda: "iB" in on_screen(app))
            await pilot.press("home", "x")
            await until_seen(pilot, "Cancel waiting")
            await pilot.press("right", "enter")
            await until_seen(pilot, "Nothing runs.")
    finally:
        await client.close()
