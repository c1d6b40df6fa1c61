"""`dagster_job.py chain|fan COUNT AT_ONCE COMMAND...`: the job for dagster, in one process.

Its executor with many processes takes about two seconds for each step, so that is not the one to compare
with; in one process, the steps of a fan-out come one after the other.
"""

from __future__ import annotations

import subprocess
import sys

from dagster import In, Nothing, Out, job, op

KIND, COUNT, _, *COMMAND = sys.argv[1:]


@op(ins={"before": In(Nothing)}, out=Out(Nothing))
def after() -> None:
    """Run the command, after another step."""
    subprocess.run(COMMAND, check=True)


@op(out=Out(Nothing))
def alone() -> None:
    """Run the command."""
    subprocess.run(COMMAND, check=True)


@job
def steps() -> None:
    """All steps: each after the one before, or side by side."""
    last = alone.alias("s0")()
    for number in range(1, int(COUNT)):
        last = after.alias(f"s{number}")(last) if KIND == "chain" else alone.alias(f"s{number}")()


if __name__ == "__main__":
    done = steps.execute_in_process()
    ran = sum(event.is_step_success for event in done.all_events)
    sys.exit(0 if done.success and ran == int(COUNT) else 1)
