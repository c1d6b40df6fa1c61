"""Two runs side by side, as pure values: pairs of steps, what differs, and how that is written."""

from __future__ import annotations

import json
from typing import Any

from agentainer_tui.comparison.choosing import counterpart
from agentainer_tui.comparison.entries import row_entries
from agentainer_tui.comparison.pairing import Pair, pair_steps
from agentainer_tui.comparison.runs import Comparison, Fact, Row, compare
from agentainer_tui.comparison.words import change_words, changes_of, delta_words, row_words, summary
from agentainer_tui.comparison.writing import markdown, to_json
from agentainer_tui.inspector.entries import Delta
from agentainer_tui.model import reduce_all
from agentainer_tui.views import RunRow, RunView, StepView
from engine.events import RunStatus
from tests.tui.scenes import counting, failed
from tests.tui.story import Story, node


def view_of(story: Story) -> RunView:
    view = reduce_all(None, story.events)
    assert view is not None
    return view


def step(step_id: str, name: str = "", **more: Any) -> StepView:
    return StepView(step_id, name or step_id, **more)


def ids(pairs: list[Pair]) -> list[tuple[str, str]]:
    return [(one.id if one else "", other.id if other else "") for one, other in pairs]


def paired(before: list[StepView], after: list[StepView]) -> list[tuple[str, str]]:
    return ids(pair_steps({s.id: s for s in before}, {s.id: s for s in after}))


def row_of(comparison: Comparison, key: str) -> Row:
    return next(row for row in comparison.rows if row.key == key)


# -- pairs --------------------------------------------------------------------------------------------


def test_steps_are_paired_by_id_wherever_they_stand() -> None:
    before = [step("a"), step("b"), step("c")]
    assert paired(before, [step("c"), step("a"), step("b")]) == [("c", "c"), ("a", "a"), ("b", "b")]


def test_new_steps_stand_where_they_are_and_lost_ones_where_they_were() -> None:
    before = [step("first"), step("a"), step("gone"), step("b")]
    after = [step("a"), step("new"), step("b"), step("last")]
    assert paired(before, after) == [
        ("first", ""), ("a", "a"), ("gone", ""), ("", "new"), ("b", "b"), ("", "last"),
    ]  # fmt: skip


def test_a_step_with_another_id_is_found_by_its_name_or_by_what_it_runs() -> None:
    before = [step("a", "Fetch"), step("b", command="sort x"), step("c", command="x"), step("d", command="x")]
    after = [step("z", "Fetch"), step("y", command="sort x"), step("w", command="x"), step("v", command="x")]
    assert paired(before, after) == [
        ("a", "z"), ("b", "y"), ("c", ""), ("d", ""), ("", "w"), ("", "v"),
    ]  # fmt: skip


def test_every_step_of_both_sides_is_there_once() -> None:
    for shift in range(6):
        before = [step(f"s{n}", f"name {n % 3}") for n in range(5)]
        after = [step(f"s{n}", f"name {n % 2}") for n in range(shift, shift + 4)]
        pairs = paired(before, after)
        assert sorted(one for one, _ in pairs if one) == sorted(s.id for s in before)
        assert [other for _, other in pairs if other] == [s.id for s in after]


# -- comparisons --------------------------------------------------------------------------------------


def test_a_run_is_no_different_from_itself() -> None:
    for story in (counting(), failed()):
        view = view_of(story)
        comparison = compare(view, view, now=view.created_at or 0.0)
        assert comparison.differing == () and summary(comparison) == "no differences"
        assert comparison.widest_delta == 0.0
        assert to_json(comparison)["same"] is True
        keys = [row["key"] for row in to_json(comparison, everything=True)["rows"]]
        assert keys[-len(view.steps) :] == [f"step:{each}" for each in view.steps]


def two_runs() -> tuple[RunView, RunView]:
    first = Story("a" * 12).create(
        [node("get", image="busybox:1"), node("use", "get"), node("old", "use")],
        params={"limit": 3, "w": "x"},
    )
    first.start().run_step("get", 1, result={"rows": [1, 2, 3], "ok": True}, changes={"set": {"n": 3}})
    first.run_step("use", 4).run_step("old", 1).finish()
    second = Story("b" * 12, first_seq=500).create(
        [node("get", image="busybox:2"), node("use", "get"), node("new", "use")],
        params={"limit": 5, "w": "x"},
    )
    second.start().run_step("get", 1, result={"rows": [1, 7, 3, 4], "ok": True}, changes={"set": {"n": 4}})
    second.step_start("use").attempt("use").tick(10)
    second.attempt_end("use", status="failed", reason="task_failed", exit_code=7, error="refused")
    second.step_end("use", "failed", reason="task_failed", exit_code=7, error="refused")
    second.step_end("new", "skipped", reason="upstream_failed").finish("failed", error="step `use` failed")
    return view_of(first), view_of(second)


def test_everything_that_differs_is_found_and_nothing_else() -> None:
    comparison = compare(*two_runs())
    marks = {row.key: row.mark for row in comparison.rows}
    assert marks == {
        "run": "~", "params": "~", "document": "=", "state": "~",
        "step:get": "~", "step:use": "~", "step:old": "-", "step:new": "+",
    }  # fmt: skip
    rows = [row for row in comparison.rows if row.mark == "~"]
    differing = {row.key: [fact.name for fact in row.differences] for row in rows}
    assert differing == {
        "run": ["status", "error"],
        "params": ["limit"],
        "state": ["n"],
        "step:get": ["image", "result", "set in the state"],
        "step:use": ["status", "reason", "error", "exit code"],
    }
    assert row_words(row_of(comparison, "step:new")) == "only in the second"
    assert row_words(row_of(comparison, "step:old")) == "only in the first"


def test_times_are_compared_but_are_no_difference_by_themselves() -> None:
    fast, slow = Story("a" * 12), Story("b" * 12, first_seq=100)
    for story, seconds in ((fast, 1.0), (slow, 9.0)):
        story.create([node("x")]).start().run_step("x", seconds).finish()
    comparison = compare(view_of(fast), view_of(slow))
    assert comparison.differing == () and summary(comparison) == "1 the same, 1 took longer"
    assert [row.key for row in comparison.telling] == ["run", "step:x"]
    row = row_of(comparison, "step:x")
    assert row.delta == 8.0 and comparison.widest_delta == 8.0
    assert delta_words(*row.took) == "+8.0s"
    run = row_of(comparison, "run")
    assert ("duration", 1.0, 9.0) in [(fact.name, fact.before, fact.after) for fact in run.facts]


def test_small_differences_of_time_are_not_worth_a_word() -> None:
    assert delta_words(1.0, 1.1) == "" and delta_words(0.01, 0.1) == ""
    assert delta_words(100.0, 105.0) == "" and delta_words(100.0, 130.0) == "+30s"
    assert delta_words(3.0, 1.0) == "-2.0s"
    assert delta_words(None, 1.0) == "" and delta_words(1.0, None) == ""


def test_values_are_compared_as_json() -> None:
    assert Fact("x", 1, True).differs and Fact("x", [1], [True]).differs
    assert not Fact("x", 1, 1.0).differs and not Fact("x", {"a": 1, "b": 2}, {"b": 2, "a": 1}).differs


def test_differences_inside_values_come_with_their_paths() -> None:
    before = {"rows": [{"n": 1}, {"n": 2}], "same": 1, "gone": None, "a b": 0}
    after = {"rows": [{"n": 1}, {"n": 3}], "same": 1, "new": [], "a b": 1}
    changes = {
        change.path: (change.mark, change.before, change.after)
        for change in changes_of(Fact("r", before, after))
    }
    assert changes == {
        "$.rows[1].n": ("~", 2, 3),
        "$['a b']": ("~", 0, 1),
        "$.new": ("+", None, []),
        "$.gone": ("-", None, None),
    }
    (whole,) = changes_of(Fact("r", "text", {"a": 1}))
    assert (whole.path, change_words(whole)) == ("", 'text → {"a": 1}')
    assert len(changes_of(Fact("r", {str(n): n for n in range(999)}, {}), 30)) == 30


def test_items_are_compared_one_by_one() -> None:
    one, other = counting(), counting("c" * 12, 5000)
    other.step_end("count", "completed", 1, result=5)
    comparison = compare(view_of(one), view_of(other), now=view_of(one).created_at or 0.0)
    names = [fact.name for fact in row_of(comparison, "step:count").differences]
    assert "item 1" in names and "item 0" not in names and "items" not in names


def test_documents_are_compared_line_by_line_and_the_plan_in_words() -> None:
    one, other = two_runs()
    comparison = compare(one, other, documents=("a\nb\nc", "a\nB\nc"), plan=("~ get: image 1 → 2",))
    row = row_of(comparison, "document")
    assert row.mark == "~" and [fact.name for fact in row.differences] == ["plan", "text"]
    assert row.differences[1].lines == ("@@ -1,3 +1,3 @@", " a", "-b", "+B", " c")
    text = markdown(comparison)
    assert "```diff\n~ get: image 1 → 2\n```" in text and "\n-b\n+B\n" in text


def test_markdown_has_what_differs_and_is_not_led_astray() -> None:
    one, other = two_runs()
    text = markdown(compare(one, other))
    assert f"## `sample`: run `{one.id}` and run `{other.id}`" in text
    assert "| `use` | completed 4.0s | failed 10s | +6.0s | different |" in text
    assert "- result: `$.rows[1] 2 → 7`" in text
    evil = Story("e" * 12).create(
        [node("x", name="a|b`c\n# d")], workflow="`x`\n# evil", params={"p": "`\n```\n"}
    )
    evil.start().run_step("x", result="```\n# heading").finish()
    plain = Story("f" * 12, first_seq=99).create([node("x", name="y")], workflow="w", params={"p": "q"})
    plain.start().run_step("x", result="fine").finish()
    lines = markdown(compare(view_of(plain), view_of(evil))).split("\n")
    assert not [line for line in lines if line.startswith("# ") or line.startswith("```")]
    assert "\x1b" not in "".join(lines)


def test_params_that_are_called_like_a_secret_are_not_copied() -> None:
    views = []
    for number, word in enumerate(("hunter2", "hunter3")):
        story = Story(str(number) * 12, first_seq=100 * number + 1)
        views.append(view_of(story.create([node("x")], params={"api_token": word}).start().finish()))
    text = markdown(compare(*views))
    assert "hunter" not in text and "api_token" in text


def test_json_for_scripts_can_be_written_and_has_the_paths() -> None:
    document = json.loads(json.dumps(to_json(compare(*two_runs()))))
    assert [row["key"] for row in document["rows"]] == [
        "run", "params", "state", "step:get", "step:use", "step:old", "step:new",
    ]  # fmt: skip
    get = document["rows"][3]
    result = next(fact for fact in get["differences"] if fact["name"] == "result")
    assert {change["path"] for change in result["changes"]} == {"$.rows[1]", "$.rows[2]", "$.rows[3]"} or {
        change["path"] for change in result["changes"]
    } == {"$.rows[1]", "$.rows[3]"}


def test_the_sheet_of_a_row_begins_with_what_differs() -> None:
    comparison = compare(*two_runs())
    entries = row_entries(row_of(comparison, "step:get"))
    assert entries[0].label == "Different" and isinstance(entries[0].value, Delta)
    assert [part.part for part in entries[0].value.parts] == ["image", "result", "set in the state"]
    assert any(entry.label == "The same" for entry in entries)
    assert not any(
        entry.label == "The same"
        for entry in row_entries(row_of(comparison, "step:get"), only_differences=True)
    )
    for row in comparison.rows:
        assert row_entries(row)


# -- choosing -----------------------------------------------------------------------------------------


def row(run_id: str, status: RunStatus) -> RunRow:
    return RunRow(run_id, "w", status)


def test_a_failure_is_compared_with_the_last_success_and_a_success_with_the_run_before() -> None:
    earlier = [row("c", RunStatus.FAILED), row("b", RunStatus.COMPLETED), row("a", RunStatus.COMPLETED)]
    chosen = {status: counterpart(status, earlier) for status in RunStatus}
    assert {status for status, run in chosen.items() if run is not None and run.id == "b"} == {
        RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.CANCELLING, RunStatus.PARTIALLY_COMPLETED,
    }  # fmt: skip
    assert all(run is not None and run.id in "bc" for run in chosen.values())
    never = [row("c", RunStatus.FAILED)]
    assert counterpart(RunStatus.FAILED, never) is never[0]
    assert counterpart(RunStatus.FAILED, ()) is None
