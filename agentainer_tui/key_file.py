"""The keys as a person wants them: `keys.toml` over the list in `keymap.py`, checked line by line.

    "home.run" = "ctrl+r"
    "list.down" = ["down", "n"]

A line that is wrong changes nothing, and is told with its position; the others count.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import platformdirs

from agentainer_tui.key_names import is_typed, normal_key, shown_key
from agentainer_tui.keymap import KEYS, TYPING, Key, clashes
from agentainer_tui.text import clean
from engine.errors import Problem
from engine.settings import Settings

NAME = "keys.toml"
# A file of keys is small; what is larger is something else.
_LARGEST = 1 << 20
# Names have one dot; what is nested deeper is told as it stands.
_DEEPEST = 4


@dataclass(frozen=True)
class KeyTable:
    """The keys in effect.

    Attributes:
        keys: every action with its keys.
        changed: new keys by the action's id, as Textual takes them.
        file: where they were read from; None if there is no such file.
        problems: what is wrong with the file.
    """

    keys: tuple[Key, ...] = KEYS
    changed: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    problems: tuple[Problem, ...] = ()


def keys_file(settings: Settings) -> Path:
    """Where the keys are: as the settings say, else beside the history, else in the user's configuration."""
    if settings.keys_file is not None:
        return settings.keys_file
    own = settings.home / NAME
    return own if own.exists() else platformdirs.user_config_path("agentainer") / NAME


def read_keys(file: Path, *, expected: bool = False) -> KeyTable:
    """The keys with the changes of a file; `expected`: that it is missing is a problem."""
    try:
        if file.stat().st_size > _LARGEST:
            return KeyTable(problems=(Problem(str(file), 0, 0, "too large for a file of keys"),))
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        missing = (Problem(str(file), 0, 0, "there is no such file"),) if expected else ()
        return KeyTable(problems=missing)
    except (OSError, UnicodeDecodeError) as error:
        return KeyTable(file=file, problems=(Problem(str(file), 0, 0, f"cannot be read: {error}"),))
    return parse_keys(text, file)


def parse_keys(text: str, file: Path) -> KeyTable:
    """The keys with the changes that stand in `text`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = (int(place[1]), int(place[2])) if place else (text.count("\n") + 1, 1)
        reason = re.sub(r" \(at .*\)$", "", str(error))
        return KeyTable(file=file, problems=(Problem(str(file), line, column, f"no TOML: {reason}"),))
    places = _places(text)
    problems: list[Problem] = []

    def complain(name: str, message: str) -> None:
        problems.append(Problem(str(file), *places.get(name, (0, 0)), clean(message, limit=300)))

    changed: dict[str, str] = {}
    by_id = {key.id: key for key in KEYS}
    for name, value in _flat(document):
        key = by_id.get(name)
        if key is None:
            near = difflib.get_close_matches(name, by_id, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "`agentainer keys` lists them"
            complain(name, f"there is no action {name!r}: {hint}")
            continue
        try:
            changed[name] = ",".join(_keys_of(key, value))
        except ValueError as error:
            complain(name, f"{name}: {error}")
    changed = {name: keys for name, keys in changed.items() if keys != by_id[name].keys}
    for name, message in _refuse_clashes(changed):
        complain(name, message)
    return KeyTable(_with(changed), changed, file, tuple(sorted(problems)))


def _keys_of(key: Key, value: Any) -> list[str]:
    words = value if isinstance(value, list) else [value]
    if not words or not all(isinstance(word, str) and word for word in words):
        raise ValueError(f'expected a key such as "ctrl+r", or a list of keys, found {value!r}')
    names = list(dict.fromkeys(normal_key(word.strip() or word) for word in words))
    for name in names:
        if key.scope in TYPING and is_typed(name):
            raise ValueError(f"{shown_key(name)} is typed as text there")
    return names


def _with(changed: Mapping[str, str]) -> tuple[Key, ...]:
    return tuple(replace(key, keys=changed[key.id], display="") if key.id in changed else key for key in KEYS)


def _refuse_clashes(changed: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Take those changes back that would give one key two meanings at once; tells what and why."""
    while found := next(clashes(_with(changed)), None):
        name, inner, outer = found
        mine, other = (inner, outer) if inner.id in changed else (outer, inner)
        # Never both from the list in keymap.py: that is checked to have none.
        del changed[mine.id]
        why = f"{shown_key(name)} is {other.id} ({other.label}) already"
        yield mine.id, f"{mine.id} ({mine.label}): {why}"


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """`home.run` whether it is written in quotes, with a dot, or below a heading."""
    for name, value in document.items():
        if isinstance(value, dict) and prefix.count(".") < _DEEPEST:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _places(text: str) -> dict[str, tuple[int, int]]:
    """Where each name is set. TOML's reader keeps no positions, so each line is read once more alone."""
    places: dict[str, tuple[int, int]] = {}
    heading: Sequence[str] = ()
    for number, line in enumerate(text.splitlines(), 1):
        column = len(line) - len(line.lstrip()) + 1
        alone = line.strip()
        if re.match(r"\[[^\[]", alone):
            heading = next(iter(_names(alone + "\n_ = 0")), "").split(".")[:-1]
            continue
        # The value may go on on further lines: the name stands before the sign.
        setting = re.match(r"""(?:"[^"]*"|'[^']*'|[\w.\- ])+=""", alone)
        if setting:
            for name in _names(setting[0] + " 0"):
                places.setdefault(".".join([*heading, name]), (number, column))
    return places


def _names(text: str) -> list[str]:
    try:
        return [name for name, _ in _flat(tomllib.loads(text))]
    except tomllib.TOMLDecodeError:
        return []
