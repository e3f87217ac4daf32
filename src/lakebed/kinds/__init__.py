"""Kinds of policy: one file each, and one line here."""

from collections.abc import Callable

from lakebed.kinds.aggregate import Aggregate
from lakebed.kinds.aggregate_text import AggregateText
from lakebed.kinds.kind import Kind, Site
from lakebed.kinds.last_n import LastN
from lakebed.kinds.last_value import LastValues
from lakebed.kinds.records import Records


def _aggregate(site: Site) -> Kind:
    return Aggregate(site) if site.policy.type == "number" else AggregateText(site)


KINDS: dict[str, Callable[[Site], Kind]] = {
    "last_value": LastValues,
    "last_n": LastN,
    "window": Records,
    "archive": Records,
    "aggregate": _aggregate,
}
