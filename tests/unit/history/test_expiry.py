"""Which runs have had their time, and that they go bit by bit while others live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from engine.clock import SystemClock, isoformat
from engine.events import EventType
from engine.history.housekeeping import Housekeeper, expired_by
from engine.history.journal import Journal
from engine.history.reader import Reader
from engine.settings import Settings
from tests.unit.history.story import Story

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class FixedClock(SystemClock):
    def now(self) -> datetime:
        return NOW


class Home:
    def __init__(self, journal: Journal, reader: Reader, settings: Settings) -> None:
        self.journal, self.reader, self.settings = journal, reader, settings

    async def run(self, run_id: str, days: float, *, end: str = "completed", **data: Any) -> Story:
        """A run that ended so many days ago; `end=""`: it did not end."""
        story = Story(run_id, start=NOW - timedelta(days=days))
        events = story.whole(status=end or "completed", **data)
        await self.journal.record(*(events if end else events[:3]))
        return story

    async def expired(self, **bounds: Any) -> list[str]:
        settings = self.settings.model_copy(update=bounds)
        return [run.id for run in await expired_by(self.reader, settings, FixedClock())]

    def keeper(self, **bounds: Any) -> Housekeeper:
        settings = self.settings.model_copy(update=bounds)
        return Housekeeper(self.journal, self.reader, settings, FixedClock())

    async def left(self) -> list[str]:
        return [run.id for run in reversed(await self.reader.runs())]


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    settings = Settings(home=tmp_path, keep_days=0, keep_runs=0)
    async with await Journal.open(settings.database) as journal, Reader(settings.database) as reader:
        yield Home(journal, reader, settings)


async def test_each_bound_lets_runs_go_by_itself_and_0_is_no_bound(home: Home) -> None:
    for number, days in enumerate((100, 95, 50, 3, 2, 1)):
        await home.run(f"run{number}", days)
    assert await home.expired() == []
    assert await home.expired(keep_days=90) == ["run0", "run1"]
    assert await home.expired(keep_runs=3) == ["run0", "run1", "run2"]
    assert await home.expired(keep_days=90, keep_runs=5) == ["run0", "run1"]
    assert await home.expired(keep_days=2.5, keep_runs=6) == ["run0", "run1", "run2", "run3"]


async def test_the_newest_run_of_each_workflow_stays_however_old_it_is(home: Home) -> None:
    await home.run("old1", 400, workflow="yearly")
    await home.run("old2", 300, workflow="yearly")
    await home.run("old3", 300, workflow="once")
    assert await home.expired(keep_days=1, keep_runs=1) == ["old1"]
    assert await home.keeper(keep_days=1, keep_runs=1).sweep() == 1
    assert await home.left() == ["old2", "old3"]


async def test_runs_in_progress_stay_and_do_not_count_as_newer_ones(home: Home) -> None:
    await home.run("live", 500, end="")
    await home.run("done", 400)
    await home.run("busy", 1, end="")
    assert await home.expired(keep_days=1, keep_runs=1) == []


async def test_runs_that_a_run_in_progress_takes_results_from_stay(home: Home) -> None:
    parent = {"run_id": "root", "step_id": "one", "attempt": 1}
    await home.run("root", 100)
    await home.run("part", 100, parent=parent)
    for name in ("gone", "cash", "done"):
        await home.run(name, 100)
    await home.run("last", 1)
    assert await home.expired(keep_days=9) == ["root", "gone", "cash", "done"]
    await home.run("redo", 0, end="", retry_of="part")
    story = await home.run("memo", 0, end="")
    cached = {"run_id": "cash", "step_id": "one"}
    await home.journal.record(story.step("one", "running", "completed", reused=True, cached_from=cached))
    assert await home.expired(keep_days=9) == ["gone", "done"]


async def test_runs_with_kept_agents_anywhere_in_them_stay_until_these_are_gone(home: Home) -> None:
    await home.run("aaaa", 100)
    story = Story("bbbb", start=NOW - timedelta(days=100))
    await home.journal.record(
        story.created("one", parent={"run_id": "aaaa", "step_id": "one", "attempt": 1}),
        story.run("pending", "running"),
        story.attempt_created("one"),
        story.attempt("one", "pending", "failed", kept=True),
        story.run("running", "failed"),
    )
    await home.run("last", 1)
    assert await home.expired(keep_days=9) == []
    await home.journal.record(story.agent_removed("one"))
    assert await home.expired(keep_days=9) == ["aaaa"]


async def test_a_sweep_deletes_whole_families_with_files_in_small_bites(home: Home) -> None:
    for number in range(25):
        await home.run(f"run{number:02}", 100)
    parent = {"run_id": "run03", "step_id": "one", "attempt": 1}
    await home.run("part", 100, parent=parent, workflow="inner")
    for run_id in ("run03", "part", "run24"):
        (home.settings.logs / run_id).mkdir(parents=True)
    assert await home.keeper(keep_days=9).sweep(most=7) == 7
    assert len(await home.left()) == 25 + 1 - 7 - 1
    assert await home.keeper(keep_days=9).sweep() == 17
    assert await home.left() == ["run24"]
    assert [one.name for one in home.settings.logs.iterdir()] == ["run24"]
    events = await home.reader.events()
    assert {event.run_id for event in events} == {"run24"}


async def test_a_run_with_very_many_rows_goes_in_several_transactions(home: Home) -> None:
    story = Story("huge", start=NOW - timedelta(days=100))
    await home.journal.record(
        story.created("one"),
        story.run("pending", "running"),
        story.expanded("one", *range(4_500)),
        *(story.event(EventType.WARNING, "one", message="w" * 50) for _ in range(4_500)),
        story.run("running", "completed"),
    )
    await home.run("last", 1)
    before = home.journal.last_seq
    assert await home.keeper(keep_days=9).sweep() == 1
    assert await home.left() == ["last"]
    assert await home.reader.items("huge", "one") == []
    await home.run("next", 0)
    assert home.journal.last_seq > before, "numbers never go back"


async def test_room_is_given_back_to_the_file_system(home: Home) -> None:
    for number in range(20):
        story = Story(f"run{number:02}", start=NOW - timedelta(days=100))
        warnings = [story.event(EventType.WARNING, message="w" * 5_000) for _ in range(40)]
        await home.journal.record(
            story.created("one"),
            story.run("pending", "running"),
            *warnings,
            story.run("running", "completed"),
        )

    def pages(connection: Any) -> list[int]:
        names = ("page_count", "freelist_count")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    count, _ = await home.journal.maintain(pages)
    await home.keeper(keep_days=9).sweep()
    assert (await home.journal.maintain(pages))[0] < 0.6 * count
    await home.journal.compact()
    count, free = await home.journal.maintain(pages)
    assert free == 0
    assert await home.left() == ["run19"]
    await home.run("more", 0)
    assert home.settings.database.stat().st_size < 1 << 20


async def test_an_engine_tidies_up_from_opening_to_closing(home: Home) -> None:
    for number in range(25):
        await home.run(f"run{number:02}", 100)
    keeper = home.keeper(keep_days=9)
    keeper.open()
    await keeper.close()  # at once: it still does its share
    assert await home.left() == [f"run{number:02}" for number in range(20, 25)]


async def test_what_cannot_be_deleted_keeps_nothing_else_and_nobody_waiting(home: Home) -> None:
    for number in range(3):
        await home.run(f"run{number}", 100)
    home.settings.logs.mkdir()
    (home.settings.logs / "run0").write_text("not a directory")
    keeper = home.keeper(keep_days=9)
    keeper.open()
    await keeper.close()
    assert await home.left() == ["run0", "run2"]
    (home.settings.logs / "run0").unlink()
    assert await home.keeper(keep_days=9).sweep() == 1
    assert await home.left() == ["run2"]


ages = st.lists(
    st.tuples(st.sampled_from("ab"), st.floats(0, 200), st.sampled_from(["completed", "failed", ""])),
    max_size=12,
)


@hypothesis_settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ages, st.sampled_from([0, 1, 30, 100]), st.sampled_from([0, 1, 2, 5]))
async def test_what_expires_is_what_a_person_would_say(
    tmp_path_factory: pytest.TempPathFactory, runs: list[Any], keep_days: int, keep_runs: int
) -> None:
    settings = Settings(home=tmp_path_factory.mktemp("home"), keep_days=keep_days, keep_runs=keep_runs)
    async with await Journal.open(settings.database) as journal, Reader(settings.database) as reader:
        home = Home(journal, reader, settings)
        runs = sorted(runs, key=lambda one: -one[1])
        for number, (workflow, days, end) in enumerate(runs):
            await home.run(f"run{number:02}", days, end=end, workflow=workflow)
        records = {run.id: run for run in await reader.runs()}
        expected = []
        for workflow in "ab":
            done = [f"run{n:02}" for n, (name, _, end) in enumerate(runs) if name == workflow and end]
            for place, run_id in enumerate(reversed(done)):  # newest first
                limit = isoformat(NOW - timedelta(days=keep_days))
                aged = bool(keep_days) and place > 0 and (records[run_id].finished_at or "") < limit
                if aged or (keep_runs and place >= keep_runs):
                    expected.append(run_id)
        assert await home.expired(keep_days=keep_days, keep_runs=keep_runs) == sorted(expected)
