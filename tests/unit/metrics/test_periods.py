"""What a person means by a period, and how it is cut up, also where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.metrics.periods import cut, parse_since

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", NOW - timedelta(days=7)),
        ("24h", NOW - timedelta(hours=24)),
        ("90m", NOW - timedelta(minutes=90)),
        ("2w", NOW - timedelta(weeks=2)),
        ("0d", NOW),
        ("2026-11-01", datetime(2026, 10, 31, 23, tzinfo=UTC)),
        ("2026-07-01", datetime(2026, 6, 30, 22, tzinfo=UTC)),
        ("2026-11-01T12:00", datetime(2026, 11, 1, 11, tzinfo=UTC)),
        ("2026-11-01T12:00:00Z", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        ("2026-11-01T12:00:00+05:30", datetime(2026, 11, 1, 6, 30, tzinfo=UTC)),
    ],
)
def test_a_beginning_can_be_said_as_a_span_a_date_or_a_time(text: str, expected: datetime) -> None:
    assert parse_since(text, NOW, BERLIN) == expected


@pytest.mark.parametrize(
    "text",
    ["", "7", "d", "-7d", "7x", "1e3d", "999999w", "yesterday", "2026-13-01", "٧d", "7d\n", "0001-01-01"],
)
def test_what_is_no_beginning_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="expected a span such as 7d"):
        parse_since(text, NOW, ZoneInfo("Asia/Tokyo"))


def test_a_beginning_in_the_future_is_refused() -> None:
    with pytest.raises(ValueError, match="in the past"):
        parse_since("2026-11-24", NOW, UTC)


def test_a_day_on_which_clocks_change_has_23_or_25_hours() -> None:
    spring = cut(datetime(2026, 3, 26, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC), BERLIN)
    hours = [round((b - a).total_seconds() / 3600) for a, b in pairwise(spring)]
    assert hours == [24, 24, 23, 24]
    autumn = cut(datetime(2026, 10, 23, 22, tzinfo=UTC), datetime(2026, 10, 27, 23, tzinfo=UTC), BERLIN)
    assert [round((b - a).total_seconds() / 3600) for a, b in pairwise(autumn)] == [24, 25, 24]


def test_short_periods_are_cut_into_hours_also_when_clocks_change() -> None:
    start = datetime(2026, 3, 28, 20, 15, tzinfo=UTC)
    cuts = cut(start, start + timedelta(hours=12), BERLIN)
    assert cuts[0] == start and cuts[1] == datetime(2026, 3, 28, 21, tzinfo=UTC)
    assert {b - a for a, b in pairwise(cuts[1:])} == {timedelta(hours=1)}


def test_long_periods_are_cut_into_weeks_that_begin_on_mondays() -> None:
    cuts = cut(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC), BERLIN)
    assert {one.astimezone(BERLIN).weekday() for one in cuts[1:]} == {0}
    assert {one.astimezone(BERLIN).hour for one in cuts[1:]} == {0}


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    st.timedeltas(timedelta(seconds=1), timedelta(days=20_000)),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]),
)
def test_cuts_cover_a_period_in_order_and_are_few(start: datetime, span: timedelta, zone: str) -> None:
    end = start + span
    cuts = cut(start, end, ZoneInfo(zone))
    assert cuts[0] == start
    assert all(a < b for a, b in pairwise(cuts))
    assert cuts[-1] < end
    assert len(cuts) <= 64
