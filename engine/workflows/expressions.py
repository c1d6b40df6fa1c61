"""JSONPaths and templates, compiled once at load (design §5).

A path that can only find one thing (`$.a.b[0]`) is walked here, which is what lets a failure say how far it
got; everything else is jsonpath-ng's (`jsonpath`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import InputError
from engine.workflows.plan import Scope
from engine.workflows.tree import text_complaint
from engine.workflows.wording import listing, show

MAX_PATH = 2000


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A compiled JSONPath.

    Attributes:
        source: as written.
        parts: the leading names and indices, each of which can find one thing only.
        rest: what the library evaluates where `parts` is not all of the path, else None.
        many: it finds a list: there are wildcards, slices, filters or `..` in it.
    """

    source: str
    parts: tuple[str | int, ...]
    rest: Any
    many: bool

    def find(self, scope: Scope) -> Any:
        """The one value, or the list of values (see `plan.Path`)."""
        found, value = self.lookup(scope)
        if not found:
            raise InputError(
                f"{show(self.source)} finds nothing: {value}",
                hint="check the path against the state; a step must set a value before another can use it",
            )
        return value

    def lookup(self, scope: Scope) -> tuple[bool, Any]:
        """(True, the value), or (False, why there is none)."""
        return self.lookup_in(scope if isinstance(scope, dict) else dict(scope))

    def lookup_in(self, root: Any) -> tuple[bool, Any]:
        """As `lookup`, where `$` is any JSON value."""
        found, value = _walk(self.parts, root)
        if not found or self.rest is None:
            return found, value
        try:
            matches = [match.value for match in self.rest.find(root)]
        except Exception as error:
            return False, f"it cannot be evaluated on this data: {error}"
        if self.many:
            return True, matches
        return (True, matches[0]) if matches else (False, f"{_spelt(self.parts)} is {_kind(value)}")


@dataclass(frozen=True, slots=True)
class FocusedPath:
    """A path whose `$` is the value that `focus` finds, and the state for what is not there (contract §1)."""

    focus: JsonPath
    path: JsonPath

    @property
    def source(self) -> str:
        """The path as written."""
        return self.path.source

    @property
    def many(self) -> bool:
        """Whether it finds a list."""
        return self.path.many

    def lookup(self, scope: Scope) -> tuple[bool, Any]:
        """(True, the value), or (False, why there is none)."""
        there, root = self.focus.lookup(scope)
        found, value = self.path.lookup_in(root) if there else (False, root)
        return (True, value) if found else self.path.lookup(scope)


class ExpressionError(ValueError):
    """An expression cannot be compiled; the message says why and what to write."""


_QUOTED_OR_FILTER = re.compile(r"'[^']*'|\"[^\"]*\"|\[\?[^\]]*\]")


# Names, indices and quoted names: nine paths in ten. Read here because the library takes 0.5 ms for each.
_SIMPLE_PART = re.compile(
    r"\.(?!where\b)(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:-[A-Za-z0-9_]+)*)"
    r"|\[(?P<index>-?(?:0|[1-9][0-9]{0,8}))\]"
    r"|\['(?P<quoted>[^'\\]+)'\]"
)
_SIMPLE = re.compile(rf"\$(?:{re.sub('[?]P<[a-z]+>', '?:', _SIMPLE_PART.pattern)})*")


def is_simple(text: str) -> bool:
    """Whether a path consists of names and indices only."""
    source = text.strip()
    return bool(_SIMPLE.fullmatch(source if source.startswith("$") else f"$.{source}"))


def _simple_part(match: re.Match[str]) -> str | int:
    return int(match["index"]) if match["index"] else match["name"] or match["quoted"]


def compile_path(text: str) -> JsonPath:
    """A path; `urls` and `a.b` stand for `$.urls` and `$.a.b`.

    Raises:
        ExpressionError: it is no JSONPath.
    """
    source = text.strip()
    if not source:
        raise ExpressionError("the path is empty: write a JSONPath such as $.urls")
    if len(source) > MAX_PATH:
        raise ExpressionError(f"the path has {len(source):,} characters, at most {MAX_PATH:,} are allowed")
    if "=~" in source or re.search(r"`\s*(sub|split)\s*\(", source):
        raise ExpressionError(
            f"{show(source)} uses a regular expression inside a path, whose run time has no bound: "
            "use a condition with the operator `matches`"
        )
    if re.search(r"[|&]", _QUOTED_OR_FILTER.sub("", source)):
        raise ExpressionError(
            f"{show(source)}: a path has no `|` and `&`, neither for filters nor for alternatives, "
            "only conditions in brackets such as $.list[?(@.a > 1 && @.b < 2)]"
        )
    path = source if source.startswith("$") else f"$.{source}"
    if _SIMPLE.fullmatch(path):
        return JsonPath(source, tuple(map(_simple_part, _SIMPLE_PART.finditer(path))), None, False)
    from engine.workflows.jsonpath import parse_path  # the library, only where it is needed

    parts, tree, many = parse_path(path, source)
    return JsonPath(source, parts, tree, many)


def _walk(parts: tuple[str | int, ...], root: Any) -> tuple[bool, Any]:
    value = root
    for depth, part in enumerate(parts):
        if not _has(value, part):
            return False, _stopped(parts[:depth], part, value)
        value = value[part]
    return True, value


def _has(value: Any, part: str | int) -> bool:
    if isinstance(part, str):
        return isinstance(value, Mapping) and part in value
    return isinstance(value, list) and -len(value) <= part < len(value)


def _stopped(before: tuple[str | int, ...], part: str | int, value: Any) -> str:
    where = _spelt(before) if before else "the state"
    missing = f"index {part}" if isinstance(part, int) else show(part)
    if isinstance(value, Mapping) and isinstance(part, str):
        keys = sorted(map(str, value))
        return f"{where} has no {missing}; it has {listing(map(show, keys)) if keys else 'no fields at all'}"
    if isinstance(value, list) and isinstance(part, int):
        return f"{where} has {len(value)} elements, no {missing}"
    return f"{where} is {_kind(value)}, which has no {missing}"


def _spelt(parts: tuple[str | int, ...]) -> str:
    return "$" + "".join(
        f"[{part}]"
        if isinstance(part, int)
        else f".{part}"
        if re.fullmatch(r"[\w-]+", part)
        else f"[{show(part)}]"
        for part in parts
    )


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"


MAX_PLACES = 1000
_PLACE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TextTemplate:
    """A compiled text: literal pieces and paths, in order."""

    source: str
    pieces: tuple[str | JsonPath, ...]

    def render(self, scope: Scope) -> str:
        """The text for this scope (see `plan.Template`)."""
        return "".join(
            piece if isinstance(piece, str) else self._value(piece, scope) for piece in self.pieces
        )

    @property
    def paths(self) -> tuple[JsonPath, ...]:
        """The paths in it."""
        return tuple(piece for piece in self.pieces if isinstance(piece, JsonPath))

    def evaluate(self, scope: Scope) -> Any:
        """The value itself where the text is nothing but one path, else the text."""
        if len(self.pieces) == 1 and isinstance(self.pieces[0], JsonPath):
            return self._found(self.pieces[0], scope)
        return self.render(scope)

    def _value(self, path: JsonPath, scope: Scope) -> str:
        text = _as_text(self._found(path, scope))
        if complaint := text_complaint(text):
            raise InputError(f"template {show(self.source)}: the value of {show(path.source)}: {complaint}")
        return text

    def _found(self, path: JsonPath, scope: Scope) -> Any:
        found, value = path.lookup(scope)
        if not found:
            raise InputError(
                f"template {show(self.source)}: {show(path.source)} finds nothing: {value}",
                hint="check the path against the state; a step must set a value before another can use it",
            )
        return value


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def compile_template(text: str) -> TextTemplate:
    """A text with `{{ $.path }}` places; `{{ "{{" }}` stands for two braces.

    Raises:
        ExpressionError: a place that is not closed, or holds no path.
    """
    if text.count("{{") > MAX_PLACES:
        raise ExpressionError(f"more than {MAX_PLACES:,} templates in one text: let a step make this text")
    pieces: list[str | JsonPath] = []
    end = 0
    for place in _PLACE.finditer(text):
        if place.start() > end:
            pieces.append(text[end : place.start()])
        pieces.append(_compile_place(place[1].strip()))
        end = place.end()
    if "{{" in text[end:]:
        raise ExpressionError(
            f"{show(text[end:])}: `{{{{` without `}}}}`: close the template, "
            'or write {{ "{{" }} for the two braces as text'
        )
    if end < len(text):
        pieces.append(text[end:])
    return TextTemplate(text, tuple(pieces))


def _compile_place(body: str) -> str | JsonPath:
    if len(body) >= 2 and body[0] == body[-1] and body[0] in "'\"":
        return body[1:-1]
    if body.startswith("$"):
        return compile_path(body)
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,60}", body):
        raise ExpressionError(
            f"{{{{ {body} }}}} is no template: write {{{{ $.{body} }}}} for a field of the state, "
            f"{{{{ $.params.{body} }}}} for a param"
        )
    raise ExpressionError(
        f"{show('{{ ' + body + ' }}')} is no template: expected a JSONPath such as {{{{ $.name }}}}; "
        'write {{ "{{" }} for two braces as text'
    )


@dataclass(frozen=True, slots=True)
class JsonValue:
    """A compiled JSON value (see `plan.Value`): `compiled` has templates where texts with `{{` stood."""

    source: Any
    compiled: Any

    def evaluate(self, scope: Scope) -> Any:
        """The value for this scope."""
        return _evaluated(self.compiled, scope)

    @property
    def paths(self) -> tuple[JsonPath, ...]:
        """The paths in it."""
        return tuple(_paths_in(self.compiled))


def _paths_in(node: Any) -> Iterator[JsonPath]:
    match node:
        case TextTemplate():
            yield from node.paths
        case dict() | list():
            for child in node.values() if isinstance(node, dict) else node:
                yield from _paths_in(child)


def _evaluated(node: Any, scope: Scope) -> Any:
    match node:
        case TextTemplate():
            return node.evaluate(scope)
        case dict():
            return {key: _evaluated(child, scope) for key, child in node.items()}
        case list():
            return [_evaluated(child, scope) for child in node]
        case _:
            return node
