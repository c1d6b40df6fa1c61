"""Every sample, run on local processes through the command line, with its exact results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.facade import validate_file
from tests.dialects import as_code_dialect
from tests.samples import MAPREDUCE_JSON, SAMPLES, SampleRun, answered_sample, outline, run_sample

FILES = sorted(SAMPLES.glob("*.yaml"))


def on_processes(sample: str | Path, home: Path, **params: object) -> SampleRun:
    return run_sample(sample, home, backend="process", params=params)


def test_the_samples_are_the_ten_that_the_documentation_names() -> None:
    assert [file.stem for file in FILES] == [
        "approval",
        "decision",
        "document_analysis",
        "etl_with_finally",
        "hello",
        "mapreduce",
        "pipeline",
        "resources",
        "subworkflow",
        "warm_pool",
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_sample_validates_without_a_warning_and_explains_itself(file: Path) -> None:
    plan, problems = validate_file(file)

    assert problems == ()
    assert plan is not None
    assert plan.workflow == file.stem
    assert plan.description
    assert all(param.description for param in plan.params.values())
    assert all(step.name != step.id for step in plan.steps.values())


def test_hello_greets_whom_it_is_told_to_greet(tmp_path: Path) -> None:
    # What would be code in a shell stays text: params reach a task through its environment only.
    run = on_processes("hello", tmp_path, name="'; echo $(id) \"<b>[/x]")

    assert (run.exit_code, run.status) == (0, "completed")
    assert run.step("greet")["result"] == {"greeting": "Hello, '; echo $(id) \"<b>[/x]!"}
    assert run.step("measure")["result"] == {"letters": 13}
    assert run.state["greeting"] == "Hello, '; echo $(id) \"<b>[/x]!"


def test_mapreduce_counts_in_order_and_ends_completed_in_spite_of_the_text_that_never_answers(
    tmp_path: Path,
) -> None:
    run = on_processes("mapreduce", tmp_path, pace=0)

    assert (run.exit_code, run.status) == (0, "completed")
    assert run.statuses() == {"list": "completed", "process": "completed", "aggregate": "completed"}
    items = run.step("process")["items"]
    assert [(item["value"], item["status"], len(item["attempts"])) for item in items] == [
        ("text://bakery", "completed", 1),
        ("text://bees", "completed", 1),
        ("text://ferry", "completed", 1),
        ("text://kite", "completed", 1),
        ("text://library", "completed", 1),
        ("text://lighthouse", "completed", 1),
        ("text://lost-letter", "failed", 3),
        ("text://night-train", "completed", 3),
        ("text://snow", "completed", 1),
    ]
    assert run.state["urls"] == [item["value"] for item in items]
    assert [result and result["words"] for result in run.state["process_results"]] == [
        53, 57, 41, 54, 50, 45, None, 53, 50
    ]  # fmt: skip
    assert run.state["map_results"] == [
        {"url": "text://bakery", "words": 53},
        {"url": "text://bees", "words": 57},
        {"url": "text://ferry", "words": 41},
        {"url": "text://kite", "words": 54},
        {"url": "text://library", "words": 50},
        {"url": "text://lighthouse", "words": 45},
        {"url": "text://night-train", "words": 53},
        {"url": "text://snow", "words": 50},
    ]
    assert [error["url"] for error in run.state["map_errors"]] == ["text://lost-letter"]
    assert run.state["final_summary"] == {
        "texts": 8,
        "failed": 1,
        "words": 403,
        "different_words": 202,
        "most_frequent": {"the": 52, "and": 21, "it": 13, "a": 10, "in": 9, "he": 8},
    }
    assert list(run.state["final_summary"]["most_frequent"].values()) == [52, 21, 13, 10, 9, 8]


def test_mapreduce_keeps_every_try_with_its_error(tmp_path: Path) -> None:
    items = on_processes("mapreduce", tmp_path, pace=0).step("process")["items"]

    lost, late = items[6], items[7]
    assert [(a["number"], a["status"], a["reason"], a["exit_code"]) for a in lost["attempts"]] == [
        (1, "failed", "task_failed", 1),
        (2, "failed", "task_failed", 1),
        (3, "failed", "task_failed", 1),
    ]
    assert "there is no such text" in lost["error"]
    assert lost["result"] is None
    assert [(a["number"], a["status"]) for a in late["attempts"]] == [
        (1, "failed"),
        (2, "failed"),
        (3, "completed"),
    ]
    assert "the connection was lost" in late["attempts"][0]["error"]
    assert late["result"]["words"] == 53


def test_mapreduce_in_the_dialect_of_agentainers_code_gives_ordered_results(tmp_path: Path) -> None:
    plan, problems = validate_file(MAPREDUCE_JSON)
    assert plan is not None, problems

    run = on_processes(MAPREDUCE_JSON, tmp_path)

    # One item fails and no tolerance is named, so that nobody overlooks it.
    assert (run.exit_code, run.status) == (3, "partially_completed")
    assert run.statuses() == {"list": "completed", "process": "completed", "aggregate": "completed"}
    assert [(item["value"], item["status"]) for item in run.step("process")["items"]] == [
        ("a", "completed"),
        ("b", "completed"),
        ("missing", "failed"),
        ("c", "completed"),
    ]
    assert run.state["final_summary"] == {"words": [3, 3, None, 2], "team": "docs"}


def test_pipeline_takes_its_branches_retries_and_skips(tmp_path: Path) -> None:
    run = on_processes("pipeline", tmp_path)

    assert (run.exit_code, run.status) == (0, "completed")
    assert run.statuses() == {
        "extract": "completed",
        "validate": "completed",
        "rates": "completed",
        "checks": "completed",
        "duplicates": "completed",
        "outliers": "completed",
        "totals": "completed",
        "quarantine": "completed",
        "escalate": "skipped",
        "publish": "completed",
    }
    assert run.step("escalate")["reason"] == "condition_false"
    assert run.step("escalate")["attempts"] == []
    assert [(a["number"], a["status"]) for a in run.step("rates")["attempts"]] == [
        (1, "failed"),
        (2, "completed"),
    ]
    assert "the rate service is busy" in run.step("rates")["attempts"][0]["error"]
    assert run.state["report"] == [
        "kettle         98.40 EUR",
        "samovar       480.00 EUR",
        "strainer       18.00 EUR",
        "teacup         39.00 EUR",
        "teapot         34.00 EUR",
        "tray           19.80 EUR",
        "total         689.20 EUR",
        "bad: 1004, 1008",
        "double: 1006",
        "large: 1007",
        "escalated: no",
    ]


def test_pipeline_escalates_when_there_are_too_many_bad_orders(tmp_path: Path) -> None:
    run = on_processes("pipeline", tmp_path, limit=1)

    assert (run.exit_code, run.statuses()["escalate"]) == (0, "completed")
    assert run.state["report"][-1] == "escalated: yes"


def test_document_analysis_hands_the_known_keys_from_step_to_step(tmp_path: Path) -> None:
    run = on_processes("document_analysis", tmp_path, pace=0)

    assert (run.exit_code, run.status) == (0, "completed")
    assert list(run.statuses()) == ["prepare", "process", "aggregate", "entities", "insights", "report"]
    assert set(run.statuses().values()) == {"completed"}
    state = run.state
    assert state["urls"] == ["doc://minutes", "doc://incident", "doc://letter", "doc://diary"]
    assert [state[f"content_url_{n}"] for n in range(4)] == [doc["text"] for doc in state["documents"]]
    assert [result["url"] for result in state["process_results"]] == state["urls"]
    assert state["aggregated_results"] == {
        "documents": 4,
        "words": 135,
        "moods": {"doc://minutes": -1, "doc://incident": -4, "doc://letter": 0, "doc://diary": 4},
        "shared_words": ["greenhouse", "lindenfeld", "marienau", "solberg", "tomatoes"],
    }
    assert state["extracted_entities_multi"] == {
        "people": ["Ada Brandt", "Henrik Solberg", "Jonas Okoro", "Mila Varga"],
        "places": ["Lindenfeld", "Marienau"],
        "dates": ["2031-03-04", "2031-04-01", "2031-04-19", "2031-05-02", "2031-05-30"],
        "amounts": [900, 2150, 2400],
    }
    assert state["final_report_multi"] == {
        "title": "4 documents, 135 words",
        "people": "Ada Brandt, Henrik Solberg, Jonas Okoro, Mila Varga",
        "insights": state["insights_multi"],
    }
    assert state["insights_multi"] == [
        "From 2031-03-04 to 2031-05-30.",
        "The documents name 4 people and 2 places.",
        "Amounts lie between 900 and 2400 EUR.",
        "The mood goes from -1 to +4.",
        "They share the words: greenhouse, lindenfeld, marienau, solberg, tomatoes.",
    ]


def test_resources_says_that_processes_have_no_limits(tmp_path: Path) -> None:
    run = on_processes("resources", tmp_path, rounds=1)

    assert (run.exit_code, run.status) == (0, "completed")
    assert run.step("compare")["result"] == {
        "same_work": True,
        "verdict": "the limits are not enforced here: these tasks are local processes",
    }


@pytest.mark.parametrize(
    ("ticket", "way", "ending"),
    [
        ("the shop is down", ["page", "assign"], "review"),
        ("this is a bug", ["file_bug"], "review"),
        ("how do I pay?", ["answer"], "close"),
    ],
)
def test_decision_takes_one_way_and_joins(tmp_path: Path, ticket: str, way: list[str], ending: str) -> None:
    run = on_processes("decision", tmp_path, ticket=ticket)

    assert (run.exit_code, run.status) == (0, "completed")
    ran = [name for name, status in run.statuses().items() if status == "completed"]
    assert ran == ["read", "triage", *way, "reply", "effort", ending]
    skipped = [step for step in run.document["steps"] if step["status"] == "skipped"]
    assert {step["reason"] for step in skipped} == {"branch_not_taken"}
    assert run.state["reply"].startswith("Thank you. The team for this is ")


def test_subworkflow_has_a_child_run_for_each_guest_and_one_inline(tmp_path: Path) -> None:
    run = on_processes("subworkflow", tmp_path)

    assert (run.exit_code, run.status) == (0, "completed")
    assert run.state["program"] == [
        "Hello, Ada!",
        "Hello, Edsger!",
        "Hello, Grace!",
        "To a guest list of 29 letters!",
    ]
    children = [item["attempts"][0]["child_run"] for item in run.step("greet")["items"]]
    children.append(run.step("toast")["attempts"][0]["child_run"])
    assert len(set(children)) == 4
    # What the inline child has set is picked by `outputs`; nothing else of it comes back.
    assert "letters" not in run.state
    assert run.state["toast"] == "To a guest list of 29 letters!"


def test_warm_pool_throws_the_same_dice_everywhere(tmp_path: Path) -> None:
    run = on_processes("warm_pool", tmp_path, throws=6)

    assert (run.exit_code, run.status) == (0, "completed")
    assert run.state["seeds"] == [1, 2, 3, 4, 5, 6]
    assert all(len(throw["dice"]) == 3 for throw in run.state["throw_results"])
    assert run.state["eyes"] == sum(sum(throw["dice"]) for throw in run.state["throw_results"])
    assert run.state["traces"] == 0
    assert {item["attempts"][0]["placement"] for item in run.step("throw")["items"]} == {None}


@pytest.mark.parametrize(("answer", "status", "code"), [("approve", "completed", 0), ("reject", "failed", 1)])
def test_approval_goes_on_as_somebody_answers(tmp_path: Path, answer: str, status: str, code: int) -> None:
    run = answered_sample("approval", tmp_path, backend="process", answer=answer)

    assert (run.exit_code, run.status) == (code, status)
    if answer == "approve":
        assert run.state["released"] == "app-1.4.0"
        assert run.state["approved_by"]
    else:
        assert (run.step("gate")["reason"], run.step("release")["reason"]) == ("rejected", "upstream_failed")


def test_etl_with_finally_tidies_up_after_success_and_pages_nobody(tmp_path: Path) -> None:
    run = on_processes("etl_with_finally", tmp_path, bad_rows=1)

    assert (run.exit_code, run.status) == (0, "completed")
    assert run.statuses()["page"] == "skipped"
    assert run.state["report"] == "completed, 7 rows loaded"
    assert run.step("transform")["artifacts"] == [{"name": "rows.csv", "size": 42}]


def test_etl_with_finally_pages_and_tidies_up_after_a_failure_without_hiding_it(tmp_path: Path) -> None:
    run = on_processes("etl_with_finally", tmp_path, bad_rows=3)

    assert (run.exit_code, run.status) == (1, "failed")
    assert run.document["run"]["reason"] == "task_failed"
    assert run.state["paged"] == "step 'load' failed: exit code 1: 3 of 8 rows have no amount"
    assert run.state["report"] == "failed, 0 rows loaded"
    assert run.statuses() | {"load": "failed"} == dict.fromkeys(run.statuses(), "completed") | {
        "load": "failed"
    }


@pytest.mark.parametrize(
    ("sample", "params"),
    [
        ("mapreduce", {"pace": 0}),
        ("document_analysis", {"pace": 0}),
        ("decision", {"ticket": "the shop is down"}),
        ("subworkflow", {}),
    ],
)
def test_a_sample_comes_to_the_same_in_the_dialect_of_agentainers_code(
    tmp_path: Path, sample: str, params: dict[str, object]
) -> None:
    homes = [tmp_path / "yaml", tmp_path / "json"]
    for home in homes:
        home.mkdir()
    twin = homes[1] / f"{sample}.json"
    twin.write_text(json.dumps(as_code_dialect(SAMPLES / f"{sample}.yaml")), encoding="utf-8")
    (homes[1] / "hello.yaml").write_bytes((SAMPLES / "hello.yaml").read_bytes())

    assert outline(on_processes(twin, homes[1], **params)) == outline(
        on_processes(sample, homes[0], **params)
    )
