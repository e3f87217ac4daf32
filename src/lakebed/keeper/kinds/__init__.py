"""Kinds of policy: one file each, and one line here."""

from collections.abc import Callable

from lakebed.keeper.kinds.aggregate import Aggregate
from lakebed.keeper.kinds.aggregate_text import AggregateText
from lakebed.keeper.kinds.kind import Kind, Site
from lakebed.keeper.kinds.last_n import LastN
from lakebed.keeper.kinds.last_value import LastValues
from lakebed.keeper.kinds.records import Records


def _aggregate(site: Site) -> Kind:
    return Aggregate(site) if site.policy.type == "number" else AggregateText(site)


KINDS: dict[str, Callable[[Site], Kind]] = {
    "last_value": LastValues,
    "last_n": LastN,
    "window": Records,
    "archive": Records,
    "aggregate": _aggregate,
}
