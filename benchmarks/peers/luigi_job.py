"""`luigi_job.py chain|fan COUNT AT_ONCE COMMAND...`: the job for luigi, with its local scheduler."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import luigi

KIND, COUNT, AT_ONCE, *COMMAND = sys.argv[1:]


class Step(luigi.Task):
    """Runs the command; a file says that it is done."""

    number = luigi.IntParameter()
    folder = luigi.Parameter()

    def requires(self) -> list[Any]:
        """In a chain, the step before."""
        before = KIND == "chain" and self.number > 0
        return [Step(number=self.number - 1, folder=self.folder)] if before else []

    def output(self) -> Any:
        """The file."""
        return luigi.LocalTarget(str(Path(self.folder) / str(self.number)))

    def run(self) -> None:
        """Run it."""
        subprocess.run(COMMAND, check=True)
        with self.output().open("w") as file:
            file.write("done")


def main() -> int:
    """Run the job; returns the exit code."""
    count = int(COUNT)
    with tempfile.TemporaryDirectory() as folder:
        wanted = [count - 1] if KIND == "chain" else range(count)
        steps = [Step(number=number, folder=folder) for number in wanted]
        workers = 1 if KIND == "chain" else int(AT_ONCE)
        done = luigi.build(steps, local_scheduler=True, workers=workers, log_level="WARNING")
        return 0 if done and len(list(Path(folder).iterdir())) == count else 1


if __name__ == "__main__":
    sys.exit(main())
