"""What a policy does to messages. Every expected outcome is written down by hand."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakebed.policies.document import parse
from lakebed.policies.outcomes import Outcome as O  # noqa: N817  # the tables stay narrow
from lakebed.policies.pipeline import Pipeline, Result
from lakebed.vocabulary.time_parsing import from_rfc3339
from lakebed.vocabulary.times import DAY, SECOND

NOW = from_rfc3339("2026-05-01T12:00:00Z")


def pipeline(**document: Any) -> Pipeline:
    base = {"name": "it", "topics": ["#"], "type": "number", "keep": "last_n", "count": 9}
    merged = {k: v for k, v in (base | document).items() if v is not None}
    return Pipeline(parse(merged, "owner"), DAY)


def run(
    steps: Pipeline,
    payloads: list[bytes],
    times: list[int] | None = None,
    channel: list[int] | None = None,
) -> Result:
    n = len(payloads)
    return steps.run(
        np.array(channel or [0] * n, np.int32),
        payloads,
        np.array(times if times is not None else [NOW] * n, np.int64),
        np.full(n, NOW, np.int64),
    )


NUMBERS = [
    (b"21.5", 21.5),
    (b"-3e2", -300.0),
    (b" 7\r\n", 7.0),
    (b"+5", 5.0),  # printf("%+g")
    (b".5", 0.5),
    (b"1e-400", 0.0),  # too small for float64 is zero, as everywhere
    (b"9007199254740993", 9007199254740992.0),  # 2**53 + 1 goes to even
    (b"0.1", 0.1),
    (b"", O.NOT_A_NUMBER),
    (b"warm", O.NOT_A_NUMBER),
    (b"1_000", O.NOT_A_NUMBER),
    (b"0x1F", O.NOT_A_NUMBER),
    (b"1,5", O.NOT_A_NUMBER),
    (b"1 2", O.NOT_A_NUMBER),
    (b"true", O.NOT_A_NUMBER),
    (b"\xd9\xa3", O.NOT_A_NUMBER),  # the Arabic digit three
    (b"1\x00", O.NOT_A_NUMBER),
    (b"NaN", O.NOT_FINITE),
    (b"-inf", O.NOT_FINITE),
    (b"Infinity", O.NOT_FINITE),
    (b"1e400", O.OUT_OF_RANGE),
    (b"-1e400", O.OUT_OF_RANGE),
    (b"9" * 400, O.OUT_OF_RANGE),
]


@pytest.mark.parametrize(("payload", "expected"), NUMBERS)
def test_a_number_is_read_or_the_reason_said(payload: bytes, expected: float | O) -> None:
    result = run(pipeline(), [b"1", payload, b"2"])
    if isinstance(expected, O):
        assert result.outcomes.tolist() == [O.KEPT, expected, O.KEPT]
        assert result.numbers is not None
        assert result.numbers.tolist() == [1.0, 2.0]
        assert result.kept.tolist() == [0, 2]
    else:
        assert result.numbers is not None
        assert result.numbers.tolist() == [1.0, expected, 2.0]


AT = [
    # (type, pointer, payload, value or outcome)
    ("number", "/c", b'{"c": 21.5}', 21.5),
    ("number", "/c", b'{"c": 21}', 21.0),
    ("number", "/c", b'{"c": "21.5"}', 21.5),  # devices that quote their numbers
    ("number", "/c", b'{"c": "1_0"}', O.NOT_A_NUMBER),
    ("number", "/c", '{"c": "٣"}'.encode(), O.NOT_A_NUMBER),
    ("number", "/c", b'{"c": "nan"}', O.NOT_FINITE),
    ("number", "/c", b'{"c": true}', O.NOT_A_NUMBER),
    ("number", "/c", b'{"c": null}', O.NOT_A_NUMBER),
    ("number", "/c", b'{"c": {}}', O.NOT_A_NUMBER),
    ("number", "/c", b'{"c": 1e400}', O.OUT_OF_RANGE),
    ("number", "/c", b'{"c": ' + b"9" * 400 + b"}", O.OUT_OF_RANGE),
    ("number", "/c", b'{"c": ' + b"9" * 5000 + b"}", O.OUT_OF_RANGE),
    ("number", "/c", b'{"c": 1, "other": 1e400}', 1.0),
    ("number", "/c", b'{"c": NaN}', O.NOT_JSON),
    ("number", "/c", b'{"d": 1}', O.MISSING_PATH),
    ("number", "/c", b"21.5", O.MISSING_PATH),
    ("number", "/c", b"[1]", O.MISSING_PATH),
    ("number", "/c", b'{"c": 1', O.NOT_JSON),
    ("number", "/c", b"", O.NOT_JSON),
    ("number", "/c", b"[" * 100_000, O.TOO_DEEP),
    ("number", "/c", b'{"x": ' + b"[" * 511 + b"]" * 511 + b', "c": 1}', 1.0),
    ("number", "/c", b'{"x": ' + b"[" * 512 + b"]" * 512 + b', "c": 1}', O.TOO_DEEP),
    ("number", "/c", b'{"c": 1, "x": [' + b"{}," * 600 + b"[]]}", 1.0),  # beside each other
    ("number", "/c", b'{"c": 1, "x": "' + b"[" * 600 + b'"}', 1.0),  # of a text
    ("number", "/c", b'{"c": 1, "x": "\\\\", "y": "\\"' + b"[" * 600 + b'"}', 1.0),
    ("text", "/c", b'{"c": ' + b"[" * 990 + b"]" * 990 + b"}", O.TOO_DEEP),
    ("json", "/c", b'{"c": ' + b"[" * 990 + b"]" * 990 + b"}", O.TOO_DEEP),
    ("number", "/c", b'{"c": 1, "x": "\xff"}', O.NOT_JSON),
    ("number", "/c", b'{"c": 1, "c": 2}', 2.0),  # the last counts
    ("number", "/c", b'{"\\u0063": 1}', 1.0),  # an escaped key is that key
    ("number", "", b"21.5", 21.5),
    ("number", "/a/1/b", b'{"a": [0, {"b": 3}]}', 3.0),
    ("number", "/a/01/b", b'{"a": [0, {"b": 3}]}', O.MISSING_PATH),  # RFC 6901, section 4
    ("number", "/a/-", b'{"a": [0]}', O.MISSING_PATH),
    ("number", "/a/1", b'{"a": {"1": 4}}', 4.0),
    ("number", "/a~1b/m~0n", b'{"a/b": {"m~n": 5}}', 5.0),
    ("number", "/", b'{"": 6}', 6.0),
    ("text", "/c", b'{"c": "on"}', "on"),
    ("text", "/c", b'{"c": 21.5}', "21.5"),
    ("text", "/c", b'{"c": true}', "true"),
    ("text", "/c", b'{"c": 10000000000000000000000001}', "10000000000000000000000001"),
    ("text", "/c", b'{"c": 1.10}', "1.10"),  # a version, not a number
    ("text", "/c", b'{"c": 1e2}', "1e2"),
    ("text", "/c", b'{"c": 1e22}', "1e22"),
    ("text", "/c", b'{"c":-0.0}', "-0.0"),
    ("text", "/c", b'{"c": 1e400}', "1e400"),
    ("text", "/c/1", b'{"c": [0, 2.50]}', "2.50"),
    ("text", "/c", b'{"c": %b}' % (b"9" * 5000), "9" * 5000),
    ("text", "/c", b'{"c": null}', O.NOT_TEXT),
    ("text", "/c", b'{"c": ["on"]}', O.NOT_TEXT),
    ("text", "/c", b'{"c": "a\\u0000b"}', O.NOT_TEXT),
    ("text", "/c", b'{"c": "\\ud800"}', O.NOT_TEXT),
    ("text", "/c", b'{"c": "\\ud83d\\ude00"}', "😀"),
    ("json", "/c", b'{"c": {"a": [1, 2.5, "\xc3\xa4"]}}', '{"a":[1,2.5,"ä"]}'),
    ("json", "/c", b'{"c": null}', "null"),
    ("json", "/c", b'{"c": "\\ud800"}', '"\\ud800"'),
    ("json", "/c", b'{"c": [1e400]}', "[1e400]"),
    ("json", "/c", b'{"c": {"v" : [ 1.10, 1e22 ]}}', '{"v":[1.10,1e22]}'),
    ("json", "/a/0/c", b'{"a": [{"c": {"\\u00e9": 1.10}}]}', '{"\\u00e9":1.10}'),
    ("json", "", b' [1.10, "a b"] ', '[1.10,"a b"]'),
    ("json", "", b'{ "c": 1 }', '{"c":1}'),
    ("json", "/d", b'{"c": 1}', O.MISSING_PATH),
    ("json", None, b' { "c": 1.50 } ', ' { "c": 1.50 } '),  # as it was sent
    ("json", None, b"1e400", "1e400"),
    ("json", None, b'"\\ud800"', '"\\ud800"'),
    ("json", None, b"{", O.NOT_JSON),
    ("json", None, b"", O.NOT_JSON),
    ("json", None, b"NaN", O.NOT_JSON),
    ("json", None, b"01", O.NOT_JSON),
    ("json", None, b'"\xff"', O.NOT_JSON),
    ("json", None, b"[" * 100_000 + b"]" * 100_000, O.TOO_DEEP),
    ("json", None, b"[" * 513 + b"]" * 513, O.TOO_DEEP),
    ("json", None, b"[" * 512 + b"]" * 512, "[" * 512 + "]" * 512),
    ("json", None, b'{"a":' * 990 + b"1" + b"}" * 990, O.TOO_DEEP),
    ("text", None, "grün".encode(), "grün"),
    ("text", None, b"", ""),
    ("text", None, b"\xff", O.NOT_TEXT),
    ("text", None, b"\xc3", O.NOT_TEXT),
    ("text", None, b"a\0b", O.NOT_TEXT),
]


@pytest.mark.parametrize(("type", "at", "payload", "expected"), AT)
def test_a_value_is_picked_or_the_reason_said(
    type: str, at: str | None, payload: bytes, expected: float | str | O
) -> None:
    steps = pipeline(type=type, at=at)
    good = b'{"c": 1, "d": 1, "a": [0, {"b": 1}], "": 1, "a/b": {"m~n": 1}}'
    for payloads in ([payload], [good, payload]):  # alone, and among others
        result = run(steps, payloads)
        outcome = result.outcomes[-1]
        if isinstance(expected, O):
            assert outcome == expected
        else:
            assert outcome == O.KEPT
            values = result.texts if result.numbers is None else result.numbers.tolist()
            assert values is not None
            assert values[-1] == expected


TIMES = [
    # (time in the payload, outcome or the time it means)
    (b"1777636800", NOW),
    (b"1777636800.25", NOW + SECOND // 4),
    (b'"2026-05-01T12:00:00Z"', NOW),
    (b'"2026-05-01T14:00:00.5+02:00"', NOW + SECOND // 2),
    (b'"1777636800"', NOW),
    (b"0", 0),
    (b"-1", O.OUT_OF_RANGE_TIME),
    (b"1777723200", NOW + DAY),  # as far ahead as is allowed
    (b"1777723201", O.OUT_OF_RANGE_TIME),
    (b"1777636800000", NOW),
    (b"1777636800000.25", NOW + 250),
    (b"1777636800000000", NOW),
    (b"1777636800000000000", NOW),
    (b'"1777636800250"', NOW + SECOND // 4),
    (b"4102444800", O.OUT_OF_RANGE_TIME),
    (b"1e300", O.BAD_TIME),
    (b"1e400", O.BAD_TIME),
    (b"9" * 30, O.BAD_TIME),
    (b"true", O.BAD_TIME),
    (b"null", O.BAD_TIME),
    (b'"noon"', O.BAD_TIME),
    (b'"2026-05-01T12:00:00"', NOW),  # no zone: UTC
    (b'"2026-05-01 14:00:00,25 +0200"', NOW + SECOND // 4),
    (b'"nan"', O.BAD_TIME),
    (b"[]", O.BAD_TIME),
]


@pytest.mark.parametrize(("time", "expected"), TIMES)
@pytest.mark.parametrize("type", ["number", "json"])
def test_the_event_time_is_read_from_the_payload(type: str, time: bytes, expected: int | O) -> None:
    steps = pipeline(type=type, at="/v" if type == "number" else None, time_at="/t")
    for others in ([], [b'{"v": 1, "t": 1}'], [b'{"v": 1, "t": 1.5}']):
        result = run(steps, [*others, b'{"v": 1, "t": %b}' % time])
        if isinstance(expected, O):
            assert result.outcomes[-1] == expected
        else:
            assert result.outcomes[-1] == O.KEPT
            assert result.times[-1] == expected


def test_what_a_number_counts_and_the_zone_of_a_text_can_be_said() -> None:
    steps = pipeline(at="/v", time_at="/t", time_unit="ms", time_zone="Europe/Berlin")
    payloads = [b'{"v": 1, "t": 5000}', b'{"v": 1, "t": "2026-05-01T14:00:00"}']
    assert run(steps, payloads).times.tolist() == [5 * SECOND, NOW]
    assert run(steps, payloads[:1]).times.tolist() == [5 * SECOND]


def test_the_zone_of_windows_is_that_of_times_unless_another_is_said() -> None:
    minutes = {
        "keep": "aggregate",
        "count": None,
        "every": "1h",
        "for": "7d",
        "timezone": "Europe/Berlin",
    }
    payload = [b'{"v": 1, "t": "2026-05-01T14:00:00"}']
    assert run(pipeline(at="/v", time_at="/t", **minutes), payload).times.tolist() == [NOW]
    steps = pipeline(at="/v", time_at="/t", time_zone="UTC", **minutes)
    assert run(steps, payload).outcomes.tolist() == [O.KEPT]
    assert run(steps, payload).times.tolist() == [NOW + 2 * 3600 * SECOND]


@pytest.mark.parametrize(
    ("future", "ahead", "kept"),
    [
        ("5m", 300, True),
        ("5m", 301, False),
        ("0s", 0, True),
        ("0s", 1, False),
        ("9d", 86_401, False),
    ],
)
def test_a_policy_may_allow_less_of_the_future(future: str, ahead: int, kept: bool) -> None:
    steps = pipeline(limits={"future": future})
    outcome = O.KEPT if kept else O.OUT_OF_RANGE_TIME
    assert run(steps, [b"1"], [NOW + ahead * SECOND]).outcomes.tolist() == [outcome]


def test_a_message_without_a_time_in_it_may_have_the_one_it_came_with() -> None:
    steps = pipeline(at="/v", time_at="/t", time_else="received")
    payloads = [b'{"v": 1, "t": 5}', b'{"v": 1}', b'{"v": 1, "t": "soon"}', b"{", b'{"t": 5}']
    result = run(steps, payloads)
    assert result.outcomes.tolist() == [O.KEPT, O.KEPT, O.KEPT, O.NOT_JSON, O.MISSING_PATH]
    assert result.times.tolist() == [5 * SECOND, NOW, NOW]


def test_a_payload_without_the_event_time_lacks_a_path() -> None:
    steps = pipeline(at="/v", time_at="/v/t")
    assert run(steps, [b'{"v": 1}']).outcomes.tolist() == [O.MISSING_PATH]
    steps = pipeline(at="/v/x", time_at="/v/t")
    payloads = [b'{"v": {"x": 3, "t": 5}}', b'{"v": {"x": 3}}', b'{"v": 3}', b"{}"]
    result = run(steps, payloads)
    assert result.outcomes.tolist() == [O.KEPT, *[O.MISSING_PATH] * 3]
    assert result.times.tolist() == [5 * SECOND]


def test_a_policy_holds_from_its_first_instant_to_before_its_last() -> None:
    steps = pipeline(active={"from": "2026-05-01T10:00:00Z", "until": "2026-05-01T11:00:00Z"})
    times = [
        from_rfc3339(f"2026-05-01T{clock}Z")
        for clock in ("09:59:59.999999", "10:00:00", "10:59:59.999999", "11:00:00")
    ]
    result = run(steps, [b"1"] * 4, times)
    assert result.outcomes.tolist() == [O.INACTIVE, O.KEPT, O.KEPT, O.INACTIVE]
    assert result.times.tolist() == times[1:3]


@pytest.mark.parametrize("keep", ["window", "archive", "aggregate"])
def test_what_its_retention_has_passed_over_is_late(keep: str) -> None:
    document = {"keep": keep, "for": "1h", "count": None}
    if keep == "aggregate":
        document["every"] = "1m"
    hour = 3600 * SECOND
    result = run(pipeline(**document), [b"1"] * 3, [NOW - hour - 1, NOW - hour, NOW - hour + 1])
    assert result.outcomes.tolist() == [O.LATE, O.LATE, O.KEPT]


FILTERS = [
    # (document, payloads, outcomes)
    ({"filter": {"min": -40, "max": 125}}, [b"-40.1", b"-40", b"125", b"126"],
     [O.MIN, O.KEPT, O.KEPT, O.MAX]),
    ({"filter": {"allow": [1, 2.5]}}, [b"1", b"2.50", b"3"], [O.KEPT, O.KEPT, O.ALLOW]),
    ({"filter": {"deny": [-999]}}, [b"-999.0", b"1"], [O.DENY, O.KEPT]),
    ({"type": "text", "filter": {"allow": ["on", "off"], "deny": ["off"]}},
     [b"on", b"off", b"On"], [O.KEPT, O.DENY, O.ALLOW]),
    ({"filter": {"max_size": 3}}, [b"123", b"1234", b"warm", b"x"],
     [O.KEPT, O.MAX_SIZE, O.MAX_SIZE, O.NOT_A_NUMBER]),
    ({"type": "text", "filter": {"max_size": 3}}, [b"1234", b"123"], [O.MAX_SIZE, O.KEPT]),
    ({"at": "/v", "time_at": "/t", "filter": {"max_size": 16}},
     [b'{"v": 1,       "t": 0}', b'{"v": 1, "t": 0}'], [O.MAX_SIZE, O.KEPT]),
    ({"filter": {"unique": True}}, [b"1", b"1.0", b"2", b"1"],
     [O.KEPT, O.UNIQUE, O.KEPT, O.KEPT]),
    # a filtered value is not the one before: 99 does not part the two 1s
    ({"filter": {"unique": True, "max": 50}}, [b"1", b"99", b"1"], [O.KEPT, O.MAX, O.UNIQUE]),
    ({"type": "json", "filter": {"unique": True}}, [b"[1]", b"[1]", b"[ 1]"],
     [O.KEPT, O.UNIQUE, O.KEPT]),
    ({"type": "text", "filter": {"unique": True}}, [b"x" * 99, b"x" * 99, b"x" * 98 + b"y"],
     [O.KEPT, O.UNIQUE, O.KEPT]),
    # filters see the value as it arrived, before it is scaled
    ({"filter": {"max": 50}, "transform": {"scale": 10}}, [b"50", b"51"], [O.KEPT, O.MAX]),
]  # fmt: skip


@pytest.mark.parametrize(("document", "payloads", "outcomes"), FILTERS)
def test_filters_drop_with_a_reason(
    document: dict[str, Any], payloads: list[bytes], outcomes: list[O]
) -> None:
    assert run(pipeline(**document), payloads).outcomes.tolist() == outcomes


def test_max_rate_counts_from_the_message_kept_before() -> None:
    steps = pipeline(filter={"max_rate": "10s"})
    seconds = [0, 9, 10, 19.999999, 20, 5, 14, 40]
    expected = [O.KEPT, O.MAX_RATE, O.KEPT, O.MAX_RATE, O.KEPT, O.KEPT, O.MAX_RATE, O.KEPT]
    times = [NOW - 3600 * SECOND + round(s * SECOND) for s in seconds]
    assert run(steps, [b"1"] * 8, times).outcomes.tolist() == expected


def test_channels_are_filtered_apart() -> None:
    steps = pipeline(filter={"max_rate": "10s", "unique": True})
    result = run(steps, [b"1"] * 4, [NOW, NOW, NOW + SECOND, NOW + 60 * SECOND], [0, 7, 0, 7])
    assert result.outcomes.tolist() == [O.KEPT, O.KEPT, O.MAX_RATE, O.UNIQUE]


def test_what_one_filter_drops_does_not_count_for_the_other() -> None:
    steps = pipeline(filter={"max_rate": "10s", "unique": True})
    payloads = [b"1", b"2", b"1", b"1", b"2", b"3"]
    seconds = [0, 5, 12, 22, 23, 24]
    # 2 comes too soon, so the second 1 repeats the first; it is not kept, so 23 is far enough
    expected = [O.KEPT, O.MAX_RATE, O.UNIQUE, O.UNIQUE, O.KEPT, O.MAX_RATE]
    result = run(steps, payloads, [NOW + s * SECOND for s in seconds])
    assert result.outcomes.tolist() == expected


TRANSFORMS = [
    ({"scale": 0.1, "offset": 5}, b"215", 26.5),
    ({"round": 2}, b"21.456", 21.46),
    ({"round": 0}, b"2.5", 2.0),  # half to even
    ({"round": 1}, b"-0.01", 0.0),
    ({"round": 15}, b"123456789.123456789", 123456789.123456789),  # nothing there to round
    ({"round": 15}, b"1e300", 1e300),
    ({"scale": 1.8, "offset": 32, "round": 1}, b"36.6", 97.9),  # Celsius to Fahrenheit
]


@pytest.mark.parametrize(("transform", "payload", "expected"), TRANSFORMS)
def test_numbers_are_scaled_and_rounded(
    transform: dict[str, Any], payload: bytes, expected: float
) -> None:
    result = run(pipeline(transform=transform), [payload])
    assert result.numbers is not None
    assert result.numbers.tolist() == [expected]
    assert str(result.numbers[0]) == str(expected)  # -0.0 == 0.0, but it reads badly


def test_a_number_scaled_beyond_float64_is_out_of_range() -> None:
    result = run(pipeline(transform={"scale": 1e300}), [b"1", b"1e300", b"2"])
    assert result.outcomes.tolist() == [O.KEPT, O.OUT_OF_RANGE, O.KEPT]
    assert result.kept.tolist() == [0, 2]
    assert len(result.times) == 2


@pytest.mark.parametrize(
    ("slice", "expected"), [([0, 3], "grü"), ([None, -1], "grü"), ([2, None], "ün"), ([9, 12], "")]
)
def test_text_is_cut_by_characters(slice: list[int | None], expected: str) -> None:
    result = run(pipeline(type="text", transform={"slice": slice}), ["grün".encode()])
    assert result.texts == [expected]


def test_an_empty_batch_passes_through() -> None:
    for document in ({}, {"type": "text"}, {"type": "json"}, {"at": "/a", "time_at": "/b"}):
        result = run(pipeline(**document, filter={"max_size": 5, "unique": True}), [])
        assert len(result.outcomes) == len(result.kept) == len(result.times) == 0


PAYLOADS = st.sampled_from(
    [b"1", b"1.0", b"2", b"+3", b"1e400", b"nan", b"x", b"", b"\xc3", b"\xa4", b"{}", b"[", b"\0",
     b'{"v": 1, "t": 1777636800}', b'{"v": "2", "t": 1777636801.5}', b'{"v": 1e400, "t": 1}',
     b'{"v": 1, "t": "2026-05-01T12:00:03Z"}', b'{"v": 2, "x": "\xff"}', b'{"v": [1]}',
     b'{"v": 3, "t": 1777636800, "deep": ' + b"[" * 3000 + b"]" * 3000 + b"}"]
)  # fmt: skip
DOCUMENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["number", "text", "json"])},
    optional={
        "at": st.sampled_from(["/v", "", "/v/0"]),
        "filter": st.fixed_dictionaries(
            {},
            optional={
                "unique": st.just(True),
                "max_rate": st.sampled_from(["1s", "2s"]),
                "max_size": st.sampled_from([1, 30]),
            },
        ),
    },
)


@settings(deadline=None, max_examples=300)
@given(
    DOCUMENTS,
    st.booleans(),
    st.lists(st.tuples(PAYLOADS, st.integers(0, 2), st.integers(0, 5)), max_size=25),
    st.sets(st.integers(0, 25)),
)
def test_how_the_stream_is_cut_into_batches_makes_no_difference(
    document: dict[str, Any],
    timed: bool,
    messages: list[tuple[bytes, int, int]],
    cuts: set[int],
) -> None:
    if timed and (document["type"] == "json" or "at" in document):
        document = document | {"time_at": "/t"}
    whole = _columns(pipeline(**document), [messages])
    edges = [0, *sorted(cut for cut in cuts if cut < len(messages)), len(messages)]
    parts = [messages[a:b] for a, b in pairwise(edges)]
    steps = pipeline(**document)
    in_parts = _columns(steps, parts)
    assert in_parts == whole
    # and it may stop and go on between any two of them
    resumed: list[Any] = []
    state = b""
    for part in parts:
        fresh = pipeline(**document)
        fresh.restore(state)
        resumed += _columns(fresh, [part])
        state = fresh.snapshot()
    assert resumed == whole


def _columns(steps: Pipeline, batches: list[list[tuple[bytes, int, int]]]) -> list[Any]:
    """Outcome, time and value of each message; None for the latter where it was dropped."""
    found: list[Any] = []
    for batch in batches:
        result = run(
            steps,
            [payload for payload, _, _ in batch],
            [NOW + second * SECOND for _, _, second in batch],
            [channel for _, channel, _ in batch],
        )
        values = result.texts if result.numbers is None else result.numbers.tolist()
        kept = iter(zip(result.times.tolist(), values or [], strict=True))
        found += [(o, next(kept) if o == O.KEPT else None) for o in result.outcomes.tolist()]
        assert (result.kept == np.flatnonzero(result.outcomes == O.KEPT)).all()
    return found
