"""Names of keys: as people write them, as Textual calls them, and which of them no terminal sends."""

from __future__ import annotations

import difflib
import string
import unicodedata

_MODIFIERS = ("alt", "ctrl", "hyper", "meta", "shift", "super")
# What people write for keys that have a name in Textual.
_ALIASES = {
    "esc": "escape",
    "return": "enter",
    "del": "delete",
    "ins": "insert",
    "pgup": "pageup",
    "page_up": "pageup",
    "pgdn": "pagedown",
    "page_down": "pagedown",
    "bksp": "backspace",
    "control": "ctrl",
    "option": "alt",
    "cmd": "super",
}
_NAMED = {
    *(
        "escape",
        "enter",
        "tab",
        "space",
        "backspace",
        "delete",
        "insert",
        "home",
        "end",
        "pageup",
        "pagedown",
    ),
    *("left", "right", "up", "down"),
    *(f"f{number}" for number in range(1, 25)),
}
# Chords that reach no program as such, or that are not ours to take.
_NEVER = {
    "ctrl+h": "terminals send backspace for it",
    "ctrl+i": "terminals send tab for it",
    "ctrl+j": "terminals send enter for it",
    "ctrl+m": "terminals send enter for it",
    "ctrl+left_square_bracket": "terminals send escape for it",
    "ctrl+c": "it stays the key that copies",
    "ctrl+q": "it stays the key that always leaves",
    "ctrl+z": "the shell keeps it",
}
# Those characters that Textual names in its own way, not by Unicode's name for them.
_RENAMED = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}
_SHOWN = {
    "escape": "esc",
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "delete": "Del",
    "insert": "Ins",
}


def normal_key(text: str) -> str:
    """A key as Textual names it, from what a person wrote: `ctrl+r` `?` `esc` `F5`.

    Raises:
        ValueError: there is no such key, or no terminal sends it.
    """
    *modifiers, last = [text] if len(text) == 1 else _parts(text)
    found = {_ALIASES.get(word.lower(), word.lower()) for word in modifiers}
    for word in sorted(found.difference(_MODIFIERS)):
        raise ValueError(f"{word!r} is no key to hold down{_near(word, _MODIFIERS)}")
    if len(last) == 1 and last.isprintable():
        base = _name_of(last.lower() if "ctrl" in found else last)
    else:
        lower = last.lower()
        base = _ALIASES.get(lower, lower)
        if base not in _NAMED and _character(base) is None:
            raise ValueError(f"there is no key {last!r}{_near(lower, [*_NAMED, *_ALIASES])}")
    if found == {"shift"} and len(base) == 1 and base.isalpha():
        return base.upper()
    key = "+".join([*sorted(found), base])
    if why := _NEVER.get(key):
        raise ValueError(f"{text} cannot be used: {why}")
    return key


def shown_key(name: str) -> str:
    """A key of Textual's as people write it: `?` for `question_mark`, `esc` for `escape`."""
    *modifiers, base = name.split("+")
    shown = _SHOWN.get(base) or _character(base) or base
    return "+".join([*modifiers, shown])


def is_typed(name: str) -> bool:
    """Whether the key writes something where text is typed."""
    return "+" not in name and (name == "space" or len(_character(name) or name) == 1)


def _parts(text: str) -> list[str]:
    """The parts of a chord; its last one may be a plus sign itself."""
    return [*text[:-2].split("+"), "+"] if text.endswith("++") else text.split("+")


def _name_of(character: str) -> str:
    """What Textual calls the key that writes a character."""
    if character.isalnum():
        return character
    name = unicodedata.name(character, character).lower().replace("-", "_").replace(" ", "_")
    return _RENAMED.get(name, name)


def _character(name: str) -> str | None:
    """The character that a name of Textual's stands for, if it stands for one."""
    if len(name) == 1 or name in _PUNCTUATION:
        return _PUNCTUATION.get(name, name)
    try:
        character = unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return None
    return character if character.isprintable() and not character.isspace() else None


def _near(word: str, known: object) -> str:
    names = [str(name) for name in known] if isinstance(known, list | tuple) else []
    near = difflib.get_close_matches(word, names, n=1)
    return f": did you mean {near[0]!r}?" if near else ""


_PUNCTUATION = {_name_of(sign): sign for sign in string.punctuation}
