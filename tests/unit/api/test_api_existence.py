"""Answers to strangers do not tell whether a user, an owner or a unit exists.

Neither by what they say, nor by what they cost. Time is not measured, but what takes it: hashes of
passwords and statements of the catalog.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from argon2 import PasswordHasher, extract_parameters
from sqlalchemy import event

from lakebed.accounts import passwords
from lakebed.accounts.tickets import hand_out
from lakebed.api.emqx.endpoint import AUTHN
from lakebed.api.openid.keys import SigningKeys
from lakebed.api.openid.provider import Provider
from lakebed.api.openid.settings import OidcSection
from lakebed.ports.accounts.factors import Factor, FactorKind
from lakebed.ports.accounts.openid import OpenIdClient
from lakebed.ports.accounts.tickets import Purpose, Ticket
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.ports.accounts.units import Unit
from lakebed.ports.accounts.users import User
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import open_catalog
from lakebed.system.sealing import Sealer
from lakebed.vocabulary.times import DAY, HOUR

from .authenticator import Authenticator
from .conftest import PASSWORDS, Api, NoSeries
from .test_api_matrix import routes
from .test_openid_provider import ASKED, BACK, SECRET

HERE = "https://lakebed"
BROKER = "emqx-secret-of-this-test"
SETTINGS = Settings.model_validate({"auth": {"url": HERE, "emqx_secret": BROKER, "public": True}})
WORDS = "a few words of hers"
KNOWN = ("kim-1", "blocked-1", "without-1", "factor-1", "chief-1")
"""Users: a usual one, and those whose state could make a difference."""
UNKNOWN = "nosuch-1"


class Work:
    """What is done for an answer: the hashes, with their parameters, and the statements."""

    def __init__(self) -> None:
        self.hashes: list[tuple[str, str]] = []
        self.statements: list[str] = []

    def clear(self) -> None:
        self.hashes.clear()
        self.statements.clear()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    catalog = open_catalog("sqlite:catalog.db", tmp_path_factory.mktemp("home"))
    api = Api(catalog, NoSeries(), settings=SETTINGS)
    for name in KNOWN:
        password = None if name == "without-1" else PASSWORDS.hash(WORDS)
        api.catalog.add_user(User(name, admin=name == "chief-1"), password)
    api.catalog.change_user("blocked-1", blocked=True)
    api.catalog.add_factor(Factor("f-1", "factor-1", FactorKind.TOTP, "phone", b"sealed"))
    api.catalog.add_openid_client(OpenIdClient("grafana", redirects=(BACK,)), SECRET)
    api.catalog.put_units([Unit("", "ann", "lamp", ("room/#",), ("room/#",))])
    keys = SigningKeys(catalog, lambda: Sealer("k" * 32), 90 * DAY)
    provider = Provider(catalog, keys, OidcSection(), f"{HERE}/oidc")
    object.__setattr__(api.services, "openid", provider)  # frozen, as the product sets it once
    yield api
    api.close()
    catalog.close()


@pytest.fixture
def work(here: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    found = Work()
    verify, make = PasswordHasher.verify, PasswordHasher.hash

    def verified(self: PasswordHasher, hash: str, password: bytes) -> Any:
        found.hashes.append(("verify", str(extract_parameters(hash))))
        return verify(self, hash, password)

    def made(self: PasswordHasher, password: bytes) -> str:
        hash = make(self, password)
        found.hashes.append(("hash", str(extract_parameters(hash))))
        return hash

    def executed(_c: Any, _k: Any, statement: str, _p: Any, _x: Any, _m: Any) -> None:
        if statement != "BEGIN" and "audit" not in statement:  # these are written later, together
            found.statements.append(statement)

    monkeypatch.setattr(PasswordHasher, "verify", verified)
    monkeypatch.setattr(PasswordHasher, "hash", made)
    engines = (here.catalog._engine, here.catalog._readers)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", executed)
    yield found
    for engine in engines:
        event.remove(engine, "before_cursor_execute", executed)


def session(api: Api, user: str) -> Any:
    return api.post("/api/v1/session", token=None, json={"user": user, "password": "wrong words"})


def page(api: Api, user: str) -> Any:
    return api.post(
        "/sign-in", token=None, data={"user": user, "password": "wrong words"},
        headers={"Origin": HERE},
    )  # fmt: skip


def openid(api: Api, user: str) -> Any:
    return api.post(
        f"/oidc/authorize?{urlencode(ASKED)}", token=None,
        data={"user": user, "password": "wrong words"}, headers={"Origin": HERE},
    )  # fmt: skip


@pytest.mark.parametrize("door", [session, page, openid])
@pytest.mark.parametrize("user", KNOWN)
def test_a_wrong_password_is_the_same_for_whoever_is_here_or_not(
    here: Api, work: Work, door: Any, user: str
) -> None:
    costs = [cost(here, work, door, name) for name in (user, UNKNOWN)]
    assert costs[0] == costs[1]
    assert costs[0].status == 401
    assert [kind for kind, _ in costs[0].hashes] == ["verify"]


class Cost(NamedTuple):
    status: int
    told: tuple[str, list[str]]
    hashes: list[tuple[str, str]]
    statements: Counter[str]


def cost(here: Api, work: Work, door: Any, name: str) -> Cost:
    """Of three answers the least, as other threads ask the catalog now and then."""
    found = []
    for _ in range(3):
        here.catalog.forget_attempts([f"account {name}", "address 127.0.0.1"])
        work.clear()
        answer = door(here, name)
        found.append(Counter(work.statements))
    least = found[0] & found[1] & found[2]
    return Cost(answer.status_code, _without(answer, name), work.hashes[:], least)


def _without(answer: Any, name: str) -> tuple[str, list[str]]:
    """What is said, but for the name that was sent."""
    return answer.text.replace(name, "…"), sorted(answer.headers)


def test_whoever_fails_too_often_waits_as_long_here_or_not(here: Api, work: Work) -> None:
    waits = []
    for name in ("kim-1", UNKNOWN):
        here.catalog.forget_attempts([f"account {name}", "address 127.0.0.1"])
        answers = [session(here, name) for _ in range(7)]
        waits.append([(a.status_code, a.headers.get("retry-after")) for a in answers])
    assert waits[0] == waits[1]
    assert waits[0][-1][0] == 429


def test_a_hash_of_nobody_costs_what_new_hashes_do(work: Work) -> None:
    """With the parameters of the product, and not those of the tests."""
    hashes = passwords.Passwords(workers=1)
    stored = hashes.hash("other words")
    work.clear()
    assert not hashes.verify(None, WORDS)
    assert not hashes.verify(stored, WORDS)
    assert not hashes.verify(None, "x" * 5_000)
    assert len(work.hashes) == 3
    assert len(set(work.hashes)) == 1
    hashes.close()


@pytest.mark.parametrize("door", ["/api/v1/invitations", "/invitation"])
def test_an_invitation_tells_of_names_to_its_holder_alone(here: Api, work: Work, door: str) -> None:
    """Without the code nothing is hashed; with it a name costs one hash, taken or not."""
    ticket = Ticket("", Purpose.INVITATION, account=True)
    _, code = hand_out(here.catalog, ticket, HOUR)

    def send(code: str, user: str) -> Any:
        given = {"user": user, "password": WORDS}
        body = {"json": given} if door.startswith("/api") else {"data": given}
        return here.post(f"{door}/{code}", token=None, headers={"Origin": HERE}, **body)

    for user in ("kim-1", UNKNOWN):
        assert send("wrong", user).status_code == 404
    assert not work.hashes
    taken = send(code, "kim-1")
    assert (taken.status_code, [kind for kind, _ in work.hashes]) == (409, ["hash"])
    work.clear()
    assert send(code, f"new-{len(door)}").status_code == 200
    assert [kind for kind, _ in work.hashes] == ["hash"]


@pytest.mark.parametrize("door", ["/api/v1/password", "/password"])
def test_a_link_that_is_none_names_and_hashes_nothing(here: Api, work: Work, door: str) -> None:
    body = (
        {"json": {"password": WORDS}} if door.startswith("/api") else {"data": {"password": WORDS}}
    )
    answer = here.post(f"{door}/wrong", token=None, headers={"Origin": HERE}, **body)
    assert answer.status_code == 404
    assert not work.hashes


def test_passkeys_ask_for_no_name_and_hash_nothing(here: Api, work: Work) -> None:
    options = here.post("/api/v1/session/passkey", token=None).json()
    assert not options.get("allowCredentials")
    answer = here.post(
        "/api/v1/session", token=None, json={"passkey": Authenticator(HERE).get(options)}
    )
    assert answer.status_code == 401
    assert "not known here" in answer.json()["detail"]
    assert not work.hashes


@pytest.mark.parametrize("field", ["password", "username"])
def test_emqx_hears_the_same_of_a_unit_that_is_here_or_not(
    here: Api, work: Work, field: str
) -> None:
    """Secrets are looked up by their SHA-256: a name decides nothing."""
    unit = here.catalog.unit("ann", "lamp")
    assert unit is not None
    heard = []
    for name in (unit.uuid, "lamp", UNKNOWN):
        asked = {"clientid": name, "username": name, "password": "", field: "wrong"}
        work.clear()
        answer = here.post(AUTHN, token=BROKER, json=asked)
        assert not work.hashes
        heard.append(answer.json())
    assert heard == [{"result": "ignore"}] * 3


def test_routes_answer_strangers_alike_for_names_that_are_here_or_not(
    here: Api,
) -> None:
    """Every route, without credentials and with those of an owner that has no part in it."""
    here.catalog.add_token(StoredToken("eve", "all"), "eve-token")
    told = []
    for method, path in sorted(routes(here).values()):
        if path == "/api/v1/session/passkey":  # a challenge is random
            continue
        if not re.search(r"{(user|name|owner|unit)}", path) and not path.startswith("/api/v1/"):
            continue
        for token in (None, "eve-token"):
            answers = []
            for name in ("kim-1", UNKNOWN):
                at = (
                    re.sub(r"{(user|name|owner|unit)}", name, path)
                    .replace("{", "")
                    .replace("}", "")
                )
                asked = {"owner": name, "topic": "room/1", "policy": "raw", "name": name}
                answer = here.ask(method, at, token=token, params=asked, content=b"-")
                answers.append((answer.status_code, answer.text.replace(name, "…")))
            if answers[0] != answers[1]:
                told.append((method, path, token, answers))
    assert not told
