"""What is said to hold a run up, with which numbers, which setting would help, and when nothing is said."""

from __future__ import annotations

from typing import Any

import pytest

from engine.events import EventType
from engine.metrics.profile import profile_of
from engine.metrics.profile_records import Profile, StepSettings, Surroundings, WorkflowSettings
from tests.unit.metrics.stories import Story
from tests.unit.metrics.test_profile import map_story

MIB = 1 << 20


def judged(story: Story, *, max_parallel: int = 0, max_tasks: int | None = None, cpus: int | None = None,
           **steps: StepSettings) -> Profile:  # fmt: skip
    workflow = WorkflowSettings(max_parallel, steps)
    return profile_of(story.all, "r1", Surroundings(max_tasks, cpus, {"r1": workflow}))


def one(phases: dict[str, float], **more: Any) -> Story:
    """A run of one step of one attempt, after its waiting for room if it had any."""
    story = Story([{"id": "a"}])
    return story.end(story.step("a", phases.get("queue", 0.0), phases, **more))


def told(found: Profile) -> list[tuple[str, str, str, float]]:
    return [(b.type, b.severity, b.component, round(b.seconds, 2)) for b in found.bottlenecks]


def advice(found: Profile) -> list[tuple[str, str, str | None, str]]:
    return [(r.component, r.setting, r.present, r.proposed) for r in found.recommendations]


def test_a_run_that_only_runs_its_tasks_is_fine() -> None:
    story = one({"queue": 0.1, "image": 0.2, "create": 0.1, "start": 0.3, "run": 20},
                usage={"cpu_seconds": 4.0, "memory_peak": 100 * MIB})  # fmt: skip
    found = judged(story, max_tasks=8, cpus=4, a=StepSettings(cpu_limit=10**9, memory_limit=200 * MIB))
    assert told(found) == []
    assert advice(found) == []


def test_a_short_run_is_fine_whatever_its_shares() -> None:
    assert told(judged(one({"queue": 0.1, "image": 0.1, "start": 0.2, "run": 0.01}), a=StepSettings())) == []


@pytest.mark.parametrize(("seconds", "severity"), [(2, "low"), (5, "medium"), (30, "high")])
def test_severity_is_the_share_of_the_run(seconds: float, severity: str) -> None:
    found = judged(one({"queue": seconds, "run": 12}))
    assert told(found) == [("concurrency", severity, "step a", seconds)]
    assert found.bottlenecks[0].share == pytest.approx(seconds / (12 + seconds))


def test_without_the_document_nothing_is_advised() -> None:
    assert profile_of(one({"queue": 30, "run": 12}).all, "r1").recommendations == ()


def test_items_that_wait_for_their_turn_point_to_the_bound_of_their_map() -> None:
    found = judged(map_story([2] * 8, at_once=2), m=StepSettings(max_concurrency=2), max_tasks=8)
    assert told(found) == [("concurrency", "high", "step m", 6)]
    assert advice(found) == [("step m", "map_config.max_concurrency", "2", "4")]
    assert "6.00 s (67 % of the run)" in found.bottlenecks[0].evidence


def test_no_more_is_proposed_than_there_is_room_or_work_for() -> None:
    found = judged(map_story([2] * 8, at_once=2), m=StepSettings(max_concurrency=2), max_tasks=3)
    assert advice(found)[0][-1] == "3"
    found = judged(map_story([2] * 3, at_once=2), m=StepSettings(max_concurrency=2), max_tasks=9)
    assert advice(found)[0][-1] == "3"


def test_the_limit_that_was_reached_is_the_one_to_raise() -> None:
    story = map_story([2] * 8, at_once=2)
    assert advice(judged(story, m=StepSettings(), max_parallel=2)) == [
        ("workflow", "config.max_parallel", "2", "4")
    ]
    assert advice(judged(story, m=StepSettings(pool="warm", pool_max=2), max_tasks=9)) == [
        ("pool warm", "pool_config.max_size", "2", "4")
    ]
    assert advice(judged(story, m=StepSettings(), max_tasks=2)) == [
        ("this machine", "max_tasks (settings)", "2", "4")
    ]
    assert advice(judged(story, m=StepSettings(max_concurrency=5), max_tasks=9)) == []


def test_more_at_a_time_is_not_advised_where_the_machine_is_busy() -> None:
    story = Story([{"id": "a"}, {"id": "b"}])
    story.step("a", 0, {"run": 10}, usage={"cpu_seconds": 19.0})
    story.end(story.step("b", 10, {"queue": 10, "run": 10}, usage={"cpu_seconds": 19.0}))
    assert "workflow" in {one[0] for one in advice(judged(story, max_parallel=1, b=StepSettings()))}
    busy = judged(story, max_parallel=1, cpus=2, b=StepSettings())
    assert [one for one in advice(busy) if one[0] == "workflow"] == []


def starts(count: int, start: float, run: float) -> Story:
    story, at = Story([{"id": "m", "type": "map"}]), 0.0
    story.note(0, EventType.STEP_STARTED, "m", old="pending", status="running")
    story.note(0, EventType.STEP_EXPANDED, "m", values=list(range(count)))
    for item in range(count):
        story.attempt("m", 0, {"create": 0.1, "start": start, "run": run}, item=item)
        at = 0.1 + start + run
        story.note(at, EventType.ITEM_FINISHED, "m", item, status="completed")
    story.note(at, EventType.STEP_FINISHED, "m", old="running", status="completed")
    return story.end(at)


def test_many_starts_of_short_tasks_call_for_warm_agents() -> None:
    found = judged(starts(5, 0.9, 0.2), m=StepSettings())
    assert told(found) == [("wait", "high", "starts of agents", 1.0)]
    assert advice(found) == [("step m", "execution_mode", "standard", "pooled")]
    assert "5 agents took 1.00 s each" in found.recommendations[0].evidence


def test_the_starts_of_items_that_others_wait_for_count_too() -> None:
    """On the critical path there is one start only; what the last item waited for are the others."""
    story = Story([{"id": "m", "type": "map"}])
    story.note(0, EventType.STEP_STARTED, "m", old="pending", status="running")
    story.note(0, EventType.STEP_EXPANDED, "m", values=list(range(10)))
    for item in range(10):
        over = story.attempt("m", float(item), {"start": 0.8, "run": 0.2}, item=item)
        story.note(over, EventType.ITEM_FINISHED, "m", item, status="completed")
    story.note(10, EventType.STEP_FINISHED, "m", old="running", status="completed")
    found = judged(story.end(10), m=StepSettings(max_concurrency=1), max_tasks=4)
    assert ("wait", "high", "starts of agents", 8.0) in told(found)
    assert "0.80 s (8 % of the run), and waiting for the starts of others 7.20 s" in "".join(
        one.evidence for one in found.bottlenecks
    )
    assert ("step m", "execution_mode", "standard", "pooled") in advice(found)


def test_few_starts_call_for_a_network_that_is_there() -> None:
    assert advice(judged(starts(2, 0.9, 0.2), m=StepSettings())) == [("step m", "network", "default", "run")]
    assert advice(judged(starts(2, 0.9, 0.2), m=StepSettings(network="none"))) == []
    assert advice(judged(starts(5, 0.9, 0.2), m=StepSettings(pool="p"))) == []


def test_agents_of_a_pool_that_others_waited_for_may_be_started_ahead() -> None:
    cold = StepSettings(pool="p", pool_max=2)
    story = Story([{"id": "a"}, {"id": "b", "depends_on": ["a"]}])
    over = story.step("a", 0, {"run": 3})
    story.end(story.step("b", over, {"create": 1.9, "start": 0.1, "run": 1}, pool="p"))
    assert advice(judged(story, b=cold)) == [("pool p", "pool_config.warm_up", "false", "true")]
    assert advice(judged(story, b=StepSettings(pool="p", warm_up=True))) == []


def test_getting_an_image_again_and_again_calls_for_another_pull_policy() -> None:
    story = one({"image": 8, "run": 2})
    found = judged(story, a=StepSettings(pull_policy="always"))
    assert told(found) == [("io", "high", "step a", 8)]
    assert advice(found) == [("step a", "pull_policy", "always", "missing")]
    assert advice(judged(story, a=StepSettings())) == []


def tried() -> Story:
    story = Story([{"id": "a"}])
    story.note(0, EventType.STEP_STARTED, "a", old="pending", status="running")
    story.attempt("a", 0, {"run": 1}, status="failed")
    over = story.attempt("a", 31, {"run": 1}, number=2)
    story.note(over, EventType.STEP_FINISHED, "a", old="running", status="completed")
    return story.end(over)


def test_pauses_much_longer_than_the_tries_are_too_long() -> None:
    found = judged(tried(), a=StepSettings(retry_delay=30))
    assert told(found) == [("wait", "high", "step a", 30)]
    assert advice(found) == [("step a", "retry_policy.delay", "30s", "1s")]
    assert advice(judged(tried(), a=StepSettings(retry_delay=1.5))) == []


def test_an_item_that_takes_much_longer_than_the_others_is_a_straggler() -> None:
    found = judged(map_story([2, 2, 2, 2, 20], at_once=5), m=StepSettings())
    assert told(found) == [("concurrency", "high", "step m, item 4", 18)]
    assert advice(found) == [
        ("step m", "item 4 of its input", "20.0 s", "several smaller ones, of about 2.00 s each")
    ]
    batches = judged(map_story([2, 2, 2, 2, 20], at_once=5), m=StepSettings(batch_size=10))
    assert advice(batches) == [("step m, item 4", "map_config.batch_size", "10", "5")]


def test_items_of_about_the_same_length_have_no_straggler() -> None:
    assert told(judged(map_story([4, 5, 6, 7], at_once=4), m=StepSettings())) == []


def test_a_task_at_its_cpu_limit_is_held_back_by_it() -> None:
    story = one({"run": 20}, usage={"cpu_seconds": 9.8, "memory_peak": 5})
    found = judged(story, cpus=4, a=StepSettings(cpu_limit=500_000_000))
    assert told(found) == [("cpu", "high", "step a", 20)]
    assert advice(found) == [("step a", "resource_limits.cpu_limit", "0.5", "1")]
    assert "98 % of their 0.5 CPUs" in found.bottlenecks[0].evidence


def test_no_task_is_promised_more_cpus_than_the_machine_has() -> None:
    story = one({"run": 20}, usage={"cpu_seconds": 39.0})
    assert advice(judged(story, cpus=2, a=StepSettings(cpu_limit=2 * 10**9))) == []
    assert advice(judged(story, cpus=3, a=StepSettings(cpu_limit=2 * 10**9)))[0][-1] == "3"


def test_a_task_that_uses_the_whole_machine_is_told_without_advice() -> None:
    found = judged(one({"run": 20}, usage={"cpu_seconds": 39.0}), cpus=2, a=StepSettings())
    assert told(found) == [("cpu", "high", "step a", 20)]
    assert advice(found) == []


def test_little_and_much_memory_left() -> None:
    def peak(used: int, limit: int, **more: Any) -> Profile:
        return judged(one({"run": 20}, usage={"memory_peak": used * MIB}, **more),
                      a=StepSettings(memory_limit=limit * MIB))  # fmt: skip

    tight = peak(95, 100)
    assert told(tight) == [("memory", "high", "step a", 20)]
    assert advice(tight) == [("step a", "resource_limits.memory_limit", "100Mi", "150Mi")]
    assert "95 %" in tight.bottlenecks[0].evidence
    roomy = peak(40, 1024)
    assert told(roomy) == []
    assert advice(roomy) == [("step a", "resource_limits.memory_limit", "1024Mi", "80Mi")]
    assert advice(peak(300, 1024)) == []
    assert advice(peak(1, 64)) == []  # nobody needs the rest of so little


def test_tasks_killed_for_want_of_memory_are_told_even_without_figures() -> None:
    story = one({"run": 2}, status="failed", reason="oom_killed")
    found = judged(story, a=StepSettings(memory_limit=64 * MIB))
    assert told(found) == [("memory", "high", "step a", 2)]
    assert found.bottlenecks[0].evidence == "1 of its 1 tries were killed for want of memory"
    assert advice(found) == [("step a", "resource_limits.memory_limit", "64Mi", "96Mi")]


def test_a_task_that_waits_for_its_disk() -> None:
    usage = {"cpu_seconds": 2.0, "block_read": 900e6, "block_write": 300e6}
    found = judged(one({"run": 20}, usage=usage), cpus=4, a=StepSettings())
    assert told(found) == [("io", "high", "step a", 20)]
    assert "60 MB a second" in found.bottlenecks[0].evidence


def test_a_step_that_gave_the_same_result_before_may_be_remembered() -> None:
    story = one({"run": 20})
    workflow = {"r1": WorkflowSettings(0, {"a": StepSettings()})}
    known = Surroundings(workflows=workflow, repeated=frozenset(["a"]), earlier_run="r0")
    found = profile_of(story.all, "r1", known)
    assert advice(found) == [("step a", "cache", None, "true")]
    assert "r0" in found.recommendations[0].evidence
    cached = {"r1": WorkflowSettings(0, {"a": StepSettings(cached=True)})}
    assert (
        advice(profile_of(story.all, "r1", Surroundings(workflows=cached, repeated=frozenset(["a"])))) == []
    )


def test_waiting_for_people_is_told_without_advice() -> None:
    story = Story([{"id": "gate"}])
    story.note(0, EventType.STEP_STARTED, "gate", old="pending", status="running")
    story.note(0, EventType.STEP_WAITING, "gate", why="approval")
    story.note(60, EventType.STEP_FINISHED, "gate", old="running", status="completed")
    found = judged(story.end(60), gate=StepSettings())
    assert told(found) == [("wait", "high", "step gate", 60)]
    assert advice(found) == []


def test_the_largest_comes_first() -> None:
    found = judged(one({"image": 5, "queue": 20, "run": 3}), a=StepSettings())
    assert [b.type for b in found.bottlenecks] == ["concurrency", "io"]
