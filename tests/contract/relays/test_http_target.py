"""A webhook: what is sent, and what its answers mean."""

from collections.abc import Iterator

import pytest
from http_place import HttpPlace
from http_place import place as http_place
from relay_place import deliver, delivery, open_target, record

from lakebed.ports.relays import Record, TargetUnavailable
from lakebed.relays.targets import http
from lakebed.vocabulary.times import SECOND

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def place() -> Iterator[HttpPlace]:
    with http_place() as found:
        yield found


def test_a_request_has_records_ids_and_headers(place: HttpPlace) -> None:
    target = open_target(place)
    binary = record(1, payload=b"\xff\x00")
    finished = Record(
        "m/1", "plant/1", 1_769_860_800 * SECOND, 0, "finished",
        values={"start": 1_769_860_800 * SECOND, "avg": 1.5}, policy="minute",
    )  # fmt: skip
    assert deliver(target, delivery([record(0), binary, finished], 3)) == []
    target.close()
    (heard,) = place.receiver.requests
    assert heard["authorization"] == "Bearer hunter2"
    assert heard["idempotency-key"] == "3/0/3"
    assert heard["content-type"] == "application/json"
    first, second, third = place.receiver.records.values()
    assert (first["id"], first["topic"], first["value"]) == ("3-0", "plant/1", {"n": 0})
    assert first["time"] == "2026-01-31T12:00:00Z"
    assert second["payload_base64"] == "/wA="
    assert (third["policy"], third["avg"], third["start"]) == ("minute", 1.5, first["time"])


@pytest.mark.parametrize(
    ("answer", "told", "wait"),
    [
        ((503, {"Retry-After": "7"}, b"busy"), "503", 7 * SECOND),
        ((429, {"Retry-After": "99999999"}, b""), "429", 3600 * SECOND),
        ((429, {"Retry-After": "soon"}, b""), "429", None),
        ((401, {}, b""), "401", None),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), "redirects are not followed", None),
    ],
)
def test_all_but_a_refusal_is_for_now(
    place: HttpPlace, answer: Answer, told: str, wait: int | None
) -> None:
    target = open_target(place)
    place.receiver.answers = [answer]
    with pytest.raises(TargetUnavailable, match=told) as unavailable:
        target.send(delivery([record(0)], 1))
    assert unavailable.value.wait == wait
    assert "busy" not in str(unavailable.value)  # a private address
    assert deliver(target, delivery([record(0)], 1)) == []
    first, second = (heard["idempotency-key"] for heard in place.receiver.requests)
    assert first == second
    target.close()


def test_a_receiver_may_refuse_single_records(place: HttpPlace) -> None:
    body = b'{"refused": [{"id": "3-1", "reason": "hunter2 is no plant"}, {"id": "x"}]}'
    place.receiver.answers = [(200, {"Content-Type": "application/json"}, body)]
    target = open_target(place)
    refusals = deliver(target, delivery([record(0), record(1)], 2))
    assert [(one.index, one.reason) for one in refusals] == [(1, "the target refuses it")]
    target.close()


def test_what_was_found_before_a_failure_is_not_looked_for_again(place: HttpPlace) -> None:
    target = open_target(place)
    sent = delivery([record(0, payload=b"bad"), *(record(n) for n in range(1, 4))], 4)
    place.receiver.answers = [(422, {}, b"")] * 3 + [(503, {}, b"")]
    with pytest.raises(TargetUnavailable):
        target.send(sent)  # 0-4, 0-2 and 0-1 are refused, then 1-2 is not answered
    before = len(place.receiver.requests)
    assert [one.index for one in deliver(target, sent)] == [0]
    assert len(place.receiver.records) == 3
    assert len(place.receiver.requests) - before == 1  # 1-4 at once
    target.close()


def test_large_deliveries_are_several_requests(
    place: HttpPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_LARGEST", 1000)
    target = open_target(place)
    records = [record(n) for n in range(30)] + [record(30, payload=b"x" * 5000), record(31)]
    assert deliver(target, delivery(records, 32)) == []
    assert list(place.receiver.records) == [one.id for one in records]
    assert len(place.receiver.requests) > 4
    target.close()


def test_secrets_that_make_no_request_are_told_without_their_values(place: HttpPlace) -> None:
    for name, wrong in (("secret:url", "hunter2"), ("secret:header", "hunter2\r\nX: y")):
        place.secrets = {**HttpPlace.secrets, name: wrong}  # type: ignore[misc]
        place.options = {**place.options, "http": "secret:url" if name == "secret:url"
                         else place.options["http"]}  # fmt: skip
        if name == "secret:header":
            place.secrets["secret:url"] = f"http://127.0.0.1:{place.proxy.port}/"
        target = open_target(place)
        with pytest.raises(TargetUnavailable) as unavailable:
            target.send(delivery([record(0)], 1))
        assert "hunter2" not in str(unavailable.value)
        target.close()
    assert place.receiver.requests == []


def test_an_answer_of_the_internet_is_shown_short_and_without_secrets(place: HttpPlace) -> None:
    import httpx

    from lakebed.secrets.values import Secret

    request = http._Request(httpx.URL("https://x"), {}, None, (Secret("k", "hunter2"),))
    text = b"no\n\x1b[31m hunter2 " + b"y" * 500
    answer = httpx.Response(422, content=text, extensions={"private": False})
    assert http._excerpt(answer, request).startswith(": no [31m … yyy")
    assert len(http._excerpt(answer, request)) < 210
