"""YAML text to a tree with positions: one document, no tags, no duplicate keys, no bombs.

Works on the parser's events rather than on its composed nodes, so that depth and expansion are checked
while reading and not after the memory is gone.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from engine.workflows.tree import (
    MAX_DEPTH,
    MAX_NODES,
    Items,
    Node,
    Position,
    Report,
    Scalar,
    SyntaxProblemError,
    Table,
    copy_of,
    duplicate,
)
from engine.workflows.wording import listing, shorten, show

# libyaml reads about eight times faster; PyYAML carries it on the usual platforms.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_MERGE = "<<"
# What YAML does not allow in a text. Written as what is excluded: the other way round takes 6 ms to compile.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


def read_yaml(text: str, report: Report) -> Node:
    """The tree of a YAML text; duplicate keys and tags go to `report`, and reading goes on.

    Raises:
        SyntaxProblemError: where and why it cannot be read any further, and what to do.
    """
    if control := _CONTROL.search(text):
        raise SyntaxProblemError(
            f"the control character {control[0]!r} is not allowed in YAML: take it out, "
            'or write it as an escape in a text with double quotes ("\\x1b")',
            position_at(text, control.start()),
        )
    try:
        return _Composer(text, report).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
        raise SyntaxProblemError(_explain(error, text, position), position) from None
    except yaml.YAMLError as error:
        raise SyntaxProblemError(f"not readable as YAML: {error}", Position(1, 1)) from None


def position_at(text: str, index: int) -> Position:
    """Line and column of a character of a text."""
    start = text.rfind("\n", 0, index) + 1
    return Position(text.count("\n", 0, index) + 1, index - start + 1)


class _Composer:
    """Builds the tree from the parser's events, counting as it goes."""

    def __init__(self, text: str, report: Report) -> None:
        self._report = report
        self._events = yaml.parse(text, Loader=_Loader)
        self._count = 0
        self._anchors: dict[str, tuple[Node, int, int] | None] = {}
        self._deepest = 0

    def document(self) -> Node:
        next(self._events)  # start of the stream
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return Scalar("", True, Position(1, 1))
        root = self._node(next(self._events), 1)
        next(self._events)  # end of the document
        rest = next(self._events)
        if not isinstance(rest, yaml.StreamEndEvent):
            raise SyntaxProblemError(
                "a second document begins here (`---`), but a workflow file holds one: "
                "put each workflow in a file of its own",
                _position(rest),
            )
        return root

    def _next(self) -> Any:
        return next(self._events)

    def _node(self, event: Any, depth: int) -> Node:
        position = _position(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), depth, position)
        self._count += 1
        if self._count > MAX_NODES:
            raise SyntaxProblemError(
                f"more than {MAX_NODES:,} values: keep bulk data in a file that a step reads",
                position,
            )
        if depth > MAX_DEPTH:
            raise SyntaxProblemError(
                f"nested more than {MAX_DEPTH} levels deep: make the document flatter", position
            )
        if event.tag is not None:
            self._report(position, _tag_advice(event.tag))
        if event.anchor is None:
            self._deepest = max(self._deepest, depth)
            return self._content(event, depth, position)
        return self._anchored(event, depth, position)

    def _anchored(self, event: Any, depth: int, position: Position) -> Node:
        before, outside = self._count, self._deepest
        self._anchors[event.anchor] = None  # open: an alias to it from inside would never end
        self._deepest = depth
        node = self._content(event, depth, position)
        self._anchors[event.anchor] = (node, self._count - before + 1, self._deepest - depth)
        self._deepest = max(outside, self._deepest)
        return node

    def _alias(self, anchor: str, depth: int, position: Position) -> Node:
        name = shorten(anchor)
        if anchor not in self._anchors:
            known = listing(map(shorten, self._anchors))
            raise SyntaxProblemError(
                f"*{name} refers to an anchor that is not defined above: write &{name} before the value "
                f"it stands for, or quote the text; anchors so far: {known or 'none'}",
                position,
            )
        target = self._anchors[anchor]
        if target is None:
            raise SyntaxProblemError(f"*{name} stands inside the value that it refers to", position)
        node, size, height = target
        self._count += size
        if self._count > MAX_NODES:
            raise SyntaxProblemError(
                f"more than {MAX_NODES:,} values once the aliases are expanded: use fewer aliases",
                position,
            )
        if depth + height > MAX_DEPTH:
            raise SyntaxProblemError(
                f"with *{name} expanded the document is nested more than {MAX_DEPTH} levels deep", position
            )
        self._deepest = max(self._deepest, depth + height)
        return copy_of(node)

    def _content(self, event: Any, depth: int, position: Position) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(event.value, event.implicit[0], position)
        if isinstance(event, yaml.SequenceStartEvent):
            items = Items(position)
            while not isinstance(child := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(child, depth + 1))
            return items
        return self._table(depth, position)

    def _table(self, depth: int, position: Position) -> Table:
        table = Table(position)
        merges: list[tuple[Node, Position]] = []
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            where = _position(event)
            key = self._key(self._node(event, depth + 1))
            if key == _MERGE and event.implicit[0]:
                merges.append((self._node(next(self._events), depth + 1), where))
                continue
            if key in table:
                first = table.key_positions[key]
                self._report(where, duplicate(key, first))
            table.put(key, self._node(next(self._events), depth + 1), where)
        for source, where in merges:
            _merge(table, source, where)
        return table

    def _key(self, node: Node) -> str:
        if not isinstance(node, Scalar):
            raise SyntaxProblemError(
                "a key must be a text, but a mapping or list stands here as one: "
                "if this is a template such as {{ $.params.name }}, put the whole value in quotes",
                node.position,
            )
        if node.plain and node.text in ("", "~", "null"):
            raise SyntaxProblemError("a key is missing before the colon: write one", node.position)
        return node.text


def _merge(table: Table, source: Node, where: Position) -> None:
    """YAML's merge key `<<: *anchor`: keys that the mapping has not got itself; the first source wins."""
    sources = source if isinstance(source, Items) else [source]
    for one in sources:
        if not isinstance(one, Table):
            raise SyntaxProblemError("`<<` takes an alias to a mapping, or a list of them", where)
        for key, value in one.items():
            if key not in table:
                table.put(key, copy_of(value), one.key_positions[key])


def _position(event: Any) -> Position:
    return Position(event.start_mark.line + 1, event.start_mark.column + 1)


def _tag_advice(tag: str) -> str:
    short = tag.replace("tag:yaml.org,2002:", "!!")
    if short.startswith("!!python"):
        return f"the YAML tag {show(short)} would make a Python object and is refused: take it out"
    if short == "!!str":
        return "YAML tags are refused: instead of !!str put the text in quotes"
    return f"the YAML tag {show(short)} is refused, as all tags are: take it out, or quote a text with `!`"


# The parser's words, found by a part of them, and what a person has most likely done.
_EXPLANATIONS = (
    ("cannot start any token", "this character cannot begin a value here: put the value in quotes"),
    (
        "mapping values are not allowed",
        "a `: ` where none can stand: put a value that contains `: ` in quotes, or check the indentation",
    ),
    ("could not find expected ':'", "expected `key: value`: a colon is missing, or a quote is not closed"),
    ("did not find expected key", "expected a key of the mapping above: check the indentation and quotes"),
    ("did not find expected '-' indicator", "expected `- ` as in the list above: check the indentation"),
    ("did not find expected ',' or", "expected `,` or the closing bracket: check brackets and quotes"),
    ("did not find expected node content", "expected a value here: check brackets, or put it in quotes"),
    ("found unexpected end of stream", "the text ends inside quotes: close them"),
    ("found unknown escape character", "unknown escape in double quotes: write `\\\\` or use single quotes"),
    ("found undefined tag handle", "YAML tags (`!…`) are refused: put a text that begins with `!` in quotes"),
    ("did not find expected whitespace or line break", "a blank is missing after this character"),
    ("did not find expected <document start>", "the value above has ended already: check the indentation"),
    (
        "expected alphabetic or numeric character",
        "`*` and `&` begin aliases and anchors: put a text in quotes",
    ),
    ("invalid Unicode character escape", "this escape stands for no character: take it out"),
    ("did not find expected comment or line break", "nothing may follow `|` or `>` on the line"),
    ("block sequence entries are not allowed", "a list item `- ` cannot stand here: begin a new line for it"),
)


def _explain(error: yaml.MarkedYAMLError, text: str, position: Position) -> str:
    words = str(error.problem or error.context or "not readable")
    lines = text.split("\n")
    line = lines[position.line - 1] if position.line <= len(lines) else ""
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent:
        return "a tab is used for indentation, which YAML does not allow: use blanks"
    hint = next((hint for part, hint in _EXPLANATIONS if part in words), "")
    where = ""
    if error.context and error.context_mark and error.context_mark.line + 1 != position.line:
        where = f" ({error.context}, line {error.context_mark.line + 1})"
    return f"not valid YAML: {hint}{where} [{words}]" if hint else f"not valid YAML: {words}{where}"
