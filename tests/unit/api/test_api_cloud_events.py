"""CloudEvents are sent to /api/v1/cloudevents, in each form of the HTTP binding."""

import json
from typing import Any

import pytest
from tests.unit.sources.test_cloud_events import SOLD, TOPIC

from lakebed.ingest.recording import AttributeRecorder
from lakebed.ingest.settings import IngestSection
from lakebed.sources.http.settings import HttpSection

from .conftest import ANN, ROOMS, SETTINGS, Api, NoSeries, Open

PATH = "/api/v1/cloudevents"
HEADERS = {f"ce-{name}": value for name, value in SOLD.items() if name != "datacontenttype"}
BINARY = HEADERS | {"Content-Type": "application/json"}
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


def send(api: Api, headers: dict[str, str], event: Any, query: str = "", token: str = ANN) -> Any:
    content = event if isinstance(event, bytes) else json.dumps(event).encode()
    return api.post(PATH + query, content=content, headers=headers, token=token)


@pytest.mark.parametrize(
    ("headers", "event"),
    [(BINARY, b"21.5"), (STRUCTURED, SOLD | {"data": 21.5}), (BATCH, [SOLD | {"data": 21.5}])],
    ids=["binary", "structured", "batched"],
)
def test_an_event_is_durable_when_it_is_accepted_and_once_by_its_id(
    api: Api, headers: dict[str, str], event: Any, request: pytest.FixtureRequest
) -> None:
    before, query = api.end, f"?topic={request.node.callspec.id}/TYPE"
    for _ in range(2):
        answer = send(api, headers, event, query)
        assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    topic = f"{request.node.callspec.id}/shop.sold"
    first, again = api.entries(before)
    assert [(one.topic) for one in first.batch.channels] == [topic]
    assert first.batch.payloads == [b"21.5"]
    assert int(first.batch.sparse.event[0]) == 1769860800_500000
    assert again.batch.sparse.duplicate is not None


def test_attributes_are_recorded_as_the_settings_say(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.app.ingest.intake is not None
    recorder = AttributeRecorder(IngestSection(record=("properties", "content_type")))
    monkeypatch.setattr(api.app.ingest.intake, "recorder", recorder)
    before = api.end
    events = [SOLD | {"id": f"r{number}", "region": str(number)} for number in range(2)]
    assert send(api, BATCH, events).status_code == 202
    (entry,) = api.entries(before)
    found = entry.batch.sparse.attributes
    assert [dict(found[n].properties)["region"] for n in range(2)] == ["0", "1"]
    assert found[0].content_type == "application/json"


def test_of_a_batch_bad_events_are_named(api: Api) -> None:
    before = api.end
    answer = send(api, BATCH, [SOLD | {"id": "b1"}, SOLD | {"id": ""}])
    assert answer.status_code == 202
    assert [entry["line"] for entry in answer.json()["rejected"]] == [2]
    assert [topic for _, topic, _ in api.appended(before)] == [TOPIC]
    assert send(api, BATCH, [SOLD | {"id": ""}]).status_code == 422
    assert send(api, BATCH, []).json() == {"accepted": 0, "rejected": []}


@pytest.mark.parametrize(
    ("headers", "event", "query", "token", "status"),
    [
        (STRUCTURED, SOLD, "", "wrong", 401),
        (STRUCTURED, SOLD, "", ROOMS, 403),
        (BINARY, b"1", "?topic=hall", ROOMS, 403),
        (STRUCTURED, SOLD, "?owner=eve", ANN, 403),
        (STRUCTURED, SOLD, "?topic=%23", ANN, 400),
        (STRUCTURED, SOLD, "?nothing=1", ANN, 400),
        (STRUCTURED, b"{", "", ANN, 400),
        ({"Content-Type": "text/plain"}, b"1", "", ANN, 400),
        ({"Content-Type": "application/cloudevents+avro"}, b"1", "", ANN, 415),
        (STRUCTURED, bytes(100_001), "", ANN, 413),
    ],
)
def test_what_is_refused_is_a_problem(
    api: Api, headers: dict[str, str], event: Any, query: str, token: str, status: int
) -> None:
    before = api.end
    answer = send(api, headers, event, query, token)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert api.end == before


def test_the_template_is_a_setting(open_api: Open) -> None:
    section = HttpSection(cloudevents_topic="ce/{region}")
    other = open_api(NoSeries(), settings=SETTINGS.model_copy(update={"http": section}))
    assert send(other, BINARY, b"1").status_code == 202
    assert other.appended(0) == [("ann", "ce/eu", b"1")]


EVENTS = "/api/v1/events"


@pytest.mark.parametrize(
    ("headers", "event"),
    [
        (BINARY, {"sum": 21.5, "subject": "till/9"}),
        (STRUCTURED, SOLD | {"data": {"sum": 21.5, "subject": "till/9"}}),
        (BATCH, [SOLD | {"data": {"sum": 21.5, "subject": "till/9"}}]),
    ],
    ids=["binary", "structured", "batched"],
)
def test_at_the_path_of_events_they_are_events(
    api: Api, headers: dict[str, str], event: Any, request: pytest.FixtureRequest
) -> None:
    before = api.end
    name = request.node.callspec.id
    if isinstance(event, list):
        event = [event[0] | {"type": name}]
    elif headers is STRUCTURED:
        event |= {"type": name}
    answer = api.post(EVENTS, content=json.dumps(event), headers=headers | {"ce-type": name})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    ((_, topic, payload),) = api.appended(before)
    assert topic == f"events/{name}"
    found = json.loads(payload)
    assert (found["sum"], found["subject"], found["source"]) == (21.5, "till/9", SOLD["source"])
    assert not {"id", "type", "specversion", "datacontenttype"} & found.keys()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({}, {}),
        ({"data": [1, 2]}, {"data": [1, 2]}),
        ({"data": "on", "datacontenttype": "text/plain"}, {"data": "on"}),
        ({"data_base64": "/w==", "datacontenttype": "image/png"}, {"data_base64": "/w=="}),
    ],
)
def test_an_event_of_any_data_is_an_object(
    api: Api, data: dict[str, Any], found: dict[str, Any]
) -> None:
    before = api.end
    event = {"specversion": "1.0", "id": str(data), "source": "/s", "type": "any"} | data
    assert api.post(EVENTS, json=event, headers=STRUCTURED).status_code == 202
    ((_, topic, payload),) = api.appended(before)
    assert (topic, json.loads(payload)) == ("events/any", {"source": "/s"} | found)


def test_a_bad_event_at_the_path_of_events_says_what_it_needs(api: Api) -> None:
    answer = api.post(EVENTS, json={"specversion": "1.0", "id": "1"}, headers=STRUCTURED)
    assert answer.status_code == 400
    assert "it needs `source`" in answer.json()["detail"]
