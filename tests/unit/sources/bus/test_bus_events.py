"""What events and answers of a bus say, and what of them is put aside."""

import json
from itertools import chain
from typing import Any

import pytest

from lakebed.sources.bus.answers import BadAnswer, Lines, ServerSentEvents, read_page
from lakebed.sources.bus.events import EventReader, Place
from lakebed.sources.bus.settings import BusSource
from lakebed.sources.pulling.messages import Pulled, Unreadable
from lakebed.vocabulary.times import SECOND, UNSET


def source(**keys: Any) -> BusSource:
    return BusSource.model_validate({"name": "bus", "url": "http://bus.example", **keys})


def read(event: object, place: Place | None = None, **keys: Any) -> Pulled | Unreadable:
    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    return EventReader(source(**keys)).read(raw, place)


def test_an_event_has_the_topic_of_its_name_its_time_its_id_and_itself_as_payload() -> None:
    event = {"id": "e-1", "name": "requests", "value": 3, "timestamp": 1.5, "agg_func": "sum"}
    assert read(event) == Pulled("bus/requests", json.dumps(event).encode(), SECOND * 3 // 2, "e-1")


def test_an_event_without_time_and_id_has_none() -> None:
    assert read({"name": "requests"}) == Pulled("bus/requests", b'{"name": "requests"}', UNSET, "")


def test_a_number_is_another_id_than_a_text_of_its_digits() -> None:
    number, text = (read({"name": "a", "id": id}) for id in (7, "7"))
    assert isinstance(number, Pulled)
    assert isinstance(text, Pulled)
    assert number.id != text.id


@pytest.mark.parametrize(
    ("keys", "event", "topic"),
    [
        ({}, {"name": "a/b"}, "bus/a%2Fb"),
        ({"topic": "NAME"}, {"name": "requests"}, "requests"),
        ({"topic": "{zone}/NAME"}, {"name": "a", "zone": "eu"}, "eu/a"),
        ({"topic": "{zone}/NAME"}, {"name": "a"}, "-/a"),
        ({"event_name": "/meta/metric"}, {"meta": {"metric": "cpu"}}, "bus/cpu"),
    ],
)
def test_the_topic_is_made_by_a_template(keys: Any, event: Any, topic: str) -> None:
    found = read(event, **keys)
    assert isinstance(found, Pulled)
    assert found.topic == topic


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (b'"requests"', "an event is a JSON object"),
        ({"value": 1}, "it has no name"),
        ({"name": ""}, "it has no name"),
        ({"name": 5}, "it has no name"),
        ({"name": "a", "timestamp": "soon"}, "time"),
        ({"name": "a", "id": "x" * 2000}, "its id is longer"),
        (b"{", "truncated"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_event_is_put_aside_with_the_reason(event: object, says: str) -> None:
    found = read(event)
    assert isinstance(found, Unreadable)
    assert says in found.text


def test_the_same_event_at_the_same_place_has_the_same_id_and_elsewhere_another() -> None:
    event = {"name": "a", "value": 1}
    ids = [read(event, place) for place in (Place("7", 0), Place("7", 0), Place("7", 1))]
    found = [one.id for one in ids if isinstance(one, Pulled)]
    assert found[0] == found[1] != found[2]
    other = read({"name": "a", "value": 2}, Place("7", 0))  # a bus that counts from the start again
    assert isinstance(other, Pulled)
    assert other.id != found[0]


@pytest.mark.parametrize(
    ("body", "lines", "events", "cursor"),
    [
        (b"", False, [], None),
        (b'{"events":[{"a": 1},2],"next_cursor":"9"}', False, [b'{"a": 1}', b"2"], "9"),
        (b'{"events":[],"next_cursor":9}', False, [], "9"),
        (b'{"events":null}', False, [], None),
        (b'{"next_cursor":null}', False, [], None),
        (b"[1,2]", False, [b"1", b"2"], None),
        (b"1\n\n2\n", True, [b"1", b"2"], None),
    ],
)
def test_a_page_is_taken_apart(
    body: bytes, lines: bool, events: list[bytes], cursor: str | None
) -> None:
    assert read_page(body, ("events",), ("next_cursor",), lines) == (events, cursor)


@pytest.mark.parametrize(
    "body", [b"<html>", b'{"events":[', b'{"events":[],"next_cursor":{}}', b"[" * 100_000, b"5"]
)
def test_an_answer_that_is_no_page_is_asked_for_again(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        read_page(body, ("events",), ("next_cursor",), False)


def test_one_event_may_be_the_whole_answer() -> None:
    assert read_page(b'{"name":"a"}', (), None, False).events == [b'{"name":"a"}']


def test_lines_are_found_however_they_are_cut() -> None:
    lines = Lines(100)
    assert [line for part in (b"on", b"e\ntw", b"o\r\n\nx") for line in lines.feed(part)] == [
        b"one",
        b"two",
        b"",
    ]
    with pytest.raises(BadAnswer):
        lines.feed(b"x" * 101)


def test_server_sent_events_have_the_last_id() -> None:
    events = ServerSentEvents(100)
    text = b"id: 1\ndata: a\ndata: b\n\n: comment\nevent: x\ndata:c\n\nid: 2\n\ndata: d\n\n"
    found = [one for line in text.split(b"\n") for one in events.feed(line)]
    assert found == [(b"a\nb", "1"), (b"c", "1"), (b"d", "2")]


def test_an_event_of_empty_lines_without_end_is_refused() -> None:
    events = ServerSentEvents(100)
    with pytest.raises(BadAnswer):
        list(chain.from_iterable(events.feed(b"data:") for _ in range(200)))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"url": "ftp://bus"}, "http://HOST"),
        ({"url": "http://user:secret@bus"}, "auth"),
        ({"auth": "bearer"}, "secret_file and secret_env"),
        ({"secret_env": "TOKEN"}, "bearer, basic or header"),
        ({"auth": "basic", "secret_env": "TOKEN"}, "user"),
        ({"acknowledge": "/ack", "paging": "none"}, "write ids"),
        ({"acknowledge": "/ack", "paging": "link"}, "write ids"),
        ({"read": "stream", "paging": "link"}, "no links"),
        ({"items": "events"}, "begins with a slash"),
        ({"certificate": "a.pem"}, "go together"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(keys: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        source(**keys)
