"""Finding results of earlier work again by their cache key."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from engine.clock import isoformat
from engine.history.connection import ReadConnection
from engine.history.records import Remembered
from engine.history.schema import NO_ITEM

_NEWEST = """
    SELECT r.run_id, r.step_id, r.item, r.finished_at,
           CASE WHEN i.number IS NULL THEN s.result ELSE i.result END,
           CASE WHEN i.number IS NULL THEN s.exit_code ELSE i.exit_code END,
           CASE WHEN i.number IS NULL THEN s.artifacts ELSE i.artifacts END,
           c.changed, c.removed, c.collections
    FROM remembered AS r
    JOIN steps AS s ON s.run_id = r.run_id AND s.id = r.step_id
    LEFT JOIN items AS i ON i.run_id = r.run_id AND i.step_id = r.step_id AND i.number = r.item
    LEFT JOIN state_changes AS c ON c.run_id = r.run_id AND c.seq = r.seq
    WHERE r.key = ? AND r.finished_at >= ? ORDER BY r.seq DESC LIMIT 1
"""


async def recall(
    connection: ReadConnection, key: str, max_age: float | None, now: datetime
) -> Remembered | None:
    """The newest result under `key` that is not older than `max_age` seconds at `now`."""
    since = _oldest(max_age, now)
    found = await connection.fetch(_NEWEST, (key, since))
    if not found:
        return None
    run_id, step_id, item, finished_at, result, exit_code, artifacts, changed, removed, collections = found[0]
    changes = None
    if changed is not None:
        changes = {
            "set": json.loads(changed),
            "removed": json.loads(removed),
            "collections": json.loads(collections),
        }
    return Remembered(
        run_id=run_id,
        step_id=step_id,
        item=None if item == NO_ITEM else item,
        result=None if result is None else json.loads(result),
        exit_code=exit_code,
        changes=changes,
        artifacts=() if artifacts is None else tuple(json.loads(artifacts)),
        finished_at=finished_at,
    )


def _oldest(max_age: float | None, now: datetime) -> str:
    """The time from which on results count."""
    if max_age is None:
        return ""
    try:
        return isoformat(now - timedelta(seconds=max_age))
    except OverflowError:
        return ""  # before the first day of the calendar
