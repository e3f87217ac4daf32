"""`prometheus: URL, prefix, labels`: what takes Prometheus' remote write 1.0.

POST URL   snappy(WriteRequest{series: name and labels ──> samples in milliseconds})

2xx                 taken
400, 413, 422       refused: halved until the records are found that it is about

Prometheus takes no sample that is older than the newest of its series, also if it has that very
sample. So what may be a repeat, after a failure or a start, counts as taken where it is refused so.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from struct import pack

import cramjam

from lakebed.documents.source import Path
from lakebed.ports.relays import Delivery, Record, Refusal
from lakebed.relays.targets import options as rules
from lakebed.relays.targets.posting import Poster, halved
from lakebed.relays.targets.showing import fields_of
from lakebed.relays.targets.target import Options, Surroundings, TargetKind

_REFUSED = frozenset({400, 413, 422})
_MOST_RECORDS = 500  # of one request
_TOO_LATE = re.compile("out.of.order|out.of.bounds|duplicate|too.old", re.IGNORECASE)
_HEADERS = {
    "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}  # fmt: skip
_FOREIGN = re.compile(r"[^a-zA-Z0-9_:]")
_PREFIX = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,127}\Z")
_LABEL = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,127}\Z")

Labels = tuple[tuple[str, str], ...]


class PrometheusTarget:
    """Implements `ports.relays.Target`."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        self._prefix = str(options.get("prefix", "lakebed_"))
        self._labels: Mapping[str, str] = options.get("labels", {})
        self._poster = Poster(options, around, "prometheus")
        self._repeats = True

    def position(self) -> int | None:
        return None

    def send(self, delivery: Delivery) -> Sequence[Refusal]:
        self._poster.begin()
        given: list[tuple[int, Record, dict[str, float]]] = []
        refusals: list[Refusal] = []
        for index, record in enumerate(delivery.records):
            if numbers := _numbers(record):
                given.append((index, record, numbers))
            else:
                refusals.append(Refusal(index, "it has no number and no truth value"))
        repeats, self._repeats = self._repeats, True  # if it fails, the next one does
        refused = halved(
            len(given), _MOST_RECORDS, lambda begin, end: self._post(given[begin:end], repeats)
        )
        self._repeats = False
        refusals += [Refusal(given[one.index][0], one.reason) for one in refused]
        return sorted(refusals, key=lambda refusal: refusal.index)

    def close(self) -> None:
        self._poster.close()

    def _post(
        self, given: Sequence[tuple[int, Record, dict[str, float]]], repeats: bool
    ) -> Sequence[Refusal] | str:
        body = bytes(cramjam.snappy.compress_raw(self._request(given)))
        answer = self._poster.post("", body, _HEADERS)
        if answer.is_success:
            return ()
        if repeats and len(given) == 1 and _TOO_LATE.search(answer.text):
            return ()
        if answer.status_code in _REFUSED:
            return self._poster.said(answer)
        raise self._poster.unavailable(answer)

    def _request(self, given: Sequence[tuple[int, Record, dict[str, float]]]) -> bytes:
        """A WriteRequest; of equal times of a series the last one counts."""
        series: dict[Labels, dict[int, float]] = defaultdict(dict)
        for _, record, numbers in given:
            for name, value in numbers.items():
                series[self._series(record, name)][record.time // 1000] = value
        return b"".join(
            _field(1, b"".join(map(_label, labels)) + b"".join(map(_sample, sorted(at.items()))))
            for labels, at in series.items()
        )

    def _series(self, record: Record, name: str) -> Labels:
        """Labels of a series, sorted by name."""
        labels = {
            "topic": record.topic, "policy": record.policy,
            "field": str(record.values.get("field", "")), **self._labels,
            "__name__": _FOREIGN.sub("_", self._prefix + name),
        }  # fmt: skip
        return tuple(sorted((label, text) for label, text in labels.items() if text))


def _field(number: int, data: bytes) -> bytes:
    """A field of protobuf that has a length."""
    return bytes((number << 3 | 2,)) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _label(label: tuple[str, str]) -> bytes:
    name, value = label
    return _field(1, _field(1, name.encode()) + _field(2, value.encode()))


def _sample(sample: tuple[int, float]) -> bytes:
    moment, value = sample
    return _field(2, b"\x09" + pack("<d", value) + b"\x10" + _varint(moment & 2**64 - 1))


def _numbers(record: Record) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in fields_of(record).items()
        if isinstance(value, int | float) and abs(value) < 1e300
    }


def _check_prefix(value: object) -> object:
    if not isinstance(value, str) or not _PREFIX.match(value):
        raise ValueError("the begin of a name: letters, digits, _ and :, first no digit")
    return value


def _check_labels(value: object) -> object:
    if not isinstance(value, Mapping) or len(value) > 32:
        raise ValueError("a mapping of at most 32 labels to texts, such as {site: north}")
    for name, text in value.items():
        if not isinstance(name, str) or not _LABEL.match(name):
            raise ValueError(f"{name!r} is no name of a label")
        rules.text(1024)(text)
    return value


def _check(options: Options) -> Sequence[tuple[Path, str]]:
    found = list(
        rules.problems(
            options,
            {
                "prometheus": rules.url("https", "http", example="https://HOST/api/v1/write"),
                "prefix": _check_prefix,
                "labels": _check_labels,
                "token": rules.secret,
                "user": rules.text(256),
                "password": rules.secret,
                "headers": rules.headers,
            },
        )
    )
    return [*found, *rules.together(options, found, "user", "password")]


KIND = TargetKind(
    name="prometheus",
    keys={
        "prefix": "begin of the names of metrics; lakebed_ if not given",
        "labels": "further labels, by name",
        "token": "secret with a bearer token",
        "user": "who signs in, instead of a token",
        "password": "secret with the password of `user`",
        "headers": "further headers, texts or secrets",
    },
    check=_check,
    open=PrometheusTarget,
    exact="once: equal series and time are one sample",
)
