"""What a run says while an image is fetched, on virtual time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from engine.agents.memory import Script
from engine.events import EventType
from tests.engine.world import World, by_step, in_world, step_of

ONE = "name: w\nsteps:\n  - {id: only, image: python, command: [work]}\n"
ITEMS = """name: w
state: {names: [a, b]}
steps:
  - {id: only, type: map, image: python, command: [work], map_config: {input_path: names, item_alias: name}}
"""


def waits(home: Path, seconds: float, document: str = ONE) -> tuple[list[tuple[int | None, int]], Any]:
    """Item and percentage of each word about the image, and the step as the history has it."""

    async def story(world: World) -> Any:
        detail = await world.run(document)
        events = await world.events(detail.run.id)
        told = [event for event in events if event.type is EventType.STEP_WAITING]
        assert all((event.data["why"], event.data["image"]) == ("image", "python") for event in told)
        return [(event.item, event.data["percent"]) for event in told], step_of(detail, "only")

    found: tuple[list[tuple[int | None, int]], Any] = in_world(
        home, story, by_step({"only": Script(prepare_delay=seconds)})
    )
    return found


@pytest.mark.parametrize("seconds", [0.0, 0.9])
def test_an_image_that_is_there_or_soon_is_not_worth_a_word(tmp_path: Path, seconds: float) -> None:
    assert waits(tmp_path, seconds)[0] == []


def test_the_progress_is_told_after_a_second_and_then_every_two(tmp_path: Path) -> None:
    told, step = waits(tmp_path, 10.0)
    assert told == [(None, 10), (None, 30), (None, 50), (None, 70), (None, 90)]
    assert step.status == "completed"
    assert step.waiting is None


def test_progress_that_is_hardly_any_is_not_told(tmp_path: Path) -> None:
    told, _ = waits(tmp_path, 200.0)
    assert len(told) <= 20
    assert all(later[1] - earlier[1] >= 5 for earlier, later in pairwise(told))


def test_items_tell_of_themselves_and_not_of_their_step(tmp_path: Path) -> None:
    told, step = waits(tmp_path, 2.0, ITEMS)
    assert sorted(told) == [(0, 50), (1, 50)]
    assert step.waiting is None
