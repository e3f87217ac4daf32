"""Shares over HTTP, and what those see to whom topics are opened."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lakebed.access.settings import AuthSection
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.vocabulary.roles import Role

from .conftest import ADMIN, ANN, EVE, SETTINGS, Api, problem

SHARES, MANAGER = "/api/v1/shares", "manager-token"
WEATHER = {"name": "weather", "topics": ["roof/#"], "with": ["owner:eve"], "may": ["read"]}
POLICIES = {
    "policies": [{"name": "now", "topics": ["roof/+"], "type": "number", "keep": "last_value"}]
}


@pytest.fixture(autouse=True, scope="module")
def manager(api: Api) -> None:
    api.catalog.add_token(StoredToken("ann", "manager", role=Role.MANAGER), MANAGER)


@pytest.fixture(autouse=True)
def no_shares(api: Api) -> Iterator[None]:
    yield
    for share in api.catalog.shares():
        api.catalog.delete_share(share.owner, share.name)


def share(api: Api, **more: Any) -> Any:
    return api.ask("PUT", f"{SHARES}/weather", token=MANAGER, json=WEATHER | more)


def last(api: Api, topic: str = "roof/1", token: str | None = EVE) -> int:
    return api.get("/api/v1/last", params={"owner": "ann", "topic": topic}, token=token).status_code


def test_shares_are_written_and_read_as_documents(api: Api) -> None:
    made = api.post(SHARES, json=WEATHER, token=MANAGER)
    assert (made.status_code, made.json()) == (201, WEATHER)
    assert made.headers["location"] == f"{SHARES}/weather"
    problem(api.post(SHARES, json=WEATHER, token=MANAGER), 409)
    assert api.get(SHARES).json() == {"shares": [WEATHER]}  # an editor sees them
    assert api.get(f"{SHARES}/weather").json() == WEATHER
    assert share(api).headers["etag"] == made.headers["etag"]
    old = {"If-Match": made.headers["etag"]}
    assert share(api, may=["publish"]).status_code == 200
    for method in ("PUT", "DELETE"):
        body = {"json": WEATHER} if method == "PUT" else {}
        problem(api.ask(method, f"{SHARES}/weather", token=MANAGER, headers=old, **body), 412)
    assert api.ask("DELETE", f"{SHARES}/weather", token=MANAGER).status_code == 204
    problem(api.ask("DELETE", f"{SHARES}/weather", token=MANAGER), 404)
    assert api.get(SHARES).json() == {"shares": []}


def test_managers_alone_share(api: Api) -> None:
    problem(api.post(SHARES, json=WEATHER, token=ANN), 403)  # an editor
    problem(api.post(f"{SHARES}?owner=ann", json=WEATHER, token=EVE), 403)
    problem(api.get(f"{SHARES}?owner=ann", token=EVE), 403)
    assert api.post(f"{SHARES}?owner=ann", json=WEATHER, token=ADMIN).status_code == 201


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"topics": []}, "topics"),
        ({"topics": ["$owner/eve/#"]}, "topics[0]"),
        ({"topics": ["a/#/b"]}, "topics[0]"),
        ({"with": []}, "with"),
        ({"with": ["everybody"]}, "with[0]"),
        ({"with": ["owner:a/b"]}, "with[0]"),
        ({"may": ["write"]}, "may[0]"),
        ({"with": ["public"], "may": ["read", "publish"]}, "may[1]"),
        ({"name": "a b"}, "name"),
        ({"who": []}, "who"),
    ],
)
def test_a_mistake_is_named(api: Api, change: dict[str, Any], where: str) -> None:
    problem(api.post(SHARES, json=WEATHER | change, token=MANAGER), 422, where)
    problem(api.post(f"{SHARES}/check", json=WEATHER | change, token=MANAGER), 422, where)
    assert api.post(f"{SHARES}/check", json=WEATHER, token=MANAGER).json() == {"ok": True}


def test_what_is_shared_is_read_with_owner_and_nothing_else(api: Api) -> None:
    assert api.post("/api/v1/apply", json=POLICIES).is_success
    assert last(api) == 403
    share(api)
    assert last(api) in (200, 404)  # allowed: nothing was sent yet
    assert last(api, "cellar/1") == 403
    assert last(api, "#") == 403
    problem(api.get("/api/v1/policies?owner=ann", token=EVE), 403)
    problem(api.ask("DELETE", "/api/v1/records?owner=ann&topic=roof/1", token=EVE), 403)
    share(api, **{"with": ["owner:works"]})
    assert last(api) == 403
    share(api, **{"with": ["instance"], "may": ["publish"]})
    assert last(api) == 403


def test_shared_topics_are_listed_with_owner(api: Api) -> None:
    for topic in ("roof/listed", "cellar/hidden"):
        assert api.post("/api/v1/messages", params={"topic": topic}, content=b"1").is_success
    problem(api.get("/api/v1/topics?owner=ann", token=EVE), 403)
    share(api)
    found = api.get("/api/v1/topics?owner=ann", token=EVE).json()
    topics = [topic["topic"] for topic in found["topics"]]
    assert "roof/listed" in topics
    assert all(topic.startswith("roof/") for topic in topics)
    assert found["total"]["topics"] == len(topics)
    problem(api.get("/api/v1/topics?owner=ann&filter=cellar/%23", token=EVE), 403)
    problem(api.get("/api/v1/flow?owner=ann", token=EVE), 403)


def send(api: Api, token: str = EVE, **more: Any) -> Any:
    asked = {"owner": "ann", "topic": "roof/1"} | more
    return api.post("/api/v1/messages", params=asked, content=b"1", token=token)


def test_messages_are_sent_into_what_is_shared_to_publish(api: Api) -> None:
    before = api.end
    problem(send(api), 403)
    share(api, may=["read"])
    problem(send(api), 403)
    share(api, may=["publish"])
    assert send(api).status_code == 202
    problem(send(api, topic="cellar/1"), 403)
    assert send(api, owner="eve", topic="$owner/ann/roof/2").status_code == 202  # as in MQTT
    problem(send(api, topic="$owner/ann"), 400, "topic")
    problem(send(api, owner="nobody"), 403)
    sent = [("ann", "roof/1", b"1"), ("ann", "roof/2", b"1")]
    assert api.appended(before) == sent
    share(api, may=["read"])
    problem(send(api), 403)  # not by what is cached either


def test_batches_and_events_are_sent_into_what_is_shared(api: Api) -> None:
    before = api.end
    share(api, topics=["roof/#", "events/door"], may=["publish"])
    lines = b'{"topic": "roof/1", "value": 1}\n{"topic": "cellar", "value": 2}'
    answer = api.post("/api/v1/messages/batch?owner=ann", content=lines, token=EVE).json()
    assert (answer["accepted"], [r["line"] for r in answer["rejected"]]) == (1, [2])
    tapped = b'{"topic": "$owner/ann/roof/2", "value": 2}\n{"topic": "mine", "value": 3}'
    assert api.post("/api/v1/messages/batch", content=tapped, token=EVE).json()["accepted"] == 2
    event = b'{"name": "door"}'
    assert api.post("/api/v1/events?owner=ann", content=event, token=EVE).status_code == 202
    problem(api.post("/api/v1/messages/batch?owner=works", content=lines, token=EVE), 403)
    problem(api.post("/api/v1/messages/batch?ownr=ann", content=lines, token=EVE), 400, "ownr")
    assert [(owner, topic) for owner, topic, _ in api.appended(before)] == [
        ("ann", "roof/1"), ("ann", "roof/2"), ("eve", "mine"), ("ann", "events/door")
    ]  # fmt: skip


def test_ids_of_others_do_not_take_those_of_the_owner(api: Api) -> None:
    before = api.end
    share(api, may=["publish"])
    to, named = "/api/v1/messages?owner=ann&topic=roof/1", {"X-Message-Id": "m-77"}
    for token in (EVE, EVE, ANN, ANN):
        assert api.post(to, content=token.encode(), token=token, headers=named).is_success
    assert [payload for *_, payload in api.appended(before)] == [EVE.encode(), ANN.encode()]


@pytest.fixture
def public(api: Api) -> Iterator[Api]:
    """An instance that shows what is public, three requests to an address."""
    auth = AuthSection(public=True, public_rate=0.6)
    state = api.app.control.state
    before = state.services
    state.services = replace(before, settings=SETTINGS.model_copy(update={"auth": auth}))
    state.strangers = type(state.strangers)(auth.public_rate)
    yield api
    state.services = before


def test_what_is_public_is_read_without_signing_in_where_the_instance_allows_it(
    public: Api,
) -> None:
    assert last(public, token=None) == 401
    share(public, **{"with": ["public"]})
    assert last(public, token=None) in (200, 404)
    problem(public.get("/api/v1/last?owner=ann&topic=cellar", token=None), 401)
    problem(public.get("/api/v1/last?topic=roof/1", token=None), 401)
    problem(public.get("/api/v1/tap?owner=ann&filter=roof/1", token=None), 401)
    assert last(public, token=None) in (200, 404)
    refused = public.get("/api/v1/last?owner=ann&topic=roof/1", token=None)
    problem(refused, 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert last(public) in (200, 404)  # those who sign in are not counted


def test_what_is_public_is_read_by_nobody_where_the_instance_does_not_allow_it(api: Api) -> None:
    share(api, **{"with": ["public"]})
    assert last(api, token=None) == 401
    assert last(api) in (200, 404)
