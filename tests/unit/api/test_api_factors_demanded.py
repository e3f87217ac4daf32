"""Instances that demand a second factor: who has none signs in only to add one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pyotp
import pytest

from lakebed.access.settings import AuthSection, SecondFactor
from lakebed.api.openid.keys import SigningKeys
from lakebed.api.openid.provider import Provider
from lakebed.api.openid.settings import OidcSection
from lakebed.ports.accounts.owners import Member
from lakebed.ports.accounts.users import User
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import DAY

from .conftest import ADMIN, PASSWORDS, SETTINGS, Api, NoSeries, Open, problem
from .test_api_factors import WORDS
from .test_api_sessions import ask, sign_in

Demanding = Callable[[SecondFactor], Api]


@pytest.fixture(scope="module")
def demanding(open_api: Open) -> Demanding:
    """Opens an application with an admin `root` and a user `bob`, neither of whom has a factor."""
    known: dict[SecondFactor, Api] = {}

    def demanding(of: SecondFactor) -> Api:
        if of not in known:
            auth = AuthSection(second_factor=of, url="https://lake.example.com")
            api = open_api(NoSeries(), 0.0, SETTINGS.model_copy(update={"auth": auth}))
            api.catalog.add_user(User("root", admin=True), PASSWORDS.hash(WORDS))
            api.catalog.add_user(User("bob"), PASSWORDS.hash(WORDS))
            known[of] = api
        return known[of]

    return demanding


def enrol(api: Api, user: str, signed_in: httpx.Response) -> dict[str, Any]:
    path = f"/api/v1/users/{user}/factors"
    begun = ask(api, "POST", f"{path}/totp", signed_in).json()
    document = {"secret": begun["secret"], "code": pyotp.TOTP(begun["secret"]).now()}
    added = ask(api, "POST", path, signed_in, json=document)
    assert added.status_code == 201, added.text
    made: dict[str, Any] = added.json()
    return made


def may_work(api: Api, user: str) -> bool:
    answer = sign_in(api, user, WORDS)
    asked = ask(api, "GET", f"/api/v1/topics?owner={user}", answer)
    assert answer.json()["must_add_factor"] is (asked.status_code == 403)
    return asked.status_code == 200


@pytest.mark.parametrize(
    ("of", "works"),
    [
        (SecondFactor.OPTIONAL, {"root": True, "bob": True}),
        (SecondFactor.ADMINS, {"root": False, "bob": True}),
        (SecondFactor.ALL, {"root": False, "bob": False}),
    ],
)
def test_it_is_demanded_of_admins_or_of_all(
    demanding: Demanding, of: SecondFactor, works: dict[str, bool]
) -> None:
    api = demanding(of)
    for user in works:
        for factor in api.catalog.factors(user):
            api.catalog.remove_factor(user, factor.id)
    assert {user: may_work(api, user) for user in works} == works


def test_who_has_none_may_add_one_and_nothing_else(demanding: Demanding) -> None:
    api = demanding(SecondFactor.ADMINS)
    answer = sign_in(api, "root", WORDS)
    for method, path in (
        ("GET", "/api/v1/users"),
        ("GET", "/api/v1/users/bob"),
        ("POST", "/api/v1/users/bob/password"),
        ("POST", "/api/v1/tokens"),
        ("GET", "/api/v1/last?topic=a"),
        ("GET", "/api/v1/audit"),
        ("GET", "/api/v1/policies"),
    ):
        refused = problem(ask(api, method, path, answer, json={}), 403)
        assert "lakebed users factors add" in refused["detail"]
    assert ask(api, "GET", "/api/v1/users/root", answer).status_code == 200
    enrol(api, "root", answer)
    assert ask(api, "GET", "/api/v1/users", answer).status_code == 200  # in the same session
    assert ask(api, "GET", "/api/v1/me", answer).json()["must_add_factor"] is False


def test_the_last_one_is_removed_by_admins_alone(demanding: Demanding) -> None:
    api = demanding(SecondFactor.ALL)
    answer = sign_in(api, "bob", WORDS)
    path = "/api/v1/users/bob/factors"
    id = enrol(api, "bob", answer)["id"]
    problem(ask(api, "DELETE", f"{path}/{id}", answer), 409)
    assert len(api.catalog.factors("bob")) == 1
    assert api.ask("DELETE", f"{path}/{id}", token=ADMIN).status_code == 204
    problem(ask(api, "GET", "/api/v1/topics", answer), 403)  # it counts in open sessions too


def test_who_has_none_joins_no_owner(demanding: Demanding) -> None:
    api = demanding(SecondFactor.ALL)
    answer = sign_in(api, "bob", WORDS)
    made = api.post("/api/v1/invitations", json={"owner": "root", "role": "viewer"}, token=ADMIN)
    code = urlsplit(made.json()["link"]).path.rpartition("/")[2]
    problem(ask(api, "POST", f"/api/v1/invitations/{code}", answer), 403)
    assert Member("root", "bob", Role.VIEWER) not in api.catalog.members("root")


def test_who_has_none_signs_in_to_no_other_program(demanding: Demanding) -> None:
    api = demanding(SecondFactor.ALL)
    keys = SigningKeys(api.catalog, api.services.sealer, DAY)
    provider = Provider(api.catalog, keys, OidcSection(), "https://lake.example.com/oidc")
    api.app.control.state.services = replace(api.services, openid=provider)
    back = "https://grafana.example.com/login"
    client = {"id": "grafana", "title": "Plots", "redirects": [back]}
    assert api.post("/api/v1/oidc/clients", json=client, token=ADMIN).status_code == 201
    asked = {
        "client_id": "grafana", "response_type": "code", "redirect_uri": back, "state": "s",
        "scope": "openid", "code_challenge": "c" * 43, "code_challenge_method": "S256",
    }  # fmt: skip
    address = f"/oidc/authorize?{urlencode(asked)}"
    sessions = len(api.catalog.sessions("bob"))
    form = {"user": "bob", "password": WORDS}
    origin = {"Sec-Fetch-Site": "same-origin"}
    answer = api.post(address, data=form, token=None, headers=origin)
    assert answer.status_code == 403
    assert "demands a second factor" in answer.text
    assert "set-cookie" not in answer.headers
    assert len(api.catalog.sessions("bob")) == sessions
    signed_in = sign_in(api, "bob", WORDS)
    assert "<form" in ask(api, "GET", address, signed_in).text  # its cookie does not do either
