"""The panel of warm pools."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentainer_tui.screens.pools import PoolsDialog
from engine.agents.backend import PoolReport
from tests.tui.driving import dashboard, home, on_screen, top, until, until_seen
from tests.tui.fake_client import FakeClient
from tests.tui.scenes import HELLO

BUSY = PoolReport(
    name="python",
    min_size=1,
    max_size=4,
    mode="shell",
    images=("sha256:aa",),
    size=4,
    busy=2,
    idle=0,
    starting=1,
    waiting=3,
    hits=116,
    misses=4,
    tasks=118,
    retired={"unclean": 1, "idle": 2},
)
NEW = replace(BUSY, name="new", mode="", size=0, busy=0, starting=0, waiting=0, hits=0, misses=0, tasks=0)


async def test_the_panel_shows_use_and_reuse_of_each_pool_and_keeps_up() -> None:
    client = FakeClient([HELLO])
    client.reports = [BUSY, replace(NEW, retired={}, note="the image has neither a shell nor Python")]
    async with dashboard(client, size=(80, 24)) as (app, pilot):
        await pilot.press("p")
        await until_seen(pilot, "python  shell")
        text = on_screen(app)
        assert "4 agents of 1 to 4: 2 busy, 1 starting, 1 being cleaned" in text
        assert "118 tasks, 96 % reuse: 116 hits, 4 misses, 3 waiting" in text
        assert "removed: 2 idle, 1 unclean" in text
        assert "0 agents of 1 to 4" in text
        assert "the image has neither a shell nor Python" in text
        client.reports = [replace(BUSY, busy=0, idle=4, starting=0, waiting=0)]
        await until_seen(pilot, "4 agents of 1 to 4: 4 idle")
        await pilot.press("escape")
        await until(pilot, lambda: home(app))
        told = client.calls.count(("pools",))
        assert told >= 2


async def test_without_pools_the_panel_says_so() -> None:
    async with dashboard(FakeClient([HELLO]), size=(80, 24)) as (app, pilot):
        await pilot.press("p")
        await until(pilot, lambda: isinstance(top(app), PoolsDialog))
        await until_seen(pilot, "No step has run in a warm pool")


@pytest.mark.parametrize("size", [(20, 5), (80, 24), (200, 60)])
async def test_many_pools_with_hostile_names_fit_every_size(size: tuple[int, int]) -> None:
    client = FakeClient([HELLO])
    client.reports = [
        replace(BUSY, name=f"[red]{number}\x1b[31m" + "x" * 300, note="[b]\n" * 50) for number in range(50)
    ]
    async with dashboard(client, size=size) as (app, pilot):
        await pilot.press("p")
        await until(pilot, lambda: isinstance(top(app), PoolsDialog))
        if size[1] >= 24:
            await until_seen(pilot, "[red]0")
        await pilot.press("end", "pagedown", "home")
        assert "\x1b" not in on_screen(app)
        assert all(len(row) <= size[0] for row in on_screen(app).splitlines())
