"""Schedules: cron expressions, time zones and the days on which the clock is changed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.workflows.loader import load_text
from engine.workflows.plan import Missed, Overlap, SchedulePlan
from engine.workflows.schedules import (
    NICKNAMES,
    ScheduleError,
    next_time,
    read_cron,
    times_after,
    times_between,
    zone_of,
)

BERLIN = "Europe/Berlin"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def between(cron: str, after: str, until: str, zone: str = BERLIN, limit: int = 1000) -> list[str]:
    found = times_between(SchedulePlan(cron, zone), utc(after), utc(until), limit)
    assert all(moment.tzinfo is UTC for moment in found)
    return [moment.strftime("%m-%d %H:%M") for moment in found]


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("* * * * *", "2024-05-01 10:00:30", "2024-05-01 10:01"),
        ("* * * * *", "2024-05-01 10:00:00", "2024-05-01 10:01"),
        ("30 6 * * 1-5", "2024-05-03 06:30", "2024-05-06 06:30"),
        ("*/15 9-17 * * *", "2024-05-01 17:45", "2024-05-02 09:00"),
        ("0 0 1,15 * *", "2024-05-01 00:00", "2024-05-15 00:00"),
        ("0 0 29 2 *", "2024-03-01 00:00", "2028-02-29 00:00"),
        ("0 0 L * *", "2024-02-01 00:00", "2024-02-29 00:00"),
        ("0 12 * JAN SUN", "2024-05-01 00:00", "2025-01-05 12:00"),
        ("0 0 * * 7", "2024-05-01 00:00", "2024-05-05 00:00"),
        ("0 0 * * FRI#2", "2024-05-01 00:00", "2024-05-10 00:00"),
        # Both days given: either of them, as in every cron.
        ("0 0 13 * 5", "2024-05-11 00:00", "2024-05-13 00:00"),
        ("5/20 * * * *", "2024-05-01 00:00", "2024-05-01 00:05"),
    ],
)
def test_the_next_time_is_the_first_one_after(cron: str, after: str, expected: str) -> None:
    assert next_time(SchedulePlan(read_cron(cron)), utc(after)) == utc(expected)


def test_a_time_zone_shifts_the_clock() -> None:
    schedule = SchedulePlan("0 9 * * *", "Asia/Kolkata")
    assert next_time(schedule, utc("2024-05-01 00:00")) == utc("2024-05-01 03:30")


def test_the_moment_may_be_given_in_any_zone() -> None:
    after = datetime(2024, 5, 1, 9, 0, tzinfo=zone_of("Asia/Tokyo"))  # midnight in UTC
    assert next_time(SchedulePlan("0 * * * *"), after) == utc("2024-05-01 01:00")


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        next_time(SchedulePlan("* * * * *"), datetime(2024, 5, 1))


# Berlin: the clock goes from 02:00 to 03:00 on 31 March 2024 (01:00 UTC), and back to 02:00 on 27 October.


def test_a_time_that_the_clock_jumps_over_is_made_up_for_right_after_the_jump() -> None:
    found = between("30 2 * * *", "2024-03-30 12:00", "2024-04-01 12:00")
    assert found == ["03-31 01:00", "04-01 00:30"]


def test_a_time_that_comes_twice_counts_once() -> None:
    found = between("30 2 * * *", "2024-10-26 12:00", "2024-10-28 12:00")
    assert found == ["10-27 00:30", "10-28 01:30"]


@pytest.mark.parametrize(
    "after", ["2024-10-27 00:30", "2024-10-27 00:45", "2024-10-27 01:10", "2024-10-27 01:45"]
)
def test_the_second_time_round_nothing_is_offered_that_is_past(after: str) -> None:
    assert next_time(SchedulePlan("30 2 * * *", BERLIN), utc(after)) == utc("2024-10-28 01:30")


@pytest.mark.parametrize(
    ("cron", "spring", "autumn"),
    [
        ("*/30 * * * *", 46, 50),
        ("0 * * * *", 23, 25),
        ("*/10 2 * * *", 0, 12),
        ("0 */2 * * *", 11, 13),
        ("0 4 * * *", 1, 1),
    ],
)
def test_what_goes_by_elapsed_time_does_so_when_the_clock_is_changed(
    cron: str, spring: int, autumn: int
) -> None:
    assert len(between(cron, "2024-03-30 22:59", "2024-03-31 21:59")) == spring
    assert len(between(cron, "2024-10-26 21:59", "2024-10-27 22:59")) == autumn


def test_times_between_begin_after_the_first_moment_and_end_with_the_second() -> None:
    assert between("0 * * * *", "2024-05-01 01:00", "2024-05-01 03:00", "UTC") == [
        "05-01 02:00",
        "05-01 03:00",
    ]
    assert between("0 * * * *", "2024-05-01 01:00", "2024-05-01 01:59", "UTC") == []


def test_times_between_are_no_more_than_the_limit_however_long_the_time() -> None:
    assert between("* * * * *", "1990-01-01", "2090-01-01", "UTC", limit=2) == ["01-01 00:01", "01-01 00:02"]
    assert between("* * * * *", "1990-01-01", "2090-01-01", "UTC", limit=0) == []


@given(
    st.sampled_from(["30 2 * * *", "*/7 * * * *", "0 */3 * * *", "15 1-4 * * *", "0 0 1 * *"]),
    st.sampled_from([BERLIN, "America/St_Johns", "Australia/Lord_Howe", "Asia/Tehran", "UTC", "local"]),
    st.datetimes(datetime(2023, 1, 1), datetime(2027, 1, 1)),
)
def test_times_always_go_forward(cron: str, zone: str, start: datetime) -> None:
    after = start.replace(tzinfo=UTC)
    found = list(itertools.islice(times_after(SchedulePlan(cron, zone), after), 30))
    assert [after, *found] == sorted({after, *found})
    assert all(moment.second == moment.microsecond == 0 for moment in found)


# --- the machine's own zone ----------------------------------------------------------------------------


@pytest.fixture
def machine_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def set_to(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_to
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("rules", [BERLIN, "CET-1CEST,M3.5.0,M10.5.0/3"])
@pytest.mark.parametrize("cron", ["30 2 * * *", "*/30 * * * *", "0 4 * * *"])
@pytest.mark.parametrize(
    ("after", "until"),
    [("2024-03-30", "2024-04-02"), ("2024-10-26", "2024-10-29"), ("2024-07-01", "2024-07-02")],
)
def test_local_is_the_machines_zone_with_all_its_rules(
    machine_zone: Callable[[str], None], rules: str, cron: str, after: str, until: str
) -> None:
    machine_zone(rules)
    assert between(cron, after, until, "local") == between(cron, after, until, BERLIN)


def test_local_times_come_back_from_utc_unchanged(machine_zone: Callable[[str], None]) -> None:
    machine_zone(BERLIN)
    for minutes in range(0, 5 * 60, 10):
        moment = utc("2024-10-26 23:00") + timedelta(minutes=minutes)
        assert moment.astimezone(zone_of("local")).astimezone(UTC) == moment


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("Europe/Berln", 'did you mean "Europe/Berlin"?'),
        ("berlin", 'did you mean "Europe/Berlin"?'),
        ("new york", 'did you mean "America/New_York"?'),
        ("europe/berlin", 'did you mean "Europe/Berlin"?'),
        ("", "write a name"),
        ("../../etc/passwd", "is no time zone"),
        ("/etc/localtime", "is no time zone"),
        ("Europe", "is no time zone"),
        ("a\nb", r'"a\nb"'),
        ("+02:00", "write a name"),
    ],
)
def test_what_is_no_time_zone_is_refused_with_advice(name: str, advice: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        zone_of(name)
    assert advice in str(caught.value)


# --- cron expressions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("60 * * * *", 'the minute is "60", expected 0 to 59'),
        ("* 24 * * *", 'the hour is "24", expected 0 to 23'),
        ("* * 0 * *", 'the day of the month is "0", expected 1 to 31'),
        ("* * * 13 *", 'the month is "13", expected 1 to 12'),
        ("* * * JANUARY *", 'the month is "JANUARY"'),
        ("* * * * 8", 'the day of the week is "8", expected 0 to 7'),
        ("*/0 * * * *", 'the minute is "*/0"'),
        ("0 0 * * FRI-MON", "a range goes upwards"),
        ("0 0 ? * MON", "write * for any"),
        ("0 0,,1 * * *", 'the hour is "0,,1"'),
        ("0 0 * *", "which has 4 fields, expected five fields"),
        ("0 0 0 * * *", "which has 6 fields, expected five fields, minute, hour"),
        ("0 0 0 * * *", "there are no seconds"),
        ("0 0 0 * * * 2024", "7 fields"),
        ("", "0 fields"),
        ("every day", "2 fields"),
        ("@dayly", 'did you mean "@daily"?'),
        ("@reboot", "names: @hourly, @daily"),
        ("0 0 31 2 *", "never comes"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
        ("0 0 */31 2 MON#5", "never comes"),
        ("1," * 200 + "1 * * * *", "at most 200"),
        ("9" * 190 + " * * * *", "the minute is"),
    ],
)
def test_a_bad_expression_says_which_field_and_what_is_expected(cron: str, message: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        read_cron(cron)
    assert message in str(caught.value)


@given(st.text(alphabet="0123456789*/,-#LW?@ MONJAdaily²٣\t", max_size=40))
def test_any_text_is_an_expression_with_times_or_refused(text: str) -> None:
    try:
        cron = read_cron(text)
    except ScheduleError:
        return
    assert next_time(SchedulePlan(cron), utc("2024-01-01")) > utc("2024-01-01")


@pytest.mark.parametrize("name", NICKNAMES)
def test_the_common_names_stand_for_five_fields(name: str) -> None:
    assert read_cron(name.upper()) == NICKNAMES[name] == read_cron(NICKNAMES[name])


def test_blanks_between_fields_do_not_matter() -> None:
    assert read_cron("  0\t6 *  * * ") == "0 6 * * *"


# --- in a document -------------------------------------------------------------------------------------


def loaded(schedule: str, params: str = "{}") -> tuple[SchedulePlan | None, list[str]]:
    text = f"name: x\nparams: {params}\nconfig:\n  schedule: {schedule}\nsteps: [{{id: a, command: run}}]\n"
    found = load_text(text)
    problems = [f"{one.line}:{one.column}: {one.message}" for one in found.problems]
    return found.plan.schedule if found.plan else None, problems


def test_the_short_form_is_the_expression() -> None:
    assert loaded("0 6 * * *") == (SchedulePlan("0 6 * * *"), [])
    assert loaded("'@daily'") == (SchedulePlan("0 0 * * *"), [])


def test_every_field_of_a_schedule() -> None:
    plan, problems = loaded(
        f"{{cron: 0 6 * * 1-5, timezone: {BERLIN}, overlap: cancel_previous, missed: run_once, "
        "params: {n: 3, size: '4', list: [1]}}",
        "{n: {type: integer, required: true}, size: 1, list: {type: array}, other: x}",
    )
    assert problems == []
    assert plan == SchedulePlan(
        "0 6 * * 1-5",
        BERLIN,
        Overlap.CANCEL_PREVIOUS,
        Missed.RUN_ONCE,
        {"n": 3, "size": 4, "list": [1]},
    )


@pytest.mark.parametrize(
    ("schedule", "params", "expected"),
    [
        ("0 0 31 2 *", "{}", '4:13: `schedule.cron`: "0 0 31 2 *" never comes'),
        ("{cron: 0 0 31 2 *}", "{}", '4:20: `schedule.cron`: "0 0 31 2 *" never comes'),
        ("{cron: 0 0 * * *, timezone: Berlin}", "{}", "4:41: `schedule.timezone`: found"),
        ("{cron: 0 0 * * *, params: {m: 1}}", "{n: 1}", "4:43: `schedule.params`: there is no param"),
        (
            "{cron: 0 0 * * *, params: {n: x}}",
            "{n: 1}",
            '4:43: `schedule.params.n`: found "x", expected',
        ),
        ("0 0 * * *", "{n: {required: true}}", '4:13: `schedule`: the param "n" is required'),
        ("{timezone: UTC}", "{}", "4:13: `config.schedule` needs `cron`"),
    ],
)
def test_what_cannot_be_scheduled_is_an_error_at_its_place(schedule: str, params: str, expected: str) -> None:
    plan, problems = loaded(schedule, params)
    assert plan is None
    assert [problem[: len(expected)] for problem in problems] == [expected]
