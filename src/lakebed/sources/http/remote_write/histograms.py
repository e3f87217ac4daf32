"""Native histograms as JSON: the fields of the protobuf, under its names."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from lakebed.sources.http.remote_write.remote_write_1_pb2 import Histogram as Histogram1
from lakebed.sources.http.remote_write.remote_write_2_pb2 import Histogram as Histogram2

Histogram: TypeAlias = Histogram1 | Histogram2


class _Span(Protocol):
    @property
    def offset(self) -> int: ...

    @property
    def length(self) -> int: ...


def payload(histogram: Histogram) -> bytes:
    """A histogram without its time stamps; what it does not have is left out."""
    found: dict[str, Any] = {
        "count": _either(histogram, "count"),
        "sum": histogram.sum,
        "schema": histogram.schema,
        "zero_threshold": histogram.zero_threshold,
        "zero_count": _either(histogram, "zero_count"),
        "negative_spans": _spans(histogram.negative_spans),
        "negative_deltas": list(histogram.negative_deltas),
        "negative_counts": list(histogram.negative_counts),
        "positive_spans": _spans(histogram.positive_spans),
        "positive_deltas": list(histogram.positive_deltas),
        "positive_counts": list(histogram.positive_counts),
        "reset_hint": _HINTS.get(histogram.reset_hint),
        "custom_values": list(histogram.custom_values),
    }
    return msgspec.json.encode({name: value for name, value in found.items() if value not in _NONE})


_NONE: tuple[object, ...] = (None, [])
_HINTS = {1: "yes", 2: "no", 3: "gauge"}


def _either(histogram: Histogram, name: str) -> int | float:
    """A count, which is an integer or a float."""
    given: str | None = histogram.WhichOneof(name)
    return 0 if given is None else getattr(histogram, given)


def _spans(spans: Sequence[_Span]) -> list[dict[str, int]]:
    return [{"offset": span.offset, "length": span.length} for span in spans]
