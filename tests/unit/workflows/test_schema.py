"""The JSON Schema for editors agrees with the loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from engine.workflows.documents import StepDocument, WorkflowDocument
from engine.workflows.loader import load, load_text
from engine.workflows.schema import json_schema

VALIDATOR = jsonschema.Draft202012Validator(json_schema())
SAMPLES = sorted((Path(__file__).parents[3] / "sample_workflows").glob("*.yaml"))
INVALID = Path(__file__).parent / "invalid"

GOOD = """
name: everything
description: each field and each short form
x-anything: {a: [b]}
config:
  max_parallel: 4
  timeout: 1h30m
  retry_policy: {max_attempts: 3, backoff: linear, delay: 500ms, max_delay: 60, retry_on: lost}
  failure_strategy: continue_on_partial
  resource_limits: {cpu_limit: "0.5", memory_limit: 256Mi, gpu_limit: 1}
  cleanup_policy: on_success
  enable_profiling: true
  schedule: "0 * * * *"
params:
  short: text
  list: [1, 2]
  full: {type: integer, default: 3, description: d, choices: [1, 3]}
state: {anything: [1, {a: null}]}
metadata: {team: data, version: 1.5}
steps:
  - id: a
    image: "{{ $.params.short }}"
    command: [sleep, 5, true]
    env_vars: {A: text, B: 1, C: true}
    timeout: 30
    resource_limits: {memory_limit: 64Mi}
    retry_policy: {jitter: full, retry_on: [task_failed, lost], exit_codes: [1, 2]}
    execution_mode: pooled
    pool_config: {min_size: 1, max_size: 2, idle_timeout: 5m, max_agent_uses: 0, warm_up: false}
    redis_access: open
    pull_policy: always
    condition: {and: [{field: $.a, operator: "==", value: 1}, {not: {or: [{field: b, operator: exists}]}}]}
  - name: B
    type: mapreduce
    depends_on: a
    config:
      command: echo $MAP_ITEM
      env: {A: b}
      map_config: {input_path: urls, tolerated_failure_percentage: 5%, error_handling: continue_on_error}
      network: none
      redis_access: none
  - id: p
    type: parallel
    depends_on: [a, B]
    steps: [{id: m, command: x, max_workers: 1, type: parallel, dynamic: true}]
  - id: d
    depends_on: p
    decision_node:
      input_path: $.x
      choices: [{condition: {field: a, operator: eq, value: 1}, next: z}]
      default: z
  - id: d2
    depends_on: p
    decision_node:
      branches: [{id: one, name: One, condition: {field: a, operator: exists}, next_steps: z, priority: 3}]
      default: one
  - {id: z, command: x, depends_on: []}
  - {id: f, branch_config: {condition: {field: a, operator: exists}, true_steps: z, false_workflow: other}}
  - {id: s, sub_workflow_name: other, cleanup_policy: never}
"""


def test_the_schema_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    json.dumps(json_schema())


def test_a_document_with_every_field_is_good_to_both() -> None:
    load_text(GOOD).require()
    VALIDATOR.validate(yaml.safe_load(GOOD))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_samples_are_good_to_both(path: Path) -> None:
    assert load(path).problems == ()
    VALIDATOR.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_every_field_of_the_models_is_in_that_document() -> None:
    """So that a new field cannot be forgotten there."""
    document = yaml.safe_load(GOOD)
    used = {key for step in document["steps"] for key in (*step, *step.get("config", {}))}
    used |= {key for step in document["steps"] for member in step.get("steps", ()) for key in member}
    missing = set(StepDocument.model_fields) - used - {"sub_workflow_id", "reduce", "parallel", "metadata"}
    assert not missing
    assert set(WorkflowDocument.model_fields) <= set(document)


@pytest.mark.parametrize(
    "name",
    [
        "unknown_keys.yaml",
        "wrong_shapes.yaml",
        "steps_as_mapping.yaml",
        "empty_steps.yaml",
        "null_values.yaml",
        "quantities.yaml",
        "not_a_workflow.yaml",
        "no_steps.yaml",
        "ids.yaml",
    ],
)
def test_what_is_wrong_in_itself_is_wrong_to_editors_too(name: str) -> None:
    document = yaml.safe_load((INVALID / name).read_text(encoding="utf-8"))
    assert list(VALIDATOR.iter_errors(document))


def test_every_field_is_described_or_named_by_its_model() -> None:
    schema = json_schema()
    for name in ("WorkflowDocument", *schema["$defs"]):
        model: dict[str, Any] = schema if name == "WorkflowDocument" else schema["$defs"][name]
        for field, definition in model.get("properties", {}).items():
            assert "description" in definition or "$ref" in definition, f"{name}.{field}"
