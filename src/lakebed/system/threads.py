"""Names of threads for `top -H`, `perf` and `/proc`."""

import threading
from contextlib import suppress
from pathlib import Path

_LONGEST = 15
"""Bytes that Linux keeps of a thread's name (proc(5), /proc/pid/task/tid/comm)."""


def name_this_thread(name: str) -> None:
    """Name the calling thread; do nothing where the system does not support it."""
    task = Path(f"/proc/self/task/{threading.get_native_id()}/comm")
    with suppress(OSError):
        task.write_text(name[:_LONGEST])
