"""Decodes requests of remote write into messages: each sample one, and each native histogram.

    up{instance="a:9090", job="node"} 1 @1769860800000   ──>   up/a:9090/node   1
    └ NAME  └ LABELVALUES, sorted by name

A series is taken whole or not at all. Markers of staleness (a certain NaN) are no values: they are
counted as written, and make no message. Exemplars, metadata and start times are not kept.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from google.protobuf.message import DecodeError

from lakebed.http.problems import TooLarge
from lakebed.sources.http import numbers
from lakebed.sources.http.ndjson import MOST_LINES, Decoded, Sender
from lakebed.sources.http.remote_write import histograms
from lakebed.sources.http.remote_write import remote_write_1_pb2 as series_1
from lakebed.sources.http.remote_write import remote_write_2_pb2 as series_2
from lakebed.sources.http.remote_write.plain_series import (
    decode_series,
    labels_end,
    symbols_of,
    varint,
)
from lakebed.sources.http.topic_cache import Topics
from lakebed.vocabulary.errors import BadRequest, Denied, show
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.time_parsing import SENT_TIMES, parse_time
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.topic_templates import fill, level, tag_levels

MOST_LABELS = 1_000
"""Most labels of a series."""

_NAME = "__name__"
_STALE = struct.pack("<Q", 0x7FF0000000000002)
"""The NaN by which a sender says that a series has ended (StaleNaN of Prometheus' model/value)."""
_TIMES = SENT_TIMES._replace(unit="ms")
_BAD = (ValueError, DecodeError, Denied)


class _Sample(Protocol):
    @property
    def value(self) -> float: ...

    @property
    def timestamp(self) -> int: ...


class Way(NamedTuple):
    """How a request's series are read.

    Attributes:
        sender: who sends them.
        template: of topics; valid.
        topics: the channels of series; a cache of this sender and template.
    """

    sender: Sender
    template: str
    topics: Topics


@dataclass(slots=True)
class Written:
    """What a request holds.

    Attributes:
        found: its messages, and the series that are rejected, counted from 1.
        samples, histograms: how many of them are taken, also markers of staleness.
        times: the event times of time stamps; most samples of a request share theirs.
    """

    found: Decoded = field(default_factory=Decoded)
    samples: int = 0
    histograms: int = 0
    times: dict[int, Micros] = field(default_factory=dict)


def version_1(body: bytes, way: Way) -> Written:
    """A `prometheus.WriteRequest`.

    Raises:
        BadRequest: it is none.
        TooLarge: it holds more than MOST_LINES samples.
    """

    def channel_of(raw: bytes, series: series_1.TimeSeries) -> Channel:
        key = raw[: labels_end(raw, 0, len(raw))]
        return way.topics.get(key) or way.topics.keep(
            key, len(key), _channel(_labels(series.labels), way)
        )

    return _read(body, way, None, series_1.WriteRequest, series_1.TimeSeries, channel_of)


def version_2(body: bytes, way: Way) -> Written:
    """An `io.prometheus.write.v2.Request`.

    Raises:
        BadRequest: it is none.
        TooLarge: it holds more than MOST_LINES samples.
    """
    try:
        symbols = symbols_of(body)
        if symbols is None:
            symbols = list(series_2.Request.FromString(body).symbols)
    except (DecodeError, UnicodeDecodeError):
        raise _no(series_2.Request) from None
    texts = symbols

    def channel_of(_: bytes, series: series_2.TimeSeries) -> Channel:
        try:
            key = tuple([texts[reference] for reference in series.labels_refs])
        except IndexError:
            raise ValueError("a label refers to no symbol") from None
        channel = way.topics.get(key)
        if channel is None:
            size = sum(map(len, key)) + 60 * len(key)
            channel = way.topics.keep(key, size, _channel(_pairs(key), way))
        return channel

    return _read(body, way, symbols, series_2.Request, series_2.TimeSeries, channel_of)


def _read(
    body: bytes,
    way: Way,
    symbols: list[str] | None,
    request: Any,
    one: Any,
    channel_of: Callable[[bytes, Any], Channel],
) -> Written:
    """Take all series: those that are plain in one loop, others one by one.

    Args:
        request, one: classes of the whole and of a series.
    """
    written = Written()
    found, field = written.found, 1 if symbols is None else 5
    at, number = 0, 1
    while at < len(body):
        before = len(found.payloads)
        at, plain = decode_series(
            body, at, symbols, way.topics, written.times, way.sender.limit, MOST_LINES,
            found.channels, found.payloads, found.events,
        )  # fmt: skip
        number += plain
        written.samples += len(found.payloads) - before
        if at == len(body):
            break
        try:
            which, start, stop = _field(body, at)
            if which != field:
                request.FromString(body[at:stop])
                at = stop
                continue
            raw = body[start:stop]
            series = one.FromString(raw)
        except DecodeError:
            raise _no(request) from None
        try:
            _take(written, channel_of(raw, series), series.samples, series.histograms, way)
        except _BAD as error:
            found.reject(number, _named(error))
        at, number = stop, number + 1
    found.ids = [""] * len(found.payloads)
    return written


def _field(body: bytes, at: int) -> tuple[int, int, int]:
    """The number of the field that begins at `at`, and where its content begins and ends."""
    tag, start = varint(body, at, len(body))
    match tag & 7:
        case _ if start < 0:
            raise DecodeError
        case 0:
            stop = varint(body, start, len(body))[1]
        case 2:
            size, start = varint(body, start, len(body))
            stop = start + size if start >= 0 else -1
        case 1 | 5 as kind:
            stop = start + (8 if kind == 1 else 4)
        case _:
            raise DecodeError
    if not 0 <= stop <= len(body):
        raise DecodeError
    return tag >> 3, start, stop


def _no(request: Any) -> BadRequest:
    return BadRequest("body", f"it is not the protobuf {request.DESCRIPTOR.full_name}")


def _named(error: Exception) -> Exception:
    return ValueError("a label is no text") if isinstance(error, DecodeError) else error


def _labels(encoded: Sequence[bytes]) -> list[tuple[str, str]]:
    if len(encoded) > MOST_LABELS:
        raise _too_many_labels()
    return [(label.name, label.value) for label in map(series_1.Label.FromString, encoded)]


def _pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    if len(texts) > 2 * MOST_LABELS:
        raise _too_many_labels()
    if len(texts) % 2:
        raise ValueError("a label has no value")
    return list(zip(texts[::2], texts[1::2], strict=True))


def _too_many_labels() -> ValueError:
    return ValueError(f"it has more than {MOST_LABELS} labels")


def _channel(labels: list[tuple[str, str]], way: Way) -> Channel:
    """The channel of a series. A label that is empty is as one that is not there."""
    tags = {name: value for name, value in labels if value}
    if len(tags) < sum(1 for _, value in labels if value):
        raise ValueError("a label is given twice")
    name = tags.pop(_NAME, "")
    if not name:
        raise ValueError(f"it has no label {_NAME}: {show(tags)}")
    levels = {"NAME": [level(name)], **tag_levels(way.template, tags, "LABELVALUES", "LABELS")}
    return way.sender.channel(fill(way.template, levels))


def _take(
    written: Written,
    channel: Channel,
    samples: Sequence[_Sample],
    distributions: Sequence[histograms.Histogram],
    way: Way,
) -> None:
    found, times, check_size = written.found, written.times, way.sender.check_size
    taken: list[tuple[bytes, Micros]] = []
    for sample in samples:
        value, time = sample.value, sample.timestamp
        if value != value and _is_stale(value):
            continue
        event = times.get(time)
        if event is None:
            event = times[time] = parse_time(time, _TIMES)
        taken.append((check_size(numbers.written(value)), event))
    for one in distributions:
        if not _is_stale(one.sum):
            event = parse_time(one.timestamp, _TIMES)
            taken.append((check_size(histograms.payload(one)), event))
    if len(found.payloads) + len(taken) > MOST_LINES:
        raise TooLarge("body", f"it holds more than {MOST_LINES} samples: send it in pieces")
    for payload, event in taken:
        found.take(channel, payload, event, "")
    written.samples += len(samples)
    written.histograms += len(distributions)


def _is_stale(value: float) -> bool:
    return value != value and struct.pack("<d", value) == _STALE
