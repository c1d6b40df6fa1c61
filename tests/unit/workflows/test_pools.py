"""Which pool a document gives a step, and what it is told where that cannot be."""

from __future__ import annotations

import pytest

from engine.workflows.loader import load_text
from engine.workflows.plan import PoolPlan


def pool_of(step: str, head: str = "") -> PoolPlan | None:
    plan = load_text(f"name: flow\n{head}steps:\n  - {{id: a, command: run, {step}}}\n").require()
    return plan.steps["a"].pool


def told(step: str, head: str = "") -> list[str]:
    loaded = load_text(f"name: flow\n{head}steps:\n  - {{id: a, command: run, {step}}}\n")
    return [str(problem) for problem in loaded.problems]


def test_without_a_word_about_it_each_task_gets_an_agent_of_its_own() -> None:
    assert pool_of("timeout: 5") is None
    assert pool_of("execution_mode: standard") is None


def test_a_pooled_step_has_a_pool_of_its_own() -> None:
    assert pool_of("execution_mode: pooled") == PoolPlan("flow/a")
    sizes = "min_size: 1, max_size: 3, idle_timeout: 90s, max_agent_uses: 4, warm_up: true"
    own = pool_of(f"execution_mode: pooled, pool_config: {{{sizes}}}")
    assert own == PoolPlan("flow/a", 1, 3, 90.0, 4, warm_up=True)


def test_a_named_pool_is_the_one_of_that_name() -> None:
    head = "pools: {warm: {max_size: 2}, other: {}}\n"
    assert pool_of("pool: warm", head) == pool_of("pool: warm, execution_mode: pooled", head)
    assert pool_of("pool: warm", head) == PoolPlan("warm", max_size=2)


@pytest.mark.parametrize(
    ("step", "head", "message"),
    [
        ("pool: warn", "pools: {warm: {}}\n", 'there is no pool "warn" under `pools`: did you mean "warm"?'),
        ("pool: warm", "", "describe it under `pools` at the top level"),
        ("pool: warm, pool_config: {}", "pools: {warm: {}}\n", "remove one of the two"),
        ("pool: warm, execution_mode: standard", "pools: {warm: {}}\n", "remove one of the two"),
        ("pool: warm", "pools: {warm: {min_size: 3, max_size: 2}}\n", "min_size is 3"),
        ("execution_mode: pooled, pool_config: {max_size: 0}", "", "max_size"),
        ("execution_mode: pooled, pool_config: {min_size: -1}", "", "min_size"),
        ("execution_mode: warm", "", "execution_mode"),
    ],
)
def test_what_cannot_be_is_an_error_with_its_place(step: str, head: str, message: str) -> None:
    (problem,) = told(step, head)
    assert problem.startswith("<text>:")
    assert message in problem


def test_sizes_without_the_mode_are_a_warning() -> None:
    (problem,) = told("pool_config: {min_size: 1}")
    assert "warning" in problem and "execution_mode: pooled" in problem


def test_a_step_without_a_task_has_no_pool() -> None:
    loaded = load_text("name: x\nsteps: [{id: a, delay: 1s, execution_mode: pooled}]")
    assert loaded.require().steps["a"].pool is None


def test_members_of_a_parallel_step_have_pools_of_their_own() -> None:
    plan = load_text(
        "name: x\nsteps:\n  - id: p\n    type: parallel\n    steps:\n"
        "      - {id: a, command: run, execution_mode: pooled}\n      - {id: b, command: run}\n"
    ).require()
    own = plan.steps["a"].pool
    assert own is not None and own.name == "x/a"
    assert plan.steps["b"].pool is None


def test_the_place_of_a_pool_is_that_of_its_sizes() -> None:
    own = pool_of("pool: warm", "pools:\n  warm: {min_size: 500}\n")
    assert own is not None and own.place[0] == 3
