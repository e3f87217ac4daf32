"""Remote write becomes messages: each sample one, on a topic made of its labels."""

import math
import struct
from contextlib import suppress
from typing import Any

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sources.senders import SENDER

from lakebed.http.problems import TooLarge
from lakebed.sources.http.remote_write import decoding, snappy
from lakebed.sources.http.remote_write.decoding import Way, Written, version_1, version_2
from lakebed.sources.http.remote_write.remote_write_1_pb2 import Label, WriteRequest
from lakebed.sources.http.remote_write.remote_write_2_pb2 import Request
from lakebed.sources.http.topic_cache import TopicCache
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.topic_templates import REMOTE_WRITE, REMOTE_WRITE_WORDS

TIME = 1769860800_123
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
Labels = list[tuple[str, str]]
UP: Labels = [("__name__", "up"), ("job", "node"), ("instance", "a:9090")]


def one(series: list[tuple[Labels, list[float]]], time: int = TIME) -> bytes:
    """A request of version 1."""
    request = WriteRequest()
    for labels, values in series:
        added = request.timeseries.add()
        added.labels.extend(
            Label(name=name, value=value).SerializeToString() for name, value in labels
        )
        for value in values:
            added.samples.add(value=value, timestamp=time)
    return request.SerializeToString()


def two(series: list[tuple[Labels, list[float]]], time: int = TIME) -> bytes:
    """The same of version 2."""
    request = Request(symbols=[""])
    for labels, values in series:
        added = request.timeseries.add()
        for text in (text for label in labels for text in label):
            if text not in request.symbols:
                request.symbols.append(text)
            added.labels_refs.append(list(request.symbols).index(text))
        for value in values:
            added.samples.add(value=value, timestamp=time)
    return request.SerializeToString()


WAYS = [(one, version_1), (two, version_2)]
both = pytest.mark.parametrize(("encode", "read"), WAYS, ids=["1.0", "2.0"])


def way(template: str = REMOTE_WRITE) -> Way:
    return Way(SENDER, template, TopicCache().of(SENDER, REMOTE_WRITE_WORDS, template))


def messages(written: Written) -> list[tuple[str, bytes, int]]:
    found = written.found
    columns = zip(found.channels, found.payloads, found.events, strict=True)
    return [(one.topic, payload, event) for one, payload, event in columns]


@both
def test_each_sample_is_a_message_on_a_topic_of_its_labels(encode: Any, read: Any) -> None:
    written = read(encode([(UP, [1.0, 0.5]), ([("__name__", "x")], [1e22])]), way())
    assert messages(written) == [
        ("up/a:9090/node", b"1", TIME * 1000),
        ("up/a:9090/node", b"0.5", TIME * 1000),
        ("x", b"1e+22", TIME * 1000),
    ]
    assert (written.samples, written.found.refused) == (3, 0)


@both
@pytest.mark.parametrize(
    ("template", "topic"),
    [
        ("prom/{job}/NAME/LABELVALUES", "prom/node/up/a:9090"),
        ("NAME/LABELS", "up/instance=a:9090/job=node"),
        ("NAME/{zone}", "up/-"),
    ],
)
def test_a_template_says_which_topics(encode: Any, read: Any, template: str, topic: str) -> None:
    ((found, _, _),) = messages(read(encode([(UP, [1])]), way(template)))
    assert found == topic


@both
def test_labels_cannot_add_levels_or_wildcards(encode: Any, read: Any) -> None:
    labels = [("__name__", "a/b"), ("path", "/#"), ("empty", "")]
    ((topic, _, _),) = messages(read(encode([(labels, [1])]), way()))
    assert topic == "a%2Fb/%2F%23"


@both
@pytest.mark.parametrize(
    ("value", "payload"),
    [(math.nan, b"NaN"), (math.inf, b"+Inf"), (-math.inf, b"-Inf"), (-0.0, b"-0"), (3.0, b"3")],
)
def test_values_are_written_as_prometheus_does(
    encode: Any, read: Any, value: float, payload: bytes
) -> None:
    ((_, found, _),) = messages(read(encode([(UP, [value])]), way()))
    assert found == payload


@both
def test_the_end_of_a_series_is_acknowledged_and_no_value(encode: Any, read: Any) -> None:
    written = read(encode([(UP, [STALE])]), way())
    assert messages(written) == []
    assert (written.samples, written.found.refused) == (1, 0)


@both
@pytest.mark.parametrize(
    ("labels", "time", "why"),
    [
        ([("job", "x")], TIME, "no label __name__"),
        ([*UP, ("job", "y")], TIME, "given twice"),
        (UP, -1, "years 1970 to 2099"),
        (UP, 2**62, "years 1970 to 2099"),
        (UP + [(f"l{i}", "x") for i in range(1000)], TIME, "more than 1000 labels"),
    ],
)
def test_a_bad_series_is_named_and_the_others_are_taken(
    encode: Any, read: Any, labels: Labels, time: int, why: str
) -> None:
    bad = read(encode([(labels, [1.0])], time), way())
    assert messages(bad) == []
    assert [entry["line"] for entry in bad.found.rejected] == [1]
    assert why in bad.found.rejected[0]["error"]
    assert bad.samples == 0


def test_references_that_lead_nowhere_are_named() -> None:
    request = Request(symbols=["", "__name__", "up"])
    for references in ([1, 2], [1, 9], [1], [1, 2]):
        request.timeseries.add(labels_refs=references).samples.add(value=1, timestamp=TIME)
    written = version_2(request.SerializeToString(), way())
    assert [entry["line"] for entry in written.found.rejected] == [2, 3]
    assert len(messages(written)) == 2


def test_a_label_that_is_no_text_is_named() -> None:
    request = WriteRequest()
    for name in (b"\n\x01\xff", b"\xff"):
        request.timeseries.add(labels=[name]).samples.add(value=1, timestamp=TIME)
    assert version_1(request.SerializeToString(), way()).found.refused == 2


def test_a_native_histogram_is_json_of_its_fields() -> None:
    request = WriteRequest()
    series = request.timeseries.add(labels=[Label(name="__name__", value="h").SerializeToString()])
    histogram = series.histograms.add(
        count_int=3, sum=4.5, schema=1, zero_count_int=1, timestamp=TIME, reset_hint=2,
        positive_deltas=[1, 1],
    )  # fmt: skip
    histogram.positive_spans.add(offset=-1, length=2)
    series.histograms.add(count_int=0, sum=STALE, timestamp=TIME)
    written = version_1(request.SerializeToString(), way())
    assert messages(written) == [
        (
            "h",
            b'{"count":3,"sum":4.5,"schema":1,"zero_threshold":0.0,"zero_count":1,'
            b'"positive_spans":[{"offset":-1,"length":2}],"positive_deltas":[1,1],"reset_hint":"no"}',
            TIME * 1000,
        )
    ]
    assert (written.histograms, written.samples) == (2, 0)


@both
def test_more_samples_than_one_request_may_hold_are_refused_as_a_whole(
    encode: Any, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "MOST_LINES", 3)
    assert len(messages(read(encode([(UP, [1.0, 2.0, 3.0])]), way()))) == 3
    with pytest.raises(TooLarge):
        read(encode([(UP, [1.0, 2.0]), (UP, [3.0, 4.0])]), way())


@both
@given(body=st.binary(max_size=60))
def test_no_bytes_break_it(encode: Any, read: Any, body: bytes) -> None:
    for raw in (body, encode([(UP, [1.0])])[:-3] + body):
        with suppress(BadRequest):
            read(raw, way())


def test_known_series_are_kept_apart_by_template_and_within_a_budget() -> None:
    cache = TopicCache(most=2_000)
    for number in range(50):
        topics = cache.of(SENDER, REMOTE_WRITE_WORDS, "NAME")
        topics.keep(number, 100, Channel("ann", "x"))
    assert len(cache.of(SENDER, REMOTE_WRITE_WORDS, "NAME")) < 5
    assert cache.of(SENDER, REMOTE_WRITE_WORDS, "x/NAME") == {}


@given(content=st.binary(max_size=2_000))
def test_a_block_of_snappy_is_read_as_it_was_written(content: bytes) -> None:
    block = bytes(cramjam.snappy.compress_raw(content))
    assert snappy.decompress(block, 2_000) == content


def test_a_block_may_not_claim_more_than_it_can_hold() -> None:
    most = bytes(cramjam.snappy.compress_raw(bytes(10**6)))
    assert len(snappy.decompress(most, 10**6)) == 10**6
    with pytest.raises(TooLarge):
        snappy.decompress(most, 10**6 - 1)
    for block in (b"", b"\xff\xff\xff\x07", b"\xff\xff\xff\x07\0a", most[:-1], b"\xff" * 9):
        with pytest.raises(BadRequest):
            snappy.decompress(block, 2**24)


SERIES = st.tuples(
    st.sampled_from(["up", "down", "", "n" * 200]),
    st.lists(
        st.sampled_from([1.0, -1.5, 1e300, 0.1, 0.0, math.nan, math.inf, STALE, 123456789.0]),
        max_size=3,
    ),
    st.sampled_from([TIME, TIME + 1, 0, -5, 2**62]),
    st.booleans(),
)


def encoded(version: int, many: list[tuple[str, list[float], int, bool]]) -> bytes:
    """A request with series that are plain and such as are not."""
    request: Any = WriteRequest() if version == 1 else Request(symbols=["", "__name__"])
    for name, values, time, more in many:
        series = request.timeseries.add()
        if version == 1:
            series.labels.append(Label(name="__name__", value=name).SerializeToString())
        else:
            request.symbols.append(name)
            series.labels_refs.extend([1, len(request.symbols) - 1 + 300 * more])
        for value in values:
            series.samples.add(value=value, timestamp=time)
        if more:
            series.histograms.add(sum=1, timestamp=TIME)
    return bytes(request.SerializeToString())


@given(st.sampled_from([1, 2]), st.lists(SERIES, max_size=6), st.data())
def test_plain_series_are_read_as_any_others(
    version: int, many: list[tuple[str, list[float], int, bool]], data: st.DataObject
) -> None:
    body = bytearray(encoded(version, many))
    if body and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(0, len(body)))] if data.draw(st.booleans()) else body
    read = version_1 if version == 1 else version_2
    way = Way(SENDER, REMOTE_WRITE, TopicCache().of(SENDER, REMOTE_WRITE_WORDS, REMOTE_WRITE))
    read(encoded(version, [("up", [1], TIME, False), ("down", [1], TIME, False)]), way)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(decoding, "decode_series", lambda _, at, *rest: (at, 0))
        expected = outcome(read, bytes(body), way)
    assert outcome(read, bytes(body), way) == expected


def outcome(read: Any, body: bytes, way: Way) -> Any:
    try:
        written = read(body, way)
    except BadRequest as error:
        return str(error)
    found = written.found
    rejected = [(one["line"], one["error"]) for one in found.rejected]
    return (found.channels, found.payloads, found.events, found.ids, rejected, written.histograms)
