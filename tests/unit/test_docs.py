"""What keeps the documentation true: its workflows load, its links lead somewhere, its lists are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from engine.errors import Reason
from engine.events import EventType, RunStatus, StepStatus
from engine.facade import validate_file
from engine.settings import Settings
from engine.workflows import documents, policy_documents, routing_documents
from tests.documentation import PAGES, REFERENCE, ROOT, prose, read, workflows

_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(?P<title>.+)$", re.MULTILINE)
WORKFLOWS = [pytest.param(text, id=where) for where, text in workflows()]


def test_the_guides_contain_whole_workflows() -> None:
    assert len(WORKFLOWS) >= 6


@pytest.mark.parametrize("text", WORKFLOWS)
def test_every_workflow_in_the_documentation_loads_without_a_warning(text: str, tmp_path: Path) -> None:
    file = tmp_path / "workflow.yaml"
    file.write_text(text, encoding="utf-8")

    plan, problems = validate_file(file)

    assert problems == ()
    assert plan is not None


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    titles = (match["title"] for match in _HEADING.finditer(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    for match in _LINK.finditer(prose(page)):
        target, _, anchor = match["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{page.name} links to {match['target']}, which does not exist"
        if anchor:
            assert anchor in anchors_of(file), f"{page.name} links to {match['target']}: no such heading"


def documented(page: str) -> set[str]:
    """Everything that stands in backquotes on a page."""
    return set(re.findall(r"`([^`\n]+)`", prose(REFERENCE / page)))


def test_every_setting_is_in_the_reference_and_no_other() -> None:
    text = read(REFERENCE / "settings.md")
    rows = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))

    assert rows == set(Settings.model_fields)


def test_every_event_type_status_and_reason_is_in_the_reference_and_no_other() -> None:
    text = read(REFERENCE / "events.md")
    types = set(re.findall(r"^\| `((?:run|step|item|attempt|agent)\.\w+|warning)` \|", text, re.MULTILINE))
    reasons = set(re.findall(r"^\| `(\w+)` \|", text.split("## Reasons")[1], re.MULTILINE))

    assert types == {member.value for member in EventType}
    assert reasons == {member.value for member in Reason}
    assert {member.value for member in (*RunStatus, *StepStatus)} <= documented("events.md")


def fields_of(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize(
    "model",
    [
        documents.WorkflowDocument,
        documents.ConfigDocument,
        documents.ParamDocument,
        documents.StepDocument,
        policy_documents.RetryDocument,
        policy_documents.LimitsDocument,
        policy_documents.CacheDocument,
        policy_documents.ApprovalDocument,
        policy_documents.SecretDocument,
        policy_documents.ScheduleDocument,
        policy_documents.VolumeDocument,
        policy_documents.ArtifactDocument,
        routing_documents.MapDocument,
        routing_documents.ConditionDocument,
        routing_documents.DecisionDocument,
        routing_documents.BranchDocument,
    ],
    ids=lambda model: model.__name__,
)
def test_every_field_of_the_document_is_in_the_reference(model: type[BaseModel]) -> None:
    assert fields_of(model) <= documented("workflow-document.md")
