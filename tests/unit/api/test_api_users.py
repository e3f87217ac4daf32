"""Users and their passwords, one-time links, and what the audit log says of it all."""

from typing import Any

import httpx
import pytest

from lakebed.accounts.audit_trail import AuditTrail
from lakebed.accounts.tickets import password_link
from lakebed.ports.accounts.audit import AuditEntry
from lakebed.vocabulary.times import DAY, now

from .conftest import ADMIN, PASSWORDS, Api, problem
from .test_api_sessions import ask, cookie, sign_in

USERS = "/api/v1/users"
WORDS = "a few words of theirs"


@pytest.fixture
def dora(api: Api) -> Api:
    """With a user dora."""
    if api.catalog.user("dora") is None:
        api.post(USERS, token=ADMIN, json={"user": "dora", "password": WORDS})
    api.catalog.change_user("dora", blocked=False, admin=False)
    api.catalog.set_password("dora", PASSWORDS.hash(WORDS))
    api.catalog.forget_attempts(["account dora", "address 127.0.0.1"])
    return api


def audited(api: Api, **asked: Any) -> list[dict[str, Any]]:
    found = api.get("/api/v1/audit", token=ADMIN, params=asked).json()["entries"]
    return [{key: entry[key] for key in ("actor", "resource", "result")} for entry in found]


def test_an_admin_makes_users_who_manage_the_owner_of_their_name(api: Api) -> None:
    made = api.post(USERS, token=ADMIN, json={"user": "emil", "title": "Emil"})
    assert made.status_code == 201
    shown = api.get(f"{USERS}/emil", token=ADMIN).json()
    assert shown == made.json() | {"roles": {"emil": "manager"}}
    assert (shown["title"], shown["password"], shown["blocked"]) == ("Emil", False, False)
    assert made.json() in api.get(USERS, token=ADMIN).json()["users"]
    problem(api.post(USERS, token=ADMIN, json={"user": "emil"}), 409)
    problem(sign_in(api, "emil", ""), 401)  # without a password nobody signs in
    assert api.ask("DELETE", f"{USERS}/emil", token=ADMIN).status_code == 204
    problem(api.get(f"{USERS}/emil", token=ADMIN), 404)
    problem(api.post(USERS, token=ADMIN, json={"user": "emil"}), 409)  # no name is given twice
    entries = audited(api, action="users.administer")
    assert {"actor": "token:admin", "resource": "users/emil", "result": "done"} in entries


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"user": "No Slug"}, "user"),
        ({"user": "fine", "password": "short"}, "password"),
        ({"user": "fine", "password": "Password1"}, "password"),
        ({"user": "zacharias", "password": "zacharias"}, "password"),
    ],
)
def test_a_user_that_cannot_be_is_refused(api: Api, document: Any, where: str) -> None:
    problem(api.post(USERS, token=ADMIN, json=document), 422, where)
    assert api.catalog.user(document["user"]) is None


def test_users_are_the_business_of_admins(dora: Api) -> None:
    signed_in = sign_in(dora, "dora", WORDS)
    problem(ask(dora, "GET", USERS, signed_in), 403)
    problem(ask(dora, "POST", USERS, signed_in, json={"user": "fine"}), 403)
    problem(ask(dora, "GET", f"{USERS}/admin", signed_in), 403)
    problem(ask(dora, "GET", f"{USERS}/nobody", signed_in), 403)
    problem(ask(dora, "DELETE", f"{USERS}/dora", signed_in), 403)
    for changes in ({"admin": True}, {"blocked": False}):
        problem(ask(dora, "PATCH", f"{USERS}/dora", signed_in, json=changes), 403)
    changed = ask(dora, "PATCH", f"{USERS}/dora", signed_in, json={"title": "Dora"})
    assert changed.json()["title"] == "Dora"
    assert ask(dora, "GET", f"{USERS}/dora", signed_in).json()["admin"] is False
    problem(dora.get(USERS), 403)
    problem(dora.get(f"{USERS}/dora"), 403)


def test_one_s_own_password_needs_the_old_one_and_ends_other_sessions(dora: Api) -> None:
    here, there = sign_in(dora, "dora", WORDS), sign_in(dora, "dora", WORDS)
    path, new = f"{USERS}/dora/password", "other words of theirs"
    problem(ask(dora, "POST", path, here, json={"password": new}), 400, "old")
    problem(ask(dora, "POST", path, here, json={"password": new, "old": "wrong"}), 403)
    problem(ask(dora, "POST", path, here, json={"password": "short", "old": WORDS}), 422)
    answer = ask(dora, "POST", path, here, json={"password": new, "old": WORDS})
    assert answer.status_code == 204
    assert ask(dora, "GET", "/api/v1/me", here).status_code == 200
    problem(ask(dora, "GET", "/api/v1/me", there), 401)
    problem(sign_in(dora, "dora", WORDS), 401)
    assert sign_in(dora, "dora", new).status_code == 200


def test_guessing_the_old_password_is_slowed_like_signing_in(dora: Api) -> None:
    here = sign_in(dora, "dora", WORDS)
    wrong = {"password": "other words of theirs", "old": "wrong"}
    answers = [ask(dora, "POST", f"{USERS}/dora/password", here, json=wrong) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [403] * 6 + [429]


def test_an_admin_sets_the_password_of_others_which_ends_their_sessions(dora: Api) -> None:
    before = sign_in(dora, "dora", WORDS)
    path = f"{USERS}/dora/password"
    answer = dora.post(path, token=ADMIN, json={"password": "other words of theirs"})
    assert answer.status_code == 204
    problem(ask(dora, "GET", "/api/v1/me", before), 401)
    problem(dora.post(f"{USERS}/nobody/password", token=ADMIN, json={"password": WORDS}), 404)


def page(api: Api, method: str, path: str, **more: Any) -> httpx.Response:
    return api.ask(method, path, token=None, **more)


def test_a_link_sets_a_password_once(dora: Api) -> None:
    made = dora.post(f"{USERS}/dora/link", token=ADMIN).json()
    path = made["link"].removeprefix("http://lakebed")
    for _ in range(2):  # looking at it does not use it up
        form = page(dora, "GET", path)
        assert 'method="post"' in form.text
        assert 'type="password" autocomplete="new-password"' in form.text
        assert "default-src 'none'" in form.headers["content-security-policy"]
        assert form.headers["cache-control"] == "no-store"
    weak = page(dora, "POST", path, data={"password": "<b>"})
    assert (weak.status_code, "<b>" in weak.text) == (422, False)
    new = "chosen by themselves"
    done = page(dora, "POST", path, data={"password": new}, headers={"Origin": "http://lakebed"})
    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert done.cookies["lakebed"]
    assert page(dora, "GET", path).status_code == 404
    assert page(dora, "POST", path, data={"password": "by a thief too"}).status_code == 404
    assert sign_in(dora, "dora", new).status_code == 200
    entries = audited(dora, action="users.recover")
    assert {"actor": "nobody:", "resource": "users/dora", "result": "done"} in entries
    assert path.rpartition("/")[2] not in str(dora.get("/api/v1/audit", token=ADMIN).json())


def test_a_link_works_for_programs_too_and_not_from_other_sites(dora: Api) -> None:
    code = dora.post(f"{USERS}/dora/link", token=ADMIN).json()["link"].rpartition("/")[2]
    path, document = f"/api/v1/password/{code}", {"password": "chosen by themselves"}
    evil = {"Origin": "http://evil.example"}
    problem(page(dora, "POST", path, json=document, headers=evil), 403)
    assert page(dora, "POST", path, json=document).status_code == 204
    problem(page(dora, "POST", path, json=document), 404)
    problem(page(dora, "POST", "/api/v1/password/x", json=document), 404)


def test_links_end_with_time_with_another_password_and_with_the_user(dora: Api) -> None:
    _, old = password_link(dora.catalog, "dora", "", -1)
    assert page(dora, "GET", old).status_code == 404
    _, other = password_link(dora.catalog, "dora", "", DAY)
    dora.catalog.set_password("dora", PASSWORDS.hash(WORDS))
    assert page(dora, "GET", other).status_code == 404


# --- audit ----------------------------------------------------------------------------------------


def test_changes_and_refusals_are_audited_and_reading_is_not(dora: Api) -> None:
    start = now()
    signed_in = sign_in(dora, "dora", WORDS)
    document = {"name": "p", "topics": ["a"], "type": "number", "keep": "archive"}
    ask(dora, "POST", "/api/v1/policies/check", signed_in, json=document)
    ask(dora, "PUT", "/api/v1/policies/p", signed_in, json=document)
    ask(dora, "GET", "/api/v1/policies", signed_in)
    ask(dora, "PUT", "/api/v1/policies/q", signed_in, json={})
    ask(dora, "GET", "/api/v1/policies?owner=ann", signed_in)
    ask(dora, "DELETE", "/api/v1/session", signed_in)
    dora.services.audit.flush()
    found = dora.catalog.audit(start=start)
    assert sorted((e.action, e.owner, e.actor, e.resource, e.result) for _, e in found) == [
        ("policies.read", "ann", "user:dora", "policies", "denied"),
        ("policies.write", "dora", "user:dora", "policies/p", "done"),
        ("policies.write", "dora", "user:dora", "policies/q", "failed"),
        ("session.begin", "", "user:dora", "users/dora", "done"),
        ("session.end", "", "user:dora", "session", "done"),
    ]
    assert {e.address for _, e in found} == {"127.0.0.1"}


def test_of_who_signs_in_wrongly_only_names_that_exist_are_written(dora: Api) -> None:
    sign_in(dora, "my password is here", "x")
    sign_in(dora, "dora", "wrong words")
    found = dora.get("/api/v1/audit", token=ADMIN, params={"action": "session.begin"})
    assert "my password is here" not in found.text
    assert "wrong words" not in found.text
    dora.catalog.forget_attempts(["account my password is here"])


def test_a_manager_reads_the_log_of_an_owner_and_an_admin_all(dora: Api) -> None:
    signed_in = sign_in(dora, "dora", WORDS)
    ask(dora, "PUT", "/api/v1/policies/p", signed_in, json={})
    own = ask(dora, "GET", "/api/v1/audit", signed_in).json()["entries"]
    assert {entry["owner"] for entry in own} == {"dora"}
    problem(ask(dora, "GET", "/api/v1/audit?owner=ann", signed_in), 403)
    problem(dora.get("/api/v1/audit"), 403)  # an editor's token
    assert None in {e["owner"] for e in dora.get("/api/v1/audit", token=ADMIN).json()["entries"]}
    of_dora = dora.get("/api/v1/audit?owner=dora", token=ADMIN).json()["entries"]
    assert {entry["owner"] for entry in of_dora} == {"dora"}


def test_the_log_is_read_in_pages_and_by_time_and_actor(dora: Api) -> None:
    moment = now()
    entries = [
        AuditEntry(moment + n, "pages", f"user:{'ab'[n % 2]}", "policies.write", str(n))
        for n in range(5)
    ]
    dora.catalog.add_audit(entries)
    asked: dict[str, Any] = {"owner": "pages", "limit": 2}
    seen: list[str] = []
    while True:
        found = dora.get("/api/v1/audit", token=ADMIN, params=asked).json()
        seen += [entry["resource"] for entry in found["entries"]]
        if found["next_cursor"] is None:
            break
        asked["cursor"] = found["next_cursor"]
    assert seen == ["4", "3", "2", "1", "0"]
    asked = {"owner": "pages", "actor": "user:b"}
    found = dora.get("/api/v1/audit", token=ADMIN, params=asked).json()["entries"]
    assert [entry["resource"] for entry in found] == ["3", "1"]
    problem(dora.get("/api/v1/audit", token=ADMIN, params={"cursor": "x"}), 400, "cursor")
    problem(dora.get("/api/v1/audit", token=ADMIN, params={"cursor": "9" * 5000}), 400, "cursor")


def test_a_refusal_keeps_little_of_an_owner_that_a_stranger_makes_up(api: Api) -> None:
    start = now()
    for owner in ("x" * 50_000, "x\0"):
        problem(api.get("/api/v1/policies", token=None, params={"owner": owner}), 401)
    api.services.audit.flush()
    found = {entry.owner for _, entry in api.catalog.audit(start=start)}
    assert found == {"x" * 200, "x\N{REPLACEMENT CHARACTER}"}  # which PostgreSQL has, too


def test_refusals_are_bounded_in_rate_and_memory(api: Api) -> None:
    moment = 0.0
    trail = AuditTrail(api.catalog, lambda: moment)

    def refuse(times: int, address: str = "::1") -> None:
        for _ in range(times):
            trail.refused(AuditEntry(now(), "flood", "nobody:", "x", "", address, "denied"))

    refuse(50)
    trail.flush()
    assert (trail.written, trail.left_out) == (1, 49)
    moment = 61.0
    refuse(1)
    for number in range(2_000):
        refuse(1, str(number))
    trail.flush()
    assert trail.written == 601


def test_cookies_of_the_log_hold_no_secret(dora: Api) -> None:
    signed_in = sign_in(dora, "dora", WORDS)
    secret = cookie(signed_in)["Cookie"].partition("=")[2]
    assert secret not in dora.get("/api/v1/audit", token=ADMIN).text
    assert secret not in str(dora.catalog.sessions("dora"))
