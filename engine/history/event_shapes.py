"""What the data of events must look like when it comes from a file of somebody else.

Events of our own engine are made by our own code; those of a recording may have been made by anyone, and
everything that shows them relies on a text being a text. So the kinds of all fields are checked, by name:
a name means the same in every event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.clock import parse_time
from engine.events import Event, EventType, RunStatus, StepStatus

Check = Callable[[Any], bool]

# No figure of a run is larger; it keeps arithmetic with times and sizes from going astray.
_LARGEST = 1e15
_FIRST_YEAR, _LAST_YEAR = 1970, 2200


def check_event(event: Event) -> None:
    """Check the data of an event.

    Raises:
        ValueError: a field is not of its kind, or one is missing; names it.
    """
    if not _FIRST_YEAR <= event.time.year <= _LAST_YEAR:
        raise ValueError(f"its time {event.time.isoformat()} cannot be")
    _check(event.data, _FIELDS)
    needed = _NEEDED.get(event.type, ())
    if missing := [name for name in needed if event.data.get(name) is None]:
        raise ValueError(f"{missing[0]!r} is missing")
    status = event.data.get("status")
    kinds = RunStatus if event.type.value.startswith("run.") else StepStatus
    if status is not None and status not in [kind.value for kind in kinds]:
        raise ValueError(f"{str(status)[:40]!r} is no status")
    for field, fields, necessary in _PARTS.get(event.type, ()):
        for part in event.data.get(field) or ():
            _check(part, fields)
            if missing := [name for name in necessary if part.get(name) is None]:
                raise ValueError(f"{missing[0]!r} is missing in an entry of {field!r}")


def _check(data: Mapping[str, Any], fields: Mapping[str, Check]) -> None:
    for name, value in data.items():
        check = fields.get(name)
        if check is not None and value is not None and not check(value):
            raise ValueError(f"{name!r} is not what it must be")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_time(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        moment = parse_time(value)
    except ValueError:
        return False
    return moment.tzinfo is not None and _FIRST_YEAR <= moment.year <= _LAST_YEAR


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, dict) for part in value)


def _are_numbers(value: Any) -> bool:
    """An object of numbers and flags: phases, usage."""
    return isinstance(value, dict) and all(_is_number(part) or _is_flag(part) for part in value.values())


def _are_named_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(part, str) for part in value.values())


def _is_agent(value: Any) -> bool:
    """What the agents of a step are made with."""
    return (
        isinstance(value, dict)
        and _are_named_texts(value.get("env"))
        and _are_texts(value.get("secrets") or [])
        and _are_numbers(value.get("limits") or {})
        and _are_objects(value.get("volumes") or [])
        and all(
            value.get(name) is None or _is_text(value[name])
            for name in ("network", "user", "working_dir", "redis_access")
        )
    )


def _are_rows(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, list) and all(part is None or _is_number(part) for part in row) for row in value
    )


def _is_command(value: Any) -> bool:
    return _is_text(value) or _are_texts(value)


def _is_origin(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _is_text(value.get("run_id"))
        and _is_text(value.get("step_id"))
        and (value.get("item") is None or _is_whole(value["item"]))
        and (value.get("attempt") is None or _is_whole(value["attempt"]))
        and (value.get("way") is None or _is_text(value["way"]))
    )


def _are_changes(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("set") or {}, dict)
        and _are_texts(value.get("removed") or [])
        and isinstance(value.get("collections") or {}, dict)
    )


def _are_artifacts(value: Any) -> bool:
    return _are_objects(value) and all(
        _is_text(part.get("name")) and _is_whole(part.get("size") or 0) for part in value
    )


def _are_children(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(part, dict)
        and _is_text(part.get("digest"))
        and (part.get("path") is None or _is_text(part["path"]))
        for part in value.values()
    )


def _are_routes(value: Any) -> bool:
    return _are_objects(value) and all(
        _is_text(part.get("label"))
        and _are_texts(part.get("targets") or [])
        and (part.get("workflow") is None or _is_text(part["workflow"]))
        for part in value
    )


_FIELDS: Mapping[str, Check] = {
    **dict.fromkeys(
        (
            *("workflow", "digest", "path", "document", "backend", "source", "retry_of", "why", "message"),
            *("detail", "pool", "reason", "error", "old", "status", "by", "failed_step", "instance"),
            *("task_id", "agent", "agent_id", "image", "log", "spec_digest", "child_run", "cache_key"),
            "image_id",
        ),
        _is_text,
    ),
    **dict.fromkeys(("no_cache", "default", "workers", "reused", "partial", "kept"), _is_flag),
    **dict.fromkeys(("recoveries", "exit_code"), _is_whole),
    **dict.fromkeys(("delay", "duration", "took", "percent", "every"), _is_number),
    **dict.fromkeys(("due", "next_attempt_at", "scheduled_for"), _is_time),
    **dict.fromkeys(("params", "state", "placement"), _is_object),
    **dict.fromkeys(("phases", "usage"), _are_numbers),
    **dict.fromkeys(("parent", "cached_from"), _is_origin),
    **dict.fromkeys(("metadata", "env"), _are_named_texts),
    "env_files": _are_texts,
    "plan": _are_objects,
    "children": _are_children,
    "values": _is_list,
    "changes": _are_changes,
    "artifacts": _are_artifacts,
    "command": _is_command,
    "rows": _are_rows,
}

_STEP: Mapping[str, Check] = {
    **dict.fromkeys(
        (
            *("id", "name", "type", "parent", "image", "role", "trigger", "sub_workflow", "approval"),
            "item_alias",
        ),
        _is_text,
    ),
    "agent": _is_agent,
    **dict.fromkeys(("ordinal", "workers", "max_concurrency", "max_attempts"), _is_whole),
    **dict.fromkeys(("conditional", "cached"), _is_flag),
    "depends_on": _are_texts,
    "command": _is_command,
    "routes": _are_routes,
    "delay": _is_number,
}

_NEEDED: Mapping[EventType, tuple[str, ...]] = {
    EventType.RUN_CREATED: ("workflow", "digest", "backend", "plan"),
    EventType.ATTEMPT_CREATED: ("task_id", "backend"),
    EventType.AGENT_REMOVED: ("agent",),
    EventType.STEP_EXPANDED: ("values",),
}

_PARTS: Mapping[EventType, tuple[tuple[str, Mapping[str, Check], tuple[str, ...]], ...]] = {
    EventType.RUN_CREATED: (("plan", _STEP, ("id", "name", "type", "ordinal")),),
}
