"""What HTTP clients may expect of every route: HEAD, OPTIONS, conditions, coding, cache busters."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from lakebed.ports.accounts.tokens import StoredToken
from lakebed.sources.http.settings import HttpSection
from lakebed.vocabulary.roles import Role

from .conftest import ADMIN, ANN, SETTINGS, Api, NoSeries, Open, problem

MANAGER = "manager-token"
RAW = {"name": "raw", "topics": ["room/#"], "type": "number", "keep": "last_value"}
BOARD = {"name": "hall", "tiles": [{"kind": "text", "text": "x" * 2_000}]}
SITE = "https://app.example.com"


@pytest.fixture(autouse=True, scope="module")
def manager(api: Api) -> None:
    api.catalog.add_token(StoredToken("ann", "manager", role=Role.MANAGER), MANAGER)
    assert api.ask("PUT", "/api/v1/policies/raw", json=RAW).status_code == 201


def gets(api: Api) -> Iterator[str]:
    for found in iter_route_contexts(api.app.control.routes):
        route = found.original_route
        if isinstance(route, APIRoute) and "GET" in route.methods and "{" not in route.path:
            yield route.path


def test_head_is_answered_wherever_get_is(api: Api) -> None:
    """Also where GET is refused, and on streams, which have no end."""
    paths = list(gets(api))
    assert {"/", "/metrics", "/api/v1/policies", "/api/v1/tap", "/healthz"} <= set(paths)
    for path in paths:
        if path == "/api/v1/tap":
            continue
        got, head = api.get(path, token=ADMIN), api.ask("HEAD", path, token=ADMIN)
        assert (path, head.status_code, head.content) == (path, got.status_code, b"")
        assert head.headers.get("content-type") == got.headers.get("content-type"), path


def test_head_of_a_tap_ends(api: Api) -> None:
    head = api.ask("HEAD", "/api/v1/tap", params={"filter": "#"})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["cache-control"] == "no-store, no-transform"


def test_head_needs_what_get_needs(api: Api) -> None:
    assert api.ask("HEAD", "/api/v1/policies", token=None).status_code == 401
    assert api.ask("HEAD", "/api/v1/users", token=ANN).status_code == 403


def test_head_of_what_is_only_sent_to_is_refused(api: Api) -> None:
    answer = api.ask("HEAD", "/api/v1/apply")
    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
    assert api.ask("HEAD", "/api/v1/messages").status_code == 405


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/v1/policies", "GET, HEAD, OPTIONS, POST"),
        ("/api/v1/policies/raw", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("/api/v1/units/lamp", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/api/v1/session", "DELETE, OPTIONS, POST"),
        ("/healthz", "GET, HEAD, OPTIONS"),
    ],
)
def test_options_and_405_name_every_method_of_a_path(api: Api, path: str, methods: str) -> None:
    answer = api.ask("OPTIONS", path, token=None)
    assert (answer.status_code, answer.headers["allow"]) == (204, methods)
    refused = api.ask("BREW", path)
    problem(refused, 405)
    assert refused.headers["allow"] == methods


def test_options_of_nothing_is_no_path(api: Api) -> None:
    problem(api.ask("OPTIONS", "/api/v1/nothing"), 404)


# --- conditions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/api/v1/policies/raw", "/api/v1/policies", "/api/v1/topics", "/api/openapi.json"]
)
def test_what_the_client_has_is_not_sent_again(api: Api, path: str) -> None:
    got = api.get(path)
    etag = got.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = api.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert known == "*" or again.headers["etag"] == etag
    assert api.get(path, headers={"If-None-Match": '"other"'}).content == got.content


def test_a_unit_is_always_sent_for_what_it_reports_has_no_version(api: Api) -> None:
    made = api.post("/api/v1/units", json={"name": "lamp"}, token=MANAGER)
    assert made.status_code == 201
    headers = {"If-None-Match": made.headers["etag"]}
    assert api.get("/api/v1/units/lamp", headers=headers).status_code == 200


def test_a_refusal_is_not_hidden_by_a_condition(api: Api) -> None:
    headers = {"If-None-Match": "*"}
    problem(api.get("/api/v1/policies", token=None, headers=headers), 401)
    problem(api.get("/api/v1/policies/none", headers=headers), 404)


CREATED: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", "/api/v1/policies/new", {**RAW, "name": "new"}),
    ("POST", "/api/v1/policies", {**RAW, "name": "new-2"}),
    ("PUT", "/api/v1/units/new", {}),
    ("POST", "/api/v1/units", {"name": "new-2"}),
    ("PUT", "/api/v1/shares/new", {"topics": ["a"], "with": ["instance"], "may": ["read"]}),
    ("PUT", "/api/v1/boards/new", {"tiles": []}),
    ("POST", "/api/v1/boards", {"name": "new-2", "tiles": []}),
]


@pytest.mark.parametrize(("method", "path", "document"), CREATED)
def test_what_is_there_is_not_created_once_more(
    api: Api, method: str, path: str, document: dict[str, Any]
) -> None:
    nothing = {"If-None-Match": "*"}
    made = api.ask(method, path, json=document, headers=nothing, token=MANAGER)
    assert made.status_code == 201, made.text
    again = api.ask(method, path, json=document, headers=nothing, token=MANAGER)
    assert "If-None-Match" in problem(again, 412)["detail"]
    if method == "PUT":
        known = {"If-None-Match": made.headers["etag"]}
        problem(api.ask(method, path, json=document, headers=known, token=MANAGER), 412)
        assert api.ask(method, path, json=document, token=MANAGER).status_code == 200
    else:
        problem(api.ask(method, path, json=document, token=MANAGER), 409)


PEOPLE: list[tuple[str, str, dict[str, Any]]] = [
    ("/api/v1/owners", "owner", {}),
    ("/api/v1/users", "user", {}),
    ("/api/v1/oidc/clients", "id", {"redirects": ["https://g.example.com/"]}),
]


@pytest.mark.parametrize(("path", "key", "more"), PEOPLE)
def test_owners_users_and_clients_are_changed_as_they_were_seen(
    api: Api, path: str, key: str, more: dict[str, Any]
) -> None:
    nothing = {"If-None-Match": "*"}
    document, one = {key: f"new-{key}", **more}, f"{path}/new-{key}"
    assert api.post(path, json=document, headers=nothing, token=ADMIN).status_code == 201
    problem(api.post(path, json=document, headers=nothing, token=ADMIN), 412)
    problem(api.post(path, json=document, token=ADMIN), 409)

    def ask(method: str, etag: str, **body: Any) -> Any:
        return api.ask(method, one, token=ADMIN, headers={"If-Match": etag}, **body)

    seen = api.get(one, token=ADMIN).headers["etag"]
    changed = ask("PATCH", seen, json={"title": "New"})
    assert changed.status_code == 200, changed.text
    now = api.get(one, token=ADMIN)
    assert changed.headers["etag"] == now.headers["etag"] != seen
    assert api.get(one, token=ADMIN, headers={"If-None-Match": seen}).status_code == 200
    detail = problem(ask("PATCH", seen, json={"title": "Lost"}), 412)["detail"]
    assert now.headers["etag"] in detail
    problem(ask("PATCH", f"W/{now.headers['etag']}", json={"title": "Lost"}), 412)
    problem(ask("DELETE", seen, params={"confirm": f"new-{key}"}), 412)
    assert api.get(one, token=ADMIN).json()["title"] == "New"
    problem(ask("PATCH", "no tag", json={}), 400, "If-Match")
    etag = f'"else", {now.headers["etag"]}'
    assert ask("DELETE", etag, params={"confirm": f"new-{key}"}).status_code == 204


def test_a_member_is_added_once(api: Api) -> None:
    assert api.post("/api/v1/users", json={"user": "mia"}, token=ADMIN).status_code == 201
    path, nothing = "/api/v1/owners/ann/members/mia", {"If-None-Match": "*"}
    document = {"role": "manager"}
    added = api.ask("PUT", path, json=document, headers=nothing, token=ADMIN)
    assert added.status_code == 200, added.text
    problem(api.ask("PUT", path, json=document, headers=nothing, token=ADMIN), 412)
    members = api.get("/api/v1/owners/ann", token=ADMIN).json()["members"]
    assert members["mia"] == "manager"


# --- coding ---------------------------------------------------------------------------------------


def test_a_long_answer_is_compressed_and_a_change_goes_by_its_tag(api: Api) -> None:
    api.ask("PUT", "/api/v1/boards/hall", json=BOARD, token=MANAGER)
    plain = api.get("/api/v1/boards/hall", headers={"Accept-Encoding": "identity"})
    for coding in ("gzip", "zstd"):
        got = api.get("/api/v1/boards/hall", headers={"Accept-Encoding": coding})
        assert got.headers["content-encoding"] == coding
        assert got.json() == plain.json()
        etag = got.headers["etag"]
        assert etag == plain.headers["etag"][:-1] + f'-{coding}"'
        headers = {"If-None-Match": etag}
        assert api.get("/api/v1/boards/hall", headers=headers).status_code == 304
        put = api.ask(
            "PUT", "/api/v1/boards/hall", json=BOARD, token=MANAGER, headers={"If-Match": etag}
        )
        assert put.status_code == 200, put.text


def test_pages_are_not_compressed_and_files_of_the_build_as_they_are_accepted(api: Api) -> None:
    page = api.get("/sign-in", token=None, headers={"Accept-Encoding": "gzip"})
    assert page.headers["content-type"].startswith("text/html")
    assert "content-encoding" not in page.headers


# --- cache busters --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/api/v1/policies?_=123", "/api/v1/topics?_", "/api/v1/ledger?_=1&_=2", "/api/v1/parked?_=",
     "/api/v1/last?_=1&topic=room/1", "/api/v1/flow?by=topic&_=x"],
)  # fmt: skip
def test_a_cache_buster_means_nothing(api: Api, path: str) -> None:
    assert api.get(path, token=ADMIN).status_code == 200


def test_a_cache_buster_means_nothing_where_others_are_refused(api: Api) -> None:
    for path in ("/api/v1/records", "/api/v1/ledger"):
        detail = problem(api.get(path, params={"_": "1", "__": "2"}), 400)["problems"]
        assert [one["where"] for one in detail if "no such" in one["what"]] == ["__"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/messages?topic=room/1&_=1", b"21"),
        ("/api/v1/messages/batch?_=1", b'{"topic":"room/1","value":1}'),
        ("/api/v1/events?_=1&_=2", b'{"name":"opened"}'),
        ("/write?_=1", b"room v=1"),
        ("/api/v2/write?_=1", b"room v=1"),
    ],
)
def test_a_cache_buster_means_nothing_to_messages(api: Api, path: str, body: bytes) -> None:
    assert api.post(path, content=body).status_code in (202, 204)
    problem_of = api.post(path.replace("_=", "__="), content=body)
    assert problem_of.status_code == 400


# --- other sites ----------------------------------------------------------------------------------


def test_pages_of_other_sites_ask_nothing_unless_the_settings_name_them(api: Api) -> None:
    for method, path in (("GET", "/api/v1/policies"), ("POST", "/api/v1/messages?topic=a")):
        answer = api.ask(method, path, headers={"Origin": SITE})
        assert answer.status_code < 300
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_pages_that_the_settings_name_send_and_read(open_api: Open) -> None:
    http = HttpSection(max_body=100_000, cors=(SITE,))
    api = open_api(NoSeries(), settings=SETTINGS.model_copy(update={"http": http}))
    asked = {"Origin": SITE, "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "authorization"
    for path in ("/api/v1/messages", "/api/v1/policies", "/write"):
        preflight = api.ask("OPTIONS", path, token=None, headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == SITE
        assert preflight.headers["access-control-allow-headers"] == "authorization"
    sent = api.post("/api/v1/messages?topic=a", content=b"1", headers={"Origin": SITE})
    assert (sent.status_code, sent.headers["access-control-allow-origin"]) == (202, SITE)
    refused = api.get("/api/v1/policies", token=None, headers={"Origin": SITE})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, SITE)
    other = {"Origin": "https://evil.example.com"}
    assert "access-control-allow-origin" not in api.get("/healthz", headers=other).headers
