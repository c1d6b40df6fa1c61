"""The kinds of values a document's fields hold, each read from what was written, with its own advice.

Every kind is an annotated type for pydantic: a function that takes a node of the tree (`tree`) and gives the
value, or raises `problem(...)`. Nothing is coerced silently: a value of the wrong kind is an error that says
what was found, what is expected and what to write.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from engine.workflows.tree import (
    AmbiguousError,
    Items,
    Position,
    Scalar,
    Table,
    describe,
    plain_value,
    scalar_value,
    text_complaint,
    truth_word,
)
from engine.workflows.wording import advice, listing, quoted, show

PROBLEM = "document"
MAX_SECONDS = 366 * 24 * 3600.0
MIN_MEMORY = 6 * 1024 * 1024


def problem(message: str, *, field: str | None = None) -> PydanticCustomError:
    """An error for the translation in `checking`; `field` points it at a key inside the value."""
    return PydanticCustomError(PROBLEM, "{message}", {"message": message, "field": field})


def problems(found: list[tuple[Position, str]]) -> PydanticCustomError:
    """Several errors, each with a position of its own."""
    return PydanticCustomError(PROBLEM, "{message}", {"message": "", "found": found})


def wrong(node: object, expected: str, what_to_do: str = "") -> PydanticCustomError:
    """`found …, expected …: what to do`."""
    return problem(f"found {describe(node)}, expected {expected}" + (f": {what_to_do}" if what_to_do else ""))


def _scalar(node: object, expected: str) -> Scalar:
    if isinstance(node, Scalar):
        return node
    raise wrong(node, expected)


def _resolved(scalar: Scalar) -> str | int | float | bool | None:
    try:
        return scalar_value(scalar)
    except AmbiguousError as error:
        raise problem(str(error)) from None


# --- texts ---------------------------------------------------------------------------------------------


def read_text(node: object) -> str:
    """A text; what reads as a number, truth value or date must stand in quotes."""
    scalar = _scalar(node, "a text")
    value = _resolved(scalar)
    if value is None:
        raise problem("has no value: write one, or take the line out")
    if not isinstance(value, str):
        raise wrong(node, "a text", f"write {quoted(scalar.text)} (with quotes)")
    if complaint := text_complaint(value):
        raise problem(complaint)
    return value


def read_literal(node: object) -> str:
    """A text as it stands there: numbers and `true` are taken letter by letter, as in a shell."""
    scalar = _scalar(node, "a text or number")
    if truth := truth_word(scalar):
        raise problem(
            f'{scalar.text} is a truth value to some readers of YAML: write "{scalar.text}" (with quotes) '
            f"for this text, or {truth}"
        )
    if scalar.plain and scalar.text in ("", "~", "null", "Null", "NULL"):
        raise problem('has no value: write "" (two quotes) for the empty text, or take the line out')
    if complaint := text_complaint(scalar.text):
        raise problem(complaint)
    return scalar.text


def _line(limit: int, what: str) -> Callable[[object], str]:
    """A text of one line, at most `limit` characters, not blank at its ends."""

    def read(node: object) -> str:
        text = read_text(node)
        if not text.strip():
            raise problem(f"is empty: write {what}")
        if len(text) > limit:
            raise problem(f"has {len(text):,} characters, at most {limit} are allowed: shorten it")
        if text != text.strip() or not text.isprintable():
            raise problem(
                f"found {show(text)}, expected {what} on one line without control characters "
                "and without blanks at its ends"
            )
        return text

    return read


_read_title = _line(128, "a name")


def read_workflow_name(node: object) -> str:
    """The name of a workflow: it stands on command lines beside file names, so it may not look like one."""
    text = _read_title(node)
    if re.search(r"[/\\]|%[0-9A-Fa-f]{2}", text) or text.startswith((".", "-")):
        raise problem(
            f"found {show(text)}, but a workflow's name may not contain / or \\ or a percent escape, "
            "nor begin with . or -: use letters, digits, blanks and hyphens"
        )
    return text


_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def read_id(node: object) -> str:
    """An id of a step."""
    text = read_text(node)
    if not _ID.fullmatch(text):
        raise problem(
            f"found {show(text)}, expected an id: 1 to 64 letters, digits, `_`, `.` and `-`, "
            "the first a letter or digit"
        )
    return text


def read_environment_name(name: object) -> str:
    """A name of an environment variable (a key of the tree, which is a text already)."""
    text = str(name)
    if not text or "=" in text or not text.isprintable() or " " in text or len(text) > 256:
        raise problem(
            f"{show(text)} cannot be the name of an environment variable: "
            "use letters, digits and `_`, at most 256 of them"
        )
    return text


def read_identifier(node: object) -> str:
    """A name under which a value is found in the state or the params."""
    text = node if isinstance(node, str) else read_text(node)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", text):
        raise problem(
            f"found {show(text)}, expected a name: 1 to 64 letters, digits, `_` and `-`, "
            "the first a letter or `_`"
        )
    return text


# --- numbers and truth values --------------------------------------------------------------------------


def integer(minimum: int, maximum: int, note: str = "") -> BeforeValidator:
    """A whole number between two bounds; `note` explains the lower one."""

    def read(node: object) -> int:
        expected = f"a whole number from {minimum:,} to {maximum:,}"
        scalar = _scalar(node, expected)
        value = _resolved(scalar)
        if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+", value):
            raise wrong(node, expected, "write it without quotes")
        if isinstance(value, float) and value.is_integer():
            raise wrong(node, expected, f"write {int(value)}")
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong(node, expected)
        if not minimum <= value <= maximum:
            raise wrong(node, expected, note)
        return value

    return BeforeValidator(read, json_schema_input_type=int)


def read_percentage(node: object) -> float:
    """A number from 0 to 100; `10%` is accepted as text."""
    expected = "a percentage from 0 to 100"
    scalar = _scalar(node, expected)
    value = _resolved(scalar)
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?%", value):
        value = float(value[:-1])
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
        raise wrong(node, expected)
    return float(value)


def read_boolean(node: object) -> bool:
    """`true` or `false`, nothing else."""
    scalar = _scalar(node, "true or false")
    if truth := truth_word(scalar):
        raise problem(f"found {scalar.text}, expected true or false: write {truth}")
    value = _resolved(scalar)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        raise wrong(node, "true or false", f"write {value.lower()} without quotes")
    if not isinstance(value, bool):
        raise wrong(node, "true or false")
    return value


# --- quantities ----------------------------------------------------------------------------------------

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_DAYS = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(d|day|days)")


def read_duration(node: object) -> float:
    """Seconds, from Go's syntax (`1h30m`, `1.5s`, `500ms`) or a plain number of seconds."""
    expected = "a duration such as 90s, 5m, 1h30m, 500ms or a number of seconds"
    scalar = _scalar(node, expected)
    text = scalar.text.strip()
    if scalar.plain:
        value = _resolved(scalar)
        if value is None:
            raise problem("has no value: write a duration, or take the line out")
        if isinstance(value, bool):
            raise wrong(node, expected)
        if isinstance(value, (int, float)):
            return _seconds(float(value), node, expected)
    if re.fullmatch(r"[0-9]{1,30}(\.[0-9]{1,30})?", text):
        return _seconds(float(text), node, expected)
    if len(text) <= 100 and _DURATION.fullmatch(text):
        total = sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
        return _seconds(total, node, expected)
    raise wrong(node, expected, _duration_advice(text))


def _duration_advice(text: str) -> str:
    if days := _DAYS.fullmatch(text[:100]):
        return f"there is no unit for days, write {float(days[1]) * 24:g}h"
    joined = re.sub(r"\s+|,|and", "", text[:100].lower())
    for words, unit in (
        ("milliseconds?|millis?|msecs?", "ms"),
        ("seconds?|secs?", "s"),
        ("minutes?|mins?", "m"),
        ("hours?|hrs?", "h"),
    ):
        joined = re.sub(rf"(?<=[0-9])(?:{words})(?![a-z])", unit, joined)
    if joined != text and _DURATION.fullmatch(joined):
        return f"write {joined}"
    return "a duration cannot be negative" if text.startswith("-") else "units are h, m, s, ms, us and ns"


def _seconds(value: float, node: object, expected: str) -> float:
    if value < 0:
        raise wrong(node, expected, "a duration cannot be negative")
    if value > MAX_SECONDS:
        nanos = value / 1e9
        meant = f"; if nanoseconds are meant, write {nanos:g}s" if 0 < nanos <= MAX_SECONDS else ""
        raise wrong(node, expected, f"this is more than a year{meant}")
    return value


_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
_DECIMAL = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([KMGT]i|[kKMGT])?B?")


def read_memory(node: object) -> int:
    """Bytes, from a number of bytes or a text with a unit."""
    expected = "a memory size such as 256Mi, 1Gi, 500M or a number of bytes"
    scalar = _scalar(node, expected)
    if scalar.plain:
        _resolved(scalar)
    text = scalar.text.strip()
    if re.fullmatch(r"[0-9]{1,18}[mgt]b?", text):
        unit = text.rstrip("b")[-1].upper()
        raise wrong(node, expected, f"write {text.rstrip('b')[:-1]}{unit}i for 1024-based units, or {unit}")
    match = _SIZE.fullmatch(text)
    if match is None:
        value = _float(text)
        if value is None or not value.is_integer() or value < 0:
            raise wrong(node, expected)
        size = int(value)
    else:
        size = int(float(match[1]) * {**_BINARY, **_DECIMAL, "": 1}[match[2] or ""])
    if size < MIN_MEMORY:
        raise wrong(node, expected, "Docker's smallest limit is 6Mi; for no limit take the line out")
    if size > 1 << 60:
        raise wrong(node, expected, "no machine has that much")
    return size


def read_cpus(node: object) -> int:
    """Nano-CPUs, from nano-CPUs (500000000), CPUs ("0.5", 2) or milli-CPUs ("500m")."""
    expected = 'a number of CPUs such as "0.5" or 2, or nano-CPUs such as 500000000'
    scalar = _scalar(node, expected)
    if scalar.plain:
        _resolved(scalar)
    text = scalar.text.strip()
    if re.fullmatch(r"[0-9]{1,9}m", text):
        nanos = int(text[:-1]) * 1_000_000
    else:
        value = _float(text)
        if value is None:
            raise wrong(node, expected)
        if 4096 < value < 1_000_000:
            raise wrong(node, expected, "too many CPUs, and too few nano-CPUs")
        nanos = round(value * 1e9) if value <= 4096 else int(value)
    if nanos < 10_000_000:
        raise wrong(node, expected, "Docker's smallest limit is 0.01 CPUs; for no limit take the line out")
    if nanos > 4096 * 10**9:
        raise wrong(node, expected, "no machine has that many")
    return nanos


def _float(text: str) -> float | None:
    if not re.fullmatch(r"[-+]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][-+]?[0-9]{1,3})?", text):
        return None
    return float(text)


# --- choices and free values ---------------------------------------------------------------------------


def choice(kind: type[StrEnum], also: dict[str, StrEnum] | None = None) -> Any:
    """One word of an enumeration, or another spelling of one."""
    words = [member.value for member in kind]
    known: dict[str, StrEnum] = {**{member.value: member for member in kind}, **(also or {})}

    def read(node: object) -> StrEnum:
        expected = f"one of {listing(words)}"
        text = read_text(node)
        if text not in known:
            hint = advice(text, known)
            raise wrong(node, expected, hint if hint.startswith("did") else "")
        return known[text]

    return BeforeValidator(read, json_schema_input_type=kind)


def word(*words: str) -> BeforeValidator:
    """One of a few fixed words."""

    def read(node: object) -> str:
        text = read_text(node)
        if text not in words:
            hint = advice(text, words)
            raise wrong(node, f"one of {listing(words)}", hint if hint.startswith("did") else "")
        return text

    return BeforeValidator(read)


def read_json_value(node: object) -> Any:
    """Anything, as plain JSON values."""
    if not isinstance(node, Scalar | Table | Items):
        return node
    found: list[tuple[Position, str]] = []
    value = plain_value(node, found)
    if found:
        raise problems(found)
    return value


def read_command(node: object) -> tuple[str, ...] | str:
    """A list of the program and its arguments, taken letter by letter; or one text for a shell."""
    if isinstance(node, Scalar):
        text = read_text(node)
        if not text.strip():
            raise problem("is empty: write the program and its arguments, or take the line out")
        return text
    if not isinstance(node, Items):
        raise wrong(node, "a list of texts, or one text for a shell")
    if not node:
        raise problem("is an empty list: write the program and its arguments, or take the line out")
    words: list[str] = []
    found: list[tuple[Position, str]] = []
    for child in node:
        try:
            words.append(read_literal(child))
        except PydanticCustomError as error:
            found.append((child.position, str(error)))
    if found:
        raise problems(found)
    return tuple(words)


def one_or_more(node: object) -> object:
    """A single text where a list of texts is expected stands for a list of one."""
    if isinstance(node, Scalar):
        items = Items(node.position)
        items.append(node)
        return items
    return node


Text = Annotated[str, BeforeValidator(read_text)]
Literal_ = Annotated[
    str, BeforeValidator(read_literal), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
Title = Annotated[str, BeforeValidator(_read_title)]
WorkflowName = Annotated[str, BeforeValidator(read_workflow_name)]
StepId = Annotated[
    str, BeforeValidator(read_id), WithJsonSchema({"type": "string", "pattern": f"^{_ID.pattern}$"})
]
EnvironmentName = Annotated[str, BeforeValidator(read_environment_name)]
Identifier = Annotated[str, BeforeValidator(read_identifier)]
Boolean = Annotated[bool, BeforeValidator(read_boolean)]
Percentage = Annotated[
    float,
    BeforeValidator(read_percentage),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 100},
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$"},
            ]
        }
    ),
]
Duration = Annotated[
    float,
    BeforeValidator(read_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": MAX_SECONDS},
                {"type": "string", "pattern": r"^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^[0-9]+(\.[0-9]+)?$"},
            ]
        }
    ),
]
Memory = Annotated[
    int,
    BeforeValidator(read_memory),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": MIN_MEMORY},
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*([KMGT]i|[kKMGT])?B?$"},
            ]
        }
    ),
]
Cpus = Annotated[
    int,
    BeforeValidator(read_cpus),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": r"^[0-9]*\.?[0-9]+m?$"},
            ]
        }
    ),
]
Json = Annotated[Any, BeforeValidator(read_json_value)]
Names = Annotated[
    list[Text],
    BeforeValidator(one_or_more),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
