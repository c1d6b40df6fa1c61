"""JSON text to a tree with positions: strict JSON, no duplicate keys, bounded depth.

The standard library's decoder gives no positions and takes the last of duplicate keys, therefore this
small reader; texts are decoded by the standard library's own scanner.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from json import JSONDecodeError, decoder

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
    duplicate,
)
from engine.workflows.wording import show

_BLANK = re.compile(r"[ \t\n\r]*")
_WORD = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")
_JUNK = re.compile(r"[^\s,:\]}\"]{1,40}")


_STRING_ADVICE = {
    "Invalid control character at": "a line break or control character inside a text: write it as "
    "\\n or \\t, or close the quotes before it",
    "Unterminated string starting at": "the text that begins here is not closed: add the quotes at its end",
    "Invalid \\escape": "unknown escape in a text: write a backslash as \\\\",
    "Invalid \\uXXXX escape": "\\u takes four hexadecimal digits",
}


def read_json(text: str, report: Report) -> Node:
    """The tree of a JSON text; duplicate keys go to `report`, and reading goes on.

    Raises:
        SyntaxProblemError: where and why it cannot be read any further, and what to do.
    """
    return _Reader(text, report).document()


class _Reader:
    """Recursive descent over one text."""

    def __init__(self, text: str, report: Report) -> None:
        self._report = report
        self._text = text
        self._at = 0
        self._count = 0
        self._lines = [0] + [match.end() for match in re.finditer("\n", text)]

    def document(self) -> Node:
        self._blank()
        node = self._value(1)
        self._blank()
        if self._at < len(self._text):
            raise self._problem(
                "something follows the end of the document: take it out, or check the brackets"
            )
        return node

    def _position(self, index: int) -> Position:
        line = bisect_right(self._lines, index)
        return Position(line, index - self._lines[line - 1] + 1)

    def _problem(self, message: str, index: int | None = None) -> SyntaxProblemError:
        return SyntaxProblemError(
            f"not valid JSON: {message}", self._position(self._at if index is None else index)
        )

    def _blank(self) -> str:
        """Skip blanks; the character that follows, "" at the end."""
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._text[self._at : self._at + 1]

    def _value(self, depth: int) -> Node:
        self._count += 1
        if self._count > MAX_NODES:
            raise self._problem(f"more than {MAX_NODES:,} values: keep bulk data in a file that a step reads")
        if depth > MAX_DEPTH:
            raise self._problem(f"nested more than {MAX_DEPTH} levels deep: make the document flatter")
        start = self._at
        char = self._text[start : start + 1]
        if char == "{":
            return self._table(depth)
        if char == "[":
            return self._items(depth)
        if char == '"':
            return Scalar(self._string(), False, self._position(start))
        if match := _WORD.match(self._text, start):
            self._at = match.end()
            if not (_JUNK.match(self._text, self._at)):
                return Scalar(match[0], True, self._position(start))
        raise self._unexpected(start)

    def _unexpected(self, start: int) -> SyntaxProblemError:
        junk = _JUNK.match(self._text, start)
        if start >= len(self._text):
            return self._problem("the text ends where a value is expected", start)
        if junk is None:
            return self._problem(f"expected a value, found {show(self._text[start])}", start)
        if junk[0].lower() in ("true", "false", "null", "none"):
            word = "null" if junk[0].lower() == "none" else junk[0].lower()
            return self._problem(f"found {show(junk[0])}: write {word}", start)
        if junk[0].startswith(("//", "/*", "#")):
            return self._problem("JSON has no comments: take it out, or use a .yaml file", start)
        return self._problem(f"expected a value, found {show(junk[0])}: texts stand in double quotes", start)

    def _string(self) -> str:
        start = self._at
        try:
            value: str
            value, self._at = decoder.scanstring(self._text, start + 1, True)  # type: ignore[attr-defined]
        except JSONDecodeError as error:
            position = min(error.pos, len(self._text))
            raise self._problem(_STRING_ADVICE.get(error.msg.split(":")[0], error.msg), position) from None
        return value

    def _items(self, depth: int) -> Items:
        items = Items(self._position(self._at))
        self._at += 1
        if self._blank() == "]":
            self._at += 1
            return items
        while True:
            self._blank()
            items.append(self._value(depth + 1))
            if not self._goes_on("]"):
                return items

    def _table(self, depth: int) -> Table:
        table = Table(self._position(self._at))
        self._at += 1
        if self._blank() == "}":
            self._at += 1
            return table
        while True:
            if self._blank() != '"':
                raise self._problem("expected a key in double quotes")
            where = self._position(self._at)
            key = self._string()
            if key in table:
                first = table.key_positions[key]
                self._report(where, duplicate(key, first))
            if self._blank() != ":":
                raise self._problem("expected `:` after the key")
            self._at += 1
            self._blank()
            table.put(key, self._value(depth + 1), where)
            if not self._goes_on("}"):
                return table

    def _goes_on(self, closing: str) -> bool:
        char = self._blank()
        if char not in (",", closing) or not char:
            raise self._problem(f"expected `,` or `{closing}`")
        comma = self._at
        self._at += 1
        if char == "," and self._blank() == closing:
            raise self._problem(f"a comma stands before `{closing}`: take it out", comma)
        return char == ","
