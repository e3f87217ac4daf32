"""Passkeys: added by their user, and signing in with nothing else."""

from typing import Any

import httpx
import pytest

from lakebed.accounts import passkeys
from lakebed.ports.accounts.users import User

from .authenticator import Authenticator, encode
from .conftest import PASSWORDS, Api, problem
from .test_api_sessions import ask, sign_in

WORDS = "a few words of hers"
PATH = "/api/v1/users/kim/factors"


@pytest.fixture
def kim(api: Api) -> httpx.Response:
    """A user without a factor, who has just signed in."""
    if api.catalog.user("kim") is None:
        api.catalog.add_user(User("kim"), PASSWORDS.hash(WORDS))
    for factor in api.catalog.factors("kim"):
        api.catalog.remove_factor("kim", factor.id)
    api.catalog.change_user("kim", blocked=False)
    api.catalog.forget_attempts(["account kim", "address 127.0.0.1"])
    return sign_in(api, "kim", WORDS)


def enrol(api: Api, kim: httpx.Response, key: Authenticator) -> httpx.Response:
    options = ask(api, "POST", f"{PATH}/passkey", kim).json()
    return ask(api, "POST", PATH, kim, json={"name": "laptop", "passkey": key.create(options)})


def challenge(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.post("/api/v1/session/passkey", token=None).json()
    return found


def show(api: Api, credential: dict[str, Any]) -> httpx.Response:
    return api.post("/api/v1/session", token=None, json={"passkey": credential})


def test_a_passkey_signs_in_by_itself_and_each_challenge_is_for_once(
    api: Api, kim: httpx.Response
) -> None:
    key = Authenticator()
    added = enrol(api, kim, key)
    assert added.status_code == 201, added.text
    assert (added.json()["kind"], added.json()["name"]) == ("passkey", "laptop")
    assert len(added.json()["recovery_codes"]) == 10
    problem(sign_in(api, "kim", WORDS), 401, "code")  # the password alone does not any more
    answer = key.get(challenge(api))
    assert show(api, answer).json()["user"] == "kim"
    problem(show(api, answer), 401)  # the same again
    key.count = 5
    assert show(api, key.get(challenge(api))).status_code == 200
    problem(show(api, key.get(challenge(api))), 401)  # a copy whose count is behind
    api.catalog.change_user("kim", blocked=True)
    key.count = 6
    problem(show(api, key.get(challenge(api))), 401)


def test_what_is_no_passkey_of_this_instance_is_refused(api: Api, kim: httpx.Response) -> None:
    key = Authenticator()
    enrol(api, kim, key)
    options = challenge(api)
    stranger = Authenticator()
    foreign = Authenticator("http://evil.example")
    foreign.key, foreign.id = key.key, key.id
    weak = Authenticator()
    weak.key, weak.id, weak.verified = key.key, key.id, False
    forged = stranger.get(options) | {"id": key.get(options)["id"]}
    ours = dict(options, challenge="AAAA")
    for credential in (
        stranger.get(options), foreign.get(options), weak.get(options), forged,
        key.get(ours), {}, {"id": "x", "response": {"clientDataJSON": "e30"}},
    ):  # fmt: skip
        problem(show(api, credential), 401)
        api.catalog.forget_attempts(["address 127.0.0.1"])
    assert show(api, key.get(options)).status_code == 200


def test_what_lies_too_deep_is_no_passkey(api: Api, kim: httpx.Response) -> None:
    deep = {"clientDataJSON": encode(b"[" * 100_000)}
    credential = {"id": "aa", "rawId": "aa", "type": "public-key", "response": deep}
    problem(show(api, credential), 401)
    problem(ask(api, "POST", PATH, kim, json={"passkey": credential}), 400, "passkey")


def test_a_challenge_ends(api: Api, kim: httpx.Response, monkeypatch: pytest.MonkeyPatch) -> None:
    key = Authenticator()
    enrol(api, kim, key)
    monkeypatch.setattr(passkeys, "_LASTS", -1)
    problem(show(api, key.get(challenge(api))), 401)


def test_a_challenge_of_one_thing_is_none_for_another(api: Api, kim: httpx.Response) -> None:
    key = Authenticator()
    credential = key.create(challenge(api))  # to sign in, not to register
    problem(ask(api, "POST", PATH, kim, json={"passkey": credential}), 400, "passkey")
    assert enrol(api, kim, key).status_code == 201
    problem(enrol(api, kim, key), 409)  # the same once more
    options = ask(api, "POST", f"{PATH}/passkey", kim).json()
    assert len(options["excludeCredentials"]) == 1
    problem(show(api, key.get(options)), 401)  # to register, not to sign in


def test_a_name_without_a_password_is_no_sign_in(api: Api) -> None:
    for document, where in (({}, "user"), ({"user": "kim"}, "password")):
        problem(api.post("/api/v1/session", token=None, json=document), 400, where)
