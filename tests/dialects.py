"""A workflow as Agentainer's code writes it: JSON, settings under `config`, its conditions and decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]

_OWN = ("id", "name", "type", "depends_on", "metadata")
_SPELLINGS = {"eq": "==", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_TYPES = {"map": "mapreduce", "subworkflow": "sub_workflow"}


def as_code_dialect(file: Path) -> Document:
    """The document of a YAML file in the other dialect."""
    document: Document = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {**document, "steps": [_step(step) for step in document["steps"]]}


def _step(step: Document) -> Document:
    own = {key: value for key, value in step.items() if key in _OWN}
    if "type" in own:
        own["type"] = _TYPES.get(own["type"], own["type"])
    config = {key: _setting(key, value) for key, value in step.items() if key not in _OWN}
    return {**own, "config": config}


def _setting(key: str, value: Any) -> Any:
    match key:
        case "condition":
            return _condition(value)
        case "decision_node":
            return _decision(value)
        case "branch_config":
            return {**value, "condition": _condition(value["condition"])}
        case "steps":
            return [_step(step) for step in value]
        case "workflow":
            return {**value, "steps": [_step(step) for step in value["steps"]]}
        case _:
            return value


def _condition(condition: Document) -> Document:
    for word in ("and", "or"):
        if word in condition:
            return {"type": word, word: [_condition(part) for part in condition[word]]}
    if "not" in condition:
        return {"type": "not", "not": _condition(condition["not"])}
    operator = condition["operator"]
    field = condition["field"].removeprefix("$.")
    return {**condition, "type": "simple", "field": field, "operator": _SPELLINGS.get(operator, operator)}


def _decision(decision: Document) -> Document:
    """Choices as branches: the same order by their priorities, the same labels as their ids."""
    branches: list[Document] = [
        {
            "id": str(number),
            "name": f"Way {number}",
            "condition": _condition(choice["condition"]),
            "next_steps": [choice["next"]],
            "priority": 100 - number,
        }
        for number, choice in enumerate(decision["choices"], start=1)
    ]
    rest: Document = {key: value for key, value in decision.items() if key not in ("choices", "default")}
    if "default" in decision:
        branches.insert(0, {"id": "default", "name": "Otherwise", "next_steps": [decision["default"]]})
        rest["default"] = "default"
    return {**rest, "branches": branches}
