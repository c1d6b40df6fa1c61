"""`prune`: old runs leave the history, with their logs and artifacts."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from agentainer_tui.commands.confirming import may_delete
from agentainer_tui.commands.console import err, out, print_table
from agentainer_tui.commands.interruptions import run_async
from agentainer_tui.commands.invocation import settings_of
from agentainer_tui.commands.runs import moment
from agentainer_tui.text import counted, size
from engine.clock import isoformat
from engine.errors import UsageError
from engine.upkeep import compact, delete_runs, disk_use, finished_runs, holder, old_runs

if TYPE_CHECKING:
    from engine.facade import RunRecord, Settings


def prune(options: Namespace) -> int:
    """`agentainer prune [--older-than DAYS] [--keep N] [--vacuum]`: list, ask, delete exactly that."""
    settings = settings_of(options)
    if options.vacuum and (live := holder(settings)) is not None:
        raise UsageError(
            f"--vacuum writes the whole history anew, and process {live.pid} is using it",
            hint="close it first; without --vacuum, room is given back as far as it goes beside it",
        )
    runs = _old_runs(options, settings)
    if runs:
        _delete(runs, options, settings)
    else:
        out.line("nothing to prune")
    if options.vacuum and not options.dry_run and settings.database.exists():
        before, after = run_async(compact(settings))
        out.line(f"the database had {size(before)} and has {size(after)}")
    return 0


def _old_runs(options: Namespace, settings: Settings) -> list[RunRecord]:
    before = None
    if options.older_than is not None:
        before = isoformat(datetime.now(UTC) - timedelta(days=options.older_than))
    elif options.keep is None and not (settings.keep_days or settings.keep_runs or options.vacuum):
        raise UsageError(
            "which runs? keep_days and keep_runs are 0, which keeps all of them",
            hint="say --older-than DAYS, --keep N, or both",
        )
    return run_async(old_runs(settings, before=before, keep=options.keep))


def _delete(runs: list[RunRecord], options: Namespace, settings: Settings) -> None:
    sizes = run_async(disk_use(settings, [run.id for run in runs]))
    print_table(
        ("RUN", "WORKFLOW", "STATUS", "ENDED", "LOGS AND ARTIFACTS"),
        ((run.id, run.workflow, run.status, moment(run.finished_at), size(sizes[run.id])) for run in runs),
        status=2,
    )
    if len(runs) == run_async(finished_runs(settings)):
        err.line("these are all finished runs of the history")
    what = f"{counted(len(runs), 'run')} with {size(sum(sizes.values()))} of logs and artifacts"
    if may_delete(options, f"delete {what}"):
        run_async(delete_runs(settings, [run.id for run in runs]))
        out.line(f"deleted {what}")
