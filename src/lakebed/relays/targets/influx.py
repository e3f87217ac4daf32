"""`influx: URL, bucket, org, token`: InfluxDB, or what takes its line protocol.

POST URL/api/v2/write?bucket=…&org=…&precision=us     or URL/write?db=… without a bucket

    minute,topic=plant/1 avg=21.5,count=60 1769860800000000

204                 taken; a line of the same series and time replaces the one before
400, 413, 422       refused: halved until the lines are found that it is about
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial

from lakebed.documents.source import Path
from lakebed.ports.relays import Delivery, Record, Refusal
from lakebed.relays.targets import options as rules
from lakebed.relays.targets.posting import Poster, halved
from lakebed.relays.targets.showing import fields_of, text_of
from lakebed.relays.targets.target import Options, Surroundings, TargetKind

_REFUSED = frozenset({400, 413, 422})
_MOST_LINES = 5000  # of one request, as InfluxDB advises
_IN_MEASUREMENT = re.compile(r"([, \\])")
_IN_TAG = re.compile(r"([,= \\])")
_IN_STRING = re.compile(r'(["\\])')
_BREAKS = re.compile(r"[\r\n]")
_HEADERS = {"Content-Type": "text/plain; charset=utf-8"}


class InfluxTarget:
    """Implements `ports.relays.Target`."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        self._measurement = str(options.get("measurement", "{policy}"))
        self._tags: Mapping[str, str] = options.get("tags", {"topic": "{topic}"})
        self._poster = Poster(options, around, "influx", scheme="Token")
        if "bucket" in options:
            self._path = "/api/v2/write"
            self._parameters = {"bucket": options["bucket"], "precision": "us"}
            if "org" in options:
                self._parameters["org"] = options["org"]
        else:
            self._path = "/write"
            self._parameters = {"precision": "u"}
            if "db" in options:
                self._parameters["db"] = options["db"]

    def position(self) -> int | None:
        return None

    def send(self, delivery: Delivery) -> Sequence[Refusal]:
        self._poster.begin()
        lines: list[tuple[int, bytes]] = []
        refusals: list[Refusal] = []
        for index, record in enumerate(delivery.records):
            line = self._line(record)
            if line:
                lines.append((index, line.encode()))
            else:
                refusals.append(Refusal(index, "it has no number, truth value or text"))
        refused = halved(len(lines), _MOST_LINES, lambda begin, end: self._post(lines[begin:end]))
        refusals += [Refusal(lines[one.index][0], one.reason) for one in refused]
        return sorted(refusals, key=lambda refusal: refusal.index)

    def close(self) -> None:
        self._poster.close()

    def _post(self, lines: Sequence[tuple[int, bytes]]) -> Sequence[Refusal] | str:
        body = b"\n".join(line for _, line in lines)
        answer = self._poster.post(self._path, body, _HEADERS, self._parameters)
        if answer.is_success:
            return ()
        if answer.status_code in _REFUSED:
            return self._poster.said(answer)
        raise self._poster.unavailable(answer)

    def _line(self, record: Record) -> str:
        """One line; empty where the record has no field."""
        of = partial(text_of, record)
        fields = ",".join(
            f"{_escaped(_IN_TAG, name)}={_value(value)}"
            for name, value in fields_of(record).items()
            if not (isinstance(value, float) and not math.isfinite(value))
        )
        if not fields:
            return ""
        measurement = _escaped(_IN_MEASUREMENT, rules.filled(self._measurement, of)) or "messages"
        tags = "".join(
            f",{_escaped(_IN_TAG, name)}={value}"
            for name, template in self._tags.items()
            if (value := _escaped(_IN_TAG, rules.filled(template, of)))
        )
        return f"{measurement}{tags} {fields} {record.time}"


def _escaped(special: re.Pattern[str], text: str) -> str:
    return special.sub(r"\\\1", _BREAKS.sub(" ", text))


def _value(value: float | bool | str) -> str:
    """Numbers are floats: a field of a database has one type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        quoted = _IN_STRING.sub(r"\\\1", value)
        return f'"{quoted}"'
    return repr(float(value)) if abs(value) < 2**53 else repr(value)


def _check_tags(value: object) -> object:
    if not isinstance(value, Mapping) or len(value) > 32:
        raise ValueError('a mapping of at most 32 tags to templates, such as {topic: "{topic}"}')
    for name, template in value.items():
        rules.text(256)(name)
        rules.template(template)
    return value


def _check(options: Options) -> Sequence[tuple[Path, str]]:
    found = list(
        rules.problems(
            options,
            {
                "influx": rules.url("https", "http", example="https://HOST:8086"),
                "bucket": rules.text(256),
                "org": rules.text(256),
                "db": rules.text(256),
                "token": rules.secret,
                "user": rules.text(256),
                "password": rules.secret,
                "measurement": rules.template,
                "tags": _check_tags,
                "headers": rules.headers,
            },
        )
    )
    return [*found, *rules.together(options, found, "user", "password")]


KIND = TargetKind(
    name="influx",
    keys={
        "bucket": "of InfluxDB 2 and 3",
        "org": "its organisation",
        "db": "database of InfluxDB 1, instead of a bucket",
        "token": "secret with a token",
        "user": "who signs in, instead of a token",
        "password": "secret with the password of `user`",
        "measurement": 'template; "{policy}" if not given, else `messages`',
        "tags": 'templates of tags by name; {topic: "{topic}"} if not given',
        "headers": "further headers, texts or secrets",
    },
    check=_check,
    open=InfluxTarget,
    batch=5000,
    exact="once: equal series and time replace each other",
)
