"""Gates, caches, maps and workers; and which settings make sense on which kind of step."""

from __future__ import annotations

from typing import Any

import pytest

from engine.workflows.plan import FailureStrategy, RetryPolicy, StepType
from tests.unit.workflows.test_task_settings import load_step, refusal, step_of

# --- approvals, delays, caches -------------------------------------------------------------------------


def test_an_approval() -> None:
    step = step_of('timeout: 1h, approval: {message: "Release {{ $.version }}?", default: reject}')
    assert (step.type, step.task, step.timeout) == (StepType.APPROVAL, None, 3600.0)
    assert step.approval is not None
    assert step.approval.message.render({"version": "1.2"}) == "Release 1.2?"
    assert step.approval.default is False


@pytest.mark.parametrize("fields", ["type: approval", "approval: {}"])
def test_an_approval_has_a_message_of_its_own(fields: str) -> None:
    step = step_of(fields)
    assert step.approval is not None
    assert (step.type, step.approval.message.render({}), step.approval.default) == (
        StepType.APPROVAL,
        "Go on?",
        None,
    )


def test_a_delay() -> None:
    step = step_of("delay: 1m30s")
    assert (step.type, step.delay, step.task, step.approval) == (StepType.DELAY, 90.0, None, None)


def test_gates_are_never_tried_again_whatever_the_workflow_says() -> None:
    top = "config: {retry_policy: {max_attempts: 5}}\n"
    assert step_of("type: approval", top).retry == RetryPolicy()
    assert step_of("delay: 1s", top).retry == RetryPolicy()
    assert step_of("command: run", top).retry.max_attempts == 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ('approval: {message: ""}', "`approval.message` is empty"),
        ('approval: {message: "{{ version }}"}', "write {{ $.version }}"),
        ("approval: {default: maybe}", "one of approve, reject"),
        ("approval: yes", "expected a mapping"),
        ("type: delay", "a delay step needs `delay`: add it"),
        ("delay: tomorrow", "expected a duration"),
        (
            "approval: {}, delay: 5s",
            "`delay` belongs to delay steps, but this is a step of the type approval",
        ),
        ("type: approval, command: run", "`command`: an approval step has no task of its own"),
        ("command: run, delay: 5s", "the time between two tries is `retry_policy.delay`"),
    ],
)
def test_gates_that_cannot_be(fields: str, message: str) -> None:
    assert message in refusal(fields)


def test_a_default_answer_without_a_timeout_is_a_warning() -> None:
    (problem,) = load_step("approval: {default: approve}").problems
    assert "the step's `timeout`" in problem.message


@pytest.mark.parametrize(("written", "max_age"), [("true", None), ("{}", None), ("{max_age: 24h}", 86400.0)])
def test_a_cache_with_the_key_of_all_that_matters(written: str, max_age: float | None) -> None:
    cache = step_of(f"command: run, cache: {written}").cache
    assert cache is not None
    assert (cache.key, cache.max_age) == (None, max_age)


def test_a_cache_with_a_key_of_its_own() -> None:
    cache = step_of('command: run, cache: {key: "v1-{{ $.params.n }}"}', "params: {n: 1}\n").cache
    assert cache is not None
    assert cache.key is not None
    assert cache.key.render({"params": {"n": 1}}) == "v1-1"


def test_no_cache() -> None:
    assert step_of("command: run, cache: false").cache is None
    assert step_of("command: run").cache is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("command: run, cache: {key: ''}", "`cache.key` is empty"),
        ("command: run, cache: {key: '{{ n }}'}", "{{ $.n }}"),
        ("command: run, cache: {max_age: 0}", "no result would ever be used again"),
        ("command: run, cache: yes", "true, false, or a mapping"),
        ("command: run, cache: 3", "true, false, or a mapping"),
        ("type: approval, cache: true", "`cache`: an approval step has no task of its own"),
        ("steps: [{id: b, command: run}], cache: true", "`cache`: a parallel step with nested `steps`"),
    ],
)
def test_caches_that_cannot_be(fields: str, message: str) -> None:
    assert message in refusal(fields)


def test_a_cache_key_that_reads_a_step_is_checked_like_any_template() -> None:
    assert "there is no step" in refusal('command: run, cache: {key: "{{ $.steps.b.result }}"}')


# --- maps and workers ----------------------------------------------------------------------------------


def test_a_map_in_batches_with_a_condition_for_each_item() -> None:
    condition = "{field: $.url, operator: exists}"
    fields = f"{{input_path: urls, item_alias: url, batch_size: 10, condition: {condition}}}"
    plan = step_of(f"command: run, map_config: {fields}").map
    assert plan is not None
    assert plan.condition is not None
    assert (plan.batch_size, plan.condition.evaluate({"url": 1}).value) == (10, True)
    assert not plan.condition.evaluate({"_map_index": 0}).value


def test_a_condition_of_items_says_where_it_is_wrong() -> None:
    fields = "map_config: {input_path: urls, condition: {field: $.item, operator: is}}"
    assert refusal(f"command: run, {fields}").startswith("`map_config.condition.operator`: found")


@pytest.mark.parametrize("dynamic", ["", ", dynamic: true", ", type: parallel"])
def test_workers_from_a_list_in_the_state(dynamic: str) -> None:
    step = step_of(f"command: run, workers_path: $.shards{dynamic}")
    assert step.type is StepType.PARALLEL
    assert step.workers_path is not None
    assert (step.workers, step.workers_path.find({"shards": [1, 2]})) == (1, [1, 2])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("workers_path: '$.a['", "`workers_path`: "),
        ("workers_path: $.a, dynamic: false", "`dynamic: false` contradicts `workers_path`"),
        ("workers_path: $.a, type: sequential", "`workers_path` belongs to parallel steps"),
        ("workers_path: $.a, map_config: {input_path: b}", "`workers_path` belongs to parallel steps"),
    ],
)
def test_workers_that_cannot_be(fields: str, message: str) -> None:
    assert message in refusal(f"command: run, {fields}")


def test_workers_from_a_list_have_numbers_that_no_other_id_may_read_like() -> None:
    assert "reads like an item of the step" in refusal(
        "command: run, workers_path: $.l}\n  - {id: a-1, command: run"
    )


# --- what has no effect --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("command: run, dynamic: true, type: parallel", "the number of workers is `max_workers`"),
        ("command: run, dynamic: true", "makes the workers of a parallel step from a list"),
        ("command: run, workers_path: $.a, max_workers: 3", "the list at `workers_path` says how many"),
        ("command: run, max_workers: 3", "see `map_config.max_concurrency` or `type: parallel`"),
        ("steps: [{id: b, command: run}], max_workers: 3", "see `config.max_parallel`"),
        ("command: run, parallel: true, type: sequential", "`parallel` has no effect on a sequential step"),
        ("command: run, env_vars: {TASK_ID: mine}", "`env_vars.TASK_ID` is set by the engine for every task"),
        ("delay: 5s, timeout: 3s", "`timeout` has no effect on a delay step"),
        ("delay: 5s, retry_policy: {max_attempts: 3}", "`retry_policy` has no effect on a delay step"),
        (
            "type: approval, retry_policy: {max_attempts: 3}",
            "`retry_policy` has no effect on an approval step",
        ),
        ("type: approval, resource_limits: {cpu_limit: 1}", "`resource_limits` has no effect on an approval"),
        ("delay: 1s, cleanup_policy: never", "`cleanup_policy` has no effect on a delay step"),
        ("delay: 1s, network: host", "`network` has no effect on a delay step"),
    ],
)
def test_what_has_no_effect_is_a_warning_that_says_what_to_do(fields: str, message: str) -> None:
    loaded = load_step(fields)
    assert loaded.plan is not None
    (problem,) = loaded.problems
    assert message in problem.message


@pytest.mark.parametrize(
    "key",
    [
        "image: alpine",
        "env: {A: b}",
        "working_dir: /srv",
        "user: root",
        "volumes: ['./a:/a']",
        "privileged: true",
        "secrets: []",
        "artifacts: [a]",
    ],
)
@pytest.mark.parametrize("fields", ["type: approval", "delay: 1s", "steps: [{id: b, command: run}]"])
def test_settings_of_a_task_on_a_step_without_one_are_errors(key: str, fields: str) -> None:
    assert "has no task of its own: " in refusal(f"{fields}, {key}")


def test_members_take_the_failure_strategy_of_their_parallel_step() -> None:
    plan = load_step(
        "failure_strategy: continue, "
        "steps: [{id: b, command: run}, {id: c, command: run, failure_strategy: fail_fast}]"
    ).require()
    found = {step.id: step.failure_strategy for step in plan.steps.values()}
    assert found == {
        "a": FailureStrategy.CONTINUE,
        "b": FailureStrategy.CONTINUE,
        "c": FailureStrategy.FAIL_FAST,
    }


def test_handlers_have_no_failure_strategy() -> None:
    loaded = load_step("command: run}\nfinally:\n  - {id: b, command: run, failure_strategy: continue")
    (problem,) = loaded.problems
    assert "no effect under `finally`" in problem.message


def test_a_member_has_no_trigger() -> None:
    assert 'put it on "a"' in refusal("steps: [{id: b, command: run, trigger: all_done}]")


@pytest.mark.parametrize(("other", "ours"), [("when", "condition"), ("env", "env_vars")])
def test_both_spellings_at_once_are_one_too_many(other: str, ours: str) -> None:
    values: dict[str, Any] = {
        "condition": "{field: a, operator: exists}",
        "env_vars": "{A: b}",
    }
    fields = f"command: run, {other}: {values[ours]}, {ours}: {values[ours]}"
    assert f"`{other}` is another spelling of `{ours}`" in refusal(fields)


def test_when_is_another_spelling_of_condition() -> None:
    condition = step_of("command: run, config: {when: {field: a, operator: exists}}").condition
    assert condition is not None
    assert condition.evaluate({"a": 1}).value
