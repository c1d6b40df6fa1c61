"""The Scheduler on a clock that tests can set: workflow files of a real directory, scripted agents."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.agents.memory import Script
from engine.clock import LoopClock
from engine.events import EventType
from engine.history.records import RunRecord
from engine.orchestrator.schedule import Scheduled, Scheduler
from engine.workflows.catalog import WorkflowCatalog
from tests.engine.test_child_runs import recover_all
from tests.engine.world import World, by_step, in_world, until

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
FOREVER = Script(delay=None)


class SettableClock(LoopClock):
    """A wall clock that can be set; what is waited for goes by the loop's time all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = timedelta()

    def now(self) -> datetime:
        return super().now() + self.offset

    def put(self, seconds: float) -> None:
        self.offset += timedelta(seconds=seconds)


class Clockwork:
    """A scheduler over a directory of workflow files, in a world."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.clock = SettableClock()
        world.clock = self.clock
        world.boot()
        self.scheduler: Scheduler

    async def open(self) -> None:
        self.catalog = WorkflowCatalog(self.directory)
        await self.catalog.refresh()
        self.scheduler = Scheduler(self.catalog, self.world.orchestrator, self.world.history, self.clock)
        await self.scheduler.open()

    async def write(self, cron: str, *, name: str = "tick", more: str = "", step: str = "a") -> Path:
        """Save a workflow; a scheduler that is open is told, as the directory's watcher does."""
        path = self.directory / f"{name}.yaml"
        path.write_text(
            f"name: {name}\nconfig:\n  schedule: {{cron: '{cron}'{more}}}\n"
            f"steps:\n  - {{id: {step}, command: [x]}}\n"
        )
        await self.reload()
        return path

    async def reload(self) -> None:
        if hasattr(self, "scheduler"):
            await self.catalog.refresh()
            self.scheduler.refresh()

    async def until(self, time: str) -> None:
        """Let time pass until `HH:MM` of the first day, or `DD HH:MM` of the month, and a second."""
        day, _, clock = time.rpartition(" ")
        hour, minute = clock.split(":")
        moment = datetime(2026, 1, int(day or 1), int(hour), int(minute), 1, tzinfo=UTC)
        await asyncio.sleep((moment - self.clock.now()).total_seconds())

    async def runs(self) -> list[RunRecord]:
        """All runs, oldest first."""
        runs: list[RunRecord] = await self.world.history.runs(limit=1000)
        return runs[::-1]

    async def times(self) -> list[str]:
        """For which times runs were started, as `HH:MM`."""
        found = []
        for run in await self.runs():
            created = (await self.world.history.events(run.id, limit=1))[0]
            assert run.source == "schedule"
            found.append(created.data["scheduled_for"][11:16])
        return found

    @property
    def only(self) -> Scheduled:
        [one] = self.scheduler.schedules()
        return one


def keep_time(
    tmp_path: Path,
    story: Callable[[Clockwork], Coroutine[Any, Any, None]],
    **scripts: Script,
) -> None:
    """Run `story` on the first of January 2026, from midnight UTC."""

    async def on(world: World) -> None:
        clockwork = Clockwork(world, tmp_path / "workflows")
        try:
            await story(clockwork)
        finally:
            if hasattr(clockwork, "scheduler"):
                await clockwork.scheduler.close()

    in_world(tmp_path / "home", on, by_step(scripts))


def test_runs_start_at_the_times_of_the_schedule(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("*/20 * * * *")
        await clockwork.open()
        assert clockwork.only.next_time == datetime(2026, 1, 1, 0, 20, tzinfo=UTC)
        await clockwork.until("01:05")
        assert await clockwork.times() == ["00:20", "00:40", "01:00"]
        for run in await clockwork.runs():
            assert run.status == "completed"
        [last] = (await clockwork.runs())[-1:]
        assert (clockwork.only.last_run, clockwork.only.problem) == (last.id, "")

    keep_time(tmp_path, story)


def test_a_schedule_goes_by_its_time_zone(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("30 6 * * *", more=", timezone: Asia/Kolkata")
        await clockwork.open()
        await clockwork.until("02:00")
        assert await clockwork.times() == ["01:00"]

    keep_time(tmp_path, story)


def test_the_params_of_the_schedule_are_given(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        path = await clockwork.write("0 * * * *", more=", params: {depth: 3}")
        path.write_text(path.read_text() + "params:\n  depth: {type: integer}\n  other: {default: x}\n")
        await clockwork.open()
        await clockwork.until("01:01")
        assert [run.params for run in await clockwork.runs()] == [{"depth": 3, "other": "x"}]

    keep_time(tmp_path, story)


# -- overlap ------------------------------------------------------------------------------------------


def test_skip_leaves_out_times_while_an_earlier_run_goes_on(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("*/10 * * * *")
        await clockwork.open()
        await clockwork.until("00:31")
        assert await clockwork.times() == ["00:10"]
        assert "had not ended" in clockwork.only.problem
        await clockwork.until("00:41")
        assert await clockwork.times() == ["00:10", "00:40"]
        assert clockwork.only.problem == ""

    keep_time(tmp_path, story, a=Script(delay=25 * MINUTE))


def test_queue_runs_every_time_one_after_the_other(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("*/10 * * * *", more=", overlap: queue")
        await clockwork.open()
        await clockwork.until("00:31")
        assert [run.status for run in await clockwork.runs()] == ["running", "pending", "pending"]
        second = (await clockwork.runs())[1].id
        queued = [e for e in await clockwork.world.events(second) if e.type is EventType.RUN_QUEUED]
        assert [e.data for e in queued] == [{"why": "schedule"}]
        await clockwork.until("02:00")
        runs = await clockwork.runs()
        for earlier, later in itertools.pairwise(runs):
            if later.started_at is not None:
                assert earlier.finished_at is not None
                assert earlier.finished_at <= later.started_at

    keep_time(tmp_path, story, a=Script(delay=25 * MINUTE))


def test_a_schedule_that_is_faster_than_its_runs_does_not_pile_up(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("* * * * *", more=", overlap: queue")
        await clockwork.open()
        await clockwork.until("03:00")
        assert len(await clockwork.runs()) == 21
        assert "wait already" in clockwork.only.problem

    keep_time(tmp_path, story, a=FOREVER)


def test_cancel_previous_ends_the_earlier_run_before_the_next_begins(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("*/10 * * * *", more=", overlap: cancel_previous")
        await clockwork.open()
        await clockwork.until("00:31")
        runs = await clockwork.runs()
        assert [run.status for run in runs] == ["cancelled", "cancelled", "running"]
        for earlier, later in itertools.pairwise(runs):
            assert (earlier.finished_at or "") <= (later.started_at or "")
        assert clockwork.world.backend.most_running == 1

    keep_time(tmp_path, story, a=FOREVER)


@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel_previous"])
def test_runs_that_people_start_are_not_in_the_way_of_a_schedule(tmp_path: Path, overlap: str) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("*/10 * * * *", more=f", overlap: {overlap}")
        await clockwork.open()
        [entry] = clockwork.catalog.entries
        assert entry.plan is not None
        mine = await clockwork.world.orchestrator.start(entry.plan, {}, source="test")
        await clockwork.until("00:11")
        assert clockwork.world.backend.running == 2
        assert (await clockwork.world.detail(mine)).run.status == "running"

    keep_time(tmp_path, story, a=FOREVER)


def test_scheduled_runs_obey_max_active_runs(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        path = await clockwork.write("*/10 * * * *", more=", overlap: queue")
        path.write_text(path.read_text().replace("config:\n", "config:\n  max_active_runs: 1\n"))
        await clockwork.open()
        [entry] = clockwork.catalog.entries
        assert entry.plan is not None
        await clockwork.world.orchestrator.start(entry.plan, {}, source="test")
        await clockwork.until("00:11")
        assert [run.status for run in await clockwork.runs()] == ["running", "pending"]
        await clockwork.until("00:31")
        assert (await clockwork.runs())[1].status == "completed"

    keep_time(tmp_path, story, a=Script(delay=15 * MINUTE))


# -- missed times -------------------------------------------------------------------------------------


async def away(clockwork: Clockwork, until: str) -> None:
    """The engine ends, and another begins at `until`."""
    await clockwork.scheduler.close()
    await clockwork.until(until)
    await clockwork.open()


def test_times_without_an_engine_are_skipped(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("0 * * * *")
        await clockwork.open()
        await clockwork.until("01:30")
        await away(clockwork, "04:30")
        await clockwork.until("05:30")
        assert await clockwork.times() == ["01:00", "05:00"]

    keep_time(tmp_path, story)


def test_run_once_makes_up_for_all_of_them_with_one_run(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("0 * * * *", more=", missed: run_once")
        await clockwork.open()
        await clockwork.until("01:30")
        await away(clockwork, "04:30")
        await clockwork.until("05:30")
        assert await clockwork.times() == ["01:00", "04:00", "05:00"]
        await away(clockwork, "05:40")
        assert await clockwork.times() == ["01:00", "04:00", "05:00"]

    keep_time(tmp_path, story)


def test_a_workflow_that_has_never_run_has_missed_nothing(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("0 * * * *", more=", missed: run_once")
        await asyncio.sleep(DAY)
        await clockwork.open()
        await asyncio.sleep(MINUTE)
        assert await clockwork.times() == []

    keep_time(tmp_path, story)


def test_a_year_of_missed_minutes_is_not_counted_through(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("* * * * *", more=", missed: run_once")
        await clockwork.open()
        await clockwork.until("00:01")
        await clockwork.scheduler.close()
        clockwork.clock.put(366 * DAY)
        await clockwork.open()
        assert len(await clockwork.runs()) == 2

    keep_time(tmp_path, story)


# -- the clock ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("missed", "made_up"), [("skip", 0), ("run_once", 1)])
def test_a_suspended_machine_does_not_fire_a_burst(tmp_path: Path, missed: str, made_up: int) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("*/5 * * * *", more=f", missed: {missed}")
        await clockwork.open()
        await clockwork.until("00:06")
        clockwork.clock.put(10 * HOUR + 2 * MINUTE)
        await clockwork.until("10:09")
        assert await clockwork.times() == ["00:05", *["10:05"] * made_up]
        await clockwork.until("10:11")
        assert (await clockwork.times())[-1] == "10:10"

    keep_time(tmp_path, story)


def test_a_time_is_still_met_right_after_a_resume(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("0 9 * * *")
        await clockwork.open()
        await clockwork.until("00:10")
        clockwork.clock.put(8 * HOUR + 50 * MINUTE)  # one second past nine
        await clockwork.until("09:01")
        assert await clockwork.times() == ["09:00"]

    keep_time(tmp_path, story)


def test_a_clock_that_is_put_back_does_not_repeat_what_was_met(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("0 * * * *")
        await clockwork.open()
        await clockwork.until("02:10")
        clockwork.clock.put(-HOUR)
        await clockwork.until("03:10")
        assert await clockwork.times() == ["01:00", "02:00", "03:00"]

    keep_time(tmp_path, story)


def test_a_clock_that_was_a_year_ahead_does_not_stop_the_schedule(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("0 * * * *")
        await clockwork.open()
        await clockwork.until("01:10")
        clockwork.clock.put(365 * DAY)
        await asyncio.sleep(HOUR)
        clockwork.clock.put(-365 * DAY)
        await asyncio.sleep(2 * HOUR)
        assert (await clockwork.times())[-2:] == ["03:00", "04:00"]

    keep_time(tmp_path, story)


# -- changes while it runs ----------------------------------------------------------------------------


def test_a_changed_schedule_counts_at_once(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("0 12 * * *")
        await clockwork.open()
        await clockwork.until("00:10")
        await clockwork.write("*/30 * * * *")
        await clockwork.until("01:10")
        assert await clockwork.times() == ["00:30", "01:00"]

    keep_time(tmp_path, story)


def test_a_new_file_is_scheduled_and_a_removed_one_is_not(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        first = await clockwork.write("*/10 * * * *")
        await clockwork.open()
        await clockwork.until("00:11")
        await clockwork.write("*/10 * * * *", name="other")
        first.unlink()
        await clockwork.reload()
        await clockwork.until("00:21")
        assert [run.workflow for run in await clockwork.runs()] == ["tick", "other"]

    keep_time(tmp_path, story)


def test_an_edit_that_leaves_the_schedule_alone_loses_no_time_and_runs_the_new_version(
    tmp_path: Path,
) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("*/10 * * * *")
        await clockwork.open()
        await clockwork.until("00:09")
        await clockwork.write("*/10 * * * *", step="b")
        await clockwork.until("00:11")
        [run] = await clockwork.runs()
        assert [step.id for step in (await clockwork.world.detail(run.id)).steps] == ["b"]

    keep_time(tmp_path, story)


def test_a_broken_file_does_not_run_until_it_is_put_right(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        path = await clockwork.write("*/10 * * * *")
        good = path.read_text()
        await clockwork.open()
        path.write_text(good.replace("command", "comand"))
        await clockwork.reload()
        assert (clockwork.only.next_time, "has errors" in clockwork.only.problem) == (None, True)
        await clockwork.until("00:11")
        path.write_text(good)
        await clockwork.reload()
        await clockwork.until("00:21")
        assert await clockwork.times() == ["00:20"]
        assert clockwork.only.problem == ""

    keep_time(tmp_path, story)


def test_a_run_that_cannot_be_started_is_told_and_harms_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(clockwork: Clockwork) -> None:
        path = await clockwork.write("*/10 * * * *", name="bad")
        path.write_text(path.read_text() + "secrets: [MISSING]\n")
        await clockwork.write("*/10 * * * *", name="good")
        await clockwork.open()
        await clockwork.until("00:11")
        assert [run.workflow for run in await clockwork.runs()] == ["good"]
        problems = {one.workflow: one.problem for one in clockwork.scheduler.schedules()}
        assert problems["good"] == ""
        assert "MISSING" in problems["bad"]
        assert "workflow bad could not be started" in caplog.text
        clockwork.world.environ["MISSING"] = "found it at last"
        await clockwork.until("00:21")
        assert {one.problem for one in clockwork.scheduler.schedules()} == {""}

    keep_time(tmp_path, story)


def test_runs_that_waited_for_the_schedule_still_wait_after_a_crash(tmp_path: Path) -> None:
    async def story(clockwork: Clockwork) -> None:
        await clockwork.write("*/10 * * * *", more=", overlap: queue")
        await clockwork.open()
        await clockwork.until("00:21")
        first, second = await clockwork.runs()
        await clockwork.scheduler.close()
        await clockwork.world.crash(first.id)
        await recover_all(clockwork.world)
        assert (await clockwork.world.detail(second.id)).run.status == "pending"
        await clockwork.world.finish(first.id)
        await until(lambda: len(clockwork.world.backend.started) == 2)
        assert (await clockwork.world.finish(second.id)).run.status == "completed"
        assert clockwork.world.backend.most_running == 1

    keep_time(tmp_path, story, a=Script(delay=25 * MINUTE))
