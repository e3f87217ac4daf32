"""What the policies of a case must keep, worked out one message at a time.

    python tests/cases/reference.py [--write] [CASE ...]

It shares nothing with the program under test: the standard library, exact fractions, no columns,
no batches, no state that is saved. YAML is read with PyYAML. Where a rule could be read in two
ways, the comment says which reading is meant. `--write` makes the files `expected.json` anew; they
are to be read by a person before they are committed.
"""

import base64
import json
import math
import re
import statistics
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

CASES = Path(__file__).parent
FUTURE = timedelta(days=1)  # how far ahead of its arrival an event time may lie
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NEAREST = (
    "kept", "unique", "max_rate", "deny", "allow", "max", "min", "late", "inactive",
    "out_of_range_time", "bad_time", "out_of_range", "not_finite", "not_a_number", "not_text",
    "missing_path", "not_json", "max_size", "too_many", "too_deep", "not_an_integer",
    "not_a_boolean", "dead_letter", "skipped",
)  # fmt: skip
"""Outcomes; a message under several policies counts in the whole by the first of these."""

DEFAULT_FUNCTIONS = {
    "number": ["min", "max", "sum", "avg"],
    "integer": ["min", "max", "sum", "avg"],
    "boolean": ["avg", "last"],
    "text": ["count"],
}
IN_ORDER = ("increase", "rate", "delta", "time_weighted_avg", "durations")
Bounds = tuple[datetime, datetime | None]  # of a window; its end once that has passed
SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
SIZES = {"KiB": 1024, "MiB": 1024**2, "": 1}


class Dropped(Exception):
    """The message is not kept; the argument is the outcome."""


# --- reading a case -------------------------------------------------------------------------------


def instant(text: Any) -> datetime:
    """RFC 3339, or seconds since the epoch."""
    if isinstance(text, datetime):
        return text.astimezone(UTC)
    if isinstance(text, str):
        return datetime.fromisoformat(text).astimezone(UTC)
    return EPOCH + timedelta(microseconds=round(Fraction(text) * 1_000_000))


def span(text: Any) -> timedelta:
    if not isinstance(text, str):
        return timedelta(seconds=text)
    number, unit = re.fullmatch(r"([\d.]+)(\w)", text).groups()  # type: ignore[union-attr]
    return timedelta(seconds=float(number) * SPANS[unit])


def size(text: Any) -> int:
    number, unit = re.fullmatch(r"(\d+)(\w*)", str(text)).groups()  # type: ignore[union-attr]
    return int(number) * SIZES[unit]


def show(moment: datetime) -> str:
    kind = "milliseconds" if moment.microsecond % 1000 == 0 else "microseconds"
    kind = "seconds" if moment.microsecond == 0 else kind
    return moment.replace(tzinfo=None).isoformat(timespec=kind) + "Z"


class Message:
    def __init__(self, line: dict[str, Any]) -> None:
        self.topic = line["topic"]
        if "payload" in line:
            self.payload = line["payload"].encode()
        else:
            self.payload = base64.b64decode(line["payload_base64"])
        self.received = instant(line["received"])
        self.given = instant(line["time"]) if "time" in line else self.received
        self.id = line.get("id", "")


def read_messages(case: Path) -> list[Message]:
    lines = (case / "input.ndjson").read_text(encoding="utf-8").split("\n")
    return [Message(json.loads(line)) for line in lines if line.strip()]


def read_policies(case: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((case / "policy.yaml").read_text())["policies"]
    return found


# --- one message under one policy -----------------------------------------------------------------


def under(filter: str, topic: str) -> bool:
    """MQTT 5.0 section 4.7: + is one level, # the rest and the parent; neither begins a $topic."""
    if topic.startswith("$") and filter[0] in "+#":
        return False
    levels, names = filter.split("/"), topic.split("/")
    for place, level in enumerate(levels):
        if level == "#":
            return True
        if place >= len(names) or level not in ("+", names[place]):
            return False
    return len(levels) == len(names)


def refuse(constant: str) -> None:
    raise ValueError(constant)


def document_of(payload: bytes) -> Any:
    try:
        return json.loads(payload.decode("utf-8"), parse_constant=refuse)
    except ValueError:
        raise Dropped("not_json") from None


def follow(document: Any, pointer: str) -> Any:
    """RFC 6901."""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif (
            isinstance(document, list)
            and re.fullmatch("0|[1-9][0-9]*", step)
            and int(step) < len(document)
        ):
            document = document[int(step)]
        else:
            raise Dropped("missing_path")
    return document


def number_in(text: str) -> float:
    text = text.strip()
    if re.fullmatch(r"[+-]?(nan|inf|infinity)", text, re.IGNORECASE):
        raise Dropped("not_finite")
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII):
        raise Dropped("not_a_number")
    return within(float(text))


def within(number: float) -> float:
    if math.isinf(number):
        raise Dropped("out_of_range")
    return number


def parts_of(policy: dict[str, Any], payload: bytes) -> list[tuple[int, str, bytes]]:
    """Element, field and JSON of each part of a message that holds a value."""
    if "function_at" in policy:
        return [(0, chosen_by(policy, payload), payload)]
    names = list(policy.get("fields", [""]))
    if "split" not in policy:
        return [(0, name, payload) for name in names]
    elements = follow(document_of(payload), policy["split"])
    if not isinstance(elements, list) or not elements:
        raise Dropped("missing_path")
    if len(elements) > 1000:
        raise Dropped("too_many")
    return [
        (place, name, json.dumps(element).encode())
        for place, element in enumerate(elements)
        for name in names
    ]


def chosen_by(policy: dict[str, Any], payload: bytes) -> str:
    """The function that a message asks for, which is its field."""
    try:
        document = document_of(payload)
        named = follow(document, policy["function_at"])
    except Dropped as dropped:
        if str(dropped) != "missing_path":
            raise
        named = None
    if named is None:
        named = policy.get("function_else")
    name = named.strip().lower() if isinstance(named, str) else ""
    if name not in policy.get("functions", DEFAULT_FUNCTIONS["number"]):
        raise Dropped("dead_letter")
    return name


def mapped(policy: dict[str, Any], value: Any) -> Any:
    """What stands for a text, or for a number or a boolean of JSON, if it is in the map."""
    known = policy.get("map", {})
    if isinstance(value, (dict, list)) or value is None:
        return value
    return known.get(value if isinstance(value, str) else json.dumps(value), value)


def value_of(policy: dict[str, Any], field: str, payload: bytes) -> tuple[Any, datetime | None]:
    """The value, and the event time where the policy reads it from the payload."""
    kind, at, time_at = policy["type"], policy.get("at"), policy.get("time_at")
    if field and "fields" in policy:
        at = policy["fields"][field]
    elif "split" in policy:
        at = at or ""
    if at is None and time_at is None:
        if "map" in policy:
            return picked(kind, mapped(policy, payload.decode())), None
        return plain(kind, payload), None
    document = document_of(payload)
    value = payload.decode() if at is None else picked(kind, mapped(policy, follow(document, at)))
    if time_at is None:
        return value, None
    given = follow(document, time_at)
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        raise Dropped("bad_time")
    try:
        if isinstance(given, str) and datetime.fromisoformat(given).tzinfo is None:
            zone = ZoneInfo(policy.get("time_zone", policy.get("timezone", "UTC")))
            return value, datetime.fromisoformat(given).replace(tzinfo=zone).astimezone(UTC)
        return value, instant(given)
    except (ValueError, OverflowError):
        raise Dropped("bad_time") from None


def integer_in(text: str) -> int:
    """A whole number, however it is written, exactly."""
    text = text.strip()
    if re.fullmatch(r"[+-]?(nan|inf|infinity)", text, re.IGNORECASE):
        raise Dropped("not_finite")
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII):
        raise Dropped("not_an_integer")
    return whole(Fraction(text))


def whole(number: Fraction) -> int:
    if abs(number) <= 2**64 and number.denominator != 1:
        raise Dropped("not_an_integer")
    if not -(2**63) <= number < 2**63:
        raise Dropped("out_of_range")
    return int(number)


def truth_of(value: Any) -> bool:
    if isinstance(value, str):
        value = {"true": True, "1": True, "false": False, "0": False}.get(value.strip())
    if value is None or isinstance(value, (dict, list)) or value not in (0, 1):
        raise Dropped("not_a_boolean")
    return bool(value)


def plain(kind: str, payload: bytes) -> Any:
    if kind == "integer":
        return integer_in(payload.decode("latin-1"))
    if kind == "boolean":
        return truth_of(payload.decode("latin-1"))
    if kind == "number":
        try:
            return number_in(payload.decode("ascii"))
        except UnicodeDecodeError:
            raise Dropped("not_a_number") from None
    if kind == "json":
        document_of(payload)
        return payload.decode()
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        raise Dropped("not_text") from None
    if "\0" in text:
        raise Dropped("not_text")
    return text


def picked(kind: str, value: Any) -> Any:
    if kind == "boolean":
        return truth_of(value)
    if kind == "integer":
        if isinstance(value, str):
            return integer_in(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Dropped("not_an_integer")
        return whole(Fraction(value)) if abs(value) < math.inf else whole(Fraction(2**70))
    if kind == "json":
        return json.dumps(value)
    if kind == "number":
        if isinstance(value, str):
            return number_in(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Dropped("not_a_number")
        return within(float(value)) if abs(value) < 2**1024 else within(math.inf)
    if isinstance(value, (dict, list)) or value is None:
        raise Dropped("not_text")
    if isinstance(value, str) and "\0" in value:
        raise Dropped("not_text")
    return value if isinstance(value, str) else json.dumps(value)


def check_time(policy: dict[str, Any], moment: datetime, received: datetime) -> None:
    if moment < EPOCH or moment > received + FUTURE:
        raise Dropped("out_of_range_time")
    active = policy.get("active", "always")
    if active != "always":
        if "from" in active and moment < instant(active["from"]):
            raise Dropped("inactive")
        if "until" in active and moment >= instant(active["until"]):
            raise Dropped("inactive")
    if "for" in policy and moment <= received - span(policy["for"]):
        raise Dropped("late")


def check_value(rules: dict[str, Any], value: Any) -> None:
    if "min" in rules and value < rules["min"]:
        raise Dropped("min")
    if "max" in rules and value > rules["max"]:
        raise Dropped("max")
    if "allow" in rules and value not in rules["allow"]:
        raise Dropped("allow")
    if "deny" in rules and value in rules["deny"]:
        raise Dropped("deny")


def transformed(rules: dict[str, Any], value: Any) -> Any:
    if isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return value[slice(*rules["slice"])] if "slice" in rules else value
    value = within(value * rules.get("scale", 1.0) + rules.get("offset", 0.0))
    return round(value, rules["round"]) if "round" in rules else value


class Record:
    """A value that was kept. `size` is that of its message, or of several an equal share."""

    def __init__(
        self, place: tuple[int, int], field: str, message: Message, moment: datetime, value: Any
    ) -> None:
        self.place, self.field, self.message = place, field, message
        self.moment, self.value, self.size = moment, value, len(message.payload)
        self.series = (message.topic, field)


def kept_of(
    policy: dict[str, Any],
    field: str,
    part: bytes,
    message: Message,
    before: dict[tuple[str, str], tuple[datetime, Any]],
) -> Record:
    """One value, if it is kept."""
    rules = policy.get("filter", {})
    value, found = value_of(policy, field, part)
    moment = found or message.given
    check_time(policy, moment, message.received)
    check_value(rules, value)
    # max_rate and unique look at the value kept before, in the order of arrival
    last = before.get((message.topic, field))
    if last and "max_rate" in rules and abs(moment - last[0]) < span(rules["max_rate"]):
        raise Dropped("max_rate")
    if last and rules.get("unique") and value == last[1]:
        raise Dropped("unique")
    before[message.topic, field] = (moment, value)
    return Record((0, 0), field, message, moment, transformed(policy.get("transform", {}), value))


def keep(policy: dict[str, Any], messages: list[Message]) -> tuple[list[Record], dict[int, str]]:
    """The messages a policy keeps, and the outcome of each that matches its topics."""
    records: list[Record] = []
    outcomes: dict[int, str] = {}
    before: dict[tuple[str, str], tuple[datetime, Any]] = {}
    rules = policy.get("filter", {})
    for place, message in enumerate(messages):
        if not any(under(filter, message.topic) for filter in policy["topics"]):
            continue
        try:
            if "max_size" in rules and len(message.payload) > size(rules["max_size"]):
                raise Dropped("max_size")
            parts = parts_of(policy, message.payload)
        except Dropped as dropped:
            outcomes[place] = str(dropped)
            continue
        kept = []
        for element, field, part in parts:
            try:
                kept.append(kept_of(policy, field, part, message, before))
                kept[-1].place = (place, element)
                outcome = "kept"
            except Dropped as dropped:
                outcome = str(dropped)
            outcomes[place] = min(outcomes.get(place, outcome), outcome, key=NEAREST.index)
        for record in kept:
            record.size = -(-record.size // len(kept))
        records += kept
    return records, outcomes


# --- what is read back ----------------------------------------------------------------------------


def shown(policy: dict[str, Any], record: Record) -> dict[str, Any]:
    value = json.loads(record.value) if policy["type"] == "json" else record.value
    row = {"topic": record.message.topic} | ({"field": record.field} if record.field else {})
    row |= {"time": show(record.moment), "value": value, "size": record.size}
    return row | ({"id": record.message.id} if record.message.id else {})


def raw_rows(policy: dict[str, Any], records: list[Record]) -> list[dict[str, Any]]:
    """window, archive, last_n and last_value, by event time and place in the journal."""
    chosen = records
    every = {record.series for record in records}
    if policy["keep"] == "last_n":  # the N that arrived last
        chosen = [
            record
            for series in every
            for record in [r for r in records if r.series == series][-policy["count"] :]
        ]
    elif policy["keep"] == "last_value":  # the latest event time, or arrival where that is sooner
        chosen = [
            max(
                (r for r in records if r.series == series),
                key=lambda r: (min(r.moment, r.message.received), r.place),
            )
            for series in every
        ]
    # of one message by field, then by element
    chosen.sort(key=lambda r: (r.moment, r.place[0], r.field, r.place[1]))
    return [shown(policy, record) for record in chosen]


def days_of(every: str, day: datetime) -> tuple[datetime, datetime]:
    """The week, months or year that hold a day: their first days, and those behind them."""
    if every in ("7d", "1w"):
        monday = day - timedelta(days=day.isoweekday() - 1)
        return monday, monday + timedelta(days=7)
    number, unit = re.fullmatch(r"(\d+)(mo|y)", every).groups()  # type: ignore[union-attr]
    months = int(number) * (12 if unit == "y" else 1)
    first = (day.month - 1) // months * months
    behind = first + months
    return (
        day.replace(month=first + 1, day=1),
        day.replace(year=day.year + behind // 12, month=behind % 12 + 1, day=1),
    )


def window(moment: datetime, width: Any, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The window that holds a moment: [start, end).

    Up to an hour: counted from the beginning of the local hour, so that an hour that comes twice
    has windows of its own each time. Longer: on the local clock from midnight on, so that the
    day on which clocks change has a longer or shorter one. So have weeks, months and years.
    """
    local = moment.astimezone(zone)
    if re.fullmatch(r"7d|1w|\d+(mo|y)", str(width)):
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        start, end = (
            edge.replace(tzinfo=zone).astimezone(UTC) for edge in days_of(width, midnight)
        )
        return max(start, EPOCH), end
    every = span(width)
    if every <= timedelta(hours=1):
        into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        start = moment - into + into // every * every
        return start, start + every
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    number = (local.replace(tzinfo=None) - midnight) // every
    edges = (midnight + number * every, midnight + (number + 1) * every)
    start, end = (edge.replace(tzinfo=zone).astimezone(UTC) for edge in edges)
    return start, end


def quantile(values: list[float], q: Fraction) -> float:
    """Linear interpolation between the two nearest ranks."""
    ordered = sorted(map(Fraction, values))
    rank = q * (len(ordered) - 1)
    low, high = math.floor(rank), math.ceil(rank)
    return float(ordered[low] + (ordered[high] - ordered[low]) * (rank - low))


def grown(before: Fraction, after: Fraction, bits: int | None) -> Fraction:
    """How much a counter grew: one that fell began again at 0, or passed its end if near."""
    if after >= before:
        return after - before
    if bits is not None and after - before + 2**bits < 2 ** (bits - 1):
        return after - before + 2**bits
    return after


def in_order(
    name: str, members: list[Record], before: Record | None, bounds: Bounds, bits: int | None
) -> Any:
    """A function of the values one after the other, each of which holds until the next.

    The last value before the window, whatever its age, is the first. The last of a window holds
    until its end, once that has passed.
    """
    start, end = bounds
    points = [(record.moment, record.value) for record in members]
    if name in ("increase", "rate", "delta"):
        points = ([(before.moment, before.value)] if before else []) + points
        if len(points) < 2:
            return None
        exact = [Fraction(value) for _, value in points]
        rises = sum((grown(a, b, bits) for a, b in pairwise(exact)), Fraction())
        seconds = Fraction((points[-1][0] - points[0][0]) // timedelta(microseconds=1), 10**6)
        if name == "rate":
            return float(rises / seconds) if seconds else None
        return float(rises if name == "increase" else exact[-1] - exact[0])
    points = ([(start, before.value)] if before else []) + points
    points += [(end, None)] if end is not None else [(points[-1][0], None)]
    held = [(value, later - moment) for (moment, value), (later, _) in pairwise(points)]
    if name == "durations":
        spans: dict[str, timedelta] = {}
        for value, length in held:
            spans[value] = spans.get(value, timedelta()) + length
        ranked = sorted(spans.items(), key=lambda pair: (-pair[1], pair[0]))
        return [{"value": value, "seconds": length.total_seconds()} for value, length in ranked]
    whole = (points[-1][0] - points[0][0]) // timedelta(microseconds=1)
    if not whole:
        return float(points[-2][1])
    weighted = sum(
        Fraction(value) * (length // timedelta(microseconds=1)) for value, length in held
    )
    return float(weighted / whole)


def function(name: str, ordered: list[Any]) -> Any:
    """One function of the values of a window, ordered by event time and arrival."""
    if name == "mode":
        return function("top", ordered)[0]["value"]
    if name in ("count", "min", "max", "first", "last", "unique", "top"):
        counts = Counter(ordered) if name in ("unique", "top") else Counter()
        top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:10]
        return {
            "count": len(ordered), "min": min(ordered), "max": max(ordered),
            "first": ordered[0], "last": ordered[-1], "unique": len(counts),
            "top": [{"value": value, "count": count} for value, count in top],
        }[name]  # fmt: skip
    exact = [Fraction(value) for value in ordered]
    if name == "sum" and isinstance(ordered[0], int):
        total = sum(ordered)
        return total if -(2**63) <= total < 2**63 else None
    if name == "sum":
        return float(sum(exact))
    if name == "avg":
        return float(sum(exact) / len(exact))
    if name == "stddev":  # of the population
        return math.sqrt(statistics.pvariance(exact))
    return quantile(ordered, Fraction(int(name.removeprefix("p")), 100))


def windows(policy: dict[str, Any], records: list[Record], now: datetime) -> list[dict[str, Any]]:
    zone = ZoneInfo(policy.get("timezone", "UTC"))
    functions = policy.get("functions", DEFAULT_FUNCTIONS[policy["type"]])
    groups: dict[tuple[datetime, datetime, str, str], list[Record]] = {}
    for record in records:
        bounds = window(record.moment, policy["every"], zone)
        groups.setdefault((*bounds, *record.series), []).append(record)
    rows = []
    for (start, end, topic, field), members in sorted(groups.items(), key=lambda item: item[0]):
        members.sort(key=lambda record: (record.moment, record.place))
        values = [record.value for record in members]
        row = {"topic": topic} | ({"field": field} if field else {})
        row |= {"start": show(start), "end": show(end), "complete": end <= now}
        row["count"] = len(values)
        former = [r for r in records if r.message.topic == topic and r.moment < start]
        before = max(former, key=lambda record: (record.moment, record.place), default=None)
        passed = (start, end if end <= now else None)
        if "function_at" in policy:
            rows.append(row | {"value": float(function(field, values))})
            continue
        for name in functions:
            if name in IN_ORDER:
                row[name] = in_order(name, members, before, passed, policy.get("counter_bits"))
            else:
                row[name] = function(name, values)
        rows.append(row)
    return rows


def flow(outcomes: list[str]) -> dict[str, Any]:
    counts = Counter(outcomes)
    kept, skipped, late = (counts.pop(name, 0) for name in ("kept", "skipped", "late"))
    aside = counts.pop("dead_letter", 0)
    received = len(outcomes)
    filtered = dict(sorted(counts.items()))
    return {
        "received": received, "skipped": skipped, "kept": kept, "filtered": filtered, "late": late,
        **({"dead_letter": aside} if aside else {}),
    }  # fmt: skip


def expected(case: Path, now: datetime) -> dict[str, Any]:
    """What expected.json must say.

    Args:
        case: the folder.
        now: when everything that waits is written at the latest; windows that end later are open.
    """
    messages = read_messages(case)
    nearest = ["skipped"] * len(messages)
    answer: dict[str, Any] = {"now": show(now), "records": {}, "policies": {}}
    for policy in read_policies(case):
        records, outcomes = keep(policy, messages)
        for place, outcome in outcomes.items():
            nearest[place] = min(nearest[place], outcome, key=NEAREST.index)
        if policy["keep"] == "aggregate":
            answer["records"][policy["name"]] = windows(policy, records, now)
        else:
            answer["records"][policy["name"]] = raw_rows(policy, records)
        answer["policies"][policy["name"]] = flow(list(outcomes.values()))
    answer["flow"] = flow(nearest)
    return answer


def folders() -> list[Path]:
    return sorted(path.parent for path in CASES.glob("*/policy.yaml"))


def _now(case: Path) -> datetime:
    """As an existing expected.json says, else when the last message came."""
    path = case / "expected.json"
    if path.exists():
        return instant(json.loads(path.read_text(encoding="utf-8"))["now"])
    return max(message.received for message in read_messages(case))


def _write(case: Path) -> None:
    answer = expected(case, _now(case))
    (case / "expected.json").write_text(_one_row_to_a_line(answer), encoding="utf-8")


def _one_row_to_a_line(answer: dict[str, Any]) -> str:
    def text(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    def lines(rows: list[Any]) -> str:
        return "[" + ",".join("\n   " + text(row) for row in rows) + "]"

    def block(pairs: dict[str, str]) -> str:
        return "{" + ",".join(f"\n  {text(key)}: {value}" for key, value in pairs.items()) + "}"

    records = {name: lines(rows) for name, rows in answer["records"].items()}
    policies = {name: text(counts) for name, counts in answer["policies"].items()}
    return (
        f'{{\n "now": {text(answer["now"])},\n "records": {block(records)},\n'
        f' "policies": {block(policies)},\n "flow": {text(answer["flow"])}\n}}\n'
    )


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name != "--write"]
    for folder in [CASES / name for name in names] or folders():
        if "--write" in sys.argv:
            _write(folder)
        else:
            print(json.dumps(expected(folder, _now(folder)), indent=1, ensure_ascii=False))
