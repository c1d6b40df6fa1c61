"""`prune`: old runs leave the history, with their logs."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime, timedelta

from agentainer_tui.commands.confirming import may_delete
from agentainer_tui.commands.console import out, print_table
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.commands.runs import moment
from agentainer_tui.text import counted
from engine.clock import isoformat
from engine.errors import UsageError
from engine.upkeep import delete_runs, old_runs


def prune(options: Namespace) -> int:
    """`agentainer prune --older-than DAYS --keep N`: list, ask, delete exactly that."""
    if options.older_than is None and options.keep is None:
        raise UsageError("which runs? Say --older-than DAYS, --keep N, or both")
    settings = settings_of(options)
    before = None
    if options.older_than is not None:
        before = isoformat(datetime.now(UTC) - timedelta(days=options.older_than))
    runs = run_async(old_runs(settings, before=before, keep=options.keep))
    if not runs:
        out.line("nothing to prune")
        return 0
    print_table(
        ("RUN", "WORKFLOW", "STATUS", "ENDED"),
        ((run.id, run.workflow, run.status, moment(run.finished_at)) for run in runs),
        status=2,
    )
    if not may_delete(options, f"delete {counted(len(runs), 'run')} with their logs"):
        return 0
    run_async(delete_runs(settings, [run.id for run in runs]))
    out.line(f"deleted {counted(len(runs), 'run')}")
    return 0
