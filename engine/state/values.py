"""Values between Python and Redis: JSON both ways, and judging what a task left. Pure functions.

What comes out of Redis may have been written by anyone in a container, so nothing here trusts it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.clock import isoformat
from engine.errors import StateStoreError
from engine.state import keys
from engine.state.store import JSON, TaskOutcome, TaskRecord
from engine.strict_json import parse

ERROR_LIMIT = 64 * 1024
"""Bytes of an error text that are read."""

VALUE_LIMIT = 64 << 20
"""Bytes of one value that are written. A server cuts off who sends it more than it takes."""

_PREVIEW = 120

# What holds itself ends as a RecursionError: to look for that in every value takes longer than to write it.
_to_json = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at a key: its Redis type (`none` if nothing), its size in bytes, its first bytes."""

    kind: str = "none"
    size: int = 0
    data: bytes = b""


def encode(value: JSON, where: str) -> bytes:
    """A value as compact JSON in UTF-8.

    Raises:
        StateStoreError: it is not JSON, or too large; names `where`.
    """
    try:
        text = _to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise StateStoreError(f"{where} cannot be written to Redis as JSON: {error}") from None
    try:
        data = text.encode()
    except UnicodeEncodeError:  # a lone surrogate: only its escape can be written
        data = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    return bounded(data, where)


def bounded(data: bytes, where: str) -> bytes:
    """The same bytes.

    Raises:
        StateStoreError: there are too many of them for one value; names `where`.
    """
    if len(data) > VALUE_LIMIT:
        raise StateStoreError(
            f"{where} is too large for Redis: {len(data)} bytes, at most {VALUE_LIMIT} are written",
            hint="keep large data in files or a store of your own, and its place in the state",
        )
    return data


def decode(data: bytes) -> JSON:
    """A value of the shared state: the JSON that it is, else its text.

    JSON that could not be written down again (`NaN`, lone surrogates, what is nested without measure) counts
    as text.
    """
    text = data.decode("utf-8", errors="replace")
    try:
        value = parse(text)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        return text
    return value


def decode_name(data: bytes) -> str:
    """A field name; bytes that are not UTF-8 are escaped, so that different names stay different."""
    return data.decode("utf-8", errors="backslashreplace")


def read_back(
    fields: Mapping[bytes, bytes], lists: Mapping[str, list[bytes]], sets: Mapping[str, list[bytes]]
) -> dict[str, JSON]:
    """The shared state from its hash and from the lists and sets beside it; fields of the hash win."""
    state: dict[str, JSON] = {name: sorted(map(decode, found), key=_order) for name, found in sets.items()}
    state.update({name: [decode(item) for item in found] for name, found in lists.items()})
    state.update({decode_name(name): decode(value) for name, value in fields.items()})
    return state


def _order(value: JSON) -> tuple[bool, float, str]:
    """Numbers by size, before everything else by its JSON text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (False, value, "")
    return (True, 0, value if isinstance(value, str) else json.dumps(value, sort_keys=True))


def fields_of(state: Mapping[str, JSON], collections: Mapping[str, str]) -> dict[str, JSON]:
    """What of a state stands in its hash: all but the lists and sets that tasks made beside it."""
    return {name: value for name, value in state.items() if name not in collections}


def task_document(task: TaskRecord) -> bytes:
    """What stands at `task:{id}`."""
    document = {
        "task_id": task.task_id,
        "workflow_id": task.workflow_id,
        "step_id": task.step_id,
        "step_name": task.step_name,
        "task_type": task.task_type,
        "created_at": task.created_at,
    }
    # Put together from texts: the state in it, which can be large, is not written out again for every task.
    where = f"the input of {task.task_id}"
    return bounded(encode(document, where)[:-1] + b',"input":' + task.input.encode() + b"}", where)


def agent_document(task: TaskRecord, agent: str) -> bytes:
    """What stands at `agent:{aid}`."""
    document = {
        "id": agent,
        "name": agent,
        "workflow_id": task.workflow_id,
        "step_id": task.step_id,
        "task_id": task.task_id,
        "created_at": task.created_at,
    }
    return encode(document, f"agent {agent}")


def update_message(run_id: str, document: Mapping[str, JSON]) -> bytes:
    """What is published on `workflow:updates`."""
    message = {
        "type": "workflow_update",
        "workflow_id": run_id,
        "status": document.get("status"),
        "timestamp": document.get("updated_at") or isoformat(datetime.now(UTC)),
    }
    return encode(message, f"the status of run {run_id}")


def outcome_of(
    task_id: str, result: Found, error: Found, announced: str | None, *, result_limit: int
) -> TaskOutcome:
    """Judge what a task left; at most `result_limit` bytes are taken as a result."""
    text, problem = _take_result(keys.result(task_id), result, result_limit)
    error_text, wrong_error = _take_error(keys.error(task_id), error)
    if announced == keys.COMPLETED and text is None:
        announced = None
    if announced not in (keys.COMPLETED, keys.ERROR):
        announced = None
    return TaskOutcome(text, error_text, announced, problem or wrong_error)


def _take_result(key: str, found: Found, limit: int) -> tuple[str | None, str | None]:
    if found.kind == "none":
        return None, None
    if found.kind != "string":
        return None, _wrong_type(key, found.kind)
    if found.size > limit:
        preview = found.data[:_PREVIEW].decode("utf-8", errors="replace")
        return None, (
            f"{key} holds {found.size} bytes, more than the {limit} that a result may have "
            f"(setting result_limit); it begins with {preview!r}"
        )
    try:
        return found.data.decode("utf-8"), None
    except UnicodeDecodeError as error:
        return None, f"{key} is not UTF-8 text: byte {found.data[error.start]:#04x} at position {error.start}"


def _take_error(key: str, found: Found) -> tuple[str | None, str | None]:
    if found.kind == "none":
        return None, None
    if found.kind != "string":
        return None, _wrong_type(key, found.kind)
    text = found.data[:ERROR_LIMIT].decode("utf-8", errors="replace")
    return (f"{text} … ({found.size} bytes in all)" if found.size > ERROR_LIMIT else text), None


def _wrong_type(key: str, kind: str) -> str:
    return f"{key} holds a {kind}, expected a string: a task sets it with SET"
