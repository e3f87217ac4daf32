"""`aggregate`: windows of numbers, integers, truth values or texts, aligned to the clock."""

from collections.abc import Callable

from lakebed.kinds.aggregate import numbers, texts
from lakebed.kinds.aggregate.integers import AGGREGATE_INTEGER, IntegersState
from lakebed.kinds.aggregate.numbers import AGGREGATE, NumbersState
from lakebed.kinds.aggregate.state import AggregateState
from lakebed.kinds.aggregate.texts import AGGREGATE_TEXT, TextsState
from lakebed.kinds.kind import DocumentKey, Kind, Site, State
from lakebed.vocabulary.errors import show
from lakebed.vocabulary.times import SECOND
from lakebed.vocabulary.widths import check_width


def _open(site: Site) -> State:
    return _STATES[site.policy.type](site)


def _link(former: State, later: State) -> bool:
    assert isinstance(former, AggregateState)
    assert isinstance(later, AggregateState)
    return later.learn(former)


def _bits(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 8 <= value <= 64:
        raise ValueError(f"{show(value)} is no number of bits from 8 to 64, such as 32")
    return value


_STATES: dict[str, Callable[[Site], State]] = {
    "number": NumbersState,
    "integer": IntegersState,
    "boolean": NumbersState,
    "text": TextsState,
}


_OF_NUMBERS = (
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
)

KIND = Kind(
    name="aggregate",
    types=("number", "integer", "boolean", "text"),
    keys={
        "every": DocumentKey(needed="15m", check=check_width),
        "for": DocumentKey(),
        "buffer": DocumentKey(default=SECOND),
        "functions": DocumentKey(),
        "function_at": DocumentKey(),
        "function_else": DocumentKey(),
        "timezone": DocumentKey(),
        "counter_bits": DocumentKey(
            accept=_bits,
            description="bits of a counter that begins again at 0 where it is full, such as 32",
        ),
    },
    open=_open,
    link=_link,
    answers="windows",
    rank=4,
    tables={
        "number": AGGREGATE,
        "integer": AGGREGATE_INTEGER,
        "boolean": AGGREGATE,
        "text": AGGREGATE_TEXT,
    },
    functions={
        "number": _OF_NUMBERS,
        "integer": _OF_NUMBERS,
        "boolean": ("count", "avg", "first", "last"),
        "text": ("count", "unique", "first", "last", "min", "max", "top", "mode", *texts.ORDERED),
    },
    aligned_by=("every", "timezone", "function_at"),
    default_functions={
        "number": ("min", "max", "sum", "avg"),
        "integer": ("min", "max", "sum", "avg"),
        "boolean": ("avg", "last"),
        "text": ("count",),
    },
)
