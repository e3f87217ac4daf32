"""`lakebed: URL, token: "secret:NAME"`: another Lakebed, which stores each message once.

POST URL/api/v1/messages/batch      {"topic", "value" or "payload_base64", "time", "id"} a line
202 {"accepted", "rejected"}   lines that were rejected are refused
422                            so were all of them

The id of a message begins with `lakebed:` and is the same whenever it is sent again, so it takes
effect once as long as the other remembers it. A message that has such an id came from a Lakebed
itself: it is not sent on, or two mirrors of each other would never end.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx
import msgspec

from lakebed.documents.source import Path
from lakebed.ports.relays import Delivery, Record, Refusal, TargetUnavailable
from lakebed.relays.targets import options as rules
from lakebed.relays.targets.posting import Poster, halved
from lakebed.relays.targets.showing import body_of, encode, json_value, text_of
from lakebed.relays.targets.target import Options, Surroundings, TargetKind
from lakebed.vocabulary.owners import is_slug
from lakebed.vocabulary.times import to_rfc3339
from lakebed.vocabulary.topics import check_topic

RELAYED = "lakebed:"
"""Begins the ids of messages that a Lakebed has sent to another."""

_PATH = "/api/v1/messages/batch"
_HEADERS = {"Content-Type": "application/x-ndjson"}


class _Rejected(msgspec.Struct):
    line: int
    error: str = ""


class _Answer(msgspec.Struct):
    rejected: tuple[_Rejected, ...] = ()
    accepted: int = 0


_decode = msgspec.json.Decoder(_Answer).decode


class LakebedTarget:
    """Implements `ports.relays.Target`."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        self._owner: str | None = options.get("owner")
        self._topic = str(options.get("topic", "{topic}"))
        self._forward = bool(options.get("forward", False))
        self._prefix = f"{RELAYED}{around.relay.rpartition('/')[0]}:"
        self._poster = Poster(options, around, "lakebed")

    def position(self) -> int | None:
        return None

    def send(self, delivery: Delivery) -> Sequence[Refusal]:
        self._poster.begin()
        refusals: list[Refusal] = []
        lines: list[tuple[int, bytes]] = []
        for index, record in enumerate(delivery.records):
            if not self._forward and _is_relayed(record):
                continue
            try:
                lines.append((index, self._line(record)))
            except ValueError as error:
                refusals.append(Refusal(index, str(error)))
        rejected = halved(len(lines), len(lines) or 1, lambda b, e: self._post(lines[b:e], b))
        refusals += [Refusal(lines[one.index][0], one.reason) for one in rejected]
        return sorted(refusals, key=lambda refusal: refusal.index)

    def close(self) -> None:
        self._poster.close()

    def _line(self, record: Record) -> bytes:
        topic = rules.filled(self._topic, partial(text_of, record))
        check_topic(topic)
        line: dict[str, Any] = {
            "topic": topic, **json_value(body_of(record)), "time": to_rfc3339(record.time),
            "id": self._id(record),
        }  # fmt: skip
        return encode(line)

    def _id(self, record: Record) -> str:
        """The same after a rewind, and of no other instance: who else read it at that time?"""
        if _is_relayed(record):
            return record.attributes["message_id"]
        moment = record.received if record.payload is not None else record.time
        return f"{self._prefix}{record.id}:{moment}"

    def _post(self, lines: Sequence[tuple[int, bytes]], begin: int) -> Sequence[Refusal] | str:
        body = b"\n".join(line for _, line in lines)
        parameters = None if self._owner is None else {"owner": self._owner}
        answer = self._poster.post(_PATH, body, _HEADERS, parameters, compress=True)
        if answer.status_code == 413:
            return self._poster.said(answer)
        if answer.status_code not in (202, 422):
            raise self._poster.unavailable(answer)
        return [
            Refusal(begin + one.line - 1, f"the other Lakebed: {one.error[:300]}")
            for one in _answered(answer, len(lines)).rejected
        ]


def _is_relayed(record: Record) -> bool:
    return record.attributes.get("message_id", "").startswith(RELAYED)


def _answered(answer: httpx.Response, count: int) -> _Answer:
    """What became of the lines.

    Raises:
        TargetUnavailable: this is no answer of a Lakebed.
    """
    try:
        found = _decode(answer.content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = _Answer()
    lines = {one.line for one in found.rejected}
    if found.accepted + len(lines) != count or not all(1 <= line <= count for line in lines):
        raise TargetUnavailable("the target does not answer as a Lakebed")
    return found


def _check_topic(value: object) -> object:
    check_topic(rules.filled(rules.template(value), lambda name: "x"))
    return value


def _check_owner(value: object) -> object:
    if not isinstance(value, str) or not is_slug(value):
        raise ValueError("the name of an owner: a to z, 0 to 9 and hyphens")
    return value


def _check(options: Options) -> Sequence[tuple[Path, str]]:
    return rules.problems(
        options,
        {
            "lakebed": rules.url("https", "http", example="https://HOST"),
            "token": rules.secret,
            "topic": _check_topic,
            "owner": _check_owner,
            "forward": rules.flag,
        },
        needed=("token",),
    )


KIND = TargetKind(
    name="lakebed",
    keys={
        "token": "secret with a token of the other, that may publish to the topics",
        "topic": 'template of the topic there; "{topic}" if not given',
        "owner": "whose topics they are there; of the token if not given",
        "forward": "whether messages that came from another Lakebed are sent on",
    },
    check=_check,
    open=LakebedTarget,
    batch=2000,
    exact="once, as long as the other remembers ids",
)
