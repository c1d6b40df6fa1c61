"""Failures in words, grouped by cause, and those that nobody has looked at yet."""

from __future__ import annotations

import pytest

from agentainer_tui.failure.causes import ENOUGH, causes_of, ranges
from agentainer_tui.failure.finding import Failure, FailureLog, failures_of
from agentainer_tui.failure.words import verdict
from agentainer_tui.model import reduce_all
from agentainer_tui.views import AttemptView, ItemView, RunView, StepView
from engine.errors import Reason
from engine.events import StepStatus
from tests.tui.scenes import counting, failed, finished
from tests.tui.story import Story, node


def view_of(story: Story) -> RunView:
    view = reduce_all(None, story.events)
    assert view is not None
    return view


def item(index: int, error: str, reason: str = "task_failed", code: int | None = 1) -> ItemView:
    return ItemView(index, status=StepStatus.FAILED, reason=reason, error=error, exit_code=code)


# -- words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "code", "words"),
    [
        ("task_failed", 7, "exit code 7"),
        ("task_failed", 127, "its command was not found (exit code 127)"),
        ("task_failed", 126, "its command could not be executed (exit code 126)"),
        ("task_failed", 137, "ended by signal 9, SIGKILL"),
        ("task_failed", 139, "ended by signal 11, SIGSEGV"),
        ("task_failed", -15, "ended by signal 15, SIGTERM"),
        ("task_failed", 255, "exit code 255"),
        ("task_failed", 0, "the task said that it failed"),
        ("task_failed", None, "the task said that it failed"),
        ("oom_killed", 137, "it ran out of memory"),
        ("timed_out", None, "it timed out"),
        ("", 3, "exit code 3"),
        ("", None, "it failed"),
    ],
)
def test_a_failure_is_said_in_words(reason: str, code: int | None, words: str) -> None:
    assert verdict(StepView("a", "a", reason=reason, exit_code=code)).words == words


def test_the_exit_code_of_the_last_try_counts_where_the_step_has_none() -> None:
    tries = (AttemptView(1, exit_code=3), AttemptView(2, exit_code=4))
    assert verdict(StepView("a", "a", reason="task_failed", attempts=tries)).words == "exit code 4"


def test_every_reason_has_words() -> None:
    skipped = {Reason.UPSTREAM_FAILED, Reason.CONDITION_FALSE, Reason.BRANCH_NOT_TAKEN}
    for reason in set(Reason) - skipped:
        assert " " in verdict(StepView("a", "a", reason=reason)).words


# -- causes -------------------------------------------------------------------------------------------


def test_four_hundred_failed_items_are_three_causes() -> None:
    items = [item(n, f"exit code 1: cannot reach host 10.0.0.{n % 250}:80{n % 90}") for n in range(300)]
    items += [item(n, f"killed after {n} s", "timed_out", None) for n in range(300, 390)]
    items += [
        item(n, f"no row 0x{n:08x} in 3f2504e0-4f89-11d3-9a0c-0305e82c33{n % 90:02d}")
        for n in range(390, 400)
    ]
    items.append(ItemView(400, status=StepStatus.COMPLETED))
    causes = causes_of(items)
    assert [len(cause.items) for cause in causes] == [300, 90, 10]
    assert causes[0].error == "exit code 1: cannot reach host 10.0.0.0:800"
    assert (causes[1].words, causes[1].items[0]) == ("it timed out", 300)


def test_names_tell_causes_apart_only_while_these_are_few() -> None:
    few = [item(n, f"KeyError: '{'ab'[n % 2]}'") for n in range(10)]
    assert len(causes_of(few)) == 2
    many = [item(n, f"KeyError: 'key-{chr(97 + n)}'") for n in range(20)]
    assert len(causes_of(many)) == 1
    places = [item(n, f"cannot open /data/{chr(97 + n)}/x: no such file") for n in range(20)]
    assert len(causes_of(places)) == 1
    assert len(causes_of([item(n, chr(97 + n) * 5) for n in range(20)])) == 1, "what is left is the verdict"
    assert len(causes_of([item(n, chr(97 + n) * 5) for n in range(ENOUGH)])) == ENOUGH


def test_many_errors_that_differ_in_a_word_are_one_cause_and_others_another() -> None:
    names = [f"{chr(97 + n)}{chr(97 + n)}y" for n in range(20)]
    errors = [f"no greeting for {name} today" for name in names] + ["disk full", "disk gone"]
    causes = causes_of([item(n, error) for n, error in enumerate(errors)])
    assert [len(cause.items) for cause in causes] == [20, 1, 1]


def test_ten_thousand_different_errors_are_grouped_all_the_same() -> None:
    items = [
        item(n, " ".join(chr(97 + (n * k) % 26) * 4 for k in range(1, 2 + n % 9))) for n in range(10_000)
    ]
    causes = causes_of(items)
    assert sum(len(cause.items) for cause in causes) == 10_000
    assert len(causes) <= ENOUGH


def test_one_exit_code_is_not_another_although_the_words_are_the_same() -> None:
    assert len(causes_of([item(0, "no"), item(1, "no", code=2), item(2, "no")])) == 2


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([], ""),
        ([3], "3"),
        ([0, 1, 2, 5], "0-2, 5"),
        (list(range(0, 40, 2)), "0, 2, 4, 6, 8, 10, 12, 14 and 12 more"),
    ],
)
def test_indexes_are_written_as_ranges(numbers: list[int], words: str) -> None:
    assert ranges(numbers) == words


# -- finding ------------------------------------------------------------------------------------------


def test_the_failures_of_a_run_are_steps_that_failed_by_themselves_the_latest_first() -> None:
    assert failures_of(view_of(failed())) == [Failure("bad0bad0bad0", "send")], "`tell` was never reached"
    assert failures_of(view_of(counting())) == [Failure("a1b2c3d4e5f6", "count")], "an item of it failed"
    assert failures_of(view_of(finished("f" * 12, 1))) == []
    story = Story("c" * 12).create([node("a"), node("b"), node("c")]).start()
    for step in ("c", "a"):
        story.step_start(step).tick(1).step_end(step, "failed", reason="task_failed")
    assert [failure.step_id for failure in failures_of(view_of(story))] == ["a", "c"]


def test_a_failure_is_new_once_and_unseen_until_somebody_looks() -> None:
    log = FailureLog()
    first, second = view_of(failed()), view_of(counting())
    assert log.notice([first]) == [Failure("bad0bad0bad0", "send")]
    assert log.notice([first, second]) == [Failure("a1b2c3d4e5f6", "count")]
    assert [failure.step_id for failure in log.unseen] == ["count", "send"], "the newest first"
    log.see(Failure("a1b2c3d4e5f6", "count"))
    assert log.newest == Failure("bad0bad0bad0", "send")
    log.see_run("bad0bad0bad0")
    assert not log.unseen
    assert log.newest == Failure("a1b2c3d4e5f6", "count"), "without news it is the newest of all"
    assert log.notice([first, second]) == []


def test_what_the_document_allows_for_is_no_news_in_the_end() -> None:
    story = Story("a" * 12).create([node("m", type="map")]).start().step_start("m").expand("m", [1, 2])
    story.step_start("m", 0).step_end("m", "failed", 0, reason="task_failed")
    log = FailureLog()
    assert log.notice([view_of(story)]) == [Failure("a" * 12, "m")]
    assert log.unseen, "while it runs nobody knows"
    story.run_step("m", item=1).step_end("m").finish()
    assert log.notice([view_of(story)]) == []
    assert not log.unseen


def test_a_failure_within_a_child_run_is_one_of_the_step_that_runs_it() -> None:
    parent = {"run_id": "p" * 12, "step_id": "inner", "item": None, "attempt": 1}
    story = Story("c" * 12).create([node("a")], parent=parent).start()
    story.step_start("a").step_end("a", "failed", reason="task_failed")
    assert FailureLog().notice([view_of(story)]) == []
