"""What a step did to the shared state: what differs before and after, part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentainer_tui.inspector.entries import Delta, Entry
from agentainer_tui.text import counted

# Values are compared part by part down to this depth, and lists of this length; beyond, they are old and new.
_DEPTH = 8
_LENGTH = 20_000
_SMALL = 1_000


def change_of_state(before: Mapping[str, Any], changes: Mapping[str, Any]) -> Delta:
    """The state before a step's end, and what its event says that it set and removed."""
    was = dict(before)
    now = {**was, **(changes.get("set") or {})}
    for key in changes.get("removed") or ():
        now.pop(key, None)
    touched = {*(changes.get("set") or {}), *(changes.get("removed") or ())}
    return _dicts(was, now, 0, touched)


def difference(old: Any, new: Any) -> Delta | None:
    """What became of one value; None if these are not two dicts or two lists."""
    return _difference(old, new, 0)


def _difference(old: Any, new: Any, depth: int) -> Delta | None:
    if depth >= _DEPTH:
        return None
    if isinstance(old, dict) and isinstance(new, dict):
        return _dicts(old, new, depth)
    if isinstance(old, list) and isinstance(new, list) and max(len(old), len(new)) <= _LENGTH:
        return _lists(old, new, depth)
    return None


def _dicts(
    old: Mapping[str, Any], new: Mapping[str, Any], depth: int, touched: set[str] | None = None
) -> Delta:
    """Key by key; with `touched`, no others are looked at."""
    parts, same = [], {}
    for key, value in new.items():
        if key not in old:
            parts.append(Entry(value, key, mark="+"))
        elif (touched is not None and key not in touched) or is_same(old[key], value):
            same[key] = value
        else:
            parts.append(_changed(key, old[key], value, depth))
    parts += [Entry(value, key, mark="-") for key, value in old.items() if key not in new]
    if same:
        parts.append(Entry(same, label=f"{len(same)} unchanged", mark="="))
    return Delta(tuple(parts), new)


def _lists(old: Sequence[Any], new: Sequence[Any], depth: int) -> Delta:
    """Element by element, after what is the same at both ends."""
    head = _common(old, new)
    room = min(len(old), len(new)) - head
    tail = _common(old[::-1], new[::-1], room)
    parts = []
    if head:
        parts.append(Entry(new[:head], label=f"{counted(head, 'element')} unchanged", mark="="))
    gone, came = old[head : len(old) - tail], new[head : len(new) - tail]
    for place in range(max(len(gone), len(came))):
        number = head + place
        if place >= len(gone):
            parts.append(Entry(came[place], number, mark="+"))
        elif place >= len(came):
            parts.append(Entry(gone[place], number, mark="-"))
        elif is_same(gone[place], came[place]):
            parts.append(Entry(came[place], number, mark="="))
        else:
            parts.append(_changed(number, gone[place], came[place], depth))
    if tail:
        first = len(new) - tail
        same = tuple(Entry(value, first + place, mark="=") for place, value in enumerate(new[first:]))
        parts.append(Entry(Delta(same, new[first:]), label=f"{counted(tail, 'element')} unchanged", mark="="))
    return Delta(tuple(parts), new)


def _common(old: Sequence[Any], new: Sequence[Any], most: int | None = None) -> int:
    number = 0
    for one, other in zip(old, new, strict=False):
        if number == most or not is_same(one, other):
            break
        number += 1
    return number


def _changed(part: str | int, old: Any, new: Any, depth: int) -> Entry:
    inner = _difference(old, new, depth + 1)
    return Entry(new if inner is None else inner, part, mark="~", old=old)


def is_same(old: Any, new: Any) -> bool:
    """Equal as JSON, where true is not 1; parts of large values are taken for equal if they are so here."""
    if old is new:
        return True
    if isinstance(old, bool) != isinstance(new, bool) or old != new:
        return False
    if isinstance(old, dict) and len(old) <= _SMALL:
        return all(is_same(old[key], new[key]) for key in old)
    if isinstance(old, list) and len(old) <= _SMALL:
        return all(map(is_same, old, new))
    return True
