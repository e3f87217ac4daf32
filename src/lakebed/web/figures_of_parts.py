"""What parts of the process and their figures are called, and how the figures are read."""

import re
from collections.abc import Iterator

from lakebed.ports.health import Health
from lakebed.web.page import View
from lakebed.web.reasons import REFUSED
from lakebed.web.rendering import number, share, size, visible
from lakebed.web.words import mark as _

PARTS = {
    "catalog": _("catalog"),
    "connections": _("connections"),
    "disk": _("disk"),
    "emqx": _("EMQX"),
    "fsync": _("fsync"),
    "home": _("home"),
    "intake": _("intake"),
    "journal": _("journal"),
    "keeper": _("keeper"),
    "limits": _("limits"),
    "parked": _("parked"),
    "refusals": _("refusals"),
    "series": _("series"),
    "settings": _("settings"),
    "space": _("space on the disk"),
}
"""Parts by the names that `/readyz` has for them; one that is not here is shown by its name."""

_FIGURES = {
    "accepted": _("accepted"),
    "ahead": _("ahead of the clock"),
    "batches": _("batches"),
    "behind": _("behind"),
    "broker": _("broker"),
    "bytes": _("size"),
    "caches": _("cached rows"),
    "connects": _("connections made"),
    "damaged": _("damaged"),
    "duplicates": _("sent twice"),
    "expired": _("expired"),
    "expiring": _("expiring soon"),
    "files": _("files that may be open"),
    "free": _("free"),
    "fsync": _("fsync"),
    "joined": _("joined"),
    "known": _("known"),
    "last_hour": _("in the last hour"),
    "limit": _("limit"),
    "memory": _("memory"),
    "messages": _("messages"),
    "min_insync": _("replicas in sync at least"),
    "missing": _("missing"),
    "not_stored": _("not stored"),
    "oldest": _("oldest message"),
    "open": _("open"),
    "owners_near": _("owners near a limit"),
    "partitions": _("partitions"),
    "pending": _("waiting to be written"),
    "pressure": _("filled"),
    "query_ms": _("answers within"),
    "received": _("received"),
    "records": _("messages"),
    "refused": _("refused"),
    "replication": _("replicas"),
    "reports_refused": _("reports refused"),
    "retained_left_out": _("retained messages left out"),
    "retention_ms": _("retention"),
    "rows_written": _("rows written"),
    "silent": _("silent"),
    "topic": _("topic"),
    "units_near": _("units near a limit"),
    "used": _("used"),
    "waiting": _("waiting"),
}
_FILES = _("files that can still be made")
_SIZES = {"bytes", "used", "limit", "free", "memory"}
_SECONDS = {"oldest", "ahead"}
_MILLISECONDS = {"query_ms", "retention_ms"}
_REFUSALS = re.compile(r"\b(\d+) ([a-z]+(?:_[a-z]+)*)\b")
_NAMED = {
    "source": _("source %(name)s"),
    "consumer": _("consumer %(name)s"),
    "partition": _("partition %(name)s"),
}
_ALONE = {"keeper"}
"""Consumers whose name says nothing where they are the only one."""


def called(view: View, part: str) -> str:
    """The name of a part; some have a name of their own behind the word."""
    kind, _blank, name = part.partition(" ")
    if name and kind in _NAMED:
        return view.word(_NAMED[kind], name=name)
    return view.word(PARTS[part]) if part in PARTS else part


def message(view: View, part: str, health: Health) -> str:
    """What a part says of itself; reasons of refusals as sentences."""
    if part != "refusals":
        return health.message
    return _REFUSALS.sub(lambda found: f"{found[1]} × {refused(view, found[2])}", health.message)


def figures(view: View, part: str, health: Health) -> Iterator[tuple[str, str]]:
    """What each figure of a part is called, and its value as people read it."""
    for key, value in health.detail.items():
        if value is None:
            continue
        name = _FILES if (part, key) == ("disk", "files") else _FIGURES.get(key)
        yield (view.word(name) if name else key.replace("_", " ")), _shown(view, key, value)


def _shown(view: View, key: str, value: object) -> str:
    if isinstance(value, dict):
        if len(value) == 1 and (value.keys() <= _ALONE or value.keys() == {"0"}):
            return _shown(view, key, next(iter(value.values())))
        told = (f"{visible(str(name))} {_shown(view, key, one)}" for name, one in value.items())
        return ", ".join(told) or "0"
    if isinstance(value, bool):
        return view.word(_("yes")) if value else view.word(_("no"))
    if not isinstance(value, int | float):
        return visible(str(value))
    if key == "pressure":
        return share(100 * value)
    if key in _SIZES:
        return size(value)
    if key in _MILLISECONDS:
        return span(view, value / 1000)
    return span(view, value) if key in _SECONDS else number(round(value, 2))


def span(view: View, seconds: float) -> str:
    """A length of time in the largest unit of which it has one."""
    if seconds < 1:
        return view.word(_("%(n)s ms"), n=number(round(1000 * seconds)))
    for length, text in ((86_400, _("%(n)s d")), (3600, _("%(n)s h")), (60, _("%(n)s min"))):
        if seconds >= length:
            return view.word(text, n=number(round(seconds / length, 1)))
    return view.word(_("%(n)s s"), n=number(round(seconds)))


def refused(view: View, reason: str) -> str:
    """The reason why a message was refused at the door, as a sentence."""
    return view.word(REFUSED[reason]) if reason in REFUSED else reason.replace("_", " ")
