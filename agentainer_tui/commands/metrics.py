"""`show RUN --metrics`: what one run took and used."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from agentainer_tui.commands.console import out, print_json, print_table
from agentainer_tui.commands.narration import first_line, label
from agentainer_tui.commands.runs import read
from agentainer_tui.text import clean, counted, precise, size
from engine.facade import metrics_of_run

if TYPE_CHECKING:
    from engine.facade import StepMetrics, WorkflowMetrics

_ERRORS_SHOWN = 10


def show_metrics(options: Namespace) -> int:
    """Print the metrics of a run, or their JSON document."""
    metrics = read(options, lambda history: metrics_of_run(history, options.run))
    if options.json:
        print_json(metrics.to_json())
        return 0
    _print_run(metrics)
    out.line()
    print_table(
        ("STEP", "STATUS", "TOOK", "CPU", "MEMORY", "NEW", "WARM", "RETRIES"),
        (_row(step) for step in metrics.steps),
        status=1,
        widest=22,
    )
    if metrics.errors:
        out.line(f"\n{counted(metrics.failed, 'failure')}:")
        for failure in metrics.errors[:_ERRORS_SHOWN]:
            where = label(failure.step_id, failure.item)
            out.line(f"  {where}: {failure.reason or 'failed'}: {first_line(failure.error)}")
        if (more := metrics.failed - _ERRORS_SHOWN) > 0:
            out.line(f"  … {more} more")
    return 0


def _print_run(metrics: WorkflowMetrics) -> None:
    used = metrics.resource_usage
    status = out.paint(metrics.status, metrics.status)
    took = f" after {precise(metrics.duration)}" if metrics.start_time else ""
    out.write(f"run {metrics.workflow_id} of {clean(metrics.workflow_name)}: {status}{took}\n")
    facts = [f"{counted(used.tasks, 'task')}, {counted(used.agents_deployed, 'agent')} started"]
    if used.agents_reused or used.pool_misses:
        facts.append(f"{used.agents_reused} of {used.agents_reused + used.pool_misses} pooled tasks at once")
    if used.cpu_seconds:
        facts.append(f"{precise(used.cpu_seconds)} CPU ({used.cpu_millicores:.0f} millicores)")
    if used.memory_bytes:
        facts.append(f"at most {size(used.memory_bytes)} of memory")
    if used.network_bytes_in or used.network_bytes_out:
        facts.append(f"{size(used.network_bytes_in)} received, {size(used.network_bytes_out)} sent")
    for fact in facts:
        out.line(f"  {fact}")


def _row(step: StepMetrics) -> tuple[str, ...]:
    used = step.resource_usage
    return (
        label(step.step_id, None),
        step.status,
        precise(step.duration) if step.start_time else "",
        precise(used.cpu_seconds) if used.cpu_seconds else "",
        size(used.memory_bytes) if used.memory_bytes else "",
        str(used.agents_deployed or ""),
        str(used.agents_reused or ""),
        str(step.retry_count or ""),
    )
