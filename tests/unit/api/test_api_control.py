"""Policies, tokens, health and problem documents over HTTP."""

import asyncio
import json
import threading
from typing import Any

import pytest

from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.health import Health
from lakebed.vocabulary.errors import StoreUnavailable

from .conftest import ADMIN, EVE, ROOMS, Api, problem

POLICIES = "/api/v1/policies"


def document(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "topics": ["a/+"], "type": "number", "keep": "archive", **more}


def test_a_policy_is_created_read_replaced_and_deleted(api: Api) -> None:
    made = api.post(POLICIES, json=document("life"))
    assert made.status_code == 201
    assert made.headers["location"] == f"{POLICIES}/life"
    assert made.json() == api.get(f"{POLICIES}/life").json()
    assert made.json()["topics"] == ["a/+"]
    assert made.json() in api.get(POLICIES).json()["policies"]

    replaced = api.ask("PUT", f"{POLICIES}/life", json=document("life", topics=["b"]))
    assert (replaced.status_code, replaced.json()["topics"]) == (200, ["b"])
    assert replaced.headers["etag"] != made.headers["etag"]

    assert api.ask("DELETE", f"{POLICIES}/life").status_code == 204
    problem(api.get(f"{POLICIES}/life"), 404)
    problem(api.ask("DELETE", f"{POLICIES}/life"), 404)


def test_put_creates_too_and_takes_the_name_from_the_address(api: Api) -> None:
    nameless = document("x")
    del nameless["name"]
    made = api.ask("PUT", f"{POLICIES}/put", json=nameless)
    assert (made.status_code, made.json()["name"]) == (201, "put")
    again = api.ask("PUT", f"{POLICIES}/put", json=nameless)
    assert (again.status_code, again.headers["etag"]) == (200, made.headers["etag"])
    problem(api.ask("PUT", f"{POLICIES}/put", json=document("other")), 400, "name")


def test_what_was_read_can_be_written_back_and_changes_nothing(api: Api) -> None:
    api.post(POLICIES, json=document("round", filter={"max_rate": "1s"}))
    read = api.get(f"{POLICIES}/round")
    written = api.ask("PUT", f"{POLICIES}/round", json=read.json())
    assert (written.json(), written.headers["etag"]) == (read.json(), read.headers["etag"])


def test_a_name_that_is_taken_is_a_conflict(api: Api) -> None:
    api.post(POLICIES, json=document("taken"))
    problem(api.post(POLICIES, json=document("taken")), 409)
    assert api.post(POLICIES, json=document("taken"), token=EVE).status_code == 201


def test_policies_of_others_are_not_seen(api: Api) -> None:
    api.post(POLICIES, json=document("private"))
    problem(api.get(f"{POLICIES}/private", token=EVE), 404)
    problem(api.get(POLICIES, token=EVE, params={"owner": "ann"}), 403)
    seen = api.get(f"{POLICIES}/private", token=ADMIN, params={"owner": "ann"})
    assert seen.json()["name"] == "private"


def test_writing_policies_tells_the_keeper(api: Api) -> None:
    before = api.changes
    api.post(POLICIES, json=document("news"))
    api.ask("PUT", f"{POLICIES}/news", json=document("news", topics=["b"]))
    api.ask("DELETE", f"{POLICIES}/news")
    assert api.changes == before + 3


def test_a_wrong_policy_names_every_place_and_changes_nothing(api: Api) -> None:
    wrong = document("wrong", type="nmber", every="1m")
    before = api.get(POLICIES).json()
    for answer in (
        api.post(POLICIES, json=wrong),
        api.ask("PUT", f"{POLICIES}/wrong", json=wrong),
        api.post(f"{POLICIES}/preview", json=wrong),
    ):
        problem(answer, 422, "type")
    assert api.get(POLICIES).json() == before


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_json_is_a_bad_request(api: Api, body: bytes) -> None:
    for path in (POLICIES, f"{POLICIES}/check", f"{POLICIES}/preview"):
        problem(api.post(path, content=body), 400, "body")


@pytest.mark.parametrize("body", [b"7", b"null", b'"x"', b"[]"])
def test_json_that_is_no_policy_is_refused(api: Api, body: bytes) -> None:
    problem(api.post(POLICIES, content=body), 422)


def test_check_answers_and_changes_nothing(api: Api) -> None:
    before = api.get(POLICIES).json()
    assert api.post(f"{POLICIES}/check", json=document("fine", topics=["fine"])).json() == {
        "ok": True
    }
    answer = api.post(f"{POLICIES}/check", json=document("bad", keep="forever"))
    assert problem(answer, 422, "keep")["ok"] is False
    assert api.get(POLICIES).json() == before


@pytest.mark.parametrize("body", [b"null", b"7", b"true", b'"policies"', b"[]x"])
def test_check_refuses_what_is_no_document_at_all(api: Api, body: bytes) -> None:
    for path in (POLICIES, f"{POLICIES}/check", f"{POLICIES}/preview"):
        assert api.post(path, content=body).status_code in (400, 422)
    assert api.ask("PUT", f"{POLICIES}/p", content=body).status_code in (400, 422)


def test_check_takes_a_whole_file_and_names_the_line(api: Api) -> None:
    text = "policies:\n  - name: a\n    topics: [t]\n    type: number\n    keep: never\n"
    headers = {"Content-Type": "application/yaml"}
    answer = api.post(f"{POLICIES}/check", content=text, headers=headers)
    (found,) = problem(answer, 422)["problems"]
    assert (found["where"], found["line"]) == ("policies[0].keep", 5)
    many = {"policies": [document(name, topics=[name]) for name in ("one", "two")]}
    assert api.post(f"{POLICIES}/check", json=many).json() == {"ok": True}


def test_preview_says_what_a_policy_would_have_kept(api: Api) -> None:
    answer = api.post(f"{POLICIES}/preview", json=document("maybe"))
    found = answer.json()
    assert (found["matched"], found["rows"], found["bytes"]) == (0, 0, 0)


def test_a_preview_has_a_range_points_and_examples(api: Api) -> None:
    for value in ("21", "warm", "23"):
        api.post("/api/v1/messages", params={"topic": "preview/1"}, content=value)
    asked = {"of": "1h", "points": 50}
    answer = api.post(
        f"{POLICIES}/preview", params=asked, json=document("maybe", topics=["preview/#"])
    )
    found = answer.json()
    assert (found["matched"], found["kept"], found["dead_letter"]) == (3, 2, 0)
    assert [row["value"] for row in found["newest"]] == [23.0, 21.0]
    assert {row["max"] for row in found["points"]} <= {21, 23}
    (example,) = found["examples"]
    assert (example["reason"], example["payload"]) == ("not_a_number", "warm")
    for wrong in ({"of": "soon"}, {"of": "0s"}, {"points": 1001}):
        problem(api.post(f"{POLICIES}/preview", params=wrong, json=document("maybe")), 400)


def test_admins_make_list_and_revoke_tokens(api: Api) -> None:
    wanted = {"owner": "plant", "name": "gateway", "publish": ["plant/#"], "read": []}
    made = api.post("/api/v1/tokens", json=wanted, token=ADMIN)
    assert made.status_code == 201
    token = made.json()["token"]
    send = {"params": {"topic": "plant/1"}, "content": b"1"}
    assert api.post("/api/v1/messages", token=token, **send).status_code == 202
    problem(api.get("/api/v1/last", token=token, params={"topic": "plant/1"}), 403)
    problem(api.post("/api/v1/tokens", json=wanted, token=ADMIN), 409)

    listed = api.get("/api/v1/tokens", token=ADMIN).text
    assert "gateway" in listed
    assert token not in listed

    gone = {"owner": "plant", "name": "gateway"}
    assert api.ask("DELETE", "/api/v1/tokens", params=gone, token=ADMIN).status_code == 204
    problem(api.post("/api/v1/messages", token=token, **send), 401)
    problem(api.ask("DELETE", "/api/v1/tokens", params=gone, token=ADMIN), 404)


def test_the_last_token_of_an_admin_is_not_ended_without_force(api: Api) -> None:
    admins = [t for t in api.get("/api/v1/tokens", token=ADMIN).json()["tokens"] if t["admin"]]
    (last,) = ({key: admin[key] for key in ("owner", "name")} for admin in admins)
    told = problem(api.ask("DELETE", "/api/v1/tokens", params=last, token=ADMIN), 409)
    assert "last token of an admin" in told["detail"]
    assert api.get("/api/v1/tokens", token=ADMIN).json()["tokens"].count(admins[0]) == 1


def test_a_token_of_an_editor_handles_no_tokens(api: Api) -> None:
    problem(api.get("/api/v1/tokens"), 403)
    problem(api.post("/api/v1/tokens", json={"owner": "ann", "name": "x"}), 403)
    problem(api.ask("DELETE", "/api/v1/tokens", params={"owner": "ann", "name": "all"}), 403)


@pytest.mark.parametrize(
    ("wanted", "status", "where"),
    [
        ({"owner": "a"}, 400, "body"),
        ({"owner": "a", "name": "b", "colour": "red"}, 400, "body"),
        ({"owner": "a/b", "name": "c"}, 422, "owner"),
        ({"owner": "Plant", "name": "c"}, 422, "owner"),
        ({"owner": "a" * 40, "name": "c"}, 422, "owner"),
        ({"owner": "a", "name": ""}, 422, "name"),
        ({"owner": "a", "name": "b", "publish": ["x", "a/#/b"]}, 422, "publish[1]"),
    ],
)
def test_a_wrong_token_document_is_refused(
    api: Api, wanted: dict[str, Any], status: int, where: str
) -> None:
    problem(api.post("/api/v1/tokens", json=wanted, token=ADMIN), status, where)


def test_every_mistake_of_a_token_document_is_named(api: Api) -> None:
    wanted = {"owner": "Plant", "name": "", "read": ["a#"]}
    answer = problem(api.post("/api/v1/tokens", json=wanted, token=ADMIN), 422)
    assert [entry["where"] for entry in answer["problems"]] == ["owner", "name", "read[0]"]


@pytest.mark.parametrize("beginning", ["token", "policy"])
def test_an_owner_of_an_earlier_version_goes_on_under_its_name(api: Api, beginning: str) -> None:
    former = f"Plant_{beginning}"
    wanted, as_admin = {"owner": former, "name": "more"}, {"token": ADMIN}
    asked = {"params": {"owner": former}, **as_admin}
    problem(api.post("/api/v1/tokens", json=wanted, **as_admin), 422, "owner")
    problem(api.post(POLICIES, json=document("new"), **asked), 400, "owner")
    problem(api.ask("PUT", f"{POLICIES}/new", json=document("new"), **asked), 400, "owner")
    if beginning == "token":
        api.catalog.add_token(StoredToken(former, "phone"))
    else:
        api.catalog.put_policies(former, [document("old")])
    assert api.post(POLICIES, json=document("new"), **asked).status_code == 201
    made = api.post("/api/v1/tokens", json=wanted, **as_admin)
    sent = api.post("/api/v1/messages", params={"topic": "a"}, token=made.json()["token"])
    assert sent.status_code == 202


ROUTES = [
    ("GET", POLICIES), ("POST", POLICIES), ("GET", f"{POLICIES}/x"), ("PUT", f"{POLICIES}/x"),
    ("DELETE", f"{POLICIES}/x"), ("POST", f"{POLICIES}/check"), ("POST", f"{POLICIES}/preview"),
    ("GET", "/api/v1/records?topic=t"), ("GET", "/api/v1/last?topic=t"), ("GET", "/api/v1/topics"),
    ("GET", "/api/v1/flow"), ("GET", "/api/v1/usage"), ("GET", "/api/v1/tap?filter=t"),
    ("GET", "/api/v1/tokens"), ("GET", "/api/v1/dead-letters"),
    ("DELETE", "/api/v1/dead-letters"), ("POST", "/api/v1/dead-letters/resend"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_but_health_asks_who_it_is(api: Api, method: str, path: str) -> None:
    for token in (None, "wrong"):
        answer = api.ask(method, path, token=token)
        problem(answer, 401)
        assert "www-authenticate" in answer.headers


def test_what_there_is_not_and_what_is_not_allowed_are_problem_documents(api: Api) -> None:
    problem(api.get("/nowhere"), 404)
    problem(api.get("/api/v1/policies/"), 404)
    answer = api.post("/api/v1/flow")
    problem(answer, 405)
    assert "GET" in answer.headers["allow"]


def test_an_unexpected_error_says_nothing_of_the_inside(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(owner: str) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(api.catalog, "policies", broken)
    answer = api.get(POLICIES)
    assert "secret" not in json.dumps(problem(answer, 500))
    assert "secret detail" in caplog.text


def test_a_store_that_does_not_answer_is_a_503_to_try_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(owner: str) -> Any:
        raise StoreUnavailable("the catalog does not answer")

    monkeypatch.setattr(api.catalog, "policies", away)
    answer = api.get(POLICIES)
    problem(answer, 503)
    assert "retry-after" in answer.headers


def test_alive_and_ready_need_no_token(api: Api) -> None:
    assert api.get("/healthz", token=None).json()["status"] == "alive"
    assert api.ask("HEAD", "/healthz", token=None).status_code == 200
    ready = api.get("/readyz", token=None)
    assert ready.json() == {
        "ready": True,
        "parts": {"journal": {"ok": True, "message": "", "bytes": 5}},
    }


def test_readiness_names_the_part_that_is_not(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"journal": Health(False, "the disk is full"), "catalog": Health(True)}
    monkeypatch.setattr(api, "ready", parts)
    answer = api.get("/readyz", token=None)
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert answer.json()["parts"]["journal"]["message"] == "the disk is full"
    assert 'lakebed_ready{part="journal"} 0.0' in api.get("/metrics", token=None).text


def test_metrics_name_neither_owners_nor_topics(api: Api) -> None:
    api.post("/api/v1/messages", params={"topic": "secret/topic"}, content=b"1")
    text = api.get("/metrics", token=None).text
    assert "lakebed_in_flight" in text
    assert "lakebed_catalog_size_bytes 5.0" in text
    assert "secret" not in text
    assert "ann" not in text


def test_metrics_do_not_grow_with_topics(api: Api) -> None:
    def series() -> set[str]:
        lines = api.get("/metrics", token=None).text.splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    api.post("/api/v1/messages", params={"topic": "one"}, content=b"1")
    series()
    before = series()
    for n in range(50):
        api.post("/api/v1/messages", params={"topic": f"many/{n}"}, content=b"1")
    assert series() == before
    assert 'lakebed_api_request_seconds_bucket{le="0.001",status="2xx"}' in before


def test_openapi_tells_of_every_route(api: Api) -> None:
    paths = api.get("/api/openapi.json", token=None).json()["paths"]
    known = {(method.upper(), path) for path, found in paths.items() for method in found}
    for method, path in ROUTES:
        assert (method, path.partition("?")[0].replace("/x", "/{name}")) in known
    for path in ("messages", "messages/batch", "events"):
        assert ("POST", f"/api/v1/{path}") in known
    assert {"/healthz", "/readyz", "/metrics"} <= paths.keys()


def test_the_page_of_routes_needs_no_other_host(api: Api) -> None:
    page = api.get("/api/docs", token=None).text
    assert "/api/v1/records" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page


async def always() -> bool:
    return True


def test_a_tap_shows_messages_as_they_become_durable(api: Api) -> None:
    from lakebed.api.routes import tap

    async def look() -> list[dict[str, Any]]:
        stream = tap.lines(api.feed, {("ann", ""): ["live/#"]}, always)
        seen: list[dict[str, Any]] = []
        try:
            assert await anext(stream) == b"\n"
            await asyncio.to_thread(post)
            while len(seen) < 2:
                seen += map(json.loads, (await anext(stream)).split(b"\n")[:-1])
        finally:
            await stream.aclose()
        return seen

    def post() -> None:
        lines = [
            {"topic": "live/1", "value": "21.5", "time": 1.5},
            {"topic": "other", "value": "no"},
            {"topic": "live/2", "payload_base64": "/w=="},
        ]
        body = "\n".join(map(json.dumps, lines))
        assert api.post("/api/v1/messages/batch", content=body).json()["accepted"] == 3

    # `post` asks the loop that runs `look`, from another thread
    first, second = api.run(look())
    assert first == {"topic": "live/1", "time": "1970-01-01T00:00:01.500Z", "value": "21.5"}
    assert (second["topic"], second["payload_base64"]) == ("live/2", "/w==")


def test_a_tap_that_is_not_read_counts_what_it_dropped(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakebed.api.routes import tap

    monkeypatch.setattr(tap, "MOST_WAITING", 2)

    class Feed:
        dropped = 0
        closed = False

        def subscribe(self, owner: str, filters: Any, deliver: Any) -> "Feed":
            self.deliver = deliver
            return self

        def close(self) -> None:
            self.closed = True

    async def look() -> tuple[list[bytes], bool]:
        feed = Feed()
        stream = tap.lines(feed, {("ann", ""): ["#"]}, always)
        await anext(stream)
        feed.deliver([("t", b"%d" % i, 0, 0) for i in range(5)])
        seen = [await anext(stream), await anext(stream)]
        await stream.aclose()
        return seen, feed.closed

    seen, closed = api.run(look())
    assert seen[0] == b'{"dropped":3}\n'
    assert seen[1].count(b"\n") == 2
    assert closed


def test_a_silent_tap_sends_blank_lines(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from lakebed.api.routes import tap

    monkeypatch.setattr(tap, "HEARTBEAT", 0.01)

    async def look() -> list[bytes]:
        stream = tap.lines(api.feed, {("ann", ""): ["silence"]}, always)
        seen = [await anext(stream) for _ in range(3)]
        await stream.aclose()
        return seen

    assert api.run(look()) == [b"\n"] * 3


def test_a_tap_ends_when_its_token_is_revoked(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from lakebed.api.routes import tap

    monkeypatch.setattr(tap, "HEARTBEAT", 0.01)
    monkeypatch.setattr(tap, "RECHECK", 0.0)
    secret = api.catalog.add_token(StoredToken("ann", "passing", read=("live/#",)))
    timer = threading.Timer(0.3, api.catalog.revoke_token, ("ann", "passing"))
    timer.start()
    answer = api.get("/api/v1/tap", params={"filter": "live/#"}, token=secret)  # all of it
    timer.join()
    assert answer.status_code == 200
    assert answer.text.count("\n") > 2


def test_a_tap_shows_only_what_its_token_may_read(api: Api) -> None:
    problem(api.get("/api/v1/tap", params={"filter": "#"}, token=ROOMS), 403)
    problem(api.get("/api/v1/tap", params={"filter": "a/#/b"}), 400, "filter")
    problem(api.get("/api/v1/tap"), 400, "filter")


def test_a_policy_is_changed_only_as_it_was_read(api: Api) -> None:
    tag = api.post(POLICIES, json=document("seen")).headers["etag"]
    changed = api.ask(
        "PUT", f"{POLICIES}/seen", json=document("seen", topics=["b"]), headers={"If-Match": tag}
    )
    assert changed.status_code == 200
    for method, more in (("PUT", {"json": document("seen", topics=["c"])}), ("DELETE", {})):
        problem(api.ask(method, f"{POLICIES}/seen", headers={"If-Match": tag}, **more), 412)
    assert api.get(f"{POLICIES}/seen").json()["topics"] == ["b"]
    absent = {"json": document("absent"), "headers": {"If-Match": "*"}}
    problem(api.ask("PUT", f"{POLICIES}/absent", **absent), 412)
    problem(api.get(f"{POLICIES}/absent"), 404)
    newest = changed.headers["etag"]
    gone = api.ask("DELETE", f"{POLICIES}/seen", headers={"If-Match": newest})
    assert gone.status_code == 204
