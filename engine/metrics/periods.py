"""Periods of time: what a person means by `7d`, and how a period is cut up for a plot.

Days are those of the person who asks: where clocks change, a day has 23 or 25 hours.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_SPAN = re.compile(r"(?P<number>[0-9]{1,6})(?P<unit>[mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

# Buckets at most, and what they may be.
MOST_BUCKETS = 60
_HOURS = (1, 3, 6, 12)
_DAYS = (1, 7, 28, 91, 364)


def parse_since(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """The moment that `90m`, `24h`, `7d`, `2w`, a date or a time (ISO 8601) means, UTC.

    A date begins at midnight, and a time without a zone is one, in `zone` (None: this machine's).

    Raises:
        ValueError: it is none of these, or not in the past.
    """
    try:
        if span := _SPAN.fullmatch(text):
            moment = now - timedelta(**{_UNITS[span["unit"]]: int(span["number"])})
        else:
            moment = _in_zone(datetime.fromisoformat(text), zone)
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"expected a span such as 7d, 24h or 90m, or a date such as {now:%Y-%m-%d}, found {text!r}"
        ) from None
    if moment > now:
        raise ValueError(f"expected a moment in the past, found {text!r}")
    return moment


def cut(since: datetime, until: datetime, zone: tzinfo | None = None) -> list[datetime]:
    """The beginnings of the buckets that a period is cut into, UTC, the first one `since` itself.

    Whole hours for up to two days, else whole local days, weeks (from Monday on) or more of them, so that
    there are about 60 of them at most.
    """
    span = until - since
    if span <= timedelta(days=2):
        hours = next((step for step in _HOURS if span <= timedelta(hours=step * MOST_BUCKETS)), _HOURS[-1])
        place = since.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        places = []
        while place < until:
            places.append(place)
            place += timedelta(hours=hours)
        return [since, *places]
    step = next((days for days in _DAYS if span.days < days * MOST_BUCKETS), max(_DAYS[-1], span.days // 50))
    day = since.astimezone(zone).date()
    if step > 1:
        day -= timedelta(days=day.weekday())
    starts = [since]
    while True:
        day += timedelta(days=step)
        start = _midnight(day, zone)
        if start >= until:
            return starts
        starts.append(start)


def _midnight(day: date, zone: tzinfo | None) -> datetime:
    return _in_zone(datetime.combine(day, time()), zone)


def _in_zone(moment: datetime, zone: tzinfo | None) -> datetime:
    if moment.tzinfo is None and zone is not None:
        moment = moment.replace(tzinfo=zone)
    return moment.astimezone(UTC)
