"""What is tried: a step, or one item or worker of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.workflows.plan import PlanStep


@dataclass(frozen=True, slots=True)
class Unit:
    """What attempts are made of: a step, or one item or worker of it.

    Attributes:
        step: the node of the plan.
        item: index of the item or worker, None for the step itself.
        input: what the task's input has beyond the state.
        env: what its environment has beyond the step's.
    """

    step: PlanStep
    item: int | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
