"""What is said of the parts of a process, by their health."""

from collections.abc import Iterator, Mapping
from typing import Any

from lakebed.diagnosis.finding import Finding, bad, note, ok

_DURABLE = {"FULL", "EXTRA", "on"}
"""When a store fsyncs, for what it answered to be on disk."""


_FSYNC_ON = {
    "sqlite": "find out what changes SQLite's PRAGMA synchronous: Lakebed sets it to FULL",
    "postgresql": "turn on fsync and synchronous_commit in PostgreSQL",
    "clickhouse": "ALTER TABLE … MODIFY SETTING fsync_after_insert = 1 on these tables",
    "clickhouses": "ALTER TABLE … MODIFY SETTING fsync_after_insert = 1 on these tables",
    "chdb": "stop it, rename the folder of the series, start it: it fills new tables from backup"
    " and journal",
}
MORE_FILES = (
    "raise the limit of open files (ulimit -n, LimitNOFILE= of the unit, ulimits: of compose), or"
    " lower mqtt.max_connections"
)
_LOST = (
    "send over TCP, which is held back instead; for UDP raise net.core.rmem_max, or send less at"
    " once. lakebed_listener_lost_total counts on"
)
_RAW = (
    "messages of Sparkplug were kept as they came: restart the edge nodes, or have them send their"
    " births again (Node Control/Rebirth)"
)
ADVICE = {
    "limits": "raise the limit, or have them send less: lakebed limits, lakebed load",
    "relays": "lakebed relays list says which and why; mend their targets, then"
    " lakebed relays resume NAME",
    "parked": "lakebed parked list, release, drop --owner OWNER; or raise limits.parked_for and"
    " journal.limit",
}
"""What to do about parts that are ready and have something to say."""

_TOLERANCE = 5.0  # seconds by which the newest message may be ahead: more than a step of NTP


def part(name: str, part: Mapping[str, Any], text: str, scheme: str = "") -> Iterator[Finding]:
    """Findings about a part as `/readyz` shows it.

    Args:
        text: what is told of it.
        scheme: of the store that it is, such as `sqlite`.
    """
    # a source that does not work is told by a server that is ready all the same
    well = part.get("ok") and part.get("joined", True)
    if name == "connections" and (part.get("message") or part.get("refused")):
        yield (bad if part.get("refused") else note)(name, text, MORE_FILES)
    elif name == "disk" and part.get("message"):
        yield (note if well else bad)(name, text, "see how many files there are: df -i")
    elif well and part.get("reports_refused"):
        yield note(name, text, "the log names the units and says why; see lakebed units")
    elif name in ADVICE and well and part.get("message"):
        yield note(name, text, ADVICE[name])
    elif name == "refusals" and well and part.get("message"):
        yield note(name, text, "see which, from whom and why: lakebed refusals")
    elif part.get("lost"):
        yield note(name, text, _LOST)
    elif well and part.get("kept_raw"):
        yield note(name, text, _RAW)
    elif part.get("silent"):
        yield note(name, text, "where so little is sent, set the source's silence to 0s")
    else:
        yield ok(name, text) if well else bad(name, text, "see the server's log")
    yield from durability(name, part, scheme)


def durability(name: str, figures: Mapping[str, Any], scheme: str = "") -> Iterator[Finding]:
    """The problems that a store's own figures show."""
    fsync = figures.get("fsync")
    if fsync is not None and fsync not in _DURABLE:
        yield bad(
            name,
            f"its fsync is {fsync}: a loss of power may take what it answered for",
            _FSYNC_ON.get(scheme, "turn it on there"),
        )
    yield from _ahead(figures.get("ahead") or 0.0)


def _ahead(seconds: float) -> Iterator[Finding]:
    """Report a clock that is behind the newest stored message: it was set back."""
    if seconds > _TOLERANCE:
        yield bad(
            "clock",
            f"the newest message was received {seconds:.0f} s in the future: the clock went back",
            "set it right; until then retention and windows wait",
        )
