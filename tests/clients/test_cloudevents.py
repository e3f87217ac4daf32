"""Events as the SDK of CloudEvents writes them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from tests.server import Server

pytestmark = pytest.mark.slow(6)
PATH = "/api/v1/cloudevents"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("events") / "home") as started:
        policy = {"name": "all", "topics": ["events/#"], "keep": "archive", "type": "text"}
        started.put_policies([policy | {"buffer": "0s"}])
        yield started


def event(kind: str, id: str, data: Any, **more: Any) -> CloudEvent:
    context = {"type": kind, "source": "/tills/3", "id": id, "specversion": "1.0"}
    return CloudEvent(context | {"time": datetime(2026, 11, 1, 12, tzinfo=UTC)} | more, data)


def values(server: Server, kind: str, subject: str = "grün é") -> list[tuple[str, str]]:
    server.settle()
    found = server.records(f"events/{kind}/tills/3/{subject}", "all")
    return [(record["time"], record["value"]) for record in found]


def test_events_are_stored_once_in_either_form(server: Server) -> None:
    sold = event("sold", "7", {"sum": 21.5}, subject="grün é", datacontenttype="application/json")
    for write in (to_binary_event, to_structured_event):
        message = write(sold)
        answer = server.request("POST", PATH, content=message.body, headers=message.headers)
        assert answer.json()["accepted"] == 1, answer.text
    assert values(server, "sold") == [("2026-11-01T12:00:00Z", '{"sum": 21.5}')]


def test_bytes_and_text_are_as_they_were_in_either_form(server: Server) -> None:
    for number, write in enumerate((to_binary_event, to_structured_event)):
        given = {"subject": "x", "datacontenttype": "text/plain"}
        for data in ("on", b"off"):
            message = write(event(f"said{number}", repr(data), data, **given))
            answer = server.request("POST", PATH, content=message.body, headers=message.headers)
            assert answer.status_code == 202, answer.text
        assert [value for _, value in values(server, f"said{number}", "x")] == ["on", "off"]


def test_a_batch_is_an_array_of_what_the_sdk_writes(server: Server) -> None:
    parts = [to_structured_event(event("batch", str(n), n, subject="x")).body for n in range(3)]
    answer = server.request(
        "POST",
        PATH,
        content=b"[" + b",".join(parts) + b"]",
        headers={"Content-Type": "application/cloudevents-batch+json"},
    )
    assert answer.json()["accepted"] == 3, answer.text
    assert [value for _, value in values(server, "batch", "x")] == ["0", "1", "2"]
