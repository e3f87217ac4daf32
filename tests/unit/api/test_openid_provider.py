"""The OpenID provider: what is exchanged for what, and what is refused."""

import base64
import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from lakebed.api.openid.keys import SigningKeys
from lakebed.api.openid.provider import Answer, Provider, SignedIn
from lakebed.api.openid.settings import OidcSection
from lakebed.api.routes.openid_sign_in import is_fresh
from lakebed.ports.accounts.openid import OpenIdClient, SigningKey
from lakebed.ports.accounts.owners import Member, Owner
from lakebed.ports.accounts.users import Session, User
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.system.sealing import Sealer
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import DAY, HOUR, MINUTE, SECOND, now

ISSUER = "https://lakebed.example.com/oidc"
BACK = "https://grafana.example.com/login/generic_oauth"
SECRET = "s" * 40
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()
CHALLENGE = CHALLENGE.rstrip("=")
ASKED = {
    "client_id": "grafana", "response_type": "code", "redirect_uri": BACK, "state": "abc",
    "scope": "openid profile email", "nonce": "n-1", "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}  # fmt: skip


@dataclass
class Here:
    """A provider with the user ann, who has signed in, and the client grafana."""

    catalog: SqlCatalog
    provider: Provider
    who: SignedIn
    keys: SigningKeys
    home: Path

    def authorize(self, **changed: str | None) -> Answer:
        asked = {name: [value] for name, value in (ASKED | changed).items() if value is not None}
        return self.provider.authorize(asked, self.who)

    def code(self, **changed: str | None) -> str:
        """A new code."""
        answer = self.authorize(nonce=None, **changed)
        return query(answer)["code"]

    def exchange(self, code: str, secret: str = SECRET, **changed: str | None) -> Answer:
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": BACK,
            "client_id": "grafana", "client_secret": secret, "code_verifier": VERIFIER,
        } | changed  # fmt: skip
        return self.provider.exchange(
            {name: [value] for name, value in form.items() if value is not None}, {}
        )


def query(answer: Answer) -> dict[str, str]:
    """What the browser carries back to the client."""
    assert answer.status == 302
    address = dict(answer.headers)["Location"]
    assert address.startswith(BACK + "?")
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """Made once: that takes a while."""
    catalog = open_catalog("sqlite:catalog.db", tmp_path_factory.mktemp("key"))
    SigningKeys(catalog, lambda: Sealer("k" * 32), 90 * DAY).signing()
    (made,) = catalog.openid_keys()
    catalog.close()
    return made


@pytest.fixture
def here(tmp_path: Path, key: SigningKey) -> Iterator[Here]:
    catalog = open_catalog("sqlite:catalog.db", tmp_path)
    catalog.add_openid_key(key)
    user = catalog.add_user(User("ann", "Ann", admin=True))
    catalog.add_user(User("root", admin=True))
    catalog.add_owner(Owner("works"), manager="root")
    catalog.put_member(Member("works", "ann", Role.VIEWER))
    session = Session("s-1", "ann", now() - MINUTE, now(), now() + HOUR)
    catalog.add_session(session, "cookie")
    catalog.add_openid_client(OpenIdClient("grafana", redirects=(BACK,)), SECRET)
    keys = SigningKeys(catalog, lambda: Sealer("k" * 32), 90 * DAY)
    provider = Provider(catalog, keys, OidcSection(), ISSUER)
    yield Here(catalog, provider, SignedIn(user, session), keys, tmp_path)
    catalog.close()


def claims(here: Here, token: str) -> dict[str, Any]:
    """The claims of an ID token whose signature is right."""
    found = jwt.decode(token, KeySet.import_key_set(here.provider.keys()), ["RS256"])
    return dict(found.claims)


def test_a_code_is_exchanged_for_a_signed_token_that_says_who_it_is(here: Here) -> None:
    back = query(here.authorize())
    assert back["state"] == "abc"
    answer = here.exchange(back["code"])
    assert answer.status == 200
    told = claims(here, answer.body["id_token"])
    assert told["iss"] == ISSUER
    assert told["aud"] == "grafana"
    assert told["nonce"] == "n-1"
    assert told["auth_time"] == here.who.session.created // SECOND
    known = {
        "sub": "ann", "name": "Ann", "preferred_username": "ann", "role": "admin",
        "orgs": ["ann", "ann/manager", "works", "works/viewer"],
        "owners": {"ann": "manager", "works": "viewer"},
        "email": "ann@lakebed.example.com", "email_verified": False,
    }  # fmt: skip
    assert {name: told[name] for name in known} == known
    assert here.provider.userinfo(answer.body["access_token"]) == known
    assert 0 < answer.body["expires_in"] <= 600


def test_a_client_may_send_its_secret_in_a_header_or_in_the_form(here: Here) -> None:
    basic = base64.b64encode(f"grafana:{SECRET}".encode()).decode()
    form = {
        "grant_type": ["authorization_code"], "code": [here.code()], "redirect_uri": [BACK],
        "code_verifier": [VERIFIER],
    }  # fmt: skip
    answer = here.provider.exchange(form, {"Authorization": f"Basic {basic}"})
    assert answer.status == 200
    assert here.exchange(here.code()).status == 200


@pytest.mark.parametrize(
    "redirect",
    [BACK + "/", BACK + "?x=1", BACK.upper(), BACK.replace("https", "http"), BACK[:-1], "",
     "https://evil.example.com/", None],
)  # fmt: skip
def test_a_redirect_that_differs_in_anything_is_followed_nowhere(
    here: Here, redirect: str | None
) -> None:
    answer = here.authorize(redirect_uri=redirect)
    assert answer.status == 400
    assert "Location" not in dict(answer.headers)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"nonce": "n" * 1001}, "invalid_request"),
    ],
)
def test_what_the_client_asks_wrongly_is_told_to_it(
    here: Here, changed: dict[str, str | None], error: str
) -> None:
    back = query(here.authorize(**changed))
    assert back["error"] == error
    assert back["state"] == "abc"
    assert "code" not in back


def test_a_client_that_is_not_registered_is_not_followed(here: Here) -> None:
    answer = here.authorize(client_id="eve")
    assert answer.status in (400, 401)
    assert "Location" not in dict(answer.headers)


def test_a_nonce_is_taken_once(here: Here) -> None:
    assert "code" in query(here.authorize())
    assert query(here.authorize())["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_verifier": "w" * 64}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"redirect_uri": BACK + "/"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"secret": "x" * 40}, "invalid_client"),
        ({"secret": None}, "invalid_client"),
        ({"code": "lb_nothing"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
    ],
)
def test_a_wrong_exchange_gives_nothing(
    here: Here, changed: dict[str, str | None], error: str
) -> None:
    given = dict(changed)
    code = given.pop("code", None) or here.code()
    if "secret" in given:
        given["client_secret"] = given.pop("secret")
    answer = here.exchange(code, **given)
    assert answer.status in (400, 401)
    assert answer.body["error"] == error
    assert "access_token" not in answer.body


def test_a_code_that_comes_again_ends_what_came_of_it(here: Here) -> None:
    code = here.code()
    access = here.exchange(code).body["access_token"]
    assert here.provider.userinfo(access) is not None
    again = here.exchange(code)
    assert again.body["error"] == "invalid_grant"
    assert here.provider.userinfo(access) is None


def test_a_code_is_only_for_the_client_that_asked(here: Here) -> None:
    here.catalog.add_openid_client(OpenIdClient("other", redirects=(BACK,)), "o" * 40)
    code = here.code()
    answer = here.exchange(code, "o" * 40, client_id="other")
    assert answer.body["error"] == "invalid_grant"
    assert here.exchange(code).status == 200


def test_codes_and_tokens_that_have_ended_do_not_pile_up(here: Here) -> None:
    here.exchange(here.code())
    old = {"expires": now() - 2 * DAY}
    with sqlite3.connect(here.home / "catalog.db") as file:
        for table in ("openid_codes", "openid_tokens"):
            file.execute(f"UPDATE {table} SET expires = :expires", old)
    here.code()
    with sqlite3.connect(here.home / "catalog.db") as file:
        assert file.execute("SELECT count(*) FROM openid_codes").fetchone() == (1,)
        assert file.execute("SELECT count(*) FROM openid_tokens").fetchone() == (0,)


def test_an_age_is_a_number(here: Here) -> None:
    assert is_fresh(here.who, {"max_age": ["90"]})
    assert not is_fresh(here.who, {"max_age": ["9"]})
    for age in ("²", "-1", "soon", "9" * 10):  # ² is a digit, and no number
        with pytest.raises(BadRequest):
            is_fresh(here.who, {"max_age": [age]})


def test_a_code_expires(here: Here) -> None:
    section = OidcSection(code_lifetime=0)
    here.provider = Provider(here.catalog, here.keys, section, ISSUER)
    assert here.exchange(here.code()).body["error"] == "invalid_grant"


def test_everything_ends_with_the_session(here: Here) -> None:
    code, access = here.code(), here.exchange(here.code()).body["access_token"]
    here.catalog.end_session("ann", "s-1")
    assert here.provider.userinfo(access) is None
    assert here.exchange(code).body["error"] == "invalid_grant"


def test_everything_ends_with_a_blocked_user(here: Here) -> None:
    code, access = here.code(), here.exchange(here.code()).body["access_token"]
    here.catalog.change_user("ann", blocked=True)
    assert here.provider.userinfo(access) is None
    assert here.exchange(code).body["error"] == "invalid_grant"


def test_a_new_secret_ends_the_old_one_and_its_tokens(here: Here) -> None:
    access = here.exchange(here.code()).body["access_token"]
    here.catalog.change_openid_client("grafana", secret="t" * 40)
    assert here.provider.userinfo(access) is None
    assert here.exchange(here.code()).body["error"] == "invalid_client"
    assert here.exchange(here.code(), "t" * 40).status == 200


def test_without_a_scope_nothing_is_told_but_who_it_is(here: Here) -> None:
    for scope in (None, "openid", "openid everything"):
        answer = here.exchange(here.code(scope=scope))
        if "access_token" in answer.body:
            assert here.provider.userinfo(answer.body["access_token"]) == {"sub": "ann"}


def test_another_key_signs_after_a_while_and_old_signatures_stay_good(here: Here) -> None:
    old = here.exchange(here.code()).body["id_token"]
    soon = SigningKeys(here.catalog, lambda: Sealer("k" * 32), lifetime=0)
    here.provider = Provider(here.catalog, soon, OidcSection(), ISSUER)
    new = here.exchange(here.code()).body["id_token"]
    kids = {key["kid"] for key in here.provider.keys()["keys"]}
    assert len(kids) == 2
    assert not any({"d", "p", "q"} & key.keys() for key in here.provider.keys()["keys"])
    assert claims(here, old)["sub"] == claims(here, new)["sub"] == "ann"


def test_a_key_that_cannot_be_opened_any_more_is_replaced(here: Here) -> None:
    here.exchange(here.code())
    other = SigningKeys(here.catalog, lambda: Sealer("x" * 32), 90 * DAY)
    here.provider = Provider(here.catalog, other, OidcSection(), ISSUER)
    assert claims(here, here.exchange(here.code()).body["id_token"])["sub"] == "ann"
    assert b'"d"' not in here.catalog.openid_keys()[0].sealed


def test_nobody_signed_in_and_no_page_wanted(here: Here) -> None:
    asked = {name: [value] for name, value in ASKED.items()}
    back = query(here.provider.authorize(asked, None))
    assert (back["error"], back["state"]) == ("login_required", "abc")


@pytest.mark.parametrize("parameter", ["client_id", "redirect_uri", "state", "response_type"])
def test_a_parameter_twice_is_refused(here: Here, parameter: str) -> None:
    asked = {name: [value] for name, value in ASKED.items()}
    asked[parameter] = [asked[parameter][0], "https://evil.example.com/"]
    answer = here.provider.authorize(asked, here.who)
    assert answer.status == 400
    assert "Location" not in dict(answer.headers)
    assert here.provider.exchange({"code": ["a", "b"]}, {}).status == 400


def test_the_session_of_another_is_no_session(here: Here) -> None:
    here.who = replace(here.who, session=replace(here.who.session, id="s-2"))
    assert here.exchange(here.code()).body["error"] == "invalid_grant"
