"""The policy document: what is accepted, what is refused and with which words."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakebed.kinds import aggregate
from lakebed.policies.document import parse, to_document
from lakebed.vocabulary.errors import Invalid
from lakebed.vocabulary.policy import Filter, Policy, Transform
from lakebed.vocabulary.time_parsing import from_rfc3339
from lakebed.vocabulary.times import DAY, HOUR, MINUTE, SECOND
from lakebed.vocabulary.widths import MONTH

LAST: dict[str, Any] = {"name": "it", "topics": ["a/+"], "type": "number", "keep": "last_value"}
JSON_TIME = LAST | {"type": "json", "time_at": "/t"}
RING = LAST | {"keep": "last_n", "count": 5}
WINDOW = LAST | {"keep": "window", "for": "1h"}
SUMS = LAST | {"keep": "aggregate", "every": "15m"}
TEXT = RING | {"type": "text"}
JSON = RING | {"type": "json"}


def without(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}


def problems(document: Any, **more: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        parse(document, "owner", **more)
    return {problem.where: problem.what for problem in caught.value.problems}


def test_the_smallest_documents_get_their_defaults() -> None:
    assert parse(LAST, "ann") == Policy(
        "ann", "it", ("a/+",), "number", "last_value", every=SECOND, buffer=0
    )
    assert parse(RING, "ann").buffer == SECOND
    assert parse(WINDOW, "ann", version=7).version == 7
    sums = parse(SUMS, "ann", default_timezone="Europe/Berlin")
    assert sums.functions == ("min", "max", "sum", "avg")
    assert sums.timezone == "Europe/Berlin"
    assert parse(SUMS | {"type": "text"}, "ann").functions == ("count",)


def test_a_full_document_is_read() -> None:
    document = {
        "name": "raw-day",
        "topics": ["plant/+/temperature", "#"],
        "type": "number",
        "at": "/celsius",
        "time_at": "/ts",
        "keep": "aggregate",
        "for": "7d",
        "every": "6h",
        "buffer": 90,
        "functions": ["p99", "avg"],
        "timezone": "Asia/Kathmandu",
        "active": {"from": "2026-01-01T00:00:00Z", "until": 1782844200},
        "filter": {"max_rate": "1s", "unique": True, "min": -40, "max": 125, "allow": [1, 2.5],
                   "deny": [3], "max_size": "64KiB"},
        "transform": {"scale": 0.1, "offset": 1, "round": 2},
    }  # fmt: skip
    assert parse(document, "ann") == Policy(
        "ann",
        "raw-day",
        ("plant/+/temperature", "#"),
        "number",
        "aggregate",
        at="/celsius",
        time_at="/ts",
        span=7 * DAY,
        every=6 * HOUR,
        buffer=90 * SECOND,
        functions=("p99", "avg"),
        timezone="Asia/Kathmandu",
        time_zone="Asia/Kathmandu",
        active_from=from_rfc3339("2026-01-01T00:00:00Z"),
        active_until=from_rfc3339("2026-06-30T18:30:00Z"),
        filter=Filter(SECOND, True, -40, 125, frozenset({1.0, 2.5}), frozenset({3.0}), 65536),
        transform=Transform(0.1, 1, 2),
        options={"counter_bits": None},
    )
    sliced = parse(TEXT | {"transform": {"slice": [None, 20]}}, "ann")
    assert sliced.transform == Transform(slice=(None, 20))


@pytest.mark.parametrize("type", ["number", "text", "json"])
@pytest.mark.parametrize("keep", ["last_value", "last_n", "window", "archive", "aggregate"])
def test_the_matrix_of_types_and_kinds_holds(type: str, keep: str) -> None:
    needs = {"last_n": {"count": 5}, "window": {"for": "1h"}, "aggregate": {"every": "1m"}}
    document = without(LAST, "keep") | {"type": type, "keep": keep} | needs.get(keep, {})
    if type == "json" and keep in ("window", "aggregate"):
        assert "number, integer, boolean or text" in problems(document)["keep"]
    else:
        assert parse(document, "ann").keep == keep


ACTIVE = [
    ("always", None, None),
    ({}, None, None),
    ({"from": 5}, 5 * SECOND, None),
    ({"until": "1970-01-01T00:00:07.5Z"}, None, 7_500_000),
    ({"from": "5", "until": 6}, 5 * SECOND, 6 * SECOND),
    ({"from": None, "until": 6}, None, 6 * SECOND),
]


@pytest.mark.parametrize(("active", "start", "until"), ACTIVE)
def test_a_policy_holds_always_or_from_or_until(
    active: Any, start: int | None, until: int | None
) -> None:
    policy = parse(RING | {"active": active}, "ann")
    assert (policy.active_from, policy.active_until) == (start, until)


EVERY = [("1s", SECOND), ("16s", 16 * SECOND), ("15m", 15 * MINUTE), (900, 15 * MINUTE),
         ("1h", HOUR), ("8h", 8 * HOUR), ("24h", DAY), ("1d", DAY), ("1w", 7 * DAY), ("1mo", MONTH),
         ("3mo", 3 * MONTH), ("1y", 12 * MONTH)]  # fmt: skip


@pytest.mark.parametrize(("every", "micros"), EVERY)
def test_a_window_with_a_place_in_the_calendar_is_taken(every: Any, micros: int) -> None:
    assert parse(SUMS | {"every": every}, "ann").every == micros


REFUSED = [
    # (document, where, words of the message)
    ([], "", "mapping"),
    ("x", "", "mapping"),
    (without(LAST, "name"), "name", "needs a name"),
    (LAST | {"name": None}, "name", "needs a name"),
    (without(LAST, "topics"), "topics", "needs topics"),
    (without(LAST, "type"), "type", "number, integer, boolean, text or json"),
    (without(LAST, "keep"), "keep", "last_value, last_n, window, archive or aggregate"),
    (LAST | {"name": "a b"}, "name", "letters, digits"),
    (LAST | {"name": "-a"}, "name", "the first a letter or digit"),
    (LAST | {"name": "a" * 65}, "name", "1 to 64"),
    (LAST | {"name": "a\n"}, "name", "letters"),
    (LAST | {"name": 7}, "name", 'put 7 into quotes ("7")'),
    (LAST | {"topics": "a/+"}, "topics", "list of topic filters in brackets"),
    (LAST | {"topics": []}, "topics", "1 to 64"),
    (LAST | {"topics": [str(i) for i in range(65)]}, "topics", "1 to 64"),
    (LAST | {"topics": ["a", "a"]}, "topics", "'a' is listed twice"),
    (LAST | {"topics": ["a", "a/#/b"]}, "topics[1]", "# must be the last level"),
    (LAST | {"topics": [5]}, "topics[0]", "quotes"),
    (LAST | {"type": "image"}, "type", "not available in this version"),
    (LAST | {"type": "binary"}, "type", "not available in this version"),
    (LAST | {"type": "float"}, "type", "allowed are number, integer, boolean, text or json"),
    (LAST | {"type": ["number"]}, "type", "is text"),
    (LAST | {"keep": "file"}, "keep", "not available in this version"),
    (LAST | {"keep": "timelapse"}, "keep", "not available in this version"),
    (LAST | {"keep": "lastvalue"}, "keep", "did you mean last_value?"),
    (LAST | {"evry": "1s"}, "evry", "did you mean every?"),
    (LAST | {"retention": "1s"}, "retention", "allowed are name, topics"),
    (LAST | {"min": 3}, "min", "belongs under `filter`"),
    (LAST | {"filter": {"every": 3}}, "filter.every", "belongs to the policy itself"),
    (LAST | {"filter": {"unqiue": True}}, "filter.unqiue", "did you mean unique?"),
    (LAST | {"filter": [1]}, "filter", "mapping"),
    (LAST | {1: 2}, "", "a key is text"),
    # keys of other kinds
    (LAST | {"for": "1h"}, "for", "`for` belongs to keep: window, archive or aggregate"),
    (LAST | {"count": 3}, "count", "`count` belongs to keep: last_n, not to last_value"),
    (LAST | {"buffer": "1m"}, "buffer", "`buffer` belongs to"),
    (WINDOW | {"every": "1m"}, "every", "`every` belongs to keep: last_value or aggregate"),
    (WINDOW | {"functions": ["min"]}, "functions", "`functions` belongs to keep: aggregate"),
    (WINDOW | {"timezone": "UTC"}, "timezone", "`timezone` belongs to keep: aggregate"),
    # keys a kind needs
    (without(WINDOW, "for"), "for", "keep: window needs `for`, such as `for: 24h`"),
    (without(SUMS, "every"), "every", "keep: aggregate needs `every`"),
    (without(RING, "count"), "count", "keep: last_n needs `count`"),
    # ranges
    (WINDOW | {"for": "0s"}, "for", "1s to"),
    (WINDOW | {"for": "999w"}, "for", "3653d"),
    (WINDOW | {"for": "1 day"}, "for", "is not a duration such as"),
    (WINDOW | {"for": "9" * 400 + "s"}, "for", "a duration is at most"),
    (WINDOW | {"for": True}, "for", "is not a duration"),
    (WINDOW | {"for": float("nan")}, "for", "is not a duration"),
    (WINDOW | {"buffer": "25h"}, "buffer", "0s to 1d"),
    (LAST | {"every": "25h"}, "every", "0s to 24h"),
    (LAST | {"every": "1mo"}, "every", "0s to 24h"),
    (RING | {"count": 0}, "count", "whole number from 1 to 1000000"),
    (RING | {"count": 1_000_001}, "count", "whole number"),
    (RING | {"count": 1.5}, "count", "whole number"),
    (RING | {"count": True}, "count", "whole number"),
    # windows
    (SUMS | {"counter_bits": 7}, "counter_bits", "no number of bits from 8 to 64"),
    (SUMS | {"counter_bits": "32"}, "counter_bits", "no number of bits from 8 to 64"),
    (WINDOW | {"counter_bits": 32}, "counter_bits", "belongs to keep: aggregate"),
    (SUMS | {"type": "text", "counter_bits": 32}, "counter_bits", "belongs to type: number"),
    (SUMS | {"every": "2d"}, "every", "the nearest that do are 24h and 7d"),
    (SUMS | {"every": "2w"}, "every", "a window of 2w begins with no certain day"),
    (SUMS | {"every": "30d"}, "every", "the nearest that do are 7d and 1mo"),
    (SUMS | {"every": "5mo"}, "every", "the nearest that do are 4mo and 6mo"),
    (SUMS | {"every": "2y"}, "every", "a window of 2y is outside of 1s to 1y"),
    (SUMS | {"every": "1.5mo"}, "every", "is not a duration"),
    (SUMS | {"every": "0mo"}, "every", "outside of 1s to 1y"),
    (SUMS | {"every": "7m"}, "every", "the nearest that do are 6m and 10m"),
    (SUMS | {"every": "90m"}, "every", "the nearest that do are 1h and 2h"),
    (SUMS | {"every": "5h"}, "every", "the nearest that do are 4h and 6h"),
    (SUMS | {"every": "1500ms"}, "every", "the nearest that do are 1s and 2s"),
    (SUMS | {"every": "500ms"}, "every", "outside of 1s to 1y"),
    (SUMS | {"every": 0}, "every", "outside of 1s to 1y"),
    (SUMS | {"functions": ["mean"]}, "functions[0]", "no function of type number"),
    (SUMS | {"functions": ["unique"]}, "functions[0]", "no function of type number"),
    (SUMS | {"type": "text", "functions": ["sum"]}, "functions[0]", "no function of type text"),
    (SUMS | {"functions": ["min", "min"]}, "functions", "'min' is listed twice"),
    (SUMS | {"functions": []}, "functions", "1 to 16"),
    (SUMS | {"timezone": "Europe/Berlim"}, "timezone", "Did you mean Europe/Berlin?"),
    (SUMS | {"timezone": "Europe"}, "timezone", "IANA"),
    (SUMS | {"timezone": "../etc/passwd"}, "timezone", "IANA"),
    (SUMS | {"timezone": "a" * 9999}, "timezone", "IANA"),
    (SUMS | {"timezone": ["UTC"]}, "timezone", "is text"),
    (SUMS | {"timezone": 2}, "timezone", "quotes"),
    # pointers
    (LAST | {"at": "celsius"}, "at", "begins with a slash"),
    (LAST | {"at": "/a~2"}, "at", "after ~"),
    (LAST | {"at": "/" * 1025}, "at", "1024"),
    (LAST | {"time_at": "/ts"}, "time_at", "say type: json, or pick the value with `at`"),
    (LAST | {"time_unit": "ms"}, "time_unit", "give time_at too"),
    (LAST | {"time_zone": "Europe/Berlin"}, "time_zone", "give time_at too"),
    (LAST | {"encoding": "hex"}, "encoding", "allowed are utf-8, i8"),
    (LAST | {"encoding": "f32le", "at": "/v"}, "encoding", "JSON is always utf-8"),
    (LAST | {"type": "json", "strip": True}, "strip", "integer, boolean or text"),
    (LAST | {"strip": "yes"}, "strip", "true or false"),
    (LAST | {"decimal": ";"}, "decimal", "allowed are . or ,"),
    (LAST | {"type": "text", "decimal": ","}, "decimal", "belongs to type: number"),
    (LAST | {"map": ["ON"]}, "map", "write a mapping"),
    (LAST | {"map": {}}, "map", "1 to 1000"),
    (LAST | {"map": {"ON": "1"}}, "map", "'1' is not a number"),
    (LAST | {"type": "text", "map": {"a": "b\0"}}, "map", "U+0000"),
    (LAST | {"type": "text", "map": {"a": "\ud800"}}, "map", "U+0000"),
    (LAST | {"map": {"x" * 257: 1}}, "map", "256 characters"),
    (JSON_TIME | {"time_unit": "m"}, "time_unit", "allowed are auto, s, ms, us or ns"),
    (JSON_TIME | {"time_zone": "Berlin"}, "time_zone", "Did you mean"),
    (JSON_TIME | {"time_else": "now"}, "time_else", "allowed are refuse or received"),
    # active
    (LAST | {"active": "never"}, "active", "write always"),
    (LAST | {"active": {"from": 6, "until": 6}}, "active.until", "must lie after from"),
    (LAST | {"active": {"from": "2026-01-01"}}, "active.from", "RFC 3339"),
    (LAST | {"active": {"from": 20260101}}, "active.from", "write 2026-01-01T00:00:00Z"),
    (LAST | {"active": {"until": 1e22}}, "active.until", "years 1 to 9999"),
    (LAST | {"active": {"until": -7e10}}, "active.until", "years 1 to 9999"),
    (LAST | {"active": {"untill": 5}}, "active.untill", "did you mean until?"),
    # filters and transforms
    (LAST | {"filter": {"min": 3, "max": 2}}, "filter.max", "max 2 is below min 3"),
    (LAST | {"filter": {"min": "3"}}, "filter.min", "'3' is not a number"),
    (LAST | {"filter": {"min": float("inf")}}, "filter.min", "finite"),
    (LAST | {"filter": {"min": 10**400}}, "filter.min", "float64"),
    (TEXT | {"filter": {"min": 3}}, "filter.min", "number or integer, not to text"),
    (JSON | {"filter": {"deny": ["x"]}}, "filter.deny", "belongs to type: number, integer or text"),
    (LAST | {"filter": {"allow": ["x"]}}, "filter.allow[0]", "is not a number"),
    (TEXT | {"filter": {"allow": ["x", 1]}}, "filter.allow[1]", "quotes"),
    (LAST | {"filter": {"allow": []}}, "filter.allow", "1 to 10000"),
    (LAST | {"filter": {"unique": "yes"}}, "filter.unique", "true or false"),
    (LAST | {"filter": {"max_rate": "fast"}}, "filter.max_rate", "duration"),
    (LAST | {"filter": {"max_size": "64 kilo"}}, "filter.max_size", "64KiB"),
    (LAST | {"filter": {"max_size": 0}}, "filter.max_size", "1 byte"),
    (LAST | {"transform": {"round": 16}}, "transform.round", "from 0 to 15"),
    (LAST | {"transform": {"slice": [0, 1]}}, "transform.slice", "belongs to type: text"),
    (TEXT | {"transform": {"slice": [0]}}, "transform.slice", "two positions"),
    (TEXT | {"transform": {"slice": [0, "1"]}}, "transform.slice", "whole number"),
    (TEXT | {"transform": {"scale": 2}}, "transform.scale", "belongs to type: number"),
    (JSON | {"transform": {"slice": [0, 1]}}, "transform.slice", "belongs to type: text"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "where", "words"), REFUSED)
def test_what_is_wrong_is_said_where_it_is(document: Any, where: str, words: str) -> None:
    found = problems(document)
    assert list(found) == [where]
    assert words in found[where]
    assert len(found[where]) < 300


def test_all_problems_are_found_at_once() -> None:
    document = {"name": "a b", "keep": "window", "type": "json", "count": 3, "foo": 1,
                "time_at": "x", "filter": {"min": 3, "max_size": -1}}  # fmt: skip
    assert set(problems(document)) == {
        "name", "topics", "keep", "for", "count", "foo", "time_at", "filter.min", "filter.max_size",
    }  # fmt: skip


def test_a_default_zone_that_does_not_exist_is_a_problem_of_the_document() -> None:
    assert "time zone" in problems(SUMS, default_timezone="Mars/Olympus")["timezone"]


KEYS = ["name", "topics", "type", "keep", "at", "time_at", "for", "every", "count", "buffer",
        "functions", "timezone", "active", "filter", "transform", "from", "until", "min", "max",
        "allow", "deny", "unique", "max_rate", "max_size", "scale", "round", "slice"]  # fmt: skip
ANYTHING = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
        st.sampled_from(["1s", "number", "aggregate", "text", "Europe", "/a", 10**400]),
    ),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([LAST, RING, WINDOW, SUMS, TEXT, JSON]),
    st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=5),
)
def test_whatever_is_written_it_is_read_or_refused_in_words(
    base: dict[str, Any], more: dict[str, Any]
) -> None:
    try:
        policy = parse(base | more, "ann")
    except Invalid:
        return
    assert parse(to_document(policy), "ann") == policy


NUMBER = st.one_of(st.integers(-(10**6), 10**6), st.floats(-1e300, 1e300))
SPAN = st.sampled_from(["1s", "90s", "1500ms", "24h", "25h", "7d", "2w", 3600, 0.25])
WORD = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
MOMENT = st.one_of(
    st.none(), st.integers(0, 10**9), st.just("1969-07-20T20:17:40.123456Z"), st.floats(0, 1e9)
)


def several(items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, min_size=1, unique=True)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    type = draw(st.sampled_from(["number", "text", "json"]))
    keeps = ["last_value", "last_n", "archive"] + ["window", "aggregate"] * (type != "json")
    keep = draw(st.sampled_from(keeps))
    maybe: dict[str, Any] = {"filter": {}, "transform": {}}
    document: dict[str, Any] = {
        "name": draw(st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")),
        "topics": draw(several(st.sampled_from(["a", "+/b", "#", "$s/ä"]))),
        "type": type,
        "keep": keep,
    }  # fmt: skip
    if keep == "last_n":
        document["count"] = draw(st.integers(1, 10**6))
    if keep == "window" or (keep in ("archive", "aggregate") and draw(st.booleans())):
        document["for"] = draw(SPAN.filter(lambda span: span != 0.25))
    if keep == "aggregate":
        widths = ["1s", "16s", "15m", "1h", "24h", 7200, "7d", "1w", "1mo", "3 mo", "12mo", "1y"]
        document["every"] = draw(st.sampled_from(widths))
        maybe["functions"] = draw(
            st.lists(st.sampled_from(aggregate.KIND.functions[type]), min_size=1, unique=True)
        )
        maybe["timezone"] = draw(st.sampled_from(["UTC", "Europe/Berlin"]))
    if keep == "last_value":
        maybe["every"] = draw(st.sampled_from([0, "250us", "24h", 7]))
    else:
        maybe["buffer"] = draw(st.sampled_from([0, "1m", "24h", 0.5]))
    maybe["active"] = draw(st.one_of(st.just("always"), st.builds(lambda a: {"from": a}, MOMENT)))
    maybe["at"] = draw(st.sampled_from(["", "/a~0/0"]))
    maybe["filter"] = {
        "unique": draw(st.booleans()),
        "max_rate": draw(st.none() | st.just("250ms")),
        "max_size": draw(st.none() | st.integers(1, 10**6) | st.just("64KiB")),
    }
    if type == "number":
        maybe["filter"] |= {
            "min": draw(NUMBER),
            "deny": draw(several(NUMBER)),
        }
        maybe["transform"] = {"scale": draw(NUMBER), "round": draw(st.integers(0, 15))}
    if type == "text":
        maybe["filter"]["allow"] = draw(several(WORD))
        maybe["transform"] = {"slice": draw(st.sampled_from([[0, 20], [None, -1], [3, None]]))}
    kept = draw(st.sets(st.sampled_from(sorted(maybe))))
    return document | {key: maybe[key] for key in kept}


@settings(deadline=None)
@given(documents())
def test_a_policy_written_back_is_the_same_policy(document: dict[str, Any]) -> None:
    policy = parse(document, "ann", version=3, default_timezone="Asia/Kathmandu")
    written = to_document(policy)
    assert parse(written, "ann", version=3) == policy
    assert to_document(parse(written, "ann", version=3)) == written
