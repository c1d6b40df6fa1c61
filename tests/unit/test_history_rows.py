"""Rows and filters of the history, without a screen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agentainer_tui.client import HistoryPage
from agentainer_tui.history_filter import PERIODS, STATUSES, HistoryFilter
from agentainer_tui.history_pages import PAGE, HistoryPages
from agentainer_tui.history_rows import (
    HistoryColumns,
    HistoryRow,
    about_lines,
    note_of,
    params_words,
    steps_words,
    when_words,
)
from agentainer_tui.looks import ASCII, UNICODE
from agentainer_tui.views import RunRow
from engine.events import RunStatus
from engine.facade import RunFilter

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC).timestamp()


def run(seq: int = 1, status: str = "completed", **more: object) -> RunRow:
    return RunRow(f"run{seq:09}", "flow", RunStatus(status), seq, **more)  # type: ignore[arg-type]


def row(seq: int = 1, status: str = "completed", **more: object) -> HistoryRow:
    return HistoryRow(run(seq, status), **more)  # type: ignore[arg-type]


# -- columns and words --------------------------------------------------------------------------------


@pytest.mark.parametrize("width", range(60, 300, 7))
def test_columns_fill_the_width_and_leave_room_for_a_note(width: int) -> None:
    cells = HistoryColumns.of(width)
    columns = [getattr(cells, name) for name in cells.__slots__]
    assert sum(columns) + sum(1 for one in columns if one) + 2 <= width + 1
    assert cells.note >= (8 if width >= 70 else 0)


def test_wider_terminals_have_more_columns() -> None:
    narrow, normal, wide = (HistoryColumns.of(width) for width in (76, 116, 196))
    assert (narrow.usual, narrow.retries, narrow.source, narrow.params) == (0, 0, 0, 0)
    assert normal.usual and normal.retries and not normal.params
    assert wide.source and wide.params >= 40


def test_when_is_an_age_and_after_a_week_a_day() -> None:
    moment = datetime.fromtimestamp(NOW)
    assert when_words(run(created_at=NOW - 7200), NOW, 8) == "2h ago"
    old = moment - timedelta(days=11)
    assert when_words(run(created_at=old.timestamp()), NOW, 8) == f"{old:%b} {old.day}"
    older = moment - timedelta(days=400)
    assert when_words(run(created_at=older.timestamp()), NOW, 8) == f"{older:%b %Y}"
    assert when_words(run(created_at=NOW), NOW, 12) == f"{moment:%b} {moment.day:>2} {moment:%H:%M}"


def test_steps_count_what_is_done_and_then_what_is_completed() -> None:
    live = HistoryRow(run(status="running", done=2, total=5), steps=5)
    assert steps_words(live) == "2/5"
    assert steps_words(row(steps=5, completed=4)) == "4/5"
    assert steps_words(row(steps=1000)) == "1000"
    assert steps_words(row()) == ""


def test_a_note_says_the_error_or_where_the_run_is_from() -> None:
    bad = HistoryRow(run(status="failed", error="no disk\nmore"))
    assert note_of(bad, UNICODE) == ("no disk", "error")
    assert note_of(HistoryRow(run(status="failed", reason="timed_out")), UNICODE) == ("timed out", "error")
    seen_to = replace(bad, retried_by="abcdefabcdef", retried_status="completed")
    assert note_of(seen_to, UNICODE) == ("→ ✓ abcdef  no disk", "muted"), (
        "a failure that was done again is calm"
    )
    assert note_of(seen_to, ASCII)[0].isascii()
    assert note_of(HistoryRow(run(retry_of="123456789")), UNICODE)[0] == "↻ 123456"
    assert note_of(HistoryRow(run(status="running", gates=2)), UNICODE) == ("2 steps to approve", "accent")


def test_params_are_one_clean_line() -> None:
    words = params_words({"a": 1, "b": "x\ny\x1b[31m", "c": ["é", {"d": None}]})
    assert words == 'a=1 b=x␊y␛[31m c=["é", {"d": null}]'


def test_about_a_run_tells_error_params_and_lineage() -> None:
    bad = run(status="failed", error="no disk", params={"n": 1}, retry_of="aaa", backend="docker")
    found = about_lines(HistoryRow(bad, retried_by="bbb", retried_status="failed", usual=3.0), NOW, UNICODE)
    assert [label for label, _, _ in found] == ["flow", "error", "params", "lineage"]
    assert found[3][1] == "retry of run aaa · retried by run bbb: failed"


# -- filters ------------------------------------------------------------------------------------------


def test_keys_go_round_through_statuses_and_periods() -> None:
    chosen = HistoryFilter()
    seen = []
    for _ in STATUSES:
        chosen = chosen.next_status()
        seen.append(chosen.status)
    assert sorted(seen) == sorted(STATUSES) and chosen == HistoryFilter()
    for _ in PERIODS:
        chosen = chosen.next_period()
    assert chosen == HistoryFilter()


def test_a_filter_is_asked_of_the_history_as_it_was_chosen() -> None:
    now = datetime(2026, 1, 20, tzinfo=UTC)
    chosen = HistoryFilter("disk").failures().next_period().only("flow").with_children()
    assert chosen.wanted(now) == RunFilter(
        "disk", "flow", ("failed", "partially_completed"), now - timedelta(hours=24), True
    )
    assert HistoryFilter().wanted(now) == RunFilter()
    assert chosen.failures().status == "any"
    assert chosen.only("other").workflow == ""


def test_runs_that_are_part_of_others_make_a_choice_no_narrower() -> None:
    assert not HistoryFilter(children=True).is_narrow


# -- pages --------------------------------------------------------------------------------------------


def page(*seqs: int, before: int | None = None) -> HistoryPage:
    return HistoryPage(tuple(row(seq) for seq in seqs), before)


def seqs(pages: HistoryPages) -> list[int]:
    return [one.run.seq for one in pages.rows]


def test_the_first_page_is_filled_and_then_nothing_is_asked() -> None:
    pages = HistoryPages()
    question = pages.next_question()
    assert question is not None and question.begins and question.before is None
    assert pages.take(question, page(9, before=9))
    more = pages.next_question()
    assert more is not None and more.before == 9, "a page that found little goes on looking"
    assert pages.take(more, page(8, 3))
    assert pages.next_question() is None
    assert seqs(pages) == [9, 8, 3] and pages.is_complete


def test_more_is_asked_for_once_and_comes_at_the_end() -> None:
    pages = HistoryPages()
    question = pages.next_question()
    assert question is not None
    pages.take(question, page(*range(1000, 1000 - PAGE, -1), before=901))
    assert pages.next_question() is None, "a full page is enough until someone goes further down"
    assert pages.wish_more()
    assert not pages.wish_more(), "it is on its way"
    question = pages.next_question()
    assert question is not None and question.before == 901
    pages.take(question, page(900, 899))
    assert seqs(pages)[-2:] == [900, 899]
    assert not pages.wish_more(), "there are no more"


def test_new_runs_come_on_top_and_what_is_below_stays() -> None:
    pages = HistoryPages()
    pages.take(pages.next_question(), page(5, 4, 3, 2, before=2))  # type: ignore[arg-type]
    pages.wish_newest()
    question = pages.next_question()
    assert question is not None and not question.begins
    pages.take(question, page(7, 6, 4, before=4))
    assert seqs(pages) == [7, 6, 4, 3, 2], "5 is gone, as the page says; 3 and 2 are below it"


def test_an_answer_to_what_nobody_wants_any_more_is_dropped() -> None:
    pages = HistoryPages()
    late = pages.next_question()
    assert late is not None
    pages.wish_other()
    question = pages.next_question()
    assert question is not None
    assert pages.take(question, page(2))
    assert not pages.take(late, page(9))
    assert seqs(pages) == [2]


def test_deleted_runs_leave_and_ended_ones_are_replaced() -> None:
    pages = HistoryPages()
    pages.take(pages.next_question(), page(3, 2, 1))  # type: ignore[arg-type]
    pages.drop(["run000000002"])
    pages.replace([row(1, "failed"), row(77)])
    assert [(one.run.seq, one.run.status.value) for one in pages.rows] == [(3, "completed"), (1, "failed")]
