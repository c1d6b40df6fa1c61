"""What is logged of an error that no step has to answer for: a line for people, and the rest for a report."""

from __future__ import annotations

import logging
import traceback

from engine.errors import IllegalTransitionError, known_error
from engine.orchestrator.masking import Masker

_log = logging.getLogger("agentainer")


def log_fault(where: str, error: BaseException, masker: Masker) -> None:
    """Log an error under `where`, its secrets masked; the record of a fault has a traceback as `details`."""
    known = known_error(error)
    if known is not None and not isinstance(known, IllegalTransitionError):  # that is a fault, too
        _log.error("%s: %s", where, masker.mask_text(str(known)))
        return
    details = masker.mask_text("".join(traceback.format_exception(error)))
    summary = masker.mask_text(traceback.format_exception_only(error)[-1].strip())
    _log.error("%s: %s", where, summary, extra={"details": details})
