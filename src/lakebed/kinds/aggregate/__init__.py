"""`aggregate`: windows of numbers or texts, aligned to the clock."""

from lakebed.kinds.aggregate.numbers import AGGREGATE, NumbersState
from lakebed.kinds.aggregate.texts import AGGREGATE_TEXT, TextsState
from lakebed.kinds.kind import DocumentKey, Kind, Site, State
from lakebed.vocabulary.times import SECOND
from lakebed.vocabulary.widths import check_width


def _open(site: Site) -> State:
    return NumbersState(site) if site.policy.type == "number" else TextsState(site)


KIND = Kind(
    name="aggregate",
    types=("number", "text"),
    keys={
        "every": DocumentKey(needed="15m", check=check_width),
        "for": DocumentKey(),
        "buffer": DocumentKey(default=SECOND),
        "functions": DocumentKey(),
        "timezone": DocumentKey(),
    },
    open=_open,
    answers="windows",
    rank=4,
    tables={"number": AGGREGATE, "text": AGGREGATE_TEXT},
    functions={
        "number": (
            "min",
            "max",
            "sum",
            "avg",
            "count",
            "first",
            "last",
            "stddev",
            "p50",
            "p95",
            "p99",
        ),
        "text": ("count", "unique", "first", "last", "min", "max", "top"),
    },
    aligned_by=("every", "timezone"),
    default_functions={"number": ("min", "max", "sum", "avg"), "text": ("count",)},
)
