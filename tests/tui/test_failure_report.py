"""What changed since a run that went well, and the report for others."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from agentainer_tui.failure.causes import causes_of
from agentainer_tui.failure.changes import Change, changes_since, upstream_of
from agentainer_tui.failure.panel import since_lines, why_lines
from agentainer_tui.failure.report import Case, Place, commands, markdown
from agentainer_tui.model import reduce_all
from agentainer_tui.secrecy import masked
from agentainer_tui.views import RunView
from agentainer_tui.widgets.lines_view import plain_line
from tests.tui.scenes import counting, failed
from tests.tui.story import Story, node

PLACE = Place("1.2.3", "docker 27.1", system="Linux x86_64", python="3.11.2")


def run(run_id: str, *, result: Any = 1, image: str = "app:1", broken: bool = False, **data: Any) -> RunView:
    """`get` then `check`, then `send`, which may fail; `other` beside them."""
    plan = [node("get"), node("check", "get"), node("other"), node("send", "check", image=image)]
    story = Story(run_id).create(plan, workflow="w", **data).start()
    story.run_step("get", 0.5, result=result).run_step("check", 0.5, result="ok").run_step(
        "other", 0.1, result=run_id
    )
    if broken:
        story.step_start("send").attempt("send").tick(4)
        story.attempt_end("send", status="failed", exit_code=7, reason="task_failed", kept=True)
        story.step_end("send", "failed", reason="task_failed", exit_code=7, error="exit code 7: refused")
        story.finish("failed", reason="task_failed")
    else:
        story.run_step("send", 1.5).finish()
    view = reduce_all(None, story.events)
    assert view is not None
    return view


def test_steps_before_are_found_near_ones_first() -> None:
    assert [step.id for step in upstream_of(run("a" * 12), "send")] == ["check", "get"]


def test_what_the_step_depends_on_is_compared_and_nothing_else() -> None:
    good = run("a" * 12, params={"limit": 2, "mode": "fast"})
    bad = run("b" * 12, broken=True, result={"n": 2}, image="app:2", params={"limit": 3, "topic": "x"})
    changes = changes_since(good, bad, "send", ("a: 1\nb: 2\n", "a: 1\nb: 3\n"))
    assert changes == [
        Change(
            "document", after="1 line added, 1 removed", diff=("@@ -1,2 +1,2 @@", " a: 1", "-b: 2", "+b: 3")
        ),
        Change("param limit", "2", "3"),
        Change("param mode", "fast", ""),
        Change("param topic", "", "x"),
        Change("image", "app:1", "app:2"),
        Change("result of get", "1", '{"n": 2}'),
    ]
    assert changes_since(good, good, "send") == []


def test_a_step_that_is_new_and_a_step_before_that_did_not_complete_are_told() -> None:
    good, bad = run("a" * 12), run("b" * 12, broken=True)
    steps = {key: step for key, step in good.steps.items() if key not in ("send", "get")}
    assert changes_since(replace(good, steps=steps), bad, "send") == [
        Change("step", "", "it was not in the workflow then"),
        Change("step get", "not there", "completed"),
    ]


def test_the_report_has_where_why_since_when_and_how_to_look_further() -> None:
    good = run("a" * 12)
    bad = run("b" * 12, broken=True, result=2, params={"api_key": "k3y", "limit": 3})
    changes = changes_since(good, bad, "send")
    case = Case(bad, bad.steps["send"], None, ["connecting", "refused ```"], (), changes, good)
    text = markdown(case, PLACE)
    assert text.startswith("## `w`: step `send` failed: exit code 7\n")
    assert "- at 2026-01-01 12:00:05 UTC, try 1\n" in text
    assert "- after 4.0s; usually 1.5s" in text
    assert '- params `{"api_key": "***", "limit": 3}`' in text and "k3y" not in text
    assert "agentainer 1.2.3, backend docker 27.1, Linux x86_64, Python 3.11.2" in text
    assert "````\nconnecting\nrefused ```\n````" in text, "a fence that nothing in it ends"
    assert "- result of get: `1` → `2`" in text
    assert f"agentainer shell {'b' * 12} send" in text and f"agentainer retry {'b' * 12} --from send" in text


def test_the_report_of_a_map_has_its_causes() -> None:
    view = reduce_all(None, counting().events)
    assert view is not None
    step = view.steps["count"]
    case = Case(view, step, step.items[3], causes=causes_of(step.items))
    assert "step `count`, item 3 failed: exit code 4" in markdown(case, PLACE)
    assert commands(case, PLACE.twins)[1] == "agentainer logs a1b2c3d4e5f6 count --item 3"


def words_of(case: Case) -> str:
    return "\n".join(map(plain_line, why_lines(case, 1767268815.0)))


def test_the_panel_says_why_which_try_and_where_and_no_error_twice() -> None:
    bad = run("b" * 12, broken=True)
    step = bad.steps["send"]
    case = Case(bad, step, lines=["connecting", "refused"], good=run("a" * 12))
    text = words_of(case)
    assert "why         exit code 7" in text
    assert "error" not in text, "the last line says it"
    assert "try 1, 9s ago, after 4.0s (usually 1.5s)" in text
    assert "agent-send-1  kept: s opens a shell in it" in text
    assert "error       exit code 7: refused" in words_of(replace(case, lines=["something else"]))
    assert "error       a\n            b" in words_of(replace(case, step=replace(step, error="a\nb")))
    assert "after 4.0s (as usual)" in words_of(replace(case, usual_seconds=3.9))
    early = replace(step, started_at=(step.finished_at or 0.0) - 0.2)
    assert "(early: usually 1.5s)" in words_of(replace(case, step=early))


def test_the_panel_says_what_changed_in_as_few_lines_as_fit() -> None:
    good, bad = run("a" * 12), run("b" * 12, broken=True, image="app:2", result="x" * 60)
    case = Case(bad, bad.steps["send"], good=good, changes=changes_since(good, bad, "send", ("a", "b")))
    lines = [plain_line(each) for each in since_lines(case, "->")]
    assert lines[:2] == ["document  1 line added, 1 removed", "@@ -1 +1 @@"]
    assert "image  app:1 -> app:2" in lines
    assert lines[-3:] == ["result of get", "  - 1", "  + " + "x" * 60]
    same = replace(case, changes=())
    assert "Nothing that the step depends on" in plain_line(since_lines(same)[0])
    assert "has not completed before" in plain_line(since_lines(replace(case, good=None))[0])


def test_hostile_text_stays_text_in_the_report() -> None:
    view = reduce_all(None, failed().events)
    assert view is not None
    step = replace(view.steps["send"], id="a b`; rm", error="\x1b[31mred\n```\n# no")
    text = markdown(Case(replace(view, workflow="x`\n# y"), step), PLACE)
    assert "\x1b" not in text
    assert "\n# " not in text.replace("````\n␛[31mred", "").split("````")[0]
    assert "'a b`; rm'" in text, "commands are quoted"


def test_params_that_are_called_like_a_secret_are_masked() -> None:
    params = {"DB_PASSWORD": "x", "Api-Key": "y", "tokens": "", "limit": 3, "auth": {"a": 1}}
    assert json.dumps(masked(params)) == json.dumps(
        {"DB_PASSWORD": "***", "Api-Key": "***", "tokens": "", "limit": 3, "auth": "***"}
    )
