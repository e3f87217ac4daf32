"""Tokens that managers make for their owner, and users for themselves."""

from typing import Any

import pytest

from lakebed.ports.accounts.owners import Member, Owner
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.accounts.users import Session, User
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import HOUR, now

from .conftest import ADMIN, ANN, Api, problem

TOKENS = "/api/v1/tokens"
COOKIES = {"bob": "session-bob", "cleo": "session-cleo"}


@pytest.fixture(autouse=True, scope="module")
def works(api: Api) -> None:
    """Bob manages works; Cleo is a viewer there."""
    catalog = api.catalog
    for name, secret in COOKIES.items():
        catalog.add_user(User(name))
        catalog.add_session(Session(name, name, now(), now(), now() + HOUR, "", ""), secret)
    catalog.add_owner(Owner("works"), "bob")
    catalog.put_member(Member("works", "cleo", Role.VIEWER))
    catalog.add_token(StoredToken("works", "boss", role=Role.MANAGER, expires=now() + HOUR), "boss")


def made(api: Api, token: str, **more: Any) -> dict[str, Any]:
    answer = api.post(TOKENS, json={"owner": "works"} | more, token=token)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def names(api: Api, token: str) -> set[str]:
    found = api.get(f"{TOKENS}?owner=works", token=token).json()["tokens"]
    return {one["name"] for one in found}


def test_a_user_makes_tokens_that_may_what_they_may(api: Api) -> None:
    bob, cleo = COOKIES["bob"], COOKIES["cleo"]
    mine = made(api, cleo, name="cleos")
    assert (mine["maker"], mine["role"], mine["publish"], mine["read"]) == (
        "cleo", "viewer", [], ["#"]
    )  # fmt: skip
    problem(
        api.post(TOKENS, json={"owner": "works", "name": "x", "role": "editor"}, token=cleo), 403
    )
    problem(api.post(TOKENS, json={"owner": "ann", "name": "x"}, token=cleo), 403)
    problem(api.post(TOKENS, json={"owner": "works", "name": "x", "admin": True}, token=bob), 403)
    made(api, bob, name="bobs", role="manager", expires="30d")
    # a viewer sees and ends her own; a manager all
    assert names(api, cleo) == {"cleos"}
    assert names(api, bob) == {"boss", "cleos", "bobs"}
    problem(api.ask("DELETE", f"{TOKENS}?owner=works&name=bobs", token=cleo), 404)
    assert api.ask("DELETE", f"{TOKENS}?owner=works&name=cleos", token=cleo).status_code == 204
    assert api.ask("DELETE", f"{TOKENS}?owner=works&name=bobs", token=bob).status_code == 204


def test_a_token_is_less_when_its_maker_is(api: Api) -> None:
    secret = made(api, COOKIES["bob"], name="bobs")["token"]
    send = {"params": {"topic": "a"}, "content": b"1"}
    assert api.post("/api/v1/messages", token=secret, **send).status_code == 202
    api.catalog.put_member(Member("works", "cleo", Role.MANAGER))
    api.catalog.put_member(Member("works", "bob", Role.VIEWER))
    problem(api.post("/api/v1/messages", token=secret, **send), 403)
    api.catalog.remove_member("works", "bob")
    problem(api.post("/api/v1/messages", token=secret, **send), 401)
    api.catalog.put_member(Member("works", "bob", Role.MANAGER))
    api.catalog.put_member(Member("works", "cleo", Role.VIEWER))
    api.catalog.revoke_token("works", "bobs")


def test_a_manager_s_token_makes_others_that_end_no_later(api: Api) -> None:
    child = made(api, "boss", name="child", role="device", publish=["a/#"], read=[])
    assert child["expires"] is not None
    assert child["maker"] == ""
    late = {"owner": "works", "name": "late", "expires": "2d"}
    problem(api.post(TOKENS, json=late, token="boss"), 403)
    problem(api.get(TOKENS, token=child["token"]), 403)
    problem(api.post(TOKENS, json={"owner": "eve", "name": "x"}, token="boss"), 403)
    problem(api.get(TOKENS, token=ANN), 403)  # a token of an editor


def test_the_token_of_an_admin_is_ended_by_admins(api: Api) -> None:
    made(api, ADMIN, name="root", admin=True)
    problem(api.ask("DELETE", f"{TOKENS}?owner=works&name=root", token=COOKIES["bob"]), 403)
    assert api.ask("DELETE", f"{TOKENS}?owner=works&name=root", token=ADMIN).status_code == 204


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"role": "boss"}, "role"),
        ({"expires": "soon"}, "expires"),
        ({"expires": "2001-01-01T00:00:00Z"}, "expires"),
        ({"name": "a/b"}, "name"),
        ({"read": ["a/#/b"]}, "read[0]"),
    ],
)
def test_a_mistake_is_named(api: Api, change: dict[str, Any], where: str) -> None:
    wanted = {"owner": "works", "name": "x"} | change
    problem(api.post(TOKENS, json=wanted, token=ADMIN), 422, where)


@pytest.mark.parametrize("kind", ["publish", "read"])
def test_the_filters_of_a_token_are_bounded(api: Api, kind: str) -> None:
    bob, many = COOKIES["bob"], [f"plant/{number}/+" for number in range(101)]
    wanted = {"owner": "works", "name": f"many-{kind}", kind: many}
    problem(api.post(TOKENS, json=wanted, token=bob), 422, kind)
    made(api, bob, **wanted | {kind: many[:100]})


def test_a_token_lasts_until_the_last_year_at_most(api: Api) -> None:
    lasts = made(api, COOKIES["bob"], name="for-ever", expires="106751990d")  # as 64 bits count
    assert lasts["expires"].startswith("9999-12-31")
