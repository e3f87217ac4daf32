"""What needs somebody's attention, as `doctor` finds it on a running server.

health of the parts ─┐
the journal ─────────┼──> findings (`diagnosis`) ──> those that are not well, the worst first
sources ─────────────┤
disks and settings ──┘

What doctor sees of the machine's clock, it sees where it is called.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from lakebed.api.routes import journal as journal_routes
from lakebed.api.routes import sources as source_routes
from lakebed.diagnosis import journal, parts, sources
from lakebed.diagnosis.finding import Finding
from lakebed.ports.health import Health
from lakebed.vocabulary.errors import LakebedError
from lakebed.web import figures_of_parts
from lakebed.web.page import View

_STORES = ("journal", "catalog", "series")


def warnings(view: View, ready: Mapping[str, Health]) -> list[Finding]:
    """All that is not well, for an admin.

    Args:
        ready: the parts of the process.
    """
    found = [
        *(one for name, health in ready.items() for one in _of_part(view, name, health)),
        *_of_journal(view),
        *_of_sources(view),
        *view.services.examine(),
    ]
    wrong = [one for one in dict.fromkeys(found) if one.state != "ok"]
    return sorted(wrong, key=lambda one: (one.state != "bad", one.part))


def _of_part(view: View, name: str, health: Health) -> Iterator[Finding]:
    shown: dict[str, Any] = {"ok": health.ok, "message": health.message, **health.detail}
    text = figures_of_parts.message(view, name, health) or ", ".join(
        f"{key} {value}" for key, value in figures_of_parts.figures(view, name, health)
    )
    store = getattr(view.services.settings, name, None) if name in _STORES else None
    scheme = str(getattr(store, "url", "")).partition(":")[0]
    return parts.part(name, shown, text, scheme)


def _of_journal(view: View) -> Iterator[Finding]:
    try:
        found = journal_routes.journal(view.services)
    except LakebedError:
        return  # its health says why
    yield from journal.change(found)
    yield from journal.damage(found)
    yield from journal.partitions(found)
    yield from journal.consumers(found)


def _of_sources(view: View) -> Iterator[Finding]:
    try:
        found = source_routes.list_sources(view.services)
    except LakebedError:
        return
    for source in found["sources"]:
        yield from sources.of_source(source)
