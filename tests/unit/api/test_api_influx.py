"""Clients of InfluxDB, of both versions, need only an address."""

import gzip
from typing import Any

import pytest

from lakebed.sources.http.settings import HttpSection

from .conftest import ANN, ROOMS, SETTINGS, Api, NoSeries, Open

LINES = b"plant,room=1 celsius=21.5,n=3i 1769860800000\nplant,room=2 celsius=22\n"
TAKEN = [
    ("ann", "plant/1/celsius", b"21.5"),
    ("ann", "plant/1/n", b"3"),
    ("ann", "plant/2/celsius", b"22"),
]
V2 = "/api/v2/write?org=o&bucket=b&precision=ms"


def write(
    api: Api, url: str, content: bytes = LINES, auth: str = f"Token {ANN}", **more: str
) -> Any:
    headers = {name: value for name, value in ({"Authorization": auth} | more).items() if value}
    return api.post(url, content=content, headers=headers, token=None)


@pytest.mark.parametrize(
    ("url", "auth"),
    [
        (V2, f"Token {ANN}"),
        ("/write?db=telegraf&precision=ms&rp=&consistency=any", f"Bearer {ANN}"),
        (f"/write?db=x&precision=ms&u=ann&p={ANN}", ""),
        (f"/write?db=x&precision=ms&u={ANN}", ""),
        ("/write?precision=ms", "Basic OmFubi10b2tlbg=="),  # :ann-token
    ],
)
def test_lines_are_durable_when_they_are_acknowledged(api: Api, url: str, auth: str) -> None:
    before = api.end
    answer = write(api, url, gzip.compress(LINES), auth, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert api.appended(before) == TAKEN
    (entry,) = api.entries(before)
    assert int(entry.batch.sparse.event[0]) == 1769860800_000000


def test_good_lines_are_taken_and_bad_ones_named_in_the_form_of_each_version(api: Api) -> None:
    before, lines = api.end, b"a f=1\nbad\nb f=x\n"
    answer = write(api, V2, lines)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert "line 2: " in answer.json()["message"]
    assert "line 3: " in answer.json()["message"]
    answer = write(api, "/write", lines)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("partial write: unable to parse line 2: ")
    assert answer.json()["error"].endswith(" dropped=2")
    assert api.appended(before) == [("ann", "a/f", b"1")] * 2


def test_nothing_may_be_sent_to_try_the_address(api: Api) -> None:
    assert write(api, "/write", b"").status_code == write(api, V2, b"").status_code == 204


def test_topics_are_authorized_one_by_one(api: Api) -> None:
    before = api.end
    answer = write(api, "/write", b"room 1=1\nhall 1=1", f"Token {ROOMS}")
    assert answer.status_code == 400
    assert "line 2: " in answer.json()["error"]
    assert api.appended(before) == [("ann", "room/1", b"1")]


def test_a_template_is_given_by_the_request_or_the_settings(api: Api, open_api: Open) -> None:
    before = api.end
    assert write(api, "/write?topic=in/FIELD", b"m,k=v f=1").status_code == 204
    assert write(api, "/write?topic=in", b"m f=1").status_code == 400
    assert api.appended(before) == [("ann", "in/f", b"1")]
    section = HttpSection(line_protocol_topic="metrics/MEASUREMENT/FIELD")
    other = open_api(NoSeries(), settings=SETTINGS.model_copy(update={"http": section}))
    assert write(other, "/write", b"m,k=v f=1").status_code == 204
    assert other.appended(0) == [("ann", "metrics/m/f", b"1")]


@pytest.mark.parametrize(
    ("url", "content", "auth", "status", "code"),
    [
        (V2, LINES, "", 401, "unauthorized"),
        (V2 + f"&p={ANN}", LINES, "", 401, "unauthorized"),  # version 2 has no passwords there
        (V2, LINES, "Token wrong", 401, "unauthorized"),
        ("/api/v2/write?precision=m", LINES, f"Token {ANN}", 400, "invalid"),
        ("/api/v2/write?owner=eve", LINES, f"Token {ANN}", 403, "forbidden"),
        (V2, b"#" * 100_001, f"Token {ANN}", 413, "request too large"),
    ],
)
def test_what_is_refused_as_a_whole_is_said_in_their_form(
    api: Api, url: str, content: bytes, auth: str, status: int, code: str
) -> None:
    answer = write(api, url, content, auth)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("query", "content", "auth", "status"),
    [
        ("", LINES, "", 401),
        ("?u=ann&p=wrong", LINES, "", 401),
        ("?precision=weeks", LINES, f"Token {ANN}", 400),
        ("?nothing=1", LINES, f"Token {ANN}", 400),
        ("?owner=eve", LINES, f"Token {ANN}", 403),
        ("", b"#" * 100_001, f"Token {ANN}", 413),
    ],
)
def test_version_1_has_a_form_of_its_own(
    api: Api, query: str, content: bytes, auth: str, status: int
) -> None:
    answer = write(api, f"/write{query}", content, auth)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_telegraf_may_ask_for_its_database(api: Api) -> None:
    url, form = "/query", b"q=CREATE+DATABASE+%22telegraf%22"
    answer = write(api, url, form)
    assert (answer.status_code, answer.json()) == (200, {"results": [{"statement_id": 0}]})
    assert write(api, url + "?q=create+database+x;", b"").status_code == 200
    for other in (b"q=DROP+DATABASE+x", b"", b"q=a&q=b", b"\xff", b"q=CREATE+DATABASE+x;DROP+y"):
        answer = write(api, url, other)
        assert answer.status_code == 400
        assert "CREATE DATABASE" in answer.json()["error"]
    assert write(api, url, form, "").status_code == 401
    assert write(api, "/write?" + "a=1&" * 20, LINES, "").status_code in (400, 401)


def test_ping_answers_with_a_version(api: Api) -> None:
    for method in ("GET", "HEAD"):
        answer = api.ask(method, "/ping", token=None)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["x-influxdb-version"] == "1.8.10"
