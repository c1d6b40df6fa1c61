"""The JSON Schema of the workflow document, for editors: both ways of writing a step, and the short forms.

It is of draft 7, the newest that all of them read. What it cannot say (graphs, expressions, what contradicts
itself) is checked on loading.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from engine.workflows.documents import OTHER_SPELLINGS, STEP_OWN, WorkflowDocument

DIALECT = "http://json-schema.org/draft-07/schema#"

# Which of a mapping's keys go together, by the name of its model.
_TOGETHER: dict[str, dict[str, Any]] = {
    "StepDocument": {"anyOf": [{"required": ["id"]}, {"required": ["name"]}]},
    "ConditionDocument": {
        "oneOf": [{"required": ["field", "operator"]}, *({"required": [key]} for key in ("and", "or", "not"))]
    },
    "DecisionDocument": {"oneOf": [{"required": ["choices"]}, {"required": ["branches"]}]},
    "SecretDocument": {"not": {"required": ["env", "file"]}},
}


class _Generator(GenerateJsonSchema):
    """Without the titles that repeat each field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def json_schema() -> dict[str, Any]:
    """The schema: what the models accept."""
    made = WorkflowDocument.model_json_schema(
        by_alias=True, ref_template="#/definitions/{model}", schema_generator=_Generator
    )
    schema = _without_nulls(made)
    definitions: dict[str, Any] = schema.pop("$defs")
    for name, together in _TOGETHER.items():
        definitions[name].update(together)
    step = definitions["StepDocument"]["properties"]
    for other, ours in OTHER_SPELLINGS.items():
        step[other] = {**step[ours], "description": f"other spelling of `{ours}`"}
    definitions["StepConfigDocument"] = {
        "type": "object",
        "description": "The settings of a step, which may also stand on the step itself.",
        "additionalProperties": False,
        "properties": {
            name: field for name, field in step.items() if name not in STEP_OWN or name == "steps"
        },
    }
    step["config"] = {
        "$ref": "#/definitions/StepConfigDocument",
        "description": "the step's settings, which may also stand on the step itself",
    }
    for workflow in (schema, definitions["InlineWorkflowDocument"]):
        workflow["properties"]["state"]["properties"] = {"steps": False}
    schema["patternProperties"] = {"^x-": {"description": "ignored: a place for anchors"}}
    head = {"$schema": DIALECT, "title": "Agentainer workflow"}
    return {**head, **{key: schema[key] for key in schema if key != "title"}, "definitions": definitions}


def _without_nulls(node: Any) -> Any:
    """An optional field is left out, never null: drop `null` alternatives and defaults.

    And the keys of a mapping that fit no pattern are refused, which pydantic leaves open.
    """
    if isinstance(node, list):
        return [_without_nulls(child) for child in node]
    if not isinstance(node, dict):
        return node
    cleaned = {
        key: _without_nulls(child) for key, child in node.items() if not (key == "default" and child is None)
    }
    if "patternProperties" in cleaned:
        cleaned["additionalProperties"] = False
    options = cleaned.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        rest = [option for option in options if option != {"type": "null"}]
        del cleaned["anyOf"]
        cleaned = {**(rest[0] if len(rest) == 1 else {"anyOf": rest}), **cleaned}
    return cleaned
