"""Relays over HTTP: who sees and writes which, and what is done with them."""

from collections.abc import Iterator
from typing import Any

import pytest

from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.relays import Record
from lakebed.relays.documents import parse, spec_of
from lakebed.relays.letters import letter_of
from lakebed.vocabulary.roles import Role

from .conftest import ANN, ROOMS, Api, problem

RELAYS, VIEWER = "/api/v1/relays", "relay-viewer-token"
HOOK = {"name": "hook", "from": {"topics": ["hall/#"]}, "to": {"http": "https://example.com/in"}}


@pytest.fixture(autouse=True, scope="module")
def viewer(api: Api) -> None:
    api.catalog.add_token(StoredToken("ann", "relay-viewer", role=Role.VIEWER), VIEWER)


@pytest.fixture(autouse=True)
def no_relays(api: Api) -> Iterator[None]:
    yield
    for relay in api.catalog.relays():
        api.catalog.delete_relay(relay.owner, relay.name)
        api.catalog.unfollow(relay.id)


def put(api: Api, **more: Any) -> Any:
    return api.ask("PUT", f"{RELAYS}/hook", json=HOOK | more)


def test_relays_are_written_and_read_as_documents(api: Api) -> None:
    made = api.post(RELAYS, json=HOOK)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == f"{RELAYS}/hook"
    document = made.json()
    status = document.pop("status")
    assert document == HOOK
    assert (status["state"], status["lag"]["messages"], status["gaps"]) == ("starting", 0, [])
    problem(api.post(RELAYS, json=HOOK), 409)
    assert api.get(RELAYS).json() == {"relays": [HOOK]}
    again = put(api, status=status)  # what is read can be written back
    assert again.headers["etag"] == made.headers["etag"]
    old = {"If-Match": made.headers["etag"]}
    assert put(api, hold="2GiB").status_code == 200
    problem(api.ask("PUT", f"{RELAYS}/hook", json=HOOK, headers=old), 412)
    assert api.ask("DELETE", f"{RELAYS}/hook").status_code == 204
    problem(api.get(f"{RELAYS}/hook"), 404)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"from": {}}, "from"),
        ({"from": {"topics": ["a/#/b"]}}, "from.topics[0]"),
        ({"from": {"topics": []}}, "from.topics"),
        ({"from": {"policy": "x", "what": "all"}}, "from.what"),
        ({"from": {"policy": "nowhere"}}, "from.policy"),
        ({"to": {"nowhere": 1}}, "to"),
        ({"to": {"http": "https://example.com", "nix": 1}}, "to.nix"),
        ({"to": {"http": "https://example.com", "batch": 0}}, "to.batch"),
        ({"to": {"http": "https://example.com", "every": "1s"}, "every": "1s"}, "to.every"),
        ({"filter": {"min": 1}}, "filter"),
        ({"type": "text", "filter": {"min": 1}}, "filter.min"),
        ({"type": "number", "transform": {"nix": 1}}, "transform.nix"),
        ({"template": "{"}, "template"),
        ({"retry": {"first": "10s", "most": "1s"}}, "retry.first"),
        ({"hold": "1KiB"}, "hold"),
        ({"rate": "many"}, "rate"),
        ({"timeout": "1h"}, "timeout"),
        ({"paused": "yes"}, "paused"),
        ({"nix": 1}, "nix"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_written(
    api: Api, wrong: dict[str, Any], where: str
) -> None:
    problem(api.post(RELAYS, json=HOOK | wrong), 422, where)
    assert api.get(RELAYS).json() == {"relays": []}


def test_whoever_writes_a_relay_must_be_allowed_to_read_its_topics(api: Api) -> None:
    api.post(RELAYS, json=HOOK)
    assert api.get(f"{RELAYS}/hook", token=VIEWER).status_code == 200
    problem(api.ask("PUT", f"{RELAYS}/hook", json=HOOK | {"hold": "2GiB"}, token=VIEWER), 403)
    problem(api.post(f"{RELAYS}/hook/pause", token=VIEWER), 403)
    problem(api.get(f"{RELAYS}/hook?owner=ann", token=ROOMS), 404)
    problem(api.post(f"{RELAYS}?owner=ann", json=HOOK | {"name": "new"}, token=ROOMS), 403)


def test_a_relay_is_paused_resumed_and_rewound(api: Api) -> None:
    made = api.post(RELAYS, json=HOOK).json()
    paused = api.post(f"{RELAYS}/hook/pause").json()
    assert (paused["paused"], paused["status"]["state"]) == (True, "paused")
    resumed = api.post(f"{RELAYS}/hook/resume").json()
    assert "paused" not in resumed
    number = api.catalog.relay("ann", "hook")
    rewound = api.post(f"{RELAYS}/hook/rewind", json={"to": "2026-01-01T00:00:00Z"})
    assert rewound.status_code == 200, rewound.text
    assert "reaches" in rewound.json()
    after = api.catalog.relay("ann", "hook")
    assert number is not None
    assert after is not None
    assert after.number > number.number
    problem(api.post(f"{RELAYS}/hook/rewind", json={"to": "soon"}), 400, "to")
    problem(api.post(f"{RELAYS}/nix/pause"), 404)
    assert made["name"] == "hook"


def test_a_relay_of_a_policy_follows_it_until_it_is_deleted(api: Api) -> None:
    policy = {"name": "raw", "topics": ["hall/#"], "type": "number", "keep": "archive"}
    relay = HOOK | {"from": {"policy": "raw", "what": "kept"}}
    whole = {"policies": [policy], "relays": [relay]}
    answer = api.post("/api/v1/apply", json=whole)
    assert answer.status_code == 200, answer.text
    assert answer.json()["relays"] == [{"name": "hook", "change": "created"}]
    assert [one.policy for one in api.catalog.followers()] == ["raw"]
    again = api.post("/api/v1/apply", json={"relays": [relay]}).json()
    assert again["relays"] == [{"name": "hook", "change": "unchanged"}]
    api.ask("DELETE", f"{RELAYS}/hook")
    assert api.catalog.followers() == []
    api.ask("DELETE", "/api/v1/policies/raw")


def test_all_of_a_document_is_written_or_nothing(api: Api) -> None:
    second = HOOK | {"name": "other", "from": {"policy": "nowhere", "what": "kept"}}
    problem(
        api.post("/api/v1/apply", json={"relays": [HOOK, second]}), 422, "relays[1].from.policy"
    )
    assert api.get(RELAYS).json() == {"relays": []}


def test_letters_of_a_relay_stand_among_the_others_and_are_dropped(api: Api) -> None:
    api.post(RELAYS, json=HOOK)
    spec = spec_of(parse(HOOK, "ann"))
    record = Record("0:7", "hall/1", 5, 5, payload=b"x")
    api.catalog.add_dead_letters([letter_of(spec, 0, record, 7, "no such door", 6)])
    (shown,) = api.get("/api/v1/dead-letters?policy=$relay:hook", token=ANN).json()["dead_letters"]
    assert (shown["id"], shown["reason"]) == ("$relay:hook:0:7", "no such door")
    assert api.get("/api/v1/dead-letters/$relay:hook:0:7").json()["error"] == ""
    # the address is not of this machine, and the name of an example leads nowhere
    assert api.post("/api/v1/dead-letters/$relay:hook:0:7/resend").status_code == 503
    assert api.ask("DELETE", "/api/v1/dead-letters/$relay:hook:0:7").status_code == 204
