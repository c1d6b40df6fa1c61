"""Compiles the expressions of a document, each failure noted at its place, and remembers what they read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.workflows.conditions import (
    OPERATORS,
    OTHER_WORDS,
    SPELLINGS,
    Combination,
    Comparison,
    Negation,
    PatternError,
    compile_pattern,
)
from engine.workflows.expressions import (
    ExpressionError,
    JsonPath,
    JsonValue,
    TextTemplate,
    compile_path,
    compile_template,
    is_simple,
)
from engine.workflows.plan import Condition
from engine.workflows.routing_documents import ConditionDocument
from engine.workflows.tree import Findings, Position, Table, describe, locate, node_at
from engine.workflows.wording import advice, quoted, shorten, show

At = tuple[str | int, ...]

# What `on_failure` and `finally` steps see of the run, at `$.run`.
RUN_FIELDS = ("status", "reason", "error", "failed_step")

# A plain path costs 1 to compile; filters and regular expressions take the library some forty times as long.
BUDGET = 60_000
# Conditions in conditions.
MAX_NESTING = 15
DEAR = 40


class Upstream(Protocol):
    """What is finished when a step begins."""

    def finished_before(self, other: str, step: str) -> bool:
        """Whether `other` is finished when `step` begins."""
        ...

    def has_later_turn(self, other: str, step: str) -> bool:
        """Whether `other` begins only when all of the list that `step` stands in is over."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """A path that a step reads, and where it stands in the document."""

    step_id: str
    path: JsonPath
    position: Position


@dataclass(slots=True)
class Compiler:
    """Compiles for one document; `at` is always the path of the text in the tree.

    `forgiven` are the ids and names that were taken out of the document because they are wrong: what refers
    to them is not wrong as well.
    """

    tree: Table
    findings: Findings
    forgiven: frozenset[str] = frozenset()
    readings: list[Reading] = field(default_factory=list)
    spent: int = 0

    def path(self, text: str, at: At, step_id: str, label: str) -> JsonPath | None:
        """A JSONPath, or None with the problem noted."""
        if not self._afford(1 if is_simple(text) else DEAR, at):
            return None
        try:
            path = compile_path(text)
        except ExpressionError as error:
            self.error(at, f"`{label}`: {error}")
            return None
        self.readings.append(Reading(step_id, path, locate(self.tree, at)))
        return path

    def template(self, text: str, at: At, step_id: str, label: str) -> TextTemplate | None:
        """A text with `{{ $.path }}` places, or None with the problem noted."""
        if not self._afford(0, at):
            return None
        try:
            template = compile_template(text)
        except ExpressionError as error:
            self.error(at, f"`{label}`: {error}")
            return None
        if not self._afford(sum(1 if is_simple(path.source) else DEAR for path in template.paths), at):
            return None
        position = locate(self.tree, at)
        self.readings.extend(Reading(step_id, path, position) for path in template.paths)
        return template

    def value(self, source: Any, at: At, step_id: str, label: str) -> JsonValue | None:
        """A JSON value with templates in its texts (not its keys), or None with the problems noted."""
        broken: list[At] = []

        def compiled(node: Any, at: At, label: str) -> Any:
            match node:
                case str() if "{{" in node:
                    template = self.template(node, at, step_id, label)
                    if template is None:
                        broken.append(at)
                    return template
                case dict():
                    return {
                        key: compiled(child, (*at, key), f"{label}.{shorten(key)}")
                        for key, child in node.items()
                    }
                case list():
                    return [
                        compiled(child, (*at, index), f"{label}[{index}]") for index, child in enumerate(node)
                    ]
                case _:
                    return node

        made = compiled(source, at, label)
        return None if broken else JsonValue(source, made)

    def condition(self, document: ConditionDocument, at: At, step_id: str, label: str) -> Condition | None:
        """A condition, or None with the problems noted."""
        if sum(part in ("and", "or", "not") for part in at) > MAX_NESTING:
            self.error(
                at,
                f"`{at[-1]}`: conditions are nested more than {MAX_NESTING} deep: let a step work it out, "
                "and look at its result",
            )
            return None
        combined = {
            name: parts
            for name, parts in (("and", document.and_), ("or", document.or_), ("not", document.not_))
            if parts is not None
        }
        simple = document.field is not None or document.operator is not None
        if len(combined) + simple != 1:
            if not self.damaged(at):
                self.error(
                    at, f"`{label}`: expected either field, operator and value, or one of and, or, not"
                )
            return None
        kind = "simple" if simple else next(iter(combined))
        if document.type not in (None, kind):
            self.error(
                (*at, "type"), f"`{label}.type`: found {document.type}, but the keys are those of {kind}"
            )
        if simple:
            return self._comparison(document, at, step_id, label)
        if document.not_ is not None:
            part = self.condition(document.not_, (*at, "not"), step_id, f"{label}.not")
            return Negation(part) if part else None
        return self._combination(document, at, step_id, label)

    def _combination(
        self, document: ConditionDocument, at: At, step_id: str, label: str
    ) -> Combination | None:
        name, documents = ("and", document.and_) if document.and_ is not None else ("or", document.or_)
        if not documents:
            self.error((*at, name), f"`{label}.{name}` is empty: write at least one condition")
            return None
        parts = [
            self.condition(part, (*at, name, index), step_id, f"{label}.{name}[{index}]")
            for index, part in enumerate(documents)
        ]
        known = tuple(part for part in parts if part is not None)
        return Combination(name == "and", known) if len(known) == len(parts) else None

    def _comparison(self, document: ConditionDocument, at: At, step_id: str, label: str) -> Comparison | None:
        if document.field is None or document.operator is None:
            if not self.damaged(at):
                self.error(at, f"`{label}` needs `{'operator' if document.field else 'field'}`: add it")
            return None
        path = self.path(document.field, (*at, "field"), step_id, f"{label}.field")
        operator = SPELLINGS.get(document.operator, document.operator)
        if operator not in OPERATORS:
            meant = OTHER_WORDS.get(document.operator.casefold())
            hint = advice(meant or document.operator, [*OPERATORS, *SPELLINGS], kind="operators")
            self.error((*at, "operator"), f"`{label}.operator`: found {show(document.operator)}: {hint}")
            return None
        if not self._value_fits(operator, document, at, label):
            return None
        pattern = None
        if operator == "matches":
            if not self._afford(DEAR, at):
                return None
            try:
                pattern = compile_pattern(document.value)
            except PatternError as error:
                self.error((*at, "value"), f"`{label}.value`: {error}")
                return None
        return Comparison(path, operator, document.value, pattern) if path else None

    def _value_fits(self, operator: str, document: ConditionDocument, at: At, label: str) -> bool:
        value = document.value
        if operator == "exists":
            expected = "" if value is None or isinstance(value, bool) else "true or false, or no value"
        elif "value" not in document.model_fields_set:
            if self.damaged(at):
                return False
            self.error(at, f"`{label}` needs `value`, what the field is compared with: add it")
            return False
        elif operator in ("in", "not_in"):
            expected = "" if isinstance(value, list) else "a list"
        elif operator == "matches":
            expected = "" if isinstance(value, str) else "a regular expression as a text"
        elif operator in ("gt", "gte", "lt", "lte"):
            ordered = isinstance(value, (int, float, str)) and not isinstance(value, bool)
            expected = "" if ordered else "a number or a text"
        else:
            expected = ""
        if expected:
            where = (*at, "value")
            self.error(where, f"`{label}.value`: found {self._found(where)}, {operator} takes {expected}")
        return not expected

    def _afford(self, cost: int, at: At) -> bool:
        """Bound the time that a hostile document can make us spend on its expressions."""
        before = self.spent
        self.spent += cost
        if before <= BUDGET < self.spent:
            self.error(at, "from here on there are more paths and templates than one document may have")
        return self.spent <= BUDGET

    def _found(self, at: At) -> str:
        return describe(node_at(self.tree, at))

    def damaged(self, at: At) -> bool:
        """Whether something wrong was taken out of the mapping at `at`, so that it may lack something."""
        node = node_at(self.tree, at)
        return isinstance(node, Table) and node.damaged

    def error(self, at: At, message: str) -> None:
        """Note an error at a path of the tree."""
        self.findings.error(locate(self.tree, at), message)

    def place(self, at: At) -> Position:
        """Line and column of the text at a path of the tree."""
        return locate(self.tree, at)

    def line(self, at: At) -> int:
        """The line of the text at a path of the tree."""
        return locate(self.tree, at).line

    def warning(self, at: At, message: str, *, key: bool = True) -> None:
        """Note a warning at a path of the tree (at its key)."""
        self.findings.warning(locate(self.tree, at, key=key), message)

    def reads_steps(self) -> bool:
        """Whether any path looks into what another step left."""
        return any(reading.path.parts[:1] == ("steps",) for reading in self.readings)

    def check_readings(
        self,
        steps: Collection[str],
        upstream: Upstream | None,
        params: Collection[str],
        state: Collection[str],
        handlers: Collection[str] = (),
    ) -> None:
        """Check what paths say about params, steps and (in `handlers`) the run: it is known by now."""
        for reading in self.readings:
            head = [str(part) for part in reading.path.parts[:2]]
            if len(head) < 2 or head[0] not in ("params", "steps", "run") or head[0] in state:
                continue
            kind, name = head
            if name in self.forgiven or self.findings.full:
                continue
            if kind == "params" and name not in params:
                self.findings.error(
                    reading.position,
                    f"{show(reading.path.source)}: there is no param {show(name)}: "
                    f"{advice(name, params, kind='declared params')}",
                )
            elif kind == "run":
                if reading.step_id in handlers and name not in RUN_FIELDS:
                    self.findings.error(
                        reading.position,
                        f"{show(reading.path.source)}: a run has no {show(name)} here: "
                        f"{advice(name, RUN_FIELDS, kind='it has')}",
                    )
            elif kind == "steps" and name not in steps:
                self.findings.error(
                    reading.position,
                    f"{show(reading.path.source)}: there is no step {show(name)}: "
                    f"{advice(name, steps, kind='steps')}",
                )
            elif kind == "steps" and name == reading.step_id:
                self.findings.error(
                    reading.position,
                    f"{show(reading.path.source)}: a step cannot read what it has not done yet: "
                    "read an earlier step",
                )
            elif kind == "steps" and upstream and upstream.has_later_turn(name, reading.step_id):
                self.findings.error(
                    reading.position,
                    f"{show(reading.path.source)}: {quoted(name)} has its turn later, after this step: "
                    "read an earlier step",
                )
            elif kind == "steps" and upstream and not upstream.finished_before(name, reading.step_id):
                self.findings.warning(
                    reading.position,
                    f"{show(reading.path.source)}: {quoted(reading.step_id)} does not wait for "
                    f"{quoted(name)}, which may not be finished then: add it to `depends_on`",
                )
