"""Names of threads where the operating system shows them: `top -H`, `perf`, `/proc`."""

import threading
from contextlib import suppress
from pathlib import Path

_LONGEST = 15
"""Bytes that Linux keeps of a thread's name (proc(5), /proc/pid/task/tid/comm)."""


def name_this_thread(name: str) -> None:
    """Give the calling thread a name; where the system has no such thing, nothing happens."""
    task = Path(f"/proc/self/task/{threading.get_native_id()}/comm")
    with suppress(OSError):
        task.write_text(name[:_LONGEST])
