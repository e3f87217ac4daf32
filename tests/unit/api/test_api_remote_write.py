"""Prometheus and its kin send to /api/v1/write."""

from typing import Any

import cramjam
import pytest
from tests.unit.sources.test_remote_write import TIME, UP, one, two

from lakebed.sources.http import door
from lakebed.sources.http.settings import HttpSection
from lakebed.system import extras
from lakebed.vocabulary.errors import Unavailable

from .conftest import ANN, ROOMS, SETTINGS, Api, NoSeries, Open

V1 = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
V2 = V1 | {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
TAKEN = [("ann", "up/a:9090/node", b"1")]
COUNTS = [
    f"x-prometheus-remote-write-{what}-written" for what in ("samples", "histograms", "exemplars")
]


def write(
    api: Api, content: bytes, headers: dict[str, str] = V1, query: str = "", token: str = ANN
) -> Any:
    block = bytes(cramjam.snappy.compress_raw(content))
    return api.post(f"/api/v1/write{query}", content=block, headers=headers, token=token)


def counts(answer: Any) -> list[str | None]:
    return [answer.headers.get(name) for name in COUNTS]


def test_samples_are_durable_when_they_are_acknowledged(api: Api) -> None:
    before = api.end
    answer = write(api, one([(UP, [1.0])]))
    assert (answer.status_code, answer.content) == (204, b"")
    assert counts(answer) == [None] * 3
    assert api.appended(before) == TAKEN
    (entry,) = api.entries(before)
    assert int(entry.batch.sparse.event[0]) == TIME * 1000


def test_version_2_is_told_what_is_written(api: Api) -> None:
    before = api.end
    answer = write(api, two([(UP, [1.0])]), V2)
    assert (answer.status_code, counts(answer)) == (204, ["1", "0", "0"])
    assert api.appended(before) == TAKEN


def test_good_series_are_taken_and_bad_ones_named_once_and_for_ever(api: Api) -> None:
    before = api.end
    answer = write(api, two([(UP, [1.0]), ([("job", "x")], [1.0])]), V2)
    assert (answer.status_code, counts(answer)) == (400, ["1", "0", "0"])
    assert answer.text.startswith("partial write: series 2: it has no label __name__")
    assert answer.text.endswith(" dropped=1\n")
    assert api.appended(before) == TAKEN


def test_topics_are_authorized_one_by_one(api: Api) -> None:
    before = api.end
    room = [("__name__", "room"), ("id", "1")]
    answer = write(api, one([(UP, [1.0]), (room, [2.0])]), token=ROOMS)
    assert answer.status_code == 400
    assert "series 1: " in answer.text
    assert api.appended(before) == [("ann", "room/1", b"2")]


@pytest.mark.parametrize("media", [
    "application/x-protobuf; proto=prometheus.WriteRequest", "Application/X-Protobuf",
    'application/x-protobuf;proto="prometheus.WriteRequest"', "",
])  # fmt: skip
def test_version_1_is_what_is_not_called_otherwise(api: Api, media: str) -> None:
    before = api.end
    headers = {name: value for name, value in V1.items() if value}
    headers["Content-Type"] = media
    if not media:
        del headers["Content-Type"], headers["Content-Encoding"]
    assert write(api, one([(UP, [1.0])]), headers).status_code == 204
    assert api.appended(before) == TAKEN


@pytest.mark.parametrize(
    ("headers", "query", "token", "status"),
    [
        (V1 | {"Content-Type": "application/json"}, "", ANN, 415),
        (
            V1 | {"Content-Type": "application/x-protobuf;proto=x.v3.Request"},
            "",
            ANN,
            415,
        ),
        (V1 | {"Content-Encoding": "gzip"}, "", ANN, 415),
        (V1, "?topic=x", ANN, 400),
        (V1, "?nothing=x", ANN, 400),
        (V1, "?owner=eve", ANN, 403),
        (V1, "", "wrong", 401),
        (V2, "", ANN, 400),  # the body is of version 1: its series are in a field that is reserved
    ],
)
def test_what_can_never_be_taken_is_said_in_one_line(
    api: Api, headers: dict[str, str], query: str, token: str, status: int
) -> None:
    before = api.end
    answer = write(api, one([(UP, [1.0])]) + b"\xff", headers, query, token)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.count("\n") == 1
    assert "retry-after" not in answer.headers
    assert "accept-encoding" not in answer.headers
    assert api.end == before


def test_bodies_are_bounded_before_and_after_they_are_decompressed(api: Api) -> None:
    for content in (bytes(100_001), bytes(2_000_000)):
        assert write(api, content).status_code == 413
    answer = api.post("/api/v1/write", content=b"\xff\xff\xff\x7f1", headers=V1, token=ANN)
    assert answer.status_code == 413
    answer = api.post("/api/v1/write", content=b"\xa0\x8d\x06", headers=V1, token=ANN)
    assert answer.status_code == 400


def test_a_journal_without_room_puts_senders_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise Unavailable("the journal is full")

    monkeypatch.setattr(api.app.ingest.intake, "append", full)
    answer = write(api, two([(UP, [1.0])]), V2)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert counts(answer) == ["0", "0", "0"]


def test_what_is_not_installed_loses_nothing() -> None:
    told = r"snappy: this needs cramjam: install lakebed\[server\]"
    with pytest.raises(Unavailable, match=told), door.installed("snappy"):
        raise ModuleNotFoundError(name="cramjam")
    assert {extras.EXTRAS[name] for name in ("google", "opentelemetry")} == {"server"}


def test_messages_are_counted_by_their_way_in(api: Api) -> None:
    def counted() -> float:
        line = 'lakebed_http_messages_total{path="/api/v1/write"} '
        found = [one for one in api.get("/metrics").text.splitlines() if one.startswith(line)]
        return sum(float(one.removeprefix(line)) for one in found)

    before = counted()
    assert write(api, one([(UP, [1.0, 2.0]), ([], [3.0])])).status_code == 400
    assert counted() == before + 2


def test_the_template_is_a_setting(open_api: Open) -> None:
    section = HttpSection(remote_write_topic="prom/NAME")
    other = open_api(NoSeries(), settings=SETTINGS.model_copy(update={"http": section}))
    assert write(other, one([(UP, [1.0])])).status_code == 204
    assert write(other, one([(UP, [1.0])]), query="?topic=NAME/{job}").status_code == 204
    assert other.appended(0) == [("ann", "prom/up", b"1"), ("ann", "up/node", b"1")]
