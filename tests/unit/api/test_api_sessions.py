"""Signing in and out, the session's cookie, and who asks."""

from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from argon2 import PasswordHasher

from lakebed.access.settings import AuthSection
from lakebed.accounts.signing_in import SignIn
from lakebed.ports.accounts.owners import Member, Owner
from lakebed.ports.accounts.users import User
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import DAY, MINUTE, now

from .conftest import ADMIN, PASSWORDS, ROOMS, Api, problem

WORDS = "a few words of hers"
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def people(api: Api) -> Api:
    """With users bob and cleo, who is a viewer of bob's."""
    for name in ("bob", "cleo"):
        if api.catalog.user(name) is None:
            api.catalog.add_user(User(name), PASSWORDS.hash(WORDS))
        else:
            api.catalog.change_user(name, blocked=False)
            api.catalog.set_password(name, PASSWORDS.hash(WORDS))
        api.catalog.forget_attempts([f"account {name}", "address 127.0.0.1"])
    api.catalog.put_member(Member("bob", "cleo", Role.VIEWER))
    return api


def sign_in(api: Api, user: str = "bob", password: str = WORDS, **headers: str) -> httpx.Response:
    document = {"user": user, "password": password}
    return api.post("/api/v1/session", token=None, json=document, headers=headers)


def cookie(answer: httpx.Response) -> dict[str, str]:
    """The header that a browser sends from now on."""
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def ask(api: Api, method: str, path: str, answer: httpx.Response, **more: Any) -> httpx.Response:
    headers = cookie(answer) | SAME | more.pop("headers", {})
    return api.ask(method, path, token=None, headers=headers, **more)


def test_who_signs_in_gets_a_cookie_that_says_who_it_is(people: Api) -> None:
    answer = sign_in(people)
    assert answer.json() == {
        "user": "bob",
        "unit": None,
        "token": None,
        "owner": "bob",
        "roles": {"bob": "manager"},
        "admin": False,
        "must_add_factor": False,
    }
    said = answer.headers["set-cookie"]
    assert all(word in said for word in ("HttpOnly", "SameSite=lax", "Path=/"))
    assert "Secure" not in said  # no TLS here
    assert "Domain" not in said
    assert answer.headers["cache-control"] == "no-store"
    assert ask(people, "GET", "/api/v1/me", answer).json() == answer.json()
    assert ask(people, "GET", "/api/v1/policies", answer).json() == {"policies": []}


def test_by_tls_the_cookie_is_for_this_host_alone(people: Api) -> None:
    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(people.app)
        async with httpx.AsyncClient(transport=transport, base_url="https://lakebed") as client:
            document = {"user": "bob", "password": WORDS}
            return await client.post("/api/v1/session", json=document)

    said = people.run(post()).headers["set-cookie"]
    assert said.startswith("__Host-lakebed=lb_")
    assert "Secure" in said


@pytest.mark.parametrize(
    ("user", "password"), [("bob", "wrong words"), ("nobody", WORDS), ("", ""), ("x" * 9999, WORDS)]
)
def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(
    people: Api, user: str, password: str
) -> None:
    found = problem(sign_in(people, user, password), 401)
    assert found["detail"] == "the user, the password or the code is wrong"
    people.catalog.forget_attempts([f"account {user}"])


def test_a_name_that_nobody_has_is_hashed_for_as_well(
    people: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str | None] = []
    verify = PASSWORDS.verify

    def counted(hash: str | None, password: str) -> bool:
        hashed.append(hash)
        return verify(hash, password)

    monkeypatch.setattr(PASSWORDS, "verify", counted)
    sign_in(people, "nobody")
    sign_in(people, "bob", "wrong words")
    assert hashed[0] is None
    assert len(hashed) == 2
    people.catalog.forget_attempts(["account nobody"])


def test_a_blocked_user_neither_signs_in_nor_goes_on(people: Api) -> None:
    before = sign_in(people)
    people.catalog.change_user("bob", blocked=True)
    problem(sign_in(people), 401)
    for path in ("/api/v1/me", "/api/v1/policies"):
        problem(ask(people, "GET", path, before), 403)


def test_after_failures_an_account_waits_and_others_do_not(people: Api) -> None:
    for _ in range(6):
        problem(sign_in(people, "bob", "wrong words"), 401)
    answer = sign_in(people)  # even with the right one
    problem(answer, 429)
    assert int(answer.headers["retry-after"]) >= 1
    assert sign_in(people, "cleo").status_code == 200


def test_a_hash_of_old_parameters_is_replaced_and_the_session_stays(people: Api) -> None:
    people.catalog.set_password("bob", PasswordHasher(2, 8, 1).hash(WORDS))
    answer = sign_in(people)
    hash = people.catalog.password_hash("bob")
    assert hash is not None
    assert not PASSWORDS.is_outdated(hash)
    assert ask(people, "GET", "/api/v1/me", answer).status_code == 200


def test_signing_out_ends_the_session_everywhere(people: Api) -> None:
    one, other = sign_in(people), sign_in(people)
    out = ask(people, "DELETE", "/api/v1/session", one)
    assert out.status_code == 204
    assert 'lakebed=""' in out.headers["set-cookie"]
    problem(ask(people, "GET", "/api/v1/me", one), 401)
    assert ask(people, "GET", "/api/v1/me", other).status_code == 200


def test_signing_in_again_ends_the_session_of_the_cookie(people: Api) -> None:
    """ASVS 5.0, 7.2.4; of whomever that session was."""
    first, other = sign_in(people), sign_in(people)
    second = sign_in(people, "cleo", **cookie(first), **SAME)
    assert second.status_code == 200
    problem(ask(people, "GET", "/api/v1/me", first), 401)
    assert ask(people, "GET", "/api/v1/me", other).status_code == 200
    assert ask(people, "GET", "/api/v1/me", second).json()["user"] == "cleo"
    assert sign_in(people, password="wrong", **cookie(second), **SAME).status_code == 401
    assert ask(people, "GET", "/api/v1/me", second).status_code == 200


def test_tokens_say_who_they_are_and_have_no_session(people: Api) -> None:
    assert people.get("/api/v1/me", token=ROOMS).json() == {
        "user": None,
        "unit": None,
        "token": "rooms",
        "owner": "ann",
        "roles": {"ann": "editor"},
        "admin": False,
        "must_add_factor": False,
    }
    assert people.get("/api/v1/me", token=ADMIN).json()["admin"] is True
    problem(people.get("/api/v1/me", token=None), 401)
    problem(people.ask("DELETE", "/api/v1/session"), 404)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://lakebed.evil.example"},
        {"Origin": "https://lakebed"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
    ],
)
def test_what_another_site_sends_with_a_cookie_changes_nothing(
    people: Api, headers: dict[str, str]
) -> None:
    signed_in = cookie(sign_in(people))
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = people.ask(
            method, "/api/v1/policies/x", token=None, headers=signed_in | headers, json={}
        )
        assert answer.status_code in (403, 405), (method, answer.text)
    problem(people.ask("DELETE", "/api/v1/session", token=None, headers=signed_in | headers), 403)
    assert people.get("/api/v1/me", token=None, headers=signed_in | headers).status_code == 200


def test_a_page_of_this_instance_may_change_things(people: Api) -> None:
    answer = sign_in(people, Origin="http://lakebed")
    document = {"name": "p", "topics": ["a"], "type": "number", "keep": "archive"}
    headers = cookie(answer) | {"Origin": "http://lakebed"}
    made = people.post("/api/v1/policies", token=None, json=document, headers=headers)
    assert made.status_code == 201
    assert ask(people, "DELETE", "/api/v1/policies/p", answer).status_code == 204


def test_another_site_signs_nobody_in(people: Api) -> None:
    problem(sign_in(people, Origin="http://evil.example"), 403)


def test_a_cookie_that_is_no_session_is_refused(people: Api) -> None:
    for secret in (ADMIN, "x", "lb_" + "x" * 40):
        headers = {"Cookie": f"lakebed={secret}"}
        problem(people.get("/api/v1/me", token=None, headers=headers), 401)


def test_sessions_are_listed_and_ended_by_their_user_and_admins(people: Api) -> None:
    one = sign_in(people, **{"User-Agent": "Firefox"})
    other = sign_in(people)
    path = "/api/v1/users/bob/sessions"
    listed = ask(people, "GET", path, one).json()["sessions"]
    assert [s["agent"] for s in listed if s["current"]] == ["Firefox"]
    assert listed[0]["address"] == "127.0.0.1"
    assert people.get(path, token=ADMIN).json()["sessions"][0]["current"] is False
    cleo = sign_in(people, "cleo")
    problem(ask(people, "GET", path, cleo), 403)
    problem(ask(people, "DELETE", path, cleo), 403)
    problem(people.get(path), 403)  # a token of another

    (theirs,) = [s["id"] for s in listed if not s["current"] and s["agent"] != "Firefox"][:1]
    assert ask(people, "DELETE", f"{path}/{theirs}", one).status_code == 204
    problem(ask(people, "DELETE", f"{path}/{theirs}", one), 404)
    problem(ask(people, "GET", "/api/v1/me", other), 401)
    sign_in(people)
    assert ask(people, "DELETE", path, one).json()["ended"] >= 1
    assert len(ask(people, "GET", path, one).json()["sessions"]) == 1
    people.ask("DELETE", path, token=ADMIN)
    problem(ask(people, "GET", "/api/v1/me", one), 401)


def test_a_role_that_changes_counts_in_sessions_that_are_open(people: Api) -> None:
    if people.catalog.owner("works") is None:
        people.catalog.add_owner(Owner("works"), manager="bob")
    people.catalog.put_member(Member("works", "cleo", Role.EDITOR))
    cleo = sign_in(people, "cleo")
    document = {"name": "p", "topics": ["a"], "type": "number", "keep": "archive"}
    path = "/api/v1/policies?owner=works"
    assert ask(people, "POST", path, cleo, json=document).status_code == 201
    people.catalog.put_member(Member("works", "cleo", Role.VIEWER))
    problem(ask(people, "POST", path, cleo, json=document | {"name": "q"}), 403)
    assert ask(people, "GET", path, cleo).status_code == 200
    people.catalog.remove_member("works", "cleo")
    problem(ask(people, "GET", path, cleo), 403)


def test_a_session_that_is_used_lives_on_to_its_longest(people: Api) -> None:
    section = AuthSection(session_idle=DAY, session_longest=2 * DAY)
    moment = begun = now()
    service = SignIn(people.catalog, PASSWORDS, section, Mock(), lambda: moment)
    session, secret = service.begin("bob", WORDS)
    assert session.expires == begun + DAY
    assert service.is_due(session.id)
    assert not service.is_due(session.id)
    moment += 2 * MINUTE
    assert service.is_due(session.id)
    for after, expires in ((DAY // 2, DAY + DAY // 2), (DAY + DAY // 2, 2 * DAY)):
        moment = begun + after
        service.extend(session.id)
        found = people.catalog.session_of(secret)
        assert found is not None
        assert found.expires == begun + expires
