"""Schedules: when a workflow runs by itself. Five-field cron expressions, read as Debian's cron reads them.

A time that the clock jumps over in spring is made up for right after the jump; a time that it goes through
twice in autumn counts once. An expression whose minutes or hours begin with `*` goes by elapsed time instead:
`*/30 * * * *` is every half hour on such days, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from engine.workflows.compiling import At, Compiler
from engine.workflows.params import read_param
from engine.workflows.plan import ParamSpec, SchedulePlan
from engine.workflows.policy_documents import ScheduleDocument
from engine.workflows.wording import advice, nearest, quoted, show

# The names that cron has for common schedules.
NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MAX_CRON = 200
_FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of the week", "0 to 7, or SUN to SAT"),
)
_FORM = (
    "five fields, minute, hour, day of month, month and day of week, such as `30 6 * * 1-5` "
    "for half past six on weekdays"
)
# Where the search for a first time begins at load: fixed, so that a document loads alike at all times.
_EPOCH = datetime(2024, 1, 1)


class ScheduleError(ValueError):
    """A cron expression or a time zone cannot be used; the message says why and what to write."""


class MachineZone(tzinfo):
    """The machine's own time zone, with all its rules, as the C library knows them."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """The offset at that local time; of a time that is there twice, `fold` says which is meant."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, moment: datetime | None) -> timedelta | None:
        """Not known, and not needed."""
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        """The zone's abbreviation at that local time."""
        return "local" if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
        """The local time of a time in UTC."""
        local = moment.replace(tzinfo=UTC).astimezone()
        here = local.replace(tzinfo=self)
        return here if here.utcoffset() == local.utcoffset() else here.replace(fold=1)


def zone_of(name: str) -> tzinfo:
    """The time zone of a schedule: an IANA name, `UTC`, or `local` for the machine's.

    Raises:
        ScheduleError: there is no such zone.
    """
    if name == "UTC":
        return UTC
    if name == "local":
        return MachineZone()
    from zoneinfo import ZoneInfo, available_timezones  # only where there is a schedule

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        known = sorted(available_timezones())
        if not known:
            raise ScheduleError(
                f"{show(name)} cannot be looked up, for this machine has no time zone database: "
                "install tzdata, or write UTC or local"
            ) from None
        cities = {zone.rpartition("/")[2].casefold(): zone for zone in known}
        meant = cities.get(name.casefold().replace(" ", "_")) or nearest(name, known)
        hint = f"did you mean {quoted(meant)}?" if meant else "write a name such as Europe/Berlin, or local"
        raise ScheduleError(f"found {show(name)}, which is no time zone: {hint}") from None


def read_cron(text: str) -> str:
    """The five fields of an expression, checked, each separated by one blank.

    Raises:
        ScheduleError: it is none, or there is no time at all that it fits.
    """
    fields = text.split()
    if len(text) > MAX_CRON:
        raise ScheduleError(f"has {len(text):,} characters, at most {MAX_CRON} are allowed: expected {_FORM}")
    if len(fields) == 1 and fields[0].startswith("@"):
        if fields[0].lower() not in NICKNAMES:
            hint = advice(fields[0], NICKNAMES, kind="names")
            raise ScheduleError(f"found {show(fields[0])}: {hint}; or write {_FORM}")
        return NICKNAMES[fields[0].lower()]
    if len(fields) != 5:
        seconds = "; there are no seconds" if len(fields) == 6 else ""
        raise ScheduleError(f"found {show(text)}, which has {len(fields)} fields, expected {_FORM}{seconds}")
    for number, field in enumerate(fields):
        _check_field(number, field)
    cron = " ".join(fields)
    try:
        next(_times(cron, _EPOCH))
    except StopIteration:
        raise ScheduleError(
            f"{show(cron)} never comes, for these months have no such day: change the day or the month"
        ) from None
    return cron


def _check_field(number: int, field: str) -> None:
    """Refuse what the library refuses, with the field's name."""
    alone = " ".join(field if other == number else "*" for other in range(5))
    if _parses(alone):
        return
    name, expected = _FIELDS[number]
    hint = ""
    if "?" in field:
        hint = ": write * for any"
    elif "-" in field:
        hint = ": a range goes upwards, as in 1-5"
    raise ScheduleError(f"the {name} is {show(field)}, expected {expected}, or lists, ranges and steps{hint}")


def _parses(cron: str) -> bool:
    from cronsim import CronSim, CronSimError

    try:
        CronSim(cron, _EPOCH)
    except CronSimError:
        return False
    return True


def _times(cron: str, after: datetime) -> Iterator[datetime]:
    """The times after a moment, in the zone that this has; ends where none come any more."""
    from cronsim import CronSim, CronSimError  # only where there is a schedule

    try:
        times = CronSim(cron, after)
    except CronSimError:  # the fields are good, so it found out itself that no month has such a day
        return
    yield from times


def times_after(schedule: SchedulePlan, after: datetime) -> Iterator[datetime]:
    """The times of a schedule after a moment, one by one, in UTC.

    Raises:
        ValueError: `after` has no time zone.
    """
    if after.tzinfo is None:
        raise ValueError("a moment without a time zone is none")
    previous = after
    for time in _times(schedule.cron, after.astimezone(zone_of(schedule.timezone))):
        moment = time.astimezone(UTC)
        # The library goes by the clock on the wall. Where that is put back, it offers times that are past.
        if moment > previous:
            previous = moment
            yield moment


def next_time(schedule: SchedulePlan, after: datetime) -> datetime:
    """The first time of a schedule after a moment, in UTC.

    Raises:
        ValueError: `after` has no time zone, or no time comes any more.
    """
    for moment in times_after(schedule, after):
        return moment
    raise ValueError(f"the schedule {schedule.cron} has no time after {after.isoformat()}")


def times_between(
    schedule: SchedulePlan, after: datetime, until: datetime, limit: int
) -> tuple[datetime, ...]:
    """The times of a schedule after one moment and up to another, in UTC: the first `limit` of them.

    Raises:
        ValueError: `after` has no time zone.
    """
    found: list[datetime] = []
    for moment in times_after(schedule, after):
        if moment > until or len(found) >= limit:
            break
        found.append(moment)
    return tuple(found)


def plan_schedule(
    document: ScheduleDocument | None, params: Mapping[str, ParamSpec], compiler: Compiler
) -> SchedulePlan | None:
    """A workflow's schedule, None where it has none or an impossible one, which is noted."""
    if document is None:
        return None
    at: At = ("config", "schedule")
    values = _params(document, params, compiler)
    cron = ""
    for key, read in (("cron", read_cron), ("timezone", zone_of)):
        try:
            found = read(getattr(document, key))
        except ScheduleError as error:
            compiler.error((*at, key), f"`schedule.{key}`: {error}")
        else:
            cron = found if isinstance(found, str) else cron
    if not cron:
        return None
    return SchedulePlan(cron, document.timezone, document.overlap, document.missed, values)


def _params(document: ScheduleDocument, specs: Mapping[str, ParamSpec], compiler: Compiler) -> dict[str, Any]:
    """The params of the scheduled runs, of their declared types."""
    at: At = ("config", "schedule", "params")
    values: dict[str, Any] = {}
    for name, value in document.params.items():
        if name not in specs:
            if name not in compiler.forgiven:
                hint = advice(name, specs, kind="params of this workflow")
                compiler.error((*at, name), f"`schedule.params`: there is no param {show(name)}: {hint}")
            continue
        try:
            values[name] = read_param(specs[name], value)
        except ValueError as error:
            compiler.error((*at, name), f"`schedule.params.{name}`: {error}")
    for name, spec in specs.items():
        if spec.required and name not in document.params:
            compiler.error(
                at,
                f"`schedule`: the param {quoted(name)} is required, and nobody is there to give it: "
                "add it to `schedule.params`",
            )
    return values
