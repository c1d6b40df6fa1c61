"""`prefect_job.py chain|fan COUNT AT_ONCE COMMAND...`: the job for prefect, which starts a server for it."""

from __future__ import annotations

import subprocess
import sys

from prefect import flow, task
from prefect.futures import wait
from prefect.task_runners import ThreadPoolTaskRunner

KIND, COUNT, AT_ONCE, *COMMAND = sys.argv[1:]


@task
def step(number: int) -> int:
    """Run the command."""
    subprocess.run(COMMAND, check=True)
    return number


@flow(task_runner=ThreadPoolTaskRunner(max_workers=int(AT_ONCE)))
def job() -> int:
    """All steps: each after the one before, or side by side."""
    if KIND == "chain":
        return [step(number) for number in range(int(COUNT))][-1] + 1
    futures = [step.submit(number) for number in range(int(COUNT))]
    wait(futures)
    return len([future.result() for future in futures])


if __name__ == "__main__":
    sys.exit(0 if job() == int(COUNT) else 1)
