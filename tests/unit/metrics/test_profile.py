"""Decompositions of runs made by hand, of which every second is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from engine.events import Event, EventType
from engine.metrics.profile import profile_of
from engine.metrics.profile_records import Profile, StepProfile
from tests.unit.metrics.stories import EPOCH, Story, together


def profile(events: Sequence[Event] | Story, **more: Any) -> Profile:
    found = profile_of(events.all if isinstance(events, Story) else events, "r1", **more)
    check(found)
    return found


def check(found: Profile) -> None:
    """What holds of every profile."""
    assert sum(found.parts.values()) == pytest.approx(found.duration)
    cursor = 0.0
    for link in found.path:
        assert link.begin == pytest.approx(cursor)
        assert link.end >= link.begin
        assert sum(link.parts.values()) == pytest.approx(link.seconds)
        cursor = link.end
    assert cursor == pytest.approx(found.duration)


def step(found: Profile, step_id: str) -> StepProfile:
    return next(one for one in found.steps if one.id == step_id)


def path(found: Profile) -> list[tuple[str | None, int | None, int | None, float]]:
    return [(link.step_id, link.item, link.attempt, round(link.seconds, 3)) for link in found.path]


def rounded(parts: Any) -> dict[str, float]:
    return {part: round(seconds, 3) for part, seconds in parts.items()}


def test_a_chain_is_its_own_critical_path() -> None:
    story = Story([{"id": "a"}, {"id": "b", "depends_on": ["a"]}])
    over = story.step("a", 0.5, {"image": 1, "create": 0.5, "start": 0.25, "run": 3})
    over = story.step("b", over + 2, {"queue": 2, "run": 4, "collect": 1}, took=0.3)
    found = profile(story.end(over + 0.25))

    assert path(found) == [("a", None, None, 0.5), ("a", None, 1, 4.75), ("b", None, None, 2),
                           ("b", None, 1, 5), (None, None, None, 0.25)]  # fmt: skip
    assert rounded(found.parts) == {"queue": 2, "image": 1, "create": 0.5, "start": 0.25, "run": 7,
                                    "collect": 1, "other": 0.75}  # fmt: skip
    assert rounded(found.totals) == {"queue": 2, "image": 1, "create": 0.5, "start": 0.25, "run": 7,
                                     "collect": 1, "other": 0.5, "cleanup": 0.3}  # fmt: skip
    b = step(found, "b")
    assert (b.dependencies, b.wall, b.critical, b.cleanup) == pytest.approx((5.25, 7, 7, 0.3))


def test_the_slower_side_of_a_diamond_is_critical() -> None:
    plan: list[dict[str, Any]] = [{"id": "a"}, {"id": "fast", "depends_on": ["a"]},
            {"id": "slow", "depends_on": ["a"]}, {"id": "z", "depends_on": ["fast", "slow"]}]  # fmt: skip
    story = Story(plan)
    story.step("a", 0, {"run": 1})
    story.step("fast", 1, {"run": 2})
    story.step("slow", 1, {"run": 5})
    found = profile(story.end(story.step("z", 6, {"run": 1})))

    assert path(found) == [("a", None, 1, 1), ("slow", None, 1, 5), ("z", None, 1, 1)]
    assert rounded(found.totals) == {"run": 9}
    assert step(found, "fast").critical == 0
    assert step(found, "z").dependencies == 6
    assert found.parallelism.peak == 2
    assert found.parallelism.mean == pytest.approx(9 / 7)
    assert found.parallelism.idle == pytest.approx(0, abs=1e-9)


def test_tasks_that_wait_for_slots_show_it() -> None:
    story = Story([{"id": name} for name in "abc"])
    story.step("a", 0, {"run": 4})
    story.step("b", 4, {"queue": 4, "run": 4})
    found = profile(story.end(story.step("c", 8, {"queue": 8, "run": 4})))

    assert path(found) == [("c", None, None, 8), ("c", None, 1, 4)]
    assert rounded(found.parts) == {"queue": 8, "run": 4}
    assert rounded(found.totals) == {"queue": 12, "run": 12}
    assert found.parallelism.peak == 1
    assert found.parallelism.mean == pytest.approx(1)


def test_pauses_between_tries_are_told_from_the_waiting_for_a_slot_after_them() -> None:
    story = Story([{"id": "a"}])
    story.note(0, EventType.STEP_STARTED, "a", old="pending", status="running")
    story.attempt("a", 0, {"run": 2}, status="failed", reason="task_failed")
    story.note(2, EventType.STEP_RETRYING, "a", old="running", status="retrying", delay=3)
    story.attempt("a", 6, {"queue": 1, "run": 2}, number=2, status="failed", reason="task_failed")
    story.note(8, EventType.STEP_RETRYING, "a", old="running", status="retrying", delay=6)
    over = story.attempt("a", 14, {"run": 2}, number=3)
    story.note(over, EventType.STEP_FINISHED, "a", old="running", status="completed")
    found = profile(story.end(over))

    assert rounded(step(found, "a").parts) == {"queue": 1, "run": 6, "backoff": 9}
    assert path(found) == [("a", None, 1, 2), ("a", None, None, 4), ("a", None, 2, 2),
                           ("a", None, None, 6), ("a", None, 3, 2)]  # fmt: skip


def test_pauses_of_the_platform_are_within_their_attempt() -> None:
    story = Story([{"id": "a"}])
    found = profile(story.end(story.step("a", 0, {"backoff": 1.5, "image": 3, "run": 2})))
    assert rounded(step(found, "a").attempts[0].parts) == {"image": 3, "run": 2, "backoff": 1.5}


def map_story(times: Sequence[float], at_once: int) -> Story:
    """A map that `prepare`d for one second; items in order, so many at once."""
    story = Story([{"id": "prepare"}, {"id": "m", "type": "map", "depends_on": ["prepare"]}])
    story.step("prepare", 0, {"run": 1})
    story.note(1, EventType.STEP_STARTED, "m", old="pending", status="running")
    story.note(1, EventType.STEP_EXPANDED, "m", values=list(times))
    free = [1.0] * at_once
    for item, seconds in enumerate(times):
        begin = min(free)
        free.remove(begin)
        story.note(begin, EventType.ITEM_STARTED, "m", item, old="pending", status="running")
        over = story.attempt("m", begin, {"run": seconds}, item=item)
        story.note(over, EventType.ITEM_FINISHED, "m", item, old="running", status="completed")
        free.append(over)
    story.note(max(free), EventType.STEP_FINISHED, "m", old="running", status="completed")
    return story.end(max(free))


def test_the_item_that_ended_last_is_critical_with_its_waiting_for_a_turn() -> None:
    found = profile(map_story([2, 2, 2, 2, 9], at_once=2))

    assert path(found) == [("prepare", None, 1, 1), ("m", 4, None, 4), ("m", 4, 1, 9)]
    assert rounded(found.parts) == {"queue": 4, "run": 10}
    m = step(found, "m")
    assert [rounded(item.parts) for item in m.items] == [
        {"run": 2}, {"run": 2}, {"queue": 2, "run": 2}, {"queue": 2, "run": 2}, {"queue": 4, "run": 9},
    ]  # fmt: skip
    assert (m.wall, m.max_at_once, rounded(m.parts)) == (13, 2, {"queue": 8, "run": 17})


def test_gates_and_delays_are_parts_of_their_own() -> None:
    story = Story([{"id": "gate", "type": "approval"}, {"id": "rest", "depends_on": ["gate"]}])
    story.note(0, EventType.STEP_STARTED, "gate", old="pending", status="running")
    story.note(0, EventType.STEP_WAITING, "gate", why="approval", message="go?")
    story.note(40, EventType.STEP_FINISHED, "gate", old="running", status="completed")
    story.note(40, EventType.STEP_STARTED, "rest", old="pending", status="running")
    story.note(40, EventType.STEP_WAITING, "rest", why="delay")
    story.note(50, EventType.STEP_FINISHED, "rest", old="running", status="completed")
    assert rounded(profile(story.end(50)).parts) == {"approval": 40, "delay": 10}


def test_members_of_a_parallel_step_are_on_the_path_instead_of_it() -> None:
    plan = [{"id": "all", "type": "parallel"}, {"id": "x", "parent": "all"}, {"id": "y", "parent": "all"}]
    story = Story(plan)
    story.note(0, EventType.STEP_STARTED, "all", old="pending", status="running")
    story.step("x", 0, {"run": 2})
    story.step("y", 0, {"run": 6})
    story.note(6, EventType.STEP_FINISHED, "all", old="running", status="completed")
    found = profile(story.end(6))

    assert path(found) == [("y", None, 1, 6)]
    assert rounded(found.totals) == {"run": 8}


def family() -> list[Event]:
    """A sub-workflow of two steps between two others."""
    story = Story([{"id": "a"}, {"id": "sub", "type": "subworkflow", "depends_on": ["a"]},
                   {"id": "z", "depends_on": ["sub"]}])  # fmt: skip
    story.step("a", 0, {"run": 1})
    story.step("sub", 1, {"run": 8}, child="c1")
    child = Story([{"id": "u"}, {"id": "v", "depends_on": ["u"]}], run_id="c1", start=1.5)
    child.step("u", 1.5, {"start": 1, "run": 2})
    child.end(child.step("v", 5, {"queue": 0.5, "run": 3}))
    return together(story.end(story.step("z", 9, {"run": 1})), child)


def test_child_runs_are_on_the_path_and_count_under_the_step_that_runs_them() -> None:
    found = profile(family())

    assert path(found) == [("a", None, 1, 1), ("sub", None, 1, 0.5), ("u", None, 1, 3),
                           ("v", None, None, 0.5), ("v", None, 1, 3), ("sub", None, 1, 1),
                           ("z", None, 1, 1)]  # fmt: skip
    assert rounded(found.parts) == {"queue": 0.5, "start": 1, "run": 7, "other": 1.5}
    sub = step(found, "sub")
    assert rounded(sub.parts) == {"queue": 0.5, "start": 1, "run": 5}
    assert sub.critical == pytest.approx(8)
    assert rounded(found.totals) == {"queue": 0.5, "start": 1, "run": 7}
    assert [(one.run_id, one.id) for one in found.steps] == [
        ("r1", "a"), ("r1", "sub"), ("c1", "u"), ("c1", "v"), ("r1", "z"),
    ]  # fmt: skip


def test_finally_steps_follow_what_ended_last_before_them() -> None:
    plan = [{"id": "a"}, {"id": "b"}, {"id": "last", "role": "finally"}]
    story = Story(plan)
    story.step("a", 0, {"run": 5})
    story.step("b", 0, {"run": 2})
    story.note(5.5, EventType.RUN_SETTLED, status="completed")
    found = profile(story.end(story.step("last", 5.5, {"run": 1})))
    assert path(found) == [("a", None, 1, 5), (None, None, None, 0.5), ("last", None, 1, 1)]


def test_a_cancelled_run_ends_with_what_was_stopped_last_and_not_with_what_never_began() -> None:
    story = Story([{"id": "a"}, {"id": "b", "depends_on": ["a"]}])
    story.note(0, EventType.STEP_STARTED, "a", old="pending", status="running")
    story.note(3, EventType.RUN_CANCELLING, old="running", status="cancelling", by="cli")
    story.attempt("a", 0, {"run": 4}, status="cancelled", reason="cancelled")
    story.note(4, EventType.STEP_FINISHED, "a", old="running", status="cancelled")
    story.note(4.5, EventType.STEP_FINISHED, "b", old="pending", status="cancelled")
    found = profile(story.end(4.5, "cancelled"))
    assert path(found) == [("a", None, 1, 4), (None, None, None, 0.5)]
    assert step(found, "b").critical == 0


def test_what_was_skipped_takes_no_time_but_what_it_waited_for_does() -> None:
    story = Story(
        [{"id": "a"}, {"id": "skipped", "depends_on": ["a"]}, {"id": "z", "depends_on": ["skipped"]}]
    )
    story.step("a", 0, {"run": 3})
    story.note(3, EventType.STEP_FINISHED, "skipped", old="pending", status="skipped")
    found = profile(story.end(story.step("z", 3, {"run": 1})))
    assert path(found) == [("a", None, 1, 3), ("z", None, 1, 1)]


def test_time_without_an_engine_is_told_unless_the_task_went_on() -> None:
    story = Story([{"id": "a"}])
    story.note(0, EventType.STEP_STARTED, "a", old="pending", status="running")
    story.note(0, EventType.ATTEMPT_CREATED, "a", None, 1, agent="a")
    story.note(1, EventType.ATTEMPT_STARTED, "a", None, 1, old="pending", status="running")
    story.note(21, EventType.RUN_RECOVERED, recoveries=1)
    story.note(
        21, EventType.ATTEMPT_FINISHED, "a", None, 1, status="failed", reason="infra_error", kept=False
    )
    story.attempt("a", 22, {"run": 5}, number=2)
    story.note(27, EventType.STEP_FINISHED, "a", old="running", status="completed")
    assert rounded(profile(story.end(27)).parts) == {"run": 5, "backoff": 1, "away": 20, "other": 1}

    story = Story([{"id": "a"}])
    story.note(0, EventType.STEP_STARTED, "a", old="pending", status="running")
    story.note(0, EventType.ATTEMPT_CREATED, "a", None, 1, agent="a")
    story.note(1, EventType.ATTEMPT_STARTED, "a", None, 1, old="pending", status="running")
    story.note(21, EventType.RUN_RECOVERED, recoveries=1)
    story.note(25, EventType.ATTEMPT_FINISHED, "a", None, 1, status="completed", kept=False)
    story.note(25, EventType.STEP_FINISHED, "a", old="running", status="completed")
    assert rounded(profile(story.end(25)).parts) == {"run": 24, "other": 1}


def test_a_run_in_progress_is_looked_at_as_of_now() -> None:
    story = Story([{"id": "a"}, {"id": "b", "depends_on": ["a"]}])
    story.step("a", 0, {"run": 2})
    story.note(2, EventType.STEP_STARTED, "b", old="pending", status="running")
    story.note(2, EventType.ATTEMPT_CREATED, "b", None, 1, agent="a")
    story.note(3, EventType.ATTEMPT_STARTED, "b", None, 1, old="pending", status="running")
    found = profile(story.all, now=EPOCH.timestamp() + 10)

    assert found.live
    assert found.duration == pytest.approx(10)
    assert rounded(found.parts) == {"run": 9, "other": 1}


def test_a_run_that_has_not_begun_has_a_profile_without_anything() -> None:
    found = profile(Story([{"id": "a"}]))
    assert (found.duration, found.parts, found.path, found.bottlenecks) == (0, {}, (), ())


def test_time_before_the_start_is_told_apart() -> None:
    story = Story([{"id": "a"}])
    story.events.pop()
    story.note(30, EventType.RUN_STARTED, old="pending", status="running")
    found = profile(story.end(story.step("a", 30, {"run": 1})))
    assert (found.waited, found.duration) == (30, 1)
