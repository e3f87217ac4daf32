"""Second factors: codes of an application, and recovery codes."""

from dataclasses import replace
from typing import Any

import httpx
import pyotp
import pytest

from lakebed.ports.accounts.users import Session, User
from lakebed.vocabulary.times import MINUTE, SECOND, now

from .conftest import ADMIN, PASSWORDS, Api, problem
from .test_api_sessions import ask, sign_in

WORDS = "a few words of theirs"
PATH = "/api/v1/users/tess/factors"


@pytest.fixture
def tess(api: Api) -> httpx.Response:
    """A user without a factor, who has just signed in."""
    if api.catalog.user("tess") is None:
        api.catalog.add_user(User("tess"), PASSWORDS.hash(WORDS))
    for factor in api.catalog.factors("tess"):
        api.catalog.remove_factor("tess", factor.id)
    api.catalog.forget_attempts(["account tess", "address 127.0.0.1"])
    return sign_in(api, "tess", WORDS)


def enrol(api: Api, signed_in: httpx.Response, name: str = "phone") -> tuple[str, dict[str, Any]]:
    """Secret and answer of a new application; its code of the step before is used up."""
    begun = ask(api, "POST", f"{PATH}/totp", signed_in).json()
    code = pyotp.TOTP(begun["secret"]).at(now() // SECOND - 30)
    document = {"name": name, "secret": begun["secret"], "code": code}
    added = ask(api, "POST", PATH, signed_in, json=document)
    assert added.status_code == 201, added.text
    return begun["secret"], added.json()


def with_code(api: Api, code: str | None, password: str = WORDS) -> httpx.Response:
    document = {"user": "tess", "password": password, "code": code}
    return api.post("/api/v1/session", token=None, json=document)


def test_whoever_has_a_factor_signs_in_with_its_code_and_each_code_once(
    api: Api, tess: httpx.Response
) -> None:
    secret, added = enrol(api, tess)
    assert len(added["recovery_codes"]) == 10
    assert api.get("/api/v1/users/tess", token=ADMIN).json()["second_factor"] is True
    problem(sign_in(api, "tess", WORDS), 401, "code")
    wrong = problem(sign_in(api, "tess", "wrong"), 401)  # tells nothing of the factor
    assert "problems" not in wrong
    code = pyotp.TOTP(secret).now()
    problem(with_code(api, "000000" if code != "000000" else "111111"), 401)
    assert with_code(api, f"{code[:3]} {code[3:]}").status_code == 200
    problem(with_code(api, code), 401)  # the same again
    assert ask(api, "GET", "/api/v1/me", tess).status_code == 200


def test_a_recovery_code_works_once(api: Api, tess: httpx.Response) -> None:
    _, added = enrol(api, tess)
    one, other = added["recovery_codes"][:2]
    assert with_code(api, one.upper()).status_code == 200
    problem(with_code(api, one), 401)
    assert ask(api, "GET", PATH, tess).json()["recovery_codes"] == 9
    renewed = ask(api, "POST", f"{PATH}/recovery", tess).json()["recovery_codes"]
    problem(with_code(api, other), 401)
    assert with_code(api, renewed[0]).status_code == 200


def test_guessing_codes_is_slowed_though_the_password_is_right(
    api: Api, tess: httpx.Response
) -> None:
    enrol(api, tess)
    for _ in range(6):
        problem(with_code(api, "12345"), 401)
        if (answer := with_code(api, None)).status_code == 429:
            break  # the right password alone does not begin the count anew
    problem(with_code(api, "12345"), 429)
    assert answer.status_code in (401, 429)


def test_a_factor_is_listed_without_its_secret_and_removed(api: Api, tess: httpx.Response) -> None:
    secret, added = enrol(api, tess)
    listed = ask(api, "GET", PATH, tess)
    assert [(f["id"], f["kind"], f["name"]) for f in listed.json()["factors"]] == [
        (added["id"], "totp", "phone")
    ]
    assert secret not in listed.text
    assert secret.encode() not in api.catalog.factors("tess")[0].secret
    _, second = enrol(api, tess, "tablet")
    assert "recovery_codes" not in second
    assert ask(api, "DELETE", f"{PATH}/{added['id']}", tess).status_code == 204
    problem(ask(api, "DELETE", f"{PATH}/{added['id']}", tess), 404)
    problem(sign_in(api, "tess", WORDS), 401, "code")
    assert api.ask("DELETE", f"{PATH}/{second['id']}", token=ADMIN).status_code == 204
    assert sign_in(api, "tess", WORDS).status_code == 200
    assert api.catalog.count_recovery_codes("tess") == 0


@pytest.mark.parametrize(
    ("change", "where"),
    [({"secret": "short"}, "secret"), ({"code": "1"}, "code"), ({"secret": "a" * 32}, "secret")],
)
def test_a_factor_that_has_not_shown_a_right_code_is_not_added(
    api: Api, tess: httpx.Response, change: dict[str, str], where: str
) -> None:
    secret = ask(api, "POST", f"{PATH}/totp", tess).json()["secret"]
    document = {"secret": secret, "code": pyotp.TOTP(secret).now()} | change
    problem(ask(api, "POST", PATH, tess, json=document), 422, where)
    assert api.catalog.factors("tess") == []


def test_factors_are_changed_by_their_user_in_a_fresh_session(
    api: Api, tess: httpx.Response
) -> None:
    problem(api.post(f"{PATH}/totp", token=ADMIN), 403)
    problem(ask(api, "POST", f"{PATH}/recovery", tess), 409)
    problem(api.get(PATH), 403)
    begun = now() - 11 * MINUTE
    session, secret = api.services.sign_in.open(User("tess"))
    api.catalog.end_session("tess", session.id)
    old = replace(session, created=begun)
    assert isinstance(old, Session)
    api.catalog.add_session(old, secret)
    headers = {"Cookie": f"lakebed={secret}", "Sec-Fetch-Site": "same-origin"}
    problem(api.post(f"{PATH}/totp", token=None, headers=headers), 403)


def test_what_another_key_has_encrypted_says_what_to_do(api: Api, tess: httpx.Response) -> None:
    enrol(api, tess)
    (factor,) = api.catalog.factors("tess")
    api.catalog.remove_factor("tess", factor.id)
    api.catalog.add_factor(replace(factor, secret=b"\x01" + b"x" * 60))
    assert "auth.secret_key" in problem(with_code(api, "123456"), 409)["detail"]
