"""What a token sees and does ends where its filters end, on every route.

ann has a public room and a vault. `ROOMS` may read and publish below `room/`, `LISTENER` may read
there, `SENDER` may publish on one topic and read nothing. Nothing that any of them is answered
says a word about the vault.
"""

import json
from typing import Any

import httpx
import numpy as np
import pytest

from lakebed.keeper.chunk import Chunk
from lakebed.keeper.examples import Examples
from lakebed.keeper.ledger import CONSUMER, Ledger, to_checkpoint
from lakebed.policies.outcomes import Outcome
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.catalog.dead_letters import DeadLetter
from lakebed.ports.catalog.last_values import LastValue
from lakebed.ports.series import Series
from lakebed.vocabulary.messages import Channel

from .conftest import ADMIN, ANN, ROOMS, Api, Open, problem

SENDER, LISTENER = "sender-token", "listener-token"
POLICIES = "/api/v1/policies"
VAULT = ("vault", "secret")
"""Words that stand only in what is kept from these tokens."""


def document(name: str, *topics: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "topics": list(topics), "type": "number", "keep": "archive", **more}


@pytest.fixture(scope="module")
def ann(open_api: Open, series: Series) -> Api:
    """Policies, counters, examples, last values and dead letters of the room and of the vault."""
    api = open_api(series)
    api.catalog.add_token(StoredToken("ann", "sender", ("only/here",), ()), SENDER)
    api.catalog.add_token(StoredToken("ann", "listener", (), ("room/#",)), LISTENER)
    for policy in (
        document("rooms", "room/+"),
        document("all", "#"),
        document("secret", "vault/#"),
        document("moved", "vault/old"),
        document("moved", "room/new"),
        document("both", "room/1", "vault/1"),
        document("last", "#", keep="last_value", type="json"),
    ):
        assert api.ask("PUT", f"{POLICIES}/{policy['name']}", json=policy).status_code < 300
    for topic in ("room/1", "vault/1", "room/1"):
        api.post("/api/v1/messages", params={"topic": topic}, content=b"12345")
    _count(api)
    api.catalog.upsert_last(
        [
            LastValue("ann", "last", topic, "number", 1, 7.0, 1, 0, place)
            for place, topic in enumerate(("room/1", "vault/1"))
        ]
    )
    api.catalog.add_dead_letters([letter("room/1", 1), letter("vault/1", 2), letter("vault/1", 3)])
    api.catalog.settle_dead_letters([letter("vault/1", 3)], "dropped")
    return api


def letter(topic: str, offset: int) -> DeadLetter:
    return DeadLetter("ann", topic, "all", 0, offset, 1, b"vault" * topic.count("v"), f"in {topic}")


def _count(api: Api) -> None:
    """A keeper has seen the first two messages, and what each policy made of them."""
    ledger, examples = Ledger(), Examples(0)
    codes = ledger.identify([Channel("ann", "room/1"), Channel("ann", "vault/1")])
    outcomes = np.array([Outcome.KEPT, Outcome.UNIQUE], np.uint8)
    ledger.count(codes, outcomes, np.full(2, 5), np.arange(2) * 1_000_000)
    for name in ("rooms", "all", "secret", "moved", "both", "deleted"):
        ledger.count_policy(("ann", name), outcomes)
    at = np.arange(2)
    chunk = Chunk(at, codes, [b"room", b"vault"], at, at, np.full(2, 5), None, None, 2)
    examples.note_skipped(at, chunk, ledger.channels)
    api.catalog.save_checkpoints(CONSUMER, 0, [to_checkpoint(ledger, 2)])
    api.catalog.save_checkpoints("examples", 0, examples.take_changed(2))


def silent(answer: httpx.Response) -> httpx.Response:
    """The answer, which must not say a word about the vault."""
    told = answer.text + str(answer.headers)
    assert not [word for word in VAULT if word in told], told
    return answer


# --- policies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [SENDER, LISTENER, ROOMS])
def test_only_policies_whose_topics_a_token_may_read_are_listed(ann: Api, token: str) -> None:
    listed = silent(ann.get(POLICIES, token=token)).json()["policies"]
    expected = [] if token == SENDER else ["moved", "rooms"]
    assert [policy["name"] for policy in listed] == expected


@pytest.mark.parametrize("name", ["all", "both", "nobody"])
@pytest.mark.parametrize("token", [SENDER, LISTENER, ROOMS])
def test_a_policy_beyond_the_filters_is_as_one_that_is_not_there(
    ann: Api, token: str, name: str
) -> None:
    read = problem(ann.get(f"{POLICIES}/{name}", token=token), 404)
    assert read["detail"] == f"there is no policy '{name}'"
    assert ann.get(f"{POLICIES}/all").status_code == 200


@pytest.mark.parametrize("token", [SENDER, LISTENER, ROOMS])
@pytest.mark.parametrize("name", ["all", "secret", "both", "nobody"])
def test_a_policy_beyond_the_filters_cannot_be_deleted(ann: Api, token: str, name: str) -> None:
    answer = ann.ask("DELETE", f"{POLICIES}/{name}", token=token)
    assert problem(answer, 404)["detail"] == f"there is no policy '{name}'"
    assert [p["name"] for p in ann.get(POLICIES).json()["policies"]] == [
        "all", "both", "last", "moved", "rooms", "secret",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("token", "topics"),
    [
        (SENDER, ["#"]),
        (SENDER, ["only/here"]),  # it may not read there
        (LISTENER, ["room/1"]),  # nor this one publish
        (ROOMS, ["#"]),
        (ROOMS, ["room/1", "hall"]),
        (ROOMS, ["+/1"]),
    ],
)
def test_a_policy_is_written_only_where_a_token_may_read_and_publish(
    ann: Api, token: str, topics: list[str]
) -> None:
    wanted = document("new", *topics)
    as_file = {"policies": [document("ok", "room/1"), wanted]}
    for answer in (
        ann.post(POLICIES, json=wanted, token=token),
        ann.ask("PUT", f"{POLICIES}/new", json=wanted, token=token),
        ann.post(f"{POLICIES}/check", json=wanted, token=token),
        ann.post(f"{POLICIES}/check", json=as_file, token=token),
    ):
        assert "may not change policies on" in problem(silent(answer), 403)["detail"]
    problem(ann.get(f"{POLICIES}/new"), 404)


def test_a_policy_within_the_filters_is_written_checked_and_deleted(ann: Api) -> None:
    wanted = document("mine", "room/+/x", "room")
    assert ann.post(f"{POLICIES}/check", json=wanted, token=ROOMS).status_code == 200
    assert ann.post(POLICIES, json=wanted, token=ROOMS).status_code == 201
    changed = wanted | {"topics": ["room/#"]}
    assert ann.ask("PUT", f"{POLICIES}/mine", json=changed, token=ROOMS).status_code == 200
    assert ann.get(f"{POLICIES}/mine", token=LISTENER).json()["topics"] == ["room/#"]
    problem(ann.ask("DELETE", f"{POLICIES}/mine", token=LISTENER), 403)
    assert ann.ask("DELETE", f"{POLICIES}/mine", token=ROOMS).status_code == 204


def test_a_policy_beyond_the_filters_is_not_replaced_by_one_within(ann: Api) -> None:
    before = ann.get(POLICIES).json()
    for name in ("all", "both", "secret"):
        wanted = document(name, "room/1")
        problem(ann.ask("PUT", f"{POLICIES}/{name}", json=wanted, token=ROOMS), 403)
        problem(ann.post(POLICIES, json=wanted, token=ROOMS), 409)
    assert ann.get(POLICIES).json() == before


@pytest.mark.parametrize(
    ("token", "topics", "status"),
    [
        (SENDER, ["#"], 403),
        (SENDER, ["only/here"], 403),
        (LISTENER, ["#"], 403),
        (LISTENER, ["room/1", "vault/1"], 403),
        (LISTENER, ["room/+"], 200),
        (ROOMS, ["room/#"], 200),
        (ANN, ["vault/#"], 200),
    ],
)
def test_a_preview_looks_only_at_topics_that_a_token_may_read(
    ann: Api, token: str, topics: list[str], status: int
) -> None:
    answer = ann.post(f"{POLICIES}/preview", json=document("p", *topics), token=token)
    assert answer.status_code == status


def test_whoever_may_read_all_topics_decides_about_topics_with_a_dollar_too(ann: Api) -> None:
    wanted = document("system", "$SYS/#")
    assert ann.post(POLICIES, json=wanted).status_code == 201
    assert ann.get(f"{POLICIES}/system").status_code == 200
    problem(ann.post(POLICIES, json=wanted, token=ROOMS), 403)
    assert ann.ask("DELETE", f"{POLICIES}/system").status_code == 204


# --- the account ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "received", "filtered"),
    [(SENDER, 0, {}), (LISTENER, 2, {}), (ROOMS, 2, {}), (ANN, 3, {"unique": 1})],
)
def test_totals_of_the_flow_are_those_of_the_topics_a_token_may_read(
    ann: Api, token: str, received: int, filtered: dict[str, int]
) -> None:
    whole = ann.get("/api/v1/flow", token=token).json()
    by_topic = ann.get("/api/v1/flow", params={"by": "topic"}, token=token).json()["topics"]
    assert (whole["received"], whole["filtered"]) == (received, filtered)
    assert sum(row["received"] for row in by_topic) == received


def test_the_flow_of_a_policy_is_for_those_who_may_read_all_it_ever_was_about(ann: Api) -> None:
    def policies(token: str) -> list[str]:
        answer = ann.get("/api/v1/flow", params={"by": "policy"}, token=token)
        return [row["policy"] for row in answer.json()["policies"]]

    assert policies(SENDER) == []
    assert policies(LISTENER) == policies(ROOMS) == ["rooms"]
    assert policies(ANN) == ["all", "both", "deleted", "moved", "rooms", "secret"]


@pytest.mark.parametrize("token", [SENDER, LISTENER, ROOMS])
def test_examples_topics_and_usage_are_those_a_token_may_read(ann: Api, token: str) -> None:
    expected = [] if token == SENDER else ["room/1"]
    flow = silent(ann.get("/api/v1/flow", params={"examples": True}, token=token)).json()
    assert [example["topic"] for example in flow["examples"]] == expected
    topics = silent(ann.get("/api/v1/topics", token=token)).json()["topics"]
    assert [row["topic"] for row in topics] == expected
    usage = silent(ann.get("/api/v1/usage", token=token)).json()
    assert [row["topic"] for row in usage["usage"]] == expected
    assert usage["rows"] == len(expected)
    for filter in ("vault/#", "+/1", "#/"):
        answer = ann.get("/api/v1/topics", params={"filter": filter}, token=token)
        assert answer.status_code in (400, 403)


# --- what was kept --------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [SENDER, LISTENER, ROOMS])
@pytest.mark.parametrize("topic", ["vault/1", "+/1", "#", "vault/#"])
def test_records_last_values_and_taps_beyond_the_filters_are_refused(
    ann: Api, token: str, topic: str
) -> None:
    for path, asked in (
        ("records", {"topic": topic}),
        ("records", {"topic": topic, "policy": "all"}),
        ("records", {"topic": topic, "policy": "nobody"}),
        ("last", {"filter": topic}),
        ("tap", {"filter": topic}),
        ("tap", {"filter": ["only/here", topic]}),
    ):
        problem(ann.get(f"/api/v1/{path}", params=asked, token=token), 403)


@pytest.mark.parametrize("keep", [None, "window"])
def test_a_policy_that_touches_nothing_a_token_may_read_is_as_one_that_is_not_there(
    ann: Api, keep: str | None
) -> None:
    more = {} if keep is None else {"keep": keep}
    for name in ("secret", "nobody"):
        asked = {"topic": "room/1", "policy": name} | more
        answer = problem(ann.get("/api/v1/records", params=asked, token=ROOMS), 400, "policy")
        assert answer["detail"] == f"policy: there is no policy '{name}'"
    asked = {"topic": "room/1", "policy": "moved"}
    assert ann.get("/api/v1/records", params=asked, token=ROOMS).status_code == 200
    answer = ann.get("/api/v1/records", params={"topic": "room/1", "policy": "secret"})
    assert answer.status_code == 200


def test_last_values_of_a_policy_are_those_of_the_topics_a_token_may_read(ann: Api) -> None:
    found = silent(ann.get("/api/v1/last", params={"filter": "room/#"}, token=ROOMS)).json()
    assert [value["topic"] for value in found["records"]] == ["room/1"]
    problem(ann.get("/api/v1/last", params={"filter": "+/+"}, token=ROOMS), 403)


@pytest.mark.parametrize("token", [SENDER, LISTENER, ROOMS])
def test_what_was_kept_is_deleted_by_admins_alone(ann: Api, token: str) -> None:
    problem(ann.ask("DELETE", "/api/v1/records", params={"topic": "room/1"}, token=token), 403)


# --- dead letters ---------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [SENDER, LISTENER, ROOMS])
def test_letters_are_seen_and_counted_on_topics_that_a_token_may_read(ann: Api, token: str) -> None:
    found = silent(ann.get("/api/v1/dead-letters", token=token)).json()
    expected = [] if token == SENDER else ["room/1"]
    assert [shown["topic"] for shown in found["dead_letters"]] == expected
    assert found["waiting"] == len(expected)
    assert [found[fate] for fate in ("resent", "dropped", "expired")] == [None] * 3
    assert ann.get("/api/v1/dead-letters").json()["dropped"] == 1


@pytest.mark.parametrize("token", [SENDER, LISTENER, ROOMS])
@pytest.mark.parametrize("id", ["all:0:2", "all:0:3", "all:0:77"])
def test_a_letter_beyond_the_filters_is_as_one_that_is_not_there(
    ann: Api, token: str, id: str
) -> None:
    path = f"/api/v1/dead-letters/{id}"
    for method, address in (("GET", path), ("DELETE", path), ("POST", f"{path}/resend")):
        answer = problem(silent(ann.ask(method, address, token=token)), 404)
        assert answer["detail"].startswith(f"there is no dead letter '{id}'")


def test_letters_are_settled_by_whoever_may_read_and_publish_there(ann: Api) -> None:
    path = "/api/v1/dead-letters"
    problem(ann.post(f"{path}/all:0:1/resend", token=LISTENER), 403)
    problem(ann.ask("DELETE", f"{path}/all:0:1", token=LISTENER), 403)
    problem(ann.ask("DELETE", path, params={"topic": "#"}, token=LISTENER), 403)
    problem(ann.post(f"{path}/resend", params={"topic": "#"}, token=LISTENER), 403)
    assert ann.ask("DELETE", path, params={"topic": "#"}, token=ROOMS).json() == {"dropped": 1}
    assert ann.get(path).json()["waiting"] == 1  # the vault's


# --- sending --------------------------------------------------------------------------------------


def test_messages_beyond_the_filters_are_refused_whatever_way_they_come(ann: Api) -> None:
    before = ann.end
    problem(ann.post("/api/v1/messages", params={"topic": "vault/1"}, token=SENDER), 403)
    problem(ann.post("/api/v1/messages", params={"topic": "only/here/x"}, token=SENDER), 403)
    lines = json.dumps({"topic": "vault/1", "value": 1})
    problem(ann.post("/api/v1/messages/batch", content=lines, token=SENDER), 422)
    problem(ann.post("/api/v1/events", json={"name": "door"}, token=SENDER), 422)
    problem(ann.post("/api/v1/messages", params={"topic": "room/1"}, token=LISTENER), 403)
    assert ann.end == before
    sent = ann.post("/api/v1/messages", params={"topic": "only/here"}, token=SENDER)
    assert sent.status_code == 202


# --- owners ---------------------------------------------------------------------------------------

ROUTES = [
    ("GET", "/flow", {}),
    ("GET", "/topics", {}),
    ("GET", "/usage", {}),
    ("GET", "/policies", {}),
    ("GET", "/policies/all", {}),
    ("DELETE", "/policies/all", {}),
    ("GET", "/records", {"topic": "room/1"}),
    ("GET", "/last", {"topic": "room/1"}),
    ("GET", "/tap", {"filter": "room/1"}),
    ("GET", "/dead-letters", {}),
    ("GET", "/dead-letters/all:0:2", {}),
    ("DELETE", "/dead-letters", {"topic": "#"}),
    ("POST", "/dead-letters/resend", {"topic": "#"}),
    ("DELETE", "/records", {"topic": "#"}),
    ("GET", "/tokens", {}),
    ("DELETE", "/tokens", {"name": "all"}),
    ("GET", "/journal", {}),
    ("GET", "/backups", {}),
]


@pytest.mark.parametrize(("method", "path", "asked"), ROUTES)
def test_what_belongs_to_others_is_for_admins(
    ann: Api, method: str, path: str, asked: dict[str, str]
) -> None:
    answer = ann.ask(method, f"/api/v1{path}", params=asked | {"owner": "eve"}, token=ROOMS)
    problem(answer, 403)


def test_the_filters_of_an_admin_count_with_every_owner(ann: Api) -> None:
    ann.catalog.add_token(
        StoredToken("admin", "rooms", ("room/#",), ("room/#",), admin=True), "narrow-admin-token"
    )
    asked = {"params": {"owner": "ann"}, "token": "narrow-admin-token"}
    found = silent(ann.get(POLICIES, **asked)).json()["policies"]
    assert [policy["name"] for policy in found] == ["moved", "rooms"]
    assert ann.get("/api/v1/flow", **asked).json()["received"] == 2
    assert (
        ann.get(POLICIES, params={"owner": "ann"}, token=ADMIN).json() == ann.get(POLICIES).json()
    )
