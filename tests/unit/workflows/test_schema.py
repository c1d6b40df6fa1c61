"""The JSON Schema for editors agrees with the loader."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from engine.workflows.documents import StepDocument, WorkflowDocument
from engine.workflows.loader import load, load_text
from engine.workflows.plan import CleanupPolicy, StepType, Trigger
from engine.workflows.schema import json_schema

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "docs" / "reference" / "workflow.schema.json"
SAMPLES = sorted((ROOT / "sample_workflows").glob("*.yaml"))
INVALID = Path(__file__).parent / "invalid"
VALIDATOR = jsonschema.Draft7Validator(json_schema())

# What is no document to any reader of YAML or JSON, or not one to all of them.
UNREADABLE = {
    "after.json",
    "at_sign.yaml",
    "colon.yaml",
    "comment.json",
    "complex_key.yaml",
    "control.json",
    "flow.yaml",
    "indentation.yaml",
    "merge.yaml",
    "missing_key.yaml",
    "percent.yaml",
    "self_alias.yaml",
    "single_quotes.json",
    "star.yaml",
    "tab.yaml",
    "tags.yaml",
    "template_without_quotes.yaml",
    "trailing_comma.json",
    "two_documents.yaml",
    "unclosed.json",
    "unclosed_quote.yaml",
    "words.json",
}
# What only the loader can refuse, and why a schema cannot.
LOADER_ONLY = {
    "cycle_through_a_decision.yaml": "the graph",
    "cycles.yaml": "the graph",
    "duplicate.json": "other readers take the last of two equal keys",
    "duplicate_keys.yaml": "other readers take the last of two equal keys",
    "equal_ids.yaml": "ids of several steps",
    "readings.yaml": "names in paths",
    "references.yaml": "names of steps",
    "routes_upstream.yaml": "the graph",
    "surrogate.yaml": "half a character",
    "unreachable.yaml": "the graph",
    "unreachable_joins.yaml": "the graph",
}

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
  schedule:
    cron: 0 6 * * 1-5
    timezone: Europe/Berlin
    overlap: queue
    missed: run_once
    params: {full: 3, list: [1]}
  max_active_runs: 1
  finally_timeout: 10m
params:
  short: text
  list: [1, 2]
  full: {type: integer, default: 3, description: d, choices: [1, 3], required: false}
state: {anything: [1, {a: null}]}
metadata: {team: data, version: 1.5}
env_file: [.env, ../more.env]
pools:
  warm: {min_size: 1, max_size: 2}
secrets: [TOKEN, {name: KEY, env: MY_KEY}, {name: CERT, file: ./cert.pem}]
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
    steps: [{id: m, command: x, max_workers: 1, type: parallel, dynamic: true, pool: warm}]
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
  - id: z
    command: x
    depends_on: d2
    working_dir: /srv
    user: 1000
    privileged: false
    volumes: [./data:/data:ro, {source: models, target: /models, read_only: true}]
    secrets: [TOKEN]
    artifacts: [out.csv, {path: /tmp/report, name: report, optional: true}]
    cache: {key: "{{ $.x }}", max_age: 24h}
    trigger: none_failed
    failure_strategy: continue
    when: {field: a, operator: in, value: [1]}
    metadata: {owner: me}
  - id: batches
    depends_on: z
    command: x
    reduce: false
    parallel: false
    cache: true
    map_config:
      input_path: urls
      item_alias: url
      max_concurrency: 2
      tolerated_failure_count: 1
      batch_size: 10
      condition: {field: $.url, operator: exists}
  - {id: w, depends_on: z, command: x, workers_path: $.shards, dynamic: true}
  - id: f
    depends_on: d2
    branch_config:
      condition: {field: a, operator: exists}
      true_steps: [g]
      false_steps: h
      true_workflow: other
      false_workflow: another
  - {id: g, depends_on: f, approval: {message: "Go on with {{ $.x }}?", default: approve}, timeout: 1h}
  - {id: h, depends_on: f, delay: 5s}
  - id: s
    depends_on: [z]
    sub_workflow_name: other
    inputs: {list: "{{ $.x }}", n: [1, {a: null}]}
    outputs: {field: $.result}
    retry_policy: {max_attempts: 2}
  - {id: s2, depends_on: z, sub_workflow_id: other, outputs: step}
  - id: s3
    depends_on: z
    outputs: merge
    workflow:
      name: inline
      params: {p: 1}
      steps: [{id: inner, command: x, env_vars: {A: "{{ $.params.p }}"}}]
on_failure:
  - {id: page, command: x, env: {WHY: "{{ $.run.error }}"}}
finally:
  - {id: sweep, config: {command: x, when: {field: $.run.status, operator: ne, value: completed}}}
"""


def test_the_schema_is_a_valid_schema() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())
    json.dumps(json_schema())


def test_a_document_with_every_field_is_good_to_both() -> None:
    load_text(GOOD).require()
    VALIDATOR.validate(yaml.safe_load(GOOD))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_samples_are_good_to_both(path: Path) -> None:
    assert load(path).problems == ()
    VALIDATOR.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def keys_in(node: Any) -> set[str]:
    """Every key of every mapping below a node."""
    children = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    return set(node if isinstance(node, dict) else ()).union(*map(keys_in, children))


def test_every_field_of_the_schema_is_in_that_document() -> None:
    """So that a new field cannot be forgotten there."""
    schema = json_schema()
    models = [schema, *schema["definitions"].values()]
    known = {field for model in models for field in model.get("properties", ())}
    assert known - keys_in(yaml.safe_load(GOOD)) == set()


def test_every_field_of_the_models_is_in_the_schema() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == {
        field.alias or name for name, field in WorkflowDocument.model_fields.items()
    }
    step = schema["definitions"]["StepDocument"]["properties"]
    assert set(step) == {*StepDocument.model_fields, "config", "env", "when"}


def test_the_published_schema_is_that_of_this_version() -> None:
    """After a change: agentainer schema > docs/reference/workflow.schema.json."""
    assert (
        PUBLISHED.read_text(encoding="utf-8")
        == json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    )


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_samples_tell_editors_where_the_schema_is(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named is not None
    assert (path.parent / named[1]).resolve() == PUBLISHED


def read(path: Path) -> Any:
    """The document as an editor reads it."""
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else with_texts_as_keys(yaml.safe_load(text))


def with_texts_as_keys(node: Any) -> Any:
    """PyYAML takes `on` for a truth value, also as a key."""
    match node:
        case dict():
            return {str(key): with_texts_as_keys(child) for key, child in node.items()}
        case list():
            return [with_texts_as_keys(child) for child in node]
        case _:
            return node


def verdict(path: Path) -> str:
    try:
        document = read(path)
    except (ValueError, yaml.YAMLError, RecursionError):
        return "unreadable"
    return "refused" if list(VALIDATOR.iter_errors(document)) else "accepted"


DOCUMENTS = sorted(path for path in INVALID.iterdir() if path.suffix in (".yaml", ".json"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_what_is_wrong_in_itself_is_wrong_to_editors_too(path: Path) -> None:
    """Both lists above are exact, so that neither can hide what the schema forgets."""
    unreadable, only = path.name in UNREADABLE, path.name in LOADER_ONLY
    assert verdict(path) == ("unreadable" if unreadable else "accepted" if only else "refused")


def test_the_lists_name_documents_that_are_there() -> None:
    assert UNREADABLE | set(LOADER_ONLY) <= {path.name for path in DOCUMENTS}


def test_every_field_is_described_or_named_by_its_model() -> None:
    schema = json_schema()
    for name, model in {"workflow": schema, **schema["definitions"]}.items():
        assert model["description"], name
        for field, definition in model["properties"].items():
            assert "description" in definition or "$ref" in definition, f"{name}.{field}"


def test_words_to_choose_from_are_listed() -> None:
    step = json_schema()["definitions"]["StepDocument"]["properties"]
    assert step["type"]["enum"] == [*StepType, "sub_workflow", "mapreduce"]
    assert step["trigger"]["enum"] == [*Trigger]
    assert step["cleanup_policy"]["enum"] == [*CleanupPolicy]


@pytest.mark.parametrize(
    "step",
    [
        {"command": "x"},
        {"id": "a", "command": "echo {{ $.x }}"},
        {"id": "a", "image": "two words"},
        {"id": "a", "condition": {"field": "a"}},
        {"id": "a", "condition": {"field": "a", "operator": "exists", "and": []}},
        {"id": "a", "when": {"or": {"field": "a", "operator": "exists"}}},
        {"id": "a", "decision_node": {"choices": [], "branches": []}},
        {"id": "a", "decision_node": {"default": "b"}},
        {"id": "a", "volumes": ["data"]},
        {"id": "a", "volumes": [{"source": "a"}]},
        {"id": "a", "cache": "yes"},
        {"id": "a", "outputs": "all"},
        {"id": "a", "outputs": {"a": 1}},
        {"id": "a", "user": True},
        {"id": "a", "env": {"A=B": "c"}},
        {"id": "a", "config": {"env": {"A": ["c"]}}},
        {"id": "a", "config": {"depends_on": "b"}},
        {"id": "a", "approval": "Go on?"},
        {"id": "a", "delay": "1d"},
        {"id": "a", "trigger": "one_failed"},
        {"id": "a", "workflow": {"name": "x"}},
        {"id": "a", "workflow": {"steps": []}},
        {"id": "a", "max_workers": 0},
    ],
    ids=json.dumps,
)
def test_steps_that_neither_takes(step: dict[str, Any]) -> None:
    document = {"name": "x", "steps": [step]}
    assert list(VALIDATOR.iter_errors(document))
    assert load_text(json.dumps(document), "w.json").plan is None
