"""Pages of other sites ask where the settings name them, and never with what a browser adds."""

import pytest
from pydantic import ValidationError
from tests.asking import answering, ask

from lakebed.http.asgi import App, Receive, Scope, Send
from lakebed.http.cross_origin import CrossOrigin
from lakebed.sources.http.settings import HttpSection

APP, OTHER = "https://app.example.com", "https://evil.example.com"


def open_to(*origins: str) -> App:
    return CrossOrigin(answering(b"[]", vary="Accept-Encoding"), origins)


def test_an_origin_that_is_named_reads_answers_and_their_headers() -> None:
    answer = ask(open_to(APP), origin=APP)
    assert answer.body == b"[]"
    assert answer.headers["access-control-allow-origin"] == APP
    assert "ETag" in answer.headers["access-control-expose-headers"]
    assert "X-Next-Cursor" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "Accept-Encoding, Origin"


@pytest.mark.parametrize(
    "origin", [OTHER, "null", APP + ":8443", "http://app.example.com", APP.upper()]
)
def test_no_other_origin_does(origin: str) -> None:
    answer = ask(open_to(APP), origin=origin)
    assert answer.body == b"[]"
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["vary"] == "Accept-Encoding, Origin"


def test_a_star_opens_to_all_of_them() -> None:
    answer = ask(open_to("*"), origin=OTHER)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("origins", [(APP,), ("*",), ("*", APP)])
def test_credentials_are_never_allowed(origins: tuple[str, ...]) -> None:
    for method, more in (("GET", {}), ("OPTIONS", {"access_control_request_method": "PUT"})):
        answer = ask(open_to(*origins), method, origin=APP, **more)
        assert "access-control-allow-origin" in answer.headers
        assert "access-control-allow-credentials" not in answer.headers


def test_a_preflight_is_answered_without_asking_the_application() -> None:
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    answer = ask(
        CrossOrigin(never, [APP]),
        "OPTIONS",
        origin=APP,
        access_control_request_method="PUT",
        access_control_request_headers="authorization,if-match,x-message-id",
    )
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == APP
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "authorization,if-match,x-message-id"
    assert answer.headers["access-control-max-age"] == "600"
    assert "Origin" in answer.headers["vary"]


def test_no_names_of_headers_are_made_up_for_a_preflight() -> None:
    for asked in ('a"b', "x" * 3_000, "a;b"):
        answer = ask(
            open_to(APP),
            "OPTIONS",
            origin=APP,
            access_control_request_method="PUT",
            access_control_request_headers=asked,
        )
        assert "access-control-allow-headers" not in answer.headers


def test_options_that_are_no_preflight_are_the_application_s() -> None:
    assert ask(open_to(APP), "OPTIONS", origin=APP).status == 200
    assert ask(open_to(APP), "OPTIONS", access_control_request_method="PUT").status == 200
    other = ask(open_to(APP), "OPTIONS", origin=OTHER, access_control_request_method="PUT")
    assert (other.status, "access-control-allow-methods" in other.headers) == (200, False)


def test_nobody_is_named_by_default() -> None:
    assert HttpSection().cors == ()


@pytest.mark.parametrize("origin", ["*", APP, "http://localhost:3000", "http://[::1]:3000"])
def test_origins_of_the_settings(origin: str) -> None:
    assert HttpSection(cors=(origin,)).cors == (origin,)


@pytest.mark.parametrize(
    "origin", ["", APP + "/", "app.example.com", "https://*.example.com", "null", APP + "/x",
               "https://APP.example.com", "file://", APP + ":", f"{APP}, {OTHER}"]
)  # fmt: skip
def test_what_is_no_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(ValidationError, match="origin"):
        HttpSection(cors=(origin,))
