"""`once.py SECONDS COMMAND...`: run a command once and tell, as JSON, what it took.

A program of its own, and a small one: what the system says of the memory of a child is never less than what
its parent had when it started it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress


def main() -> None:
    """Run it; whatever is left of it after its end, or when its time is up, is killed."""
    limit, *command = sys.argv[1:]
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )

        def kill() -> None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

        alarm = threading.Timer(float(limit), kill)
        alarm.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        alarm.cancel()
        kill()
        said.seek(0)
        told = {
            "code": os.waitstatus_to_exitcode(status),
            "seconds": seconds,
            "memory": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
            "said": said.read()[-400:].decode(errors="replace").strip(),
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
