"""CloudEvents become messages: the data is the payload, however the event is sent."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.sources.senders import SENDER

from lakebed.http.problems import TooLarge
from lakebed.sources.http.cloud_events import events
from lakebed.sources.http.cloud_events.events import Events
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.times import UNSET
from lakebed.vocabulary.topic_templates import CLOUDEVENTS

SOLD = {
    "specversion": "1.0", "id": "7", "type": "shop.sold", "source": "https://shop.test/tills",
    "subject": "till/3", "time": "2026-01-31T12:00:00.5Z", "datacontenttype": "application/json",
    "region": "eu",
}  # fmt: skip
TOPIC = "events/shop.sold/https:/shop.test/tills/till/3"


def binary(attributes: dict[str, str], data: bytes, template: str = CLOUDEVENTS) -> Events:
    headers = {
        f"ce-{name}".encode(): value.encode()
        for name, value in attributes.items()
        if name != "datacontenttype"
    }
    if "datacontenttype" in attributes:
        headers[b"content-type"] = attributes["datacontenttype"].encode()
    return events.binary(headers, data, SENDER, template)


def structured(event: Any, template: str = CLOUDEVENTS) -> Events:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return events.structured(body, SENDER, template)


def message(found: Events) -> tuple[str, bytes, int, str]:
    ((topic, payload, event, id),) = zip(
        [one.topic for one in found.found.channels],
        found.found.payloads,
        found.found.events,
        found.found.ids,
        strict=True,
    )
    return topic, payload, event, id


@pytest.mark.parametrize(
    ("media", "data", "member", "payload"),
    [
        ("application/json", b'{"n":1}', {"n": 1}, b'{"n": 1}'),
        ("application/json", b'"on"', "on", b'"on"'),
        ("application/vnd.x+json; charset=utf-8", b"21.5", 21.5, b"21.5"),
        ("text/plain", b"on \xc3\xa9", "on é", "on é".encode()),
        ("text/xml", b"<a/>", "<a/>", b"<a/>"),
    ],
)
def test_an_event_is_the_same_message_however_it_is_sent(
    media: str, data: bytes, member: object, payload: bytes
) -> None:
    attributes = SOLD | {"datacontenttype": media}
    expected = (TOPIC, payload, 1769860800_500000, "https://shop.test/tills 7")
    assert message(structured(attributes | {"data": member})) == expected
    sent = message(binary(attributes, data))
    assert sent[1].replace(b": ", b":") == payload.replace(b": ", b":")
    assert (sent[0], *sent[2:]) == (expected[0], *expected[2:])


def test_what_surrounds_an_event_is_kept_beside_it() -> None:
    for found in (binary(SOLD, b"1"), structured(SOLD | {"data": 1})):
        ((media, properties),) = found.surroundings
        assert media == "application/json"
        assert dict(properties) == {
            name: SOLD[name] for name in ("type", "source", "subject", "region")
        }


def test_data_may_be_bytes_or_none() -> None:
    assert message(structured(SOLD | {"data_base64": "AP8="}))[1] == b"\0\xff"
    assert message(structured(SOLD))[1] == b""
    assert message(structured({**SOLD, "data": 1, "data_base64": None}))[1] == b"1"
    minimal = {name: SOLD[name] for name in ("specversion", "id", "type", "source")}
    assert message(structured(minimal | {"data": "x"}))[:3] == (
        "events/shop.sold/https:/shop.test/tills", b'"x"', UNSET,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("template", "topic"),
    [
        ("SUBJECT/x", "till/3/x"),
        ("{region}/{type}/{subject}/{none}", "eu/shop.sold/till%2F3/-"),
        ("all", "all"),
    ],
)
def test_a_template_says_which_topics(template: str, topic: str) -> None:
    assert message(structured(SOLD, template))[0] == topic
    assert message(binary(SOLD, b"", template))[0] == topic


def test_extensions_may_be_numbers_and_truths() -> None:
    found = structured(SOLD | {"count": 3, "urgent": True, "none": None})
    assert dict(found.surroundings[0][1]).items() >= {"count": "3", "urgent": "true"}.items()
    assert "none" not in dict(found.surroundings[0][1])


def test_headers_are_percent_encoded_and_may_be_quoted() -> None:
    headers = {f"ce-{name}".encode(): value.encode() for name, value in SOLD.items()}
    headers |= {b"ce-region": b'"Euro%20%E2%82%AC \\"x\\""', b"ce-subject": b"gr%C3%BCn"}
    del headers[b"ce-datacontenttype"]
    found = events.binary(headers, b"", SENDER, "{region}/SUBJECT")
    assert message(found)[0] == 'Euro € "x"/grün'


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"id": ""}, "`id`"),
        ({"source": ""}, "`source`"),
        ({"type": ""}, "`type`"),
        ({"time": "noon"}, "RFC 3339"),
        ({"time": "1969-01-01T00:00:00Z"}, "1970"),
        ({"Upper_Case": "x"}, "lower-case"),
        ({"source": "a b"}, "URI reference"),
        ({"id": "x" * 1100}, "1024 bytes"),
        ({f"e{number}": "x" for number in range(100)}, "100 attributes"),
        ({"id": "a\0b"}, "NUL"),
    ],
)
def test_what_is_no_event_is_refused(changes: dict[str, str], why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        structured(SOLD | changes)
    if "\0" not in changes.get("id", ""):
        with pytest.raises(BadRequest, match=why):
            binary(SOLD | changes, b"")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"1", b"{", b"\xff", b'{"id": ' + b"[" * 100_000, b'{"data": "\xff"}',
        json.dumps(SOLD | {"data": 1, "data_base64": "AA=="}).encode(),
        json.dumps(SOLD | {"data_base64": "A"}).encode(),
        json.dumps(SOLD | {"data_base64": 1}).encode(),
        json.dumps(SOLD | {"id": ["x"]}).encode(),
        json.dumps(SOLD | {"x": 1.5}).encode(),
    ],
)  # fmt: skip
def test_json_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        structured(body)


def test_headers_that_are_no_text_are_refused() -> None:
    with pytest.raises(BadRequest, match="UTF-8"):
        events.binary({b"ce-id": b"%FF"}, b"", SENDER, CLOUDEVENTS)


def test_of_a_batch_bad_events_are_named_and_the_others_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = [SOLD, SOLD | {"id": ""}, 1, SOLD | {"id": "8"}]
    found = events.batched(json.dumps(batch).encode(), SENDER, CLOUDEVENTS)
    assert found.found.ids == ["https://shop.test/tills 7", "https://shop.test/tills 8"]
    assert [entry["line"] for entry in found.found.rejected] == [2, 3]
    assert len(found.surroundings) == 2
    with pytest.raises(BadRequest):
        events.batched(b"{}", SENDER, CLOUDEVENTS)
    monkeypatch.setattr(events, "MOST_LINES", 3)
    with pytest.raises(TooLarge):
        events.batched(json.dumps(batch).encode(), SENDER, CLOUDEVENTS)


@given(body=st.binary(max_size=60))
def test_no_bytes_break_it(body: bytes) -> None:
    for raw in (body, json.dumps(SOLD).encode()[:-3] + body):
        for decode in (events.structured, events.batched):
            with suppress(BadRequest):
                decode(raw, SENDER, CLOUDEVENTS)
    with suppress(BadRequest):
        events.binary({b"ce-id": body, b"ce-" + body: b"x"}, b"", SENDER, CLOUDEVENTS)
