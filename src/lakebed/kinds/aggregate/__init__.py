"""`aggregate`: windows of numbers or texts, aligned to the clock."""

from lakebed.kinds.aggregate import numbers, texts
from lakebed.kinds.aggregate.numbers import AGGREGATE, NumbersState
from lakebed.kinds.aggregate.texts import AGGREGATE_TEXT, TextsState
from lakebed.kinds.kind import DocumentKey, Kind, Site, State
from lakebed.vocabulary.errors import show
from lakebed.vocabulary.times import SECOND
from lakebed.vocabulary.widths import check_width


def _open(site: Site) -> State:
    return NumbersState(site) if site.policy.type == "number" else TextsState(site)


def _bits(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 8 <= value <= 64:
        raise ValueError(f"{show(value)} is no number of bits from 8 to 64, such as 32")
    return value


KIND = Kind(
    name="aggregate",
    types=("number", "text"),
    keys={
        "every": DocumentKey(needed="15m", check=check_width),
        "for": DocumentKey(),
        "buffer": DocumentKey(default=SECOND),
        "functions": DocumentKey(),
        "timezone": DocumentKey(),
        "counter_bits": DocumentKey(
            accept=_bits,
            description="bits of a counter that begins again at 0 where it is full, such as 32",
        ),
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
            *numbers.ORDERED,
        ),
        "text": ("count", "unique", "first", "last", "min", "max", "top", "mode", *texts.ORDERED),
    },
    aligned_by=("every", "timezone"),
    default_functions={"number": ("min", "max", "sum", "avg"), "text": ("count",)},
)
