"""Starts fork servers; see `forkserver`."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tests.preload import build

_START = 60.0  # seconds; a loaded machine takes its time


def shared() -> AbstractContextManager[dict[str, Any]]:
    """The one of a whole run."""
    return forking({})


@contextmanager
def preloading(source: Path) -> Iterator[dict[str, Any]]:
    """One whose children have a library between them and libc.

    Args:
        source: of the library, in C; its `preloaded_begin` reads the child's environment.
    """
    with tempfile.TemporaryDirectory(prefix="lakebed-preload-") as folder:
        library = str(build(source, Path(folder)))
        with forking({"LD_PRELOAD": library}) as server:
            yield server | {"library": library}


@contextmanager
def forking(environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """A fork server that ends with the context, or with this process.

    Args:
        environment: of it, over this process's own.
    """
    with tempfile.TemporaryDirectory(prefix="lakebed-fork-", ignore_cleanup_errors=True) as folder:
        path, log = Path(folder) / "socket", Path(folder) / "log"
        with log.open("wb") as said:
            server = subprocess.Popen(
                [sys.executable, "-m", "tests.processes.forkserver", path],
                stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True,
                env=os.environ | environment,
            )  # fmt: skip
        with server:  # closes its stdin, by which it ends, and waits
            deadline = time.monotonic() + _START
            while not path.exists():
                if server.poll() is not None or time.monotonic() > deadline:
                    server.kill()
                    raise RuntimeError(f"it did not start: {log.read_text()}")
                time.sleep(0.02)
            yield {"path": str(path)}
