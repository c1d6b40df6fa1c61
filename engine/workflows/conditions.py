"""Conditions: comparisons in both spellings, combined by `and`, `or` and `not` (contract §1).

`matches` runs on RE2, whose time is linear in the text for every pattern: nothing a container writes can
make it run away, and unlike a time-out the answer does not depend on the load of the machine. It also is
the syntax of Go's expressions, which the specification means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from engine.workflows.expressions import FocusedPath, JsonPath
from engine.workflows.plan import Condition, Scope, Verdict
from engine.workflows.wording import show

SPELLINGS = {"==": "eq", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
OPERATORS = (
    "eq",
    "ne",
    "gt",
    "gte",
    "lt",
    "lte",
    "contains",
    "not_contains",
    "in",
    "not_in",
    "matches",
    "exists",
)
# Words that people write, and the operator they mean: for advice only.
OTHER_WORDS = {
    "equals": "eq",
    "equal": "eq",
    "is": "eq",
    "=": "eq",
    "===": "eq",
    "not_equal": "ne",
    "not_equals": "ne",
    "neq": "ne",
    "<>": "ne",
    "greater_than": "gt",
    "greater": "gt",
    "ge": "gte",
    "less_than": "lt",
    "less": "lt",
    "le": "lte",
    "has": "contains",
    "includes": "contains",
    "regex": "matches",
    "match": "matches",
    "=~": "matches",
    "defined": "exists",
}
_TRUE_IF_MISSING = frozenset(("ne", "not_in", "not_contains"))
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda left, right: bool(left > right),
    "gte": lambda left, right: bool(left >= right),
    "lt": lambda left, right: bool(left < right),
    "lte": lambda left, right: bool(left <= right),
}


class PatternError(ValueError):
    """A regular expression cannot be compiled; the message says why."""


def compile_pattern(pattern: str) -> Any:
    """An RE2 expression.

    Raises:
        PatternError: it is not in RE2's syntax.
    """
    import re2  # only documents that use `matches` pay for it

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        words = error.args[0] if error.args else ""
        reason = words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)
        reason = reason[:120]
        hint = "; look-around is not supported" if "(?" in reason else ""
        raise PatternError(f"{show(pattern)} is no regular expression (RE2): {reason}{hint}") from None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field operator value`; `pattern` is compiled for `matches`."""

    path: JsonPath | FocusedPath
    operator: str
    value: Any
    pattern: Any = None

    def evaluate(self, scope: Scope) -> Verdict:
        """True or false; comparing what cannot be compared is false, with a warning."""
        found, actual = self.path.lookup(scope)
        if self.operator == "exists":
            # A path with wildcards or filters finds a list, be it of nothing.
            nothing = not found or (self.path.many and actual == [])
            return Verdict(nothing is (self.value is False))
        if not found:
            return Verdict(self.operator in _TRUE_IF_MISSING)
        if self.operator in ("eq", "ne"):
            return Verdict(same(actual, self.value) is (self.operator == "eq"))
        if self.operator in ("in", "not_in"):
            return Verdict(any(same(actual, one) for one in self.value) is (self.operator == "in"))
        if self.operator in _ORDER:
            return self._ordered(actual)
        if self.operator == "matches":
            return self._matched(actual)
        return self._contained(actual)

    def _ordered(self, actual: Any) -> Verdict:
        if _is_number(actual) and _is_number(self.value):
            return Verdict(_ORDER[self.operator](actual, self.value))
        if isinstance(actual, str) and isinstance(self.value, str):
            return Verdict(_ORDER[self.operator](actual, self.value))
        return self._mismatch(
            actual,
            f"cannot be ordered against {kind_of(self.value)}: numbers go with numbers, texts with texts",
        )

    def _matched(self, actual: Any) -> Verdict:
        if not isinstance(actual, str):
            return self._mismatch(actual, "cannot be matched: only texts can")
        try:
            return Verdict(self.pattern.search(actual) is not None)
        except UnicodeEncodeError:
            return self._mismatch(actual, "cannot be matched: it contains half of a surrogate pair")

    def _contained(self, actual: Any) -> Verdict:
        wanted = self.operator == "contains"
        if isinstance(actual, list):
            return Verdict(any(same(one, self.value) for one in actual) is wanted)
        if isinstance(actual, str) and isinstance(self.value, str):
            return Verdict((self.value in actual) is wanted)
        if isinstance(actual, dict) and isinstance(self.value, str):
            return Verdict((self.value in actual) is wanted)
        verdict = self._mismatch(actual, f"cannot contain {kind_of(self.value)}")
        return Verdict(not wanted, verdict.warnings)

    def _mismatch(self, actual: Any, why: str) -> Verdict:
        return Verdict(False, (f"condition on {show(self.path.source)}: {kind_of(actual)} {why}",))


@dataclass(frozen=True, slots=True)
class Combination:
    """All (`and`) or any (`or`) of several conditions, judged in order until the answer is known."""

    every: bool
    parts: tuple[Condition, ...]

    def evaluate(self, scope: Scope) -> Verdict:
        """True or false, with the warnings of the parts that were judged."""
        warnings: list[str] = []
        for part in self.parts:
            verdict = part.evaluate(scope)
            warnings.extend(verdict.warnings)
            if verdict.value is not self.every:
                return Verdict(not self.every, tuple(warnings))
        return Verdict(self.every, tuple(warnings))


@dataclass(frozen=True, slots=True)
class Negation:
    """The opposite of a condition."""

    part: Condition

    def evaluate(self, scope: Scope) -> Verdict:
        """True where the part is false; the warnings are the part's."""
        verdict = self.part.evaluate(scope)
        return Verdict(not verdict.value, verdict.warnings)


def focused(condition: Condition, focus: JsonPath) -> Condition:
    """The condition with the value at `focus` for its `$`; what is not there is looked for in the state."""
    match condition:
        case Comparison(path=JsonPath() as path):
            return replace(condition, path=FocusedPath(focus, path))
        case Combination():
            return replace(condition, parts=tuple(focused(part, focus) for part in condition.parts))
        case Negation():
            return Negation(focused(condition.part, focus))
    return condition


def same(left: Any, right: Any) -> bool:
    """Equality of JSON values: 1 equals 1.0, but neither equals true or "1"."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def kind_of(value: Any) -> str:
    """What a JSON value is, for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return f"the truth value {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {show(value)}"
        case list():
            return "a list"
        case _:
            return "an object"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
