"""The JSON Schema of the workflow document, for editors: both ways of writing a step, and the short forms."""

from __future__ import annotations

from typing import Any

from engine.workflows.documents import STEP_OWN, WorkflowDocument

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema, draft 2020-12: what the models accept. Graphs and expressions are checked on loading."""
    schema = _without_nulls(WorkflowDocument.model_json_schema(by_alias=True, mode="validation"))
    definitions: dict[str, Any] = schema["$defs"]
    step = definitions["StepDocument"]["properties"]
    step["env"] = {**step["env_vars"], "description": "other spelling of env_vars"}
    definitions["StepConfigDocument"] = {
        "type": "object",
        "title": "StepConfigDocument",
        "description": "The config fields of a step, which may also stand on the step itself.",
        "additionalProperties": False,
        "properties": {
            name: field for name, field in step.items() if name not in STEP_OWN or name == "steps"
        },
    }
    step["config"] = {"$ref": "#/$defs/StepConfigDocument"}
    param = definitions["ParamDocument"]
    short = {"type": ["string", "number", "boolean", "array"], "description": "short form: the default"}
    definitions["Param"] = {"anyOf": [param, short]}
    del definitions["ParamDocument"]
    names = schema["properties"]["params"]["patternProperties"]
    names.update({name: {"$ref": "#/$defs/Param"} for name in names})
    schema["properties"]["params"]["additionalProperties"] = False
    schema["patternProperties"] = {"^x-": {"description": "ignored: a place for anchors"}}
    return {"$schema": DIALECT, "title": "Agentainer workflow", **schema}


def _without_nulls(node: Any) -> Any:
    """An optional field is left out, never null: drop `null` alternatives and defaults."""
    if isinstance(node, list):
        return [_without_nulls(child) for child in node]
    if not isinstance(node, dict):
        return node
    cleaned = {
        key: _without_nulls(child) for key, child in node.items() if not (key == "default" and child is None)
    }
    options = cleaned.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        rest = [option for option in options if option != {"type": "null"}]
        del cleaned["anyOf"]
        cleaned = {**(rest[0] if len(rest) == 1 else {"anyOf": rest}), **cleaned}
    return cleaned
