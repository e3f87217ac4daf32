"""The policies of the attacks, and the answers that each of them promises.

What was stored, and in which order, is told by the archive of everything. From it `reference.py`,
which shares no code with Lakebed, works out what every other policy must answer and have counted.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any

from tests.cases import reference
from tests.crash.oracle import Oracle, place
from tests.server import Server, assert_sum, eventually

Document = dict[str, Any]
_COUNTED, _TOLD_APART = 1024, 2048
"""Different texts of a window up to which `top` and `unique` are exact (docs/reference)."""
SETTLE = 240.0  # seconds: with everything shrunk, on a busy machine, a backlog takes its time

_ALWAYS = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}

EVERYTHING: Document = {
    "name": "everything", "topics": ["o/#"], "type": "text", "keep": "archive", "buffer": "200ms",
}  # fmt: skip
_NUMBERS = {"topics": ["o/number/+"], "type": "number"}
_TEXTS = {"topics": ["o/text/+"], "type": "text"}
_JSON = {"topics": ["o/json/+"], "type": "json"}
_PICKED = {"topics": ["o/json/+"], "type": "number", "at": "/value"}
_FUNCTIONS = ["count", "min", "max", "sum", "avg", "first", "last", "stddev"]
_OF_TEXT = ["count", "unique", "first", "last", "min", "max", "top"]

POLICIES: list[Document] = [
    {"name": "window-number", **_NUMBERS, "keep": "window", "for": "1d", "buffer": "300ms"},
    {"name": "window-text", **_TEXTS, "keep": "window", "for": "1d", "buffer": "3s"},
    {"name": "archive-json", **_JSON, "keep": "archive", "buffer": "0s"},
    {"name": "archive-picked", **_PICKED, "keep": "archive", "transform": {"scale": 0.5}},
    {"name": "archive-rated", **_NUMBERS, "keep": "archive", "filter": {"max_rate": "1s"}},
    {"name": "ring-number", **_NUMBERS, "keep": "last_n", "count": 25, "buffer": "200ms"},
    {"name": "ring-text", **_TEXTS, "keep": "last_n", "count": 7},
    {"name": "ring-json", **_JSON, "keep": "last_n", "count": 1000},
    {"name": "last-number", **_NUMBERS, "keep": "last_value", "every": "0s"},
    {"name": "last-text", **_TEXTS, "keep": "last_value", "every": "1s"},
    {"name": "last-json", **_JSON, "keep": "last_value", "every": "2s"},
    {"name": "seconds", **_NUMBERS, "keep": "aggregate", "every": "1s", "buffer": "200ms",
     "functions": _FUNCTIONS},
    {"name": "hours", **_PICKED, "keep": "aggregate", "every": "1h", "buffer": "4s",
     "functions": _FUNCTIONS, "timezone": "Asia/Kolkata"},
    {"name": "words", **_TEXTS, "keep": "aggregate", "every": "10s", "functions": _OF_TEXT},
]  # fmt: skip

EDITED: list[Document] = [
    {**POLICIES[0], "buffer": "1s"},
    {**POLICIES[4], "buffer": "100ms"},
    {**POLICIES[5], "buffer": "2s"},
    {**POLICIES[8], "every": "1s"},
    {**POLICIES[11], "buffer": "2s"},
    {**POLICIES[12], "buffer": "500ms"},
    {**POLICIES[13], "buffer": "100ms"},
]
"""Edits that change how a policy works, and nothing of what it promises."""

SHORT: Document = {
    "name": "short", **_NUMBERS, "keep": "window", "for": "3s", "buffer": "200ms",
}  # fmt: skip
TURNING: list[Document] = [
    {"name": "turning", **_PICKED, "keep": "archive", "filter": {"min": bound}} for bound in (0, 50)
]
"""One after the other in force: values from 50 on are kept by both, those below 0 by neither."""


def check_everything(
    server: Server, oracle: Oracle, before: Mapping[str, int] = MappingProxyType({})
) -> None:
    """All answers, once the keeper has worked off what there is.

    Args:
        before: what the flow had counted before the oracle's senders began.
    """
    flow, others = server.settle(seconds=SETTLE), Counter(before)
    # counted at once, readable when the policy's buffer has been written
    records = eventually(lambda: _everything(server, flow["kept"] - others["kept"]), 60)
    oracle.check_stored(records)
    oracle.check_sum(flow, len(records), others)
    stored = sorted(records, key=place)
    by_policy = {row["policy"]: row for row in server.get("/api/v1/flow", by="policy")["policies"]}
    for counts in by_policy.values():
        assert_sum(counts)
    _check_ledger(server, flow, by_policy, records)
    messages = [_message(record) for record in stored]
    for policy in POLICIES:
        # what was counted is read once the policy's buffer has been written
        eventually(partial(_check_policy, server, policy, messages), 60)
        _check_counts(policy, messages, by_policy[policy["name"]])
    if "turning" in by_policy:
        _check_turning(server, stored, by_policy["turning"])
    if "short" in by_policy:
        _check_short(server, stored)


def _check_ledger(
    server: Server,
    flow: Mapping[str, Any],
    by_policy: Mapping[str, Mapping[str, Any]],
    records: list[Document],
) -> None:
    """The byte ledger has each message that was stored or counted, once, to the last byte.

    Args:
        records: the archive of everything, which has been compared with what was sent.
    """
    ledger = partial(server.get, "/api/v1/ledger", **_ALWAYS)
    by_topic = ledger(by="topic")
    totals, rows = by_topic["totals"], {row["topic"]: row for row in by_topic["rows"]}
    assert (totals["in_messages"], totals["kept_messages"]) == (
        flow["received"] - flow["lost"], flow["kept"],
    ), (totals, flow)  # fmt: skip
    assert by_topic["rest"]["in_messages"] == 0
    for part in ("in_messages", "in_bytes", "kept_messages", "kept_bytes"):
        assert totals[part] == sum(row[part] for row in rows.values()), part
    stored: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        stored[record["topic"]].update(kept_messages=1, kept_bytes=record["size"])
    for topic, kept in stored.items():
        assert {part: rows[topic][part] for part in kept} == kept, topic
    assert not [t for t, row in rows.items() if row["kept_messages"] and t.startswith("nobody/")]
    heard = server.get("/api/v1/topics", limit=100_000)["topics"]
    told = {
        (topic, row["in_messages"], row["in_bytes"])
        for topic, row in rows.items()
        if row["in_messages"]  # others are filters that records were read by
    }
    counted = {(topic["topic"], topic["received"], topic["bytes"]) for topic in heard}
    assert told == counted, (told - counted, counted - told)
    found = {
        row["policy"]: (row["in_messages"], row["kept_messages"])
        for row in ledger(by="policy")["rows"]
    }
    for name, counts in by_policy.items():
        if counts["received"]:
            assert found[name] == (counts["received"], counts["kept"]), name


def _everything(server: Server, kept: int) -> list[Document]:
    records = server.records("o/#", EVERYTHING["name"], limit=10_000)
    assert len(records) >= kept, f"{kept} messages are kept, {len(records)} can be read"
    return records


def _message(record: dict[str, Any]) -> reference.Message:
    """As it lies in the journal; every event time is near the arrival, so that none is late."""
    line = {
        "topic": record["topic"],
        "payload": record["value"],
        "received": record["time"],
        "time": record["time"],
        "id": record.get("id", ""),
    }
    return reference.Message(line)


def _check_policy(server: Server, policy: Document, messages: list[reference.Message]) -> bool:
    kept, _ = reference.keep(policy, messages)
    if policy["keep"] == "aggregate":
        expected = reference.windows(policy, kept, datetime.now(UTC))
    else:
        expected = reference.raw_rows(policy, kept)
    found = server.records("#", policy["name"], limit=10_000)
    _assert_rows(found, expected, policy["name"])
    return True


def _check_counts(
    policy: Document, messages: list[reference.Message], counts: dict[str, Any]
) -> None:
    _, outcomes = reference.keep(policy, messages)
    reasons = Counter(outcomes.values())
    told = Counter(counts["filtered"]) + Counter(kept=counts["kept"])
    assert told == reasons, f"{policy['name']}: counted {told}, must be {reasons}"


def _assert_rows(found: list[Document], expected: list[Document], name: str) -> None:
    key = ("topic", "start") if expected and "start" in expected[0] else ("topic", "time", "value")

    def order(row: Document) -> list[str]:
        return [json.dumps(row[part]) for part in key]

    have, want = sorted(found, key=order), sorted(expected, key=order)
    assert len(have) == len(want), f"{name}: {len(have)} rows, must be {len(want)}"
    for row, right in zip(have, want, strict=True):
        for field in right:
            if field != "complete":  # a matter of the moment of asking
                assert _as_promised(field, row, right), f"{name}: {row} must be {right}"


def _as_promised(field: str, row: Document, right: Document) -> bool:
    """Of very many different texts in one window, `top` and `unique` promise less."""
    found, value, different = row[field], right[field], right.get("unique", 0)
    if field == "top" and different > _COUNTED:
        counts = [entry["count"] for entry in found]
        return all(count >= entry["count"] for count, entry in zip(counts, value, strict=True))
    if field == "unique" and different > _TOLD_APART:
        return math.isclose(found, value, rel_tol=0.1)
    return _same(found, value)


def _same(found: Any, right: Any) -> bool:
    if isinstance(right, float) and isinstance(found, (int, float)):
        return math.isclose(found, right, rel_tol=1e-9, abs_tol=1e-6)
    return bool(found == right)


def _check_turning(server: Server, stored: list[Document], counts: dict[str, Any]) -> None:
    """A policy that was edited to and fro: what both versions keep is there, and nothing else."""
    values = {
        place(record): json.loads(record["value"])["value"]
        for record in stored
        if record["topic"].startswith("o/json/")
    }
    rows = server.records("#", "turning", limit=10_000)
    found = {place(row): row["value"] for row in rows}
    assert len(found) == len(rows) == counts["kept"]
    assert all(values[position] == value for position, value in found.items())
    assert min(found.values(), default=0) >= 0
    missing = {p for p, value in values.items() if value >= 50} - found.keys()
    assert not missing, f"turning: {len(missing)} not kept, such as {sorted(missing)[:5]}"


def _check_short(server: Server, stored: list[Document]) -> None:
    """A window answers with nothing that its clock calls past, and nothing that was not stored.

    Records leave at the end of the second in which they become too old. The earlier of two looks
    at the clock counts, because the machine's own may be set back meanwhile.
    """
    asked = datetime.now(UTC)
    rows = server.records("#", "short", limit=10_000)
    asked = min(asked, datetime.now(UTC)) + server.clock_offset
    known = {place(record): float(record["value"]) for record in stored
             if record["topic"].startswith("o/number/")}  # fmt: skip
    for row in rows:
        assert datetime.fromisoformat(row["time"]) > asked - timedelta(seconds=4), (row, asked)
        assert known[place(row)] == row["value"]
