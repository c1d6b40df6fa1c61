"""The parts of a workflow document that say where a run goes: conditions, decisions, branches, maps."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from engine.workflows.conditions import OPERATORS, SPELLINGS
from engine.workflows.fields import (
    Identifier,
    Json,
    Names,
    Reads,
    StepId,
    Text,
    Title,
    WorkflowName,
    choice,
    integer,
    problem,
    read_text,
    word,
)
from engine.workflows.plan import ItemErrors
from engine.workflows.policy_documents import MAX_WORKERS, Part
from engine.workflows.quantities import Percentage


class ConditionDocument(Part):
    """One comparison, or `and`, `or`, `not` over others."""

    type: Annotated[str, word("simple", "and", "or", "not")] | None = Field(None, description="optional kind")
    field: Text | None = Field(None, description="what is compared: `$.a.b`, or `a.b`")
    operator: Annotated[str, Reads(read_text, {"enum": [*OPERATORS, *SPELLINGS]})] | None = Field(
        None, description="how it is compared"
    )
    value: Json = Field(None, description="what it is compared with")
    and_: list[ConditionDocument] | None = Field(None, alias="and", description="all of these are true")
    or_: list[ConditionDocument] | None = Field(None, alias="or", description="one of these is true")
    not_: ConditionDocument | None = Field(None, alias="not", description="this is false")


class ChoiceDocument(Part):
    """A choice of a decision (dialect of the specification)."""

    condition: ConditionDocument
    next: Text = Field(description="id or name of the step that runs if it is chosen")


class DecisionBranchDocument(Part):
    """A branch of a decision (dialect of Agentainer's code)."""

    id: StepId = Field(description="for `default`")
    name: Title | None = Field(None, description="for people")
    condition: ConditionDocument | None = None
    next_steps: Names = Field(default_factory=list, description="ids or names of the steps that run")
    priority: Annotated[int, integer(-(10**6), 10**6)] = Field(0, description="higher ones are judged first")


class DecisionDocument(Part):
    """Where the run goes on: the first choice whose condition is true."""

    input_path: Text | None = Field(
        None, description="the value that the conditions' `$` is, default the state"
    )
    choices: list[ChoiceDocument] | None = Field(None, description="in the order in which they are judged")
    branches: list[DecisionBranchDocument] | None = Field(None, description="the same in the code's dialect")
    default: Text | None = Field(None, description="id of the step, or of the branch, when nothing is true")

    @model_validator(mode="after")
    def _one_dialect(self) -> Self:
        if self.choices is not None and self.branches is not None:
            raise problem("has both `choices` and `branches`: keep one of the two", field="branches")
        if not self.choices and not self.branches:
            raise problem("decides nothing: expected `choices`, a list of `{condition, next}`")
        return self


class BranchDocument(Part):
    """Two ways to go on."""

    condition: ConditionDocument
    true_steps: Names = Field(default_factory=list, description="ids or names of the steps that run if true")
    false_steps: Names = Field(default_factory=list, description="ids or names of the steps that run if not")
    true_workflow: WorkflowName | None = Field(None, description="the workflow that runs if true")
    false_workflow: WorkflowName | None = Field(None, description="the workflow that runs if not")


class MapDocument(Part):
    """How a map step goes over a list in the state."""

    input_path: Text = Field(description="where the list is: `urls`, `$.urls` or any JSONPath")
    item_alias: Identifier = Field("item", description="the name of the element in the task's input")
    max_concurrency: Annotated[int, integer(0, MAX_WORKERS, "0 means no bound of its own")] = Field(
        0, description="items at the same time; 0 = only the run's and the machine's bound"
    )
    error_handling: Annotated[ItemErrors, choice(ItemErrors)] = Field(
        ItemErrors.FAIL_FAST, description="what a failed item does to the others"
    )
    tolerated_failure_count: Annotated[int, integer(0, 10**9)] | None = Field(
        None, description="failed items that are still all right"
    )
    tolerated_failure_percentage: Percentage | None = Field(
        None, description="failed items that are still all right, in percent"
    )
    batch_size: Annotated[int, integer(1, 10**6)] = Field(
        1, description="elements that make one item: its alias is then a list of them"
    )
    condition: ConditionDocument | None = Field(
        None, description="judged for each item (`$.<item_alias>`); false skips the item"
    )
