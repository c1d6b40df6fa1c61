"""Errors that no step answers for: a line where they are known, and a report besides where they are not."""

from __future__ import annotations

import pytest

from engine.errors import HistoryError, IllegalTransitionError, known_error
from engine.orchestrator.faults import log_fault
from engine.orchestrator.masking import Masker
from engine.orchestrator.outcome import fault

FULL = HistoryError("the disk is full", hint="free some space")


def test_a_group_of_known_errors_is_known_and_one_with_a_fault_in_it_is_not() -> None:
    assert known_error(ExceptionGroup("tasks", [ExceptionGroup("more", [FULL]), FULL])) is FULL
    assert known_error(ExceptionGroup("tasks", [FULL, KeyError("a")])) is None
    assert known_error(KeyError("a")) is None


def test_a_known_error_is_a_line_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    log_fault("run 1, step a", ExceptionGroup("tasks", [FULL, FULL]), Masker())

    (record,) = caplog.records
    assert record.getMessage() == "run 1, step a: the disk is full\n  free some space"
    assert not hasattr(record, "details")
    assert fault(ExceptionGroup("tasks", [FULL])).error == "the disk is full"


@pytest.mark.parametrize("error", [KeyError("hush-hush"), IllegalTransitionError("hush-hush")])
def test_a_fault_is_a_line_and_a_report_and_neither_has_secrets(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        raise error
    except Exception as raised:
        log_fault("run 1", raised, Masker(["hush-hush"]))

    (record,) = caplog.records
    assert record.getMessage().startswith("run 1: ")
    details = getattr(record, "details", "")
    assert details.startswith("Traceback")
    assert "***" in details and "***" in record.getMessage()
    assert "hush-hush" not in details + record.getMessage()
