"""The checks of the clock, on which event times and retention depend."""

import ctypes
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lakebed.cli.finding import Finding, bad, note, ok
from lakebed.vocabulary.errors import Invalid
from lakebed.vocabulary.times import check_clock, now, to_rfc3339

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronized
_TIMEX = 208  # bytes of struct timex on 64 bits, or more
_APART = 2.0  # seconds by which a file system's clock may differ
_BACK = 5.0  # seconds by which the newest message may be ahead: more than a step of NTP


def clock(folder: Path) -> Iterator[Finding]:
    """Check that the clock is plausible, agrees with the file system's, and is synchronized."""
    at = now()
    try:
        check_clock(at)
    except Invalid as error:
        yield bad("clock", str(error), "set it, for example with NTP")
        return
    apart = _apart(folder)
    if apart is not None and abs(apart) > _APART:
        yield bad(
            "clock",
            f"{to_rfc3339(at)}, but {folder} lies {apart:+.1f} s away from it",
            "keep both clocks right with NTP",
        )
    elif _synchronized() is False:
        yield note(
            "clock",
            f"{to_rfc3339(at)}; the system does not know that anything keeps it right",
            "run chrony or systemd-timesyncd: event times and retention go by it",
        )
    else:
        yield ok("clock", to_rfc3339(at))


def ahead(seconds: float) -> Iterator[Finding]:
    """Report a clock that is behind the newest stored message: it was set back."""
    if seconds > _BACK:
        yield bad(
            "clock",
            f"the newest message was received {seconds:.0f} s in the future: the clock went back",
            "set it right; until then retention and windows wait",
        )


def _apart(folder: Path) -> float | None:
    """Seconds by which the file system's clock is ahead of ours; None if it cannot be read."""
    try:
        before = time.time()
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
            stamped = os.fstat(file.fileno()).st_mtime
        after = time.time()
    except OSError:
        return None
    return stamped - after if stamped > after else min(0.0, stamped - before)


def _synchronized() -> bool | None:
    """Whether the kernel's clock is synchronized (adjtimex(2)); None where that is unknown."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(2 * _TIMEX))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR
