"""From documents to plans: the graph, the resolved settings, both dialects."""

from __future__ import annotations

import pytest

from engine.workflows.loader import load_text
from engine.workflows.plan import (
    Backoff,
    CleanupPolicy,
    FailureStrategy,
    ItemErrors,
    Jitter,
    Plan,
    PlanStep,
    ResourceLimits,
    RetryPolicy,
    StepType,
)


def plan_of(text: str, path: str = "w.yaml") -> Plan:
    return load_text(text, path).require()


def step_of(fields: str, config: str = "{}") -> PlanStep:
    """The one step of a workflow, from its fields in flow style."""
    plan = plan_of(f"name: x\nconfig: {config}\nsteps:\n  - {{id: a, command: run, {fields}}}\n")
    return plan.steps["a"]


def edges(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {step.id: step.depends_on for step in plan.steps.values()}


def steps(*written: str) -> str:
    return "name: x\nsteps:\n" + "".join(f"  - {{command: run, {step}}}\n" for step in written)


def test_without_depends_on_steps_follow_document_order() -> None:
    plan = plan_of(steps("id: a", "id: b", "id: c, type: reduce"))
    assert edges(plan) == {"a": (), "b": ("a",), "c": ("b",)}
    assert [step.ordinal for step in plan.steps.values()] == [0, 1, 2]


def test_neighbouring_parallel_steps_form_one_group() -> None:
    plan = plan_of(
        steps(
            "id: a",
            "id: p1, type: parallel",
            "id: p2, type: parallel, max_workers: 3",
            "id: b",
            "id: p3, type: parallel",
            "id: p4, type: parallel",
        )
    )
    assert edges(plan) == {
        "a": (),
        "p1": ("a",),
        "p2": ("a",),
        "b": ("p1", "p2"),
        "p3": ("b",),
        "p4": ("b",),
    }
    assert [step.workers for step in plan.steps.values()] == [1, 1, 3, 1, 1, 1]


def test_one_depends_on_anywhere_makes_the_graph_decide() -> None:
    plan = plan_of(steps("id: a", "id: b", "id: c, depends_on: [b, a]", "id: p, type: parallel"))
    assert edges(plan) == {"a": (), "b": (), "c": ("b", "a"), "p": ()}


def test_an_empty_depends_on_is_one_too() -> None:
    assert edges(plan_of(steps("id: a", "id: b, depends_on: []"))) == {"a": (), "b": ()}


def test_depends_on_takes_ids_and_unique_names_once_each() -> None:
    plan = plan_of(
        steps("id: a, name: First step", "id: b, depends_on: [First step, a]", "id: c, depends_on: b")
    )
    assert edges(plan) == {"a": (), "b": ("a",), "c": ("b",)}


def test_an_id_wins_over_a_name() -> None:
    plan = plan_of(steps("id: a, name: b", "id: b, name: a", "id: c, depends_on: [a]"))
    assert plan.steps["c"].depends_on == ("a",)


@pytest.mark.parametrize(
    ("name", "step_id"),
    [
        ("Fetch URLs", "fetch-urls"),
        ("Größe & Ärger", "große-arger".replace("ß", "")),
        ("a__b..c", "a__b..c"),
        ("--x--", "x"),
        ("x" * 100, "x" * 64),
        ("Step 1/2", "step-1-2"),
    ],
)
def test_a_step_without_id_gets_one_from_its_name(name: str, step_id: str) -> None:
    plan = plan_of(f'name: x\nsteps: [{{name: "{name}", command: run}}]\n')
    assert list(plan.steps) == [step_id]
    assert plan.steps[step_id].name == name


def test_nested_steps_are_members_and_inherit_settings() -> None:
    plan = plan_of(
        """
name: x
config: {retry_policy: {max_attempts: 2, delay: 1s}, resource_limits: {cpu_limit: 1, memory_limit: 64Mi}}
steps:
  - {id: before, command: run}
  - id: both
    steps:
      - {id: left, command: run, timeout: 5s, retry_policy: {delay: 9s}}
      - {name: Right side, map_config: {input_path: urls}, command: run}
    timeout: 60s
    cleanup_policy: never
    retry_policy: {max_attempts: 4}
    resource_limits: {memory_limit: 128Mi}
  - {id: after, command: run}
"""
    )
    assert list(plan.steps) == ["before", "both", "left", "right-side", "after"]
    both, left, right = plan.steps["both"], plan.steps["left"], plan.steps["right-side"]
    assert (both.type, both.members, both.task) == (StepType.PARALLEL, ("left", "right-side"), None)
    assert (left.parent, right.parent, right.type) == ("both", "both", StepType.MAP)
    assert edges(plan) == {
        "before": (),
        "both": ("before",),
        "left": (),
        "right-side": (),
        "after": ("both",),
    }
    assert (left.timeout, right.timeout, plan.steps["after"].timeout) == (5.0, 60.0, None)
    assert (left.cleanup, plan.steps["after"].cleanup) == (CleanupPolicy.NEVER, CleanupPolicy.ALWAYS)
    assert (left.retry.max_attempts, left.retry.delay) == (4, 9.0)
    assert (right.retry.max_attempts, right.retry.delay) == (4, 1.0)
    assert left.task is not None
    assert left.task.limits == ResourceLimits(10**9, 128 << 20, None)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("type: sequential", StepType.SEQUENTIAL),
        ("type: parallel", StepType.PARALLEL),
        ("type: reduce", StepType.REDUCE),
        ("reduce: true", StepType.REDUCE),
        ("parallel: true", StepType.PARALLEL),
        ("map_config: {input_path: a}", StepType.MAP),
        ("type: mapreduce, map_config: {input_path: a}", StepType.MAP),
        ("", StepType.SEQUENTIAL),
    ],
)
def test_types_are_written_or_follow_from_blocks(fields: str, expected: StepType) -> None:
    assert step_of(fields).type is expected


def test_config_fields_stand_on_the_step_or_under_config() -> None:
    fields = (
        "image: i, env_vars: {A: b}, timeout: 3s, retry_policy: {max_attempts: 2}, cleanup_policy: never, "
        "resource_limits: {cpu_limit: 0.5}, pull_policy: always, condition: {field: a, operator: exists}, "
        "map_config: {input_path: urls}"
    )
    flat = plan_of(f"name: x\nsteps: [{{id: a, {fields}}}]")
    under = plan_of(f"name: x\nsteps: [{{id: a, config: {{{fields}}}}}]")
    assert flat.steps == under.steps


def test_defaults() -> None:
    plan = plan_of(steps("id: a"))
    step = plan.steps["a"]
    assert (plan.max_parallel, plan.timeout, plan.failure_strategy) == (0, None, FailureStrategy.FAIL_FAST)
    assert (step.retry, step.timeout, step.cleanup) == (RetryPolicy(), None, CleanupPolicy.ALWAYS)
    assert step.task is not None
    assert (step.task.image, step.task.limits) == (None, ResourceLimits())
    assert (step.task.redis_access, step.task.network, step.task.pull_policy) == ("run", "default", "missing")
    assert plan.warnings == ()


def test_retry_of_the_step_wins_field_by_field() -> None:
    step = step_of(
        "retry_policy: {backoff: exponential, max_delay: 1m, jitter: full, "
        "retry_on: timed_out, exit_codes: [3, 75]}",
        config="{retry_policy: {max_attempts: 5, delay: 500ms, backoff: linear}}",
    )
    assert step.retry == RetryPolicy(
        max_attempts=5,
        backoff=Backoff.EXPONENTIAL,
        delay=0.5,
        max_delay=60.0,
        jitter=Jitter.FULL,
        retry_on=frozenset({"timed_out"}),
        exit_codes=frozenset({3, 75}),
    )


def test_workflow_settings() -> None:
    plan = plan_of(
        """
name: Everything
description: of the top level
config: {max_parallel: 4, timeout: 1h, failure_strategy: continue_on_partial, cleanup_policy: on_success}
state: {urls: [a, b], nested: {deep: [1, null, true]}}
metadata: {team: data, version: 1.10}
params: {image: alpine}
steps: [{id: a, image: "{{ $.params.image }}", metadata: {owner: me}}]
"""
    )
    assert plan.description == "of the top level"
    assert (plan.max_parallel, plan.timeout) == (4, 3600.0)
    assert plan.failure_strategy is FailureStrategy.CONTINUE
    assert plan.steps["a"].cleanup is CleanupPolicy.ON_SUCCESS
    assert plan.state == {"urls": ["a", "b"], "nested": {"deep": [1, None, True]}}
    assert plan.metadata == {"team": "data", "version": "1.10"}
    assert plan.steps["a"].metadata == {"owner": "me"}


def test_map_settings() -> None:
    step = step_of(
        "map_config: {input_path: $.a.urls, item_alias: url, max_concurrency: 5, "
        "error_handling: continue_on_error, tolerated_failure_count: 2, tolerated_failure_percentage: 10%}"
    )
    assert step.map is not None
    assert step.map.input_path.find({"a": {"urls": [1]}}) == [1]
    assert (step.map.item_alias, step.map.max_concurrency) == ("url", 5)
    assert step.map.error_handling is ItemErrors.CONTINUE
    assert (step.map.tolerated_failure_count, step.map.tolerated_failure_percentage) == (2, 10.0)


def test_zero_is_no_timeout() -> None:
    plan = plan_of("name: x\nconfig: {timeout: 0}\nsteps: [{id: a, command: run, timeout: 0s}]")
    assert (plan.timeout, plan.steps["a"].timeout) == (None, None)


def test_a_member_can_lift_the_timeout_of_its_parent() -> None:
    plan = plan_of("name: x\nsteps: [{id: p, timeout: 5s, steps: [{id: a, command: run, timeout: 0}]}]")
    assert plan.steps["a"].timeout is None


def test_arguments_and_environment_are_taken_letter_by_letter() -> None:
    plan = plan_of(
        "name: x\nsteps: [{id: a, command: [sleep, 0.10, 0755, 1e3, true, 2024-01-01, ''], "
        "env_vars: {N: 1.10, T: true, Z: 007, E: ''}}]"
    )
    task = plan.steps["a"].task
    assert task is not None and isinstance(task.command, tuple)
    assert [word.render({}) for word in task.command] == [
        "sleep",
        "0.10",
        "0755",
        "1e3",
        "true",
        "2024-01-01",
        "",
    ]
    assert {name: text.render({}) for name, text in task.env.items()} == {
        "N": "1.10",
        "T": "true",
        "Z": "007",
        "E": "",
    }


def test_a_command_as_one_text_is_for_a_shell() -> None:
    task = plan_of('name: x\nsteps: [{id: a, command: "echo $A | wc"}]').steps["a"].task
    assert task is not None
    assert task.command == "echo $A | wc"


def test_document_of_the_code_dialect() -> None:
    """As Agentainer's own client posts it: config objects, `env`, nano-CPUs, its condition spelling."""
    plan = plan_of(
        """{
  "name": "analysis",
  "config": {"max_parallel": 3, "timeout": "30m", "failure_strategy": "continue_on_partial"},
  "steps": [
    {"id": "prepare", "name": "Prepare", "type": "sequential",
     "config": {"image": "tool:latest", "command": ["python", "app.py"], "env": {"TASK_TYPE": "prepare"},
                "resource_limits": {"cpu_limit": 500000000, "memory_limit": 268435456}}},
    {"id": "process", "name": "Process", "type": "map", "depends_on": ["prepare"],
     "config": {"image": "tool:latest",
                "condition": {"type": "simple", "field": "a.b", "operator": "==", "value": 1},
                "map_config": {"input_path": "urls", "item_alias": "url", "max_concurrency": 3,
                               "error_handling": "continue_on_error"}}},
    {"id": "aggregate", "name": "Aggregate", "type": "reduce", "depends_on": ["process"],
     "config": {"image": "tool:latest"}}
  ]
}""",
        "w.json",
    )
    assert edges(plan) == {"prepare": (), "process": ("prepare",), "aggregate": ("process",)}
    prepare, process = plan.steps["prepare"], plan.steps["process"]
    assert prepare.task is not None
    assert prepare.task.limits == ResourceLimits(500_000_000, 268_435_456, None)
    assert prepare.task.env["TASK_TYPE"].render({}) == "prepare"
    assert process.condition is not None
    assert process.condition.evaluate({"a": {"b": 1}}).value


def test_a_pool_without_its_mode_is_a_warning_with_a_place() -> None:
    loaded = load_text("name: x\nsteps:\n  - {id: b, command: run, pool_config: {min_size: 1}}\n")
    found = [str(problem) for problem in loaded.problems]
    assert found == [
        "<text>:3:27: warning: `pool_config` has no effect without `execution_mode: pooled`: each task gets "
        "a new agent"
    ]
    assert loaded.require().warnings == tuple(found)
    assert loaded.require().steps["b"].pool is None


def test_profiling_is_asked_for_in_the_configuration() -> None:
    document = "name: x\nconfig: {enable_profiling: true}\nsteps: [{id: a, command: run}]"
    assert load_text(document).require().profiling
    assert not load_text("name: x\nsteps: [{id: a, command: run}]").require().profiling


def test_metadata_that_would_be_one_variable_is_a_warning() -> None:
    loaded = load_text(
        "name: x\nmetadata: {team-a: 1, team_a: 2, id: 3, Team B: 4}\nsteps: [{id: a, command: run}]"
    )
    assert loaded.plan is not None
    assert [(problem.column, problem.message) for problem in loaded.problems] == [
        (
            23,
            'the metadata "team_a" would be the variable WORKFLOW_TEAM_A, which is taken by '
            'the metadata "team-a": rename it',
        ),
        (
            34,
            'the metadata "id" would be the variable WORKFLOW_ID, which is taken by the run\'s id: rename it',
        ),
    ]


def test_conditions_of_a_decision_with_a_path_of_its_own_may_read_any_field() -> None:
    loaded = load_text(
        "name: x\nsteps:\n  - id: d\n    decision_node:\n      input_path: $.report\n"
        "      choices: [{condition: {field: $.steps.total, operator: gt, value: 3}, next: a}]\n"
        "  - {id: a, command: run}\n"
    )
    assert loaded.plan is not None


def test_an_alias_that_hides_a_field_of_the_state_is_a_warning() -> None:
    loaded = load_text(
        "name: x\nstate: {urls: [], url: 1}\n"
        "steps: [{id: a, command: run, map_config: {input_path: urls, item_alias: url}}]"
    )
    assert loaded.plan is not None
    assert [problem.message for problem in loaded.problems] == [
        'the alias "url" hides the state\'s field of that name from the items'
    ]


def test_reading_a_step_that_may_not_be_finished_is_a_warning() -> None:
    loaded = load_text(
        steps(
            "id: a",
            "id: b",
            "id: c, depends_on: [a], env_vars: {A: '{{ $.steps.a.result }}', B: '{{ $.steps.b.result }}'}",
        )
    )
    assert [problem.message for problem in loaded.problems] == [
        '"$.steps.b.result": "c" does not wait for "b", which may not be finished then: '
        "add it to `depends_on`"
    ]


def test_members_of_an_earlier_parallel_step_may_be_read_after_it() -> None:
    loaded = load_text(
        "name: x\nsteps:\n"
        "  - {id: p, steps: [{id: a, command: run}]}\n"
        "  - {id: b, command: [run, '{{ $.steps.a.result }}']}\n"
    )
    assert loaded.plan is not None and not loaded.problems


def test_the_state_may_have_params_of_its_own_when_none_are_declared() -> None:
    text = "name: x\nstate: {params: {a: 1}}\nsteps: [{id: a, command: [run, '{{ $.params.a }}']}]"
    assert load_text(text).plan is not None


def test_a_chain_of_thousands_loads_quickly_enough_to_be_a_test() -> None:
    count = 5000
    written = [f"id: s{n}" + (f", depends_on: [s{n - 1}]" if n else "") for n in range(count)]
    plan = plan_of(steps(*written))
    assert len(plan.steps) == count
    assert plan.steps[f"s{count - 1}"].depends_on == (f"s{count - 2}",)


def test_a_circle_of_thousands_is_named_without_listing_it_all() -> None:
    count = 3000
    written = [f"id: s{n}, depends_on: [s{(n + 1) % count}]" for n in range(count)]
    (problem,) = load_text(steps(*written)).problems
    assert "s0 -> s1 -> s2" in problem.message
    assert len(problem.message) < 300
