"""Starts the fork server; see `forkserver`."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_START = 60.0  # seconds; a loaded machine takes its time


@contextmanager
def shared() -> Iterator[dict[str, Any]]:
    """It ends with the context, or with this process."""
    with tempfile.TemporaryDirectory(prefix="lakebed-fork-", ignore_cleanup_errors=True) as folder:
        path, log = Path(folder) / "socket", Path(folder) / "log"
        with log.open("wb") as said:
            server = subprocess.Popen(
                [sys.executable, "-m", "tests.processes.forkserver", path],
                stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
        with server:  # closes its stdin, by which it ends, and waits
            deadline = time.monotonic() + _START
            while not path.exists():
                if server.poll() is not None or time.monotonic() > deadline:
                    server.kill()
                    raise RuntimeError(f"it did not start: {log.read_text()}")
                time.sleep(0.02)
            yield {"path": str(path)}
