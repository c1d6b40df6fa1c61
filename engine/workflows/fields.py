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

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from engine.workflows.tree import (
    AmbiguousError,
    Items,
    Position,
    Scalar,
    Table,
    describe,
    is_null,
    plain_value,
    scalar_value,
    text_complaint,
    truth_word,
)
from engine.workflows.wording import advice, listing, show

PROBLEM = "document"


class Reads:
    """Marks a field with the function that reads it, and its JSON Schema where the type does not say it.

    `short` is the schema of a second way to write it, besides the one that the type or `schema` says.
    """

    def __init__(
        self,
        read: Callable[[Any], Any],
        schema: dict[str, Any] | None = None,
        *,
        short: dict[str, Any] | None = None,
    ) -> None:
        self.read = read
        self.schema = schema
        self.short = short

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        written = dict(self.schema) if self.schema is not None else handler(schema)
        return {"anyOf": [written, self.short]} if self.short is not None else written


def problem(message: str, *, field: str | None = None) -> PydanticCustomError:
    """An error for the translation in `checking`; `field` points it at a key inside the value."""
    return PydanticCustomError(PROBLEM, "{message}", {"message": message, "field": field})


def problems(found: list[tuple[Position, str]]) -> PydanticCustomError:
    """Several errors, each with a position of its own."""
    return PydanticCustomError(PROBLEM, "{message}", {"message": "", "found": found})


def wrong(node: object, expected: str, what_to_do: str = "") -> PydanticCustomError:
    """`found …, expected …: what to do`."""
    if is_null(node):
        return problem(f"has no value, expected {expected}: write one, or take the line out")
    return problem(f"found {describe(node)}, expected {expected}" + (f": {what_to_do}" if what_to_do else ""))


def scalar_of(node: object, expected: str) -> Scalar:
    """The node, which must be a leaf; raises the error that says what was expected."""
    if isinstance(node, Scalar):
        return node
    raise wrong(node, expected)


def resolved(scalar: Scalar, expected: str = "") -> str | int | float | bool | None:
    """The value of a leaf; raises the error for one that readers of YAML disagree about.

    Where only `expected` will do, the error says that instead of listing what the leaf may mean.
    """
    try:
        return scalar_value(scalar)
    except AmbiguousError as error:
        if expected:
            raise wrong(scalar, expected) from None
        raise problem(str(error)) from None


# --- texts ---------------------------------------------------------------------------------------------


def read_text(node: object) -> str:
    """A text; what reads as a number, truth value or date must stand in quotes."""
    scalar = scalar_of(node, "a text")
    value = resolved(scalar)
    if value is None:
        raise wrong(node, "a text")
    if not isinstance(value, str):
        raise wrong(node, "a text", f"write {show(scalar.text)} (with quotes)")
    if complaint := text_complaint(value):
        raise problem(complaint)
    return value


def read_literal(node: object) -> str:
    """A text as it stands there: numbers and `true` are taken letter by letter, as in a shell."""
    scalar = scalar_of(node, "a text or number")
    if truth := truth_word(scalar):
        raise problem(
            f'{scalar.text} is a truth value to some readers of YAML: write "{scalar.text}" (with quotes) '
            f"for this text, or {truth}"
        )
    if is_null(scalar):
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
_PERCENT = "%[0-9A-Fa-f]{2}"


def read_workflow_name(node: object) -> str:
    """The name of a workflow: it stands on command lines beside file names, so it may not look like one."""
    text = _read_title(node)
    if re.search(rf"[/\\]|{_PERCENT}", text) or text.startswith((".", "-")):
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


def read_environment_name(node: object) -> str:
    """A name of an environment variable; a key of the tree is a text already."""
    text = node if isinstance(node, str) else read_text(node)
    if not text or "=" in text or not text.isprintable() or " " in text or len(text) > 256:
        raise problem(
            f"{show(text)} cannot be the name of an environment variable: "
            "use letters, digits and `_`, at most 256 of them"
        )
    return text


def read_key(name: object) -> str:
    """A key of a mapping that may have any keys (a key of the tree, which is a text already)."""
    text = str(name)
    if not text or len(text) > 512:
        raise problem(f"the key {show(text)} has {len(text):,} characters: from 1 to 512 are allowed")
    if complaint := text_complaint(text):
        raise problem(complaint)
    return text


_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def read_identifier(node: object) -> str:
    """A name under which a value is found in the state or the params."""
    text = node if isinstance(node, str) else read_text(node)
    if not _IDENTIFIER.fullmatch(text):
        raise problem(
            f"found {show(text)}, expected a name: 1 to 64 letters, digits, `_` and `-`, "
            "the first a letter or `_`"
        )
    return text


# --- numbers and truth values --------------------------------------------------------------------------


def integer(minimum: int, maximum: int, note: str = "") -> Reads:
    """A whole number between two bounds; `note` explains the lower one."""

    def read(node: object) -> int:
        expected = f"a whole number from {minimum:,} to {maximum:,}"
        scalar = scalar_of(node, expected)
        if octal := re.fullmatch(r"[-+]?0+([1-9][0-9]*)", scalar.text):
            raise wrong(node, expected, f"write {octal[1]}, without zeros before it")
        value = resolved(scalar, expected)
        if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+", value):
            raise wrong(node, expected, "write it without quotes")
        if isinstance(value, float) and value.is_integer():
            raise wrong(node, expected, f"write {int(value)}")
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong(node, expected)
        if not minimum <= value <= maximum:
            raise wrong(node, expected, note)
        return value

    return Reads(read, {"type": "integer", "minimum": minimum, "maximum": maximum})


def read_boolean(node: object) -> bool:
    """`true` or `false`, nothing else."""
    scalar = scalar_of(node, "true or false")
    if truth := truth_word(scalar):
        raise problem(f"found {scalar.text}, expected true or false: write {truth}")
    value = resolved(scalar, "true or false")
    if isinstance(value, str) and value.lower() in ("true", "false"):
        raise wrong(node, "true or false", f"write {value.lower()} without quotes")
    if not isinstance(value, bool):
        raise wrong(node, "true or false")
    return value


# --- choices and free values ---------------------------------------------------------------------------


def choice(kind: type[StrEnum], also: dict[str, StrEnum] | None = None) -> Reads:
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

    return Reads(read, {"enum": list(known)})


def word(*words: str) -> Reads:
    """One of a few fixed words."""

    def read(node: object) -> str:
        text = read_text(node)
        if text not in words:
            hint = advice(text, words)
            raise wrong(node, f"one of {listing(words)}", hint if hint.startswith("did") else "")
        return text

    return Reads(read, {"enum": list(words)})


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
        if is_null(node):
            raise wrong(node, "a list of texts, or one text for a shell")
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


_LINE = {"type": "string", "minLength": 1, "maxLength": 128}
_WORD = {"type": ["string", "number", "boolean"]}
# A text for a shell holds no templates: what they put in would become code.
COMMAND_SCHEMA = {
    "anyOf": [
        {"type": "string", "minLength": 1, "not": {"pattern": r"\{\{"}},
        {"type": "array", "items": _WORD, "minItems": 1},
    ]
}


def one_or_more(node: object) -> object:
    """A single text where a list of texts is expected stands for a list of one."""
    if isinstance(node, Scalar) and not is_null(node):
        items = Items(node.position)
        items.append(node)
        return items
    return node


def list_of(items: dict[str, Any]) -> Reads:
    """A list; a single text stands for a list of one."""
    return Reads(one_or_more, {"anyOf": [items, {"type": "array", "items": items}]})


Text = Annotated[str, Reads(read_text)]
TextAsWritten = Annotated[str, Reads(read_literal, _WORD)]
Title = Annotated[str, Reads(_read_title, _LINE)]
WorkflowName = Annotated[
    str, Reads(read_workflow_name, {**_LINE, "pattern": r"^[^./\\-][^/\\]*$", "not": {"pattern": _PERCENT}})
]
StepId = Annotated[str, Reads(read_id, {"type": "string", "pattern": f"^{_ID.pattern}$"})]
EnvironmentName = Annotated[
    str, Reads(read_environment_name, {"type": "string", "pattern": r"^[^=\s]{1,256}$"})
]
Identifier = Annotated[str, Reads(read_identifier, {"type": "string", "pattern": f"^{_IDENTIFIER.pattern}$"})]
Key = Annotated[str, Reads(read_key, {"type": "string", "pattern": r"^[^\u0000]{1,512}$"})]
Boolean = Annotated[bool, Reads(read_boolean)]
Json = Annotated[Any, Reads(read_json_value)]
Names = Annotated[list[Text], list_of({"type": "string"})]
