"""Params: what a workflow declares, and the values a run is given."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from engine.errors import UsageError
from engine.strict_json import DEEPEST, is_too_deep, parse
from engine.workflows.compiling import At, Compiler
from engine.workflows.conditions import kind_of, same
from engine.workflows.documents import ParamDocument
from engine.workflows.plan import ParamSpec, Plan
from engine.workflows.tree import text_complaint
from engine.workflows.wording import advice, listing, shorten, show

_ARTICLE = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a JSON list",
    "object": "a JSON object",
}


_NUMBER = re.compile(r"[-+]?([0-9]{1,300}(\.[0-9]{0,300})?|\.[0-9]{1,300})([eE][-+]?[0-9]{1,5})?")


def plan_params(documents: Mapping[str, ParamDocument], compiler: Compiler) -> dict[str, ParamSpec]:
    """The declared params, checked: defaults and choices are of the param's type."""
    return {
        name: spec
        for name, document in documents.items()
        if (spec := _plan_param(name, document, compiler, ("params", name))) is not None
    }


def _plan_param(name: str, document: ParamDocument, compiler: Compiler, at: At) -> ParamSpec | None:
    given = "default" in document.model_fields_set and document.default is not None
    choices = tuple(document.choices or ())
    kind = document.type or _type_of(document.default if given else choices[0] if choices else "")
    problems = 0
    if document.choices is not None and not choices:
        compiler.error(
            (*at, "choices"), f"`params.{name}.choices` is empty: write at least one, or none at all"
        )
        problems += 1
    for index, choice in enumerate(choices):
        if not _fits(choice, kind):
            problems += 1
            compiler.error(
                (*at, "choices", index),
                f"`params.{name}.choices[{index}]`: found {kind_of(choice)}, expected {_ARTICLE[kind]}",
            )
    if given and not _fits(document.default, kind):
        problems += 1
        compiler.error(
            (*at, "default"),
            f"`params.{name}.default`: found {kind_of(document.default)}, expected {_ARTICLE[kind]}",
        )
    elif given and choices and not any(same(document.default, choice) for choice in choices):
        problems += 1
        compiler.error(
            (*at, "default"),
            f"`params.{name}.default`: {kind_of(document.default)} is none of the choices "
            f"{listing(map(_written, choices))}",
        )
    if given and document.required:
        compiler.warning(
            (*at, "required"),
            f"`params.{name}` is required, so its default is never used: drop one of the two",
        )
    if problems:
        return None
    return ParamSpec(name, kind, document.default, document.required, document.description, choices)


def resolve_params(plan: Plan, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all declared params for one run.

    Texts (from a command line) are read as the param's type: `3`, `true`, JSON for arrays and objects.
    Other values must be of that type already. A param that is neither given nor has a default is None.

    Raises:
        UsageError: unknown, missing or unfitting params, all of them at once.
    """
    problems = [
        f"there is no param {show(name)}: {advice(name, plan.params, kind='params of this workflow')}"
        for name in given
        if name not in plan.params
    ]
    values: dict[str, Any] = {}
    for name, spec in plan.params.items():
        if name not in given:
            values[name] = deepcopy(spec.default)
            if spec.required:
                what = f" ({spec.description})" if spec.description else ""
                problems.append(f"param {name!r} is required: give it as -p {name}=…{what}")
            continue
        try:
            values[name] = read_param(spec, given[name])
        except ValueError as error:
            problems.append(f"param {name!r}: {error}")
    if problems:
        hint = listing(map(describe_param, plan.params.values()), limit=20)
        raise UsageError("\n".join(problems), hint=f"params of {plan.workflow}: {hint}" if hint else "")
    return values


def describe_param(spec: ParamSpec) -> str:
    """A param in a list of them: `name (integer, default 3)`."""
    notes = [spec.type]
    if spec.choices:
        notes.append(f"one of {'|'.join(map(_written, spec.choices))}")
    if spec.required:
        notes.append("required")
    elif spec.default is not None:
        notes.append(f"default {_written(spec.default)}")
    return f"{spec.name} ({', '.join(notes)})"


def carried_params(
    before: Plan, after: Plan, values: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The params of a run that is run again by an edited plan: as they were, `given` ones over them.

    What was left at its default follows the new default; params that are declared no more are dropped.

    Raises:
        UsageError: what `resolve_params` refuses.
    """
    kept = {
        name: value
        for name, value in values.items()
        if (spec := after.params.get(name)) is not None
        and value is not None
        and (spec.required or not _was_left(before, name, value))
    }
    return resolve_params(after, {**kept, **given})


def _was_left(before: Plan, name: str, value: Any) -> bool:
    spec = before.params.get(name)
    return spec is not None and not spec.required and same(value, spec.default)


def read_param(spec: ParamSpec, given: Any) -> Any:
    """One value of a param, from a text or a JSON value.

    Raises:
        ValueError: it does not fit; says what was found and expected.
    """
    value = _from_text(spec, given) if isinstance(given, str) else given
    if is_too_deep(value):
        raise ValueError(f"the value is nested more than {DEEPEST} levels deep: make it flatter")
    if not _fits(value, spec.type):
        raise ValueError(f"found {kind_of(value)}, expected {_ARTICLE[spec.type]}")
    if complaint := _complaint(value):
        raise ValueError(complaint)
    if spec.choices and not any(same(value, choice) for choice in spec.choices):
        hint = advice(str(given), [str(choice) for choice in spec.choices])
        raise ValueError(
            f"found {kind_of(value)}, expected one of {listing(map(_written, spec.choices))}"
            + (f": {hint}" if hint.startswith("did") else "")
        )
    return value


def _from_text(spec: ParamSpec, text: str) -> Any:
    expected = _ARTICLE[spec.type]
    stripped = text.strip()
    match spec.type:
        case "string":
            return text
        case "integer" if re.fullmatch(r"[-+]?[0-9]{1,300}", stripped):
            return int(stripped)
        case "number" if re.fullmatch(r"[-+]?[0-9]{1,300}", stripped):
            return int(stripped)
        case "number" if _NUMBER.fullmatch(stripped):
            return float(stripped)
        case "boolean" if stripped.lower() in ("true", "false"):
            return stripped.lower() == "true"
        case "boolean" if stripped.lower() in ("yes", "no", "on", "off", "1", "0"):
            meant = "true" if stripped.lower() in ("yes", "on", "1") else "false"
            raise ValueError(f"found {show(text)}, expected true or false: write {spec.name}={meant}")
        case "array" | "object":
            try:
                return parse(text)
            except ValueError as error:
                raise ValueError(f"found {show(text)}, expected {expected}: {error}") from None
    raise ValueError(f"found {show(text)}, expected {expected}")


def _complaint(value: Any) -> str:
    """Why a value of the right type can be no param all the same, or ""."""
    match value:
        case str():
            return text_complaint(value)
        case float() if not math.isfinite(value):
            return "the number is too large"
        case dict():
            return next(filter(None, map(_complaint, [*value, *value.values()])), "")
        case list():
            return next(filter(None, map(_complaint, value)), "")
        case _:
            return ""


def _type_of(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "string"


def _fits(value: Any, kind: str) -> bool:
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return value is not None and _type_of(value) == kind


def _written(value: Any) -> str:
    return shorten(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
