"""The checks of the clock, on which event times and retention depend."""

import ctypes
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lakebed.cli.moments import TOLERANCE
from lakebed.diagnosis.finding import Finding, bad, note, ok
from lakebed.vocabulary.errors import Denied, Invalid, LakebedError
from lakebed.vocabulary.time_parsing import parse_time
from lakebed.vocabulary.times import Micros, check_clock, now, to_rfc3339

if TYPE_CHECKING:
    from lakebed.cli.client import Server
    from lakebed.runtime.settings import Settings

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronized
_TIMEX = 208  # bytes of struct timex on 64 bits, or more
_CLOCK_SKEW = 2.0  # seconds by which a file system's clock may differ
_SECONDS = 20.0  # in which all policies of all owners are asked for records of the future
_PAGE = 1000  # records
_MOST_NAMED = 5  # topics named in one finding


def clock(folder: Path) -> Iterator[Finding]:
    """Check that the clock is plausible, agrees with the file system's, and is synchronized."""
    at = now()
    try:
        check_clock(at)
    except Invalid as error:
        yield bad("clock", str(error), "set it, for example with NTP")
        return
    apart = _clock_difference(folder)
    if apart is not None and abs(apart) > _CLOCK_SKEW:
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


def future(server: "Server", settings: "Settings") -> Iterator[Finding]:
    """Report what was kept of the future: a clock was ahead, or is."""
    try:
        owners = {token["owner"] for token in server.get("/api/v1/tokens")["tokens"]}
    except Denied:
        return  # the journal's finding says that a token of an admin is missing
    at, deadline = now(), time.monotonic() + _SECONDS
    start = to_rfc3339(at + TOLERANCE)
    left_out = 0
    for owner in sorted(owners | {source.owner for source in settings.sources}):
        found = server.get("/api/v1/last", owner=owner, filter="#", **{"from": start})
        times = {value["topic"]: value["time"] for value in found["records"]}
        policies = server.get("/api/v1/policies", owner=owner)["policies"]
        names = [policy["name"] for policy in policies if policy["keep"] != "last_value"]
        for number, name in enumerate(names):
            if time.monotonic() > deadline:
                left_out += len(names) - number
                break
            for topic, when in _records(server, owner, name, start, deadline):
                times[topic] = max(when, times.get(topic, ""))
        if times:
            yield _future(owner, times, at, settings.limits.future)
    if left_out:
        yield note(
            "clock",
            f"{left_out} policies were not asked for records of the future: it took {_SECONDS:.0f} "
            "s already",
            "run doctor again when the server has less to do, or ask for single ones: "
            "lakebed query TOPIC --policy NAME --from now",
        )


def _records(
    server: "Server", owner: str, policy: str, start: str, deadline: float
) -> Iterator[tuple[str, str]]:
    """Topic and time of a policy's records, or windows, from a time on, the newest first."""
    asked = {"owner": owner, "policy": policy, "topic": "#", "from": start, "order": "desc"}
    with suppress(LakebedError):  # the series has a finding of its own
        while time.monotonic() <= deadline:
            page = server.get("/api/v1/records", limit=_PAGE, **asked)
            for record in page["records"]:
                yield record["topic"], record.get("time") or record["start"]
            if page["next_cursor"] is None:
                return
            asked["cursor"] = page["next_cursor"]


def _future(owner: str, times: Mapping[str, str], at: Micros, allowed: Micros) -> Finding:
    newest = max(map(parse_time, times.values()))
    listed = ", ".join(sorted(times)[:_MOST_NAMED])
    more = f" and {len(times) - _MOST_NAMED} more" if len(times) > _MOST_NAMED else ""
    finding = bad if newest > at + allowed else note
    return finding(
        "clock",
        f"{len(times)} topics of {owner} have records of the future, up to {to_rfc3339(newest)}: "
        f"{listed}{more}",
        "set the clock right (the device's, or this machine's), then delete what lies ahead: "
        f"lakebed forget TOPIC --from now --owner {owner}",
    )


def _clock_difference(folder: Path) -> float | None:
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
