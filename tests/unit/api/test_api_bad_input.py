"""What bad input gets: the right status, nothing changed, and a row in the audit log."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import httpx
import pyotp
import pytest

from lakebed.accounts.tickets import hand_out
from lakebed.api.openid.keys import SigningKeys
from lakebed.api.openid.provider import Provider
from lakebed.api.openid.settings import OidcSection
from lakebed.ports.accounts.openid import OpenIdClient
from lakebed.ports.accounts.owners import Member, Owner
from lakebed.ports.accounts.tickets import Purpose, Ticket
from lakebed.ports.accounts.units import Unit
from lakebed.ports.accounts.users import User
from lakebed.system.sealing import Sealer
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import DAY, HOUR, SECOND, now

from .conftest import ADMIN, PASSWORDS, ROOMS, Api, NoSeries, Open
from .test_api_sessions import ask, sign_in
from .test_openid_provider import ASKED, BACK, SECRET, VERIFIER

WORDS = "a few words of hers"
HERE = {"Origin": "http://lakebed"}


@pytest.fixture(scope="module")
def here(open_api: Open) -> Api:
    api = open_api(NoSeries())
    catalog = api.catalog
    for name in ("kim", "mia"):
        catalog.add_user(User(name), PASSWORDS.hash(WORDS))
    catalog.add_owner(Owner("club"), "mia")
    catalog.put_member(Member("club", "kim", Role.EDITOR))
    catalog.put_units([Unit("", "ann", "lamp", ("room/#",), ("room/#",))])
    catalog.add_openid_client(OpenIdClient("grafana", redirects=(BACK,)), SECRET)
    keys = SigningKeys(catalog, lambda: Sealer("k" * 32), 90 * DAY)
    provider = Provider(catalog, keys, OidcSection(), "http://lakebed/oidc")
    object.__setattr__(api.services, "openid", provider)  # frozen, as the product sets it once
    return api


Send = Callable[[Api], httpx.Response]


def wrong_password(here: Api) -> httpx.Response:
    return sign_in(here, "kim", "other words")


def wrong_code(here: Api) -> httpx.Response:
    path, mia = "/api/v1/users/mia/factors", sign_in(here, "mia", WORDS)
    secret = ask(here, "POST", f"{path}/totp", mia).json()["secret"]
    code = pyotp.TOTP(secret).at(now() // SECOND - 30)
    document = {"name": "phone", "secret": secret, "code": code}
    assert ask(here, "POST", path, mia, json=document).status_code == 201
    wrong = {"user": "mia", "password": WORDS, "code": code}  # used up
    return here.post("/api/v1/session", token=None, json=wrong)


def wrong_token(here: Api) -> httpx.Response:
    return here.get("/api/v1/policies", token="lb_of-nobody")


def expired_invitation(here: Api) -> httpx.Response:
    return invited(here, -HOUR)


def invitation_used_twice(here: Api) -> httpx.Response:
    ticket = Ticket("", Purpose.INVITATION, "", "club", Role.VIEWER, account=True, maker="mia")
    _, code = hand_out(here.catalog, ticket, HOUR)
    first = accept(here, code, "first")
    assert first.status_code == 200, first.text
    return accept(here, code, "second")


def invited(here: Api, lasts: int) -> httpx.Response:
    ticket = Ticket("", Purpose.INVITATION, "", "club", Role.VIEWER, account=True, maker="mia")
    return accept(here, hand_out(here.catalog, ticket, lasts)[1], "late")


def accept(here: Api, code: str, user: str) -> httpx.Response:
    account = {"user": user, "password": WORDS}
    return here.post(f"/api/v1/invitations/{code}", token=None, json=account)


def foreign_owner(here: Api) -> httpx.Response:
    return here.get("/api/v1/policies?owner=eve")


def downgraded_role(here: Api) -> httpx.Response:
    kim = sign_in(here, "kim", WORDS)
    here.catalog.put_member(Member("club", "kim", Role.VIEWER))
    document = {"name": "p", "topics": ["a"], "type": "number", "keep": "last_value"}
    return ask(here, "POST", "/api/v1/policies?owner=club", kim, json=document)


def exchange(here: Api, code: str, back: str = BACK) -> httpx.Response:
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": back,
        "client_id": "grafana", "client_secret": SECRET, "code_verifier": VERIFIER,
    }  # fmt: skip
    return here.post("/oidc/token", token=None, data=form)


def authorized(here: Api) -> str:
    """A code."""
    kim = sign_in(here, "kim", WORDS)
    answer = ask(here, "GET", f"/oidc/authorize?{urlencode(ASKED | {'nonce': new()})}", kim)
    return httpx.URL(answer.headers["location"]).params["code"]


def new() -> str:
    return str(now())


def replayed_code(here: Api) -> httpx.Response:
    code = authorized(here)
    assert exchange(here, code).status_code == 200
    return exchange(here, code)


def redirect_of_the_code_with_a_slash(here: Api) -> httpx.Response:
    return exchange(here, authorized(here), f"{BACK}/")


def redirect_with_a_slash(here: Api) -> httpx.Response:
    query = urlencode(ASKED | {"redirect_uri": f"{BACK}/"})
    return here.get(f"/oidc/authorize?{query}", token=None)


def redirect_with_a_slash_and_a_password(here: Api) -> httpx.Response:
    query = urlencode(ASKED | {"redirect_uri": f"{BACK}/"})
    form = {"user": "kim", "password": WORDS}
    return here.post(f"/oidc/authorize?{query}", token=None, data=form, headers=HERE)


def unit_that_exists(here: Api) -> httpx.Response:
    unit = {"name": "lamp", "publish": ["a"], "read": []}
    return here.post("/api/v1/units?owner=ann", token=ADMIN, json=unit)


def filter_outside_the_owner(here: Api) -> httpx.Response:
    unit = {"name": "spy", "publish": ["$owner/eve/#"], "read": []}
    return here.post("/api/v1/units?owner=ann", token=ADMIN, json=unit)


def filter_outside_the_token(here: Api) -> httpx.Response:
    unit = {"name": "spy", "publish": ["#"], "read": ["#"]}
    return here.post("/api/v1/units", token=ROOMS, json=unit)


@pytest.mark.parametrize(
    ("send", "status", "action", "result"),
    [
        (wrong_password, 401, "session.begin", "denied"),
        (wrong_code, 401, "session.begin", "denied"),
        (wrong_token, 401, "policies.read", "denied"),
        (expired_invitation, 404, "invitations.accept", "failed"),
        (invitation_used_twice, 404, "invitations.accept", "failed"),
        (foreign_owner, 403, "policies.read", "denied"),
        (downgraded_role, 403, "policies.write", "denied"),
        (replayed_code, 400, "openid.sign_in", "failed"),
        (redirect_of_the_code_with_a_slash, 400, "openid.sign_in", "failed"),
        (redirect_with_a_slash, 400, "openid.sign_in", "failed"),
        (redirect_with_a_slash_and_a_password, 400, "openid.sign_in", "failed"),
        (unit_that_exists, 409, "units.write", "failed"),
        (filter_outside_the_owner, 422, "units.write", "failed"),
        (filter_outside_the_token, 403, "units.write", "denied"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_it_is_refused_and_audited(
    here: Api, send: Send, status: int, action: str, result: str
) -> None:
    here.services.audit.flush()
    here.services.audit._seen.clear()  # of one kind one entry a minute is written
    start = now()
    answer = send(here)
    assert answer.status_code == status, answer.text
    here.services.audit.flush()
    entries = [entry for _, entry in here.catalog.audit(start=start)]
    assert (action, result) in [(entry.action, entry.result) for entry in entries]
    units: list[Any] = here.catalog.units("ann")
    assert [unit.name for unit in units] == ["lamp"]
    assert not {"late", "second"} & {user.name for user in here.catalog.users()}
    assert here.catalog.policies("club") == []
