"""Signing in to another program: Authlib as the client, and the requests that Grafana sends."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.ports import free_port
from tests.server import Server

pytestmark = [pytest.mark.slow(8), pytest.mark.timeout(120)]

BACK = "https://grafana.example.com/login/generic_oauth"
PASSWORD = "a few words of hers"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    home = tmp_path_factory.mktemp("openid") / "home"
    with Server(home, {"AUTH__URL": url}, (port, 0)) as server:
        made = server.request(
            "POST", "/api/v1/users", json={"user": "ann", "title": "Ann", "password": PASSWORD}
        )
        assert made.status_code == 201, made.text
        yield server


@pytest.fixture(scope="module")
def secret(server: Server) -> str:
    client = {"id": "grafana", "title": "Grafana", "redirects": [BACK]}
    made = server.request("POST", "/api/v1/oidc/clients", json=client)
    assert made.status_code == 201, made.text
    found: str = made.json()["client_secret"]
    return found


@pytest.fixture
def browser(server: Server) -> Iterator[httpx.Client]:
    """Keeps cookies and follows nothing by itself."""
    with httpx.Client(headers={"Origin": server.url}) as browser:
        yield browser


def sign_in(browser: httpx.Client, address: str, password: str = PASSWORD) -> httpx.Response:
    """Fill the form in; the answer to it."""
    form = browser.get(address, headers={"Accept": "text/html"})
    assert form.status_code == 200, form.text
    assert "Grafana" in form.text
    policy = form.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert policy.endswith("form-action 'self' https://grafana.example.com")
    return browser.post(address, data={"user": "ann", "password": password})


def query(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 302, answer.text
    address = answer.headers["location"]
    assert address.startswith(f"{BACK}?")
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def test_authlib_signs_somebody_in(server: Server, browser: httpx.Client, secret: str) -> None:
    known = browser.get(f"{server.url}/oidc/.well-known/openid-configuration").json()
    assert known["issuer"] == f"{server.url}/oidc"
    verifier = "v" * 48
    with OAuth2Client(
        "grafana", secret, scope="openid profile email", redirect_uri=BACK,
        code_challenge_method="S256", token_endpoint_auth_method="client_secret_basic",
    ) as client:  # fmt: skip
        address, state = client.create_authorization_url(
            known["authorization_endpoint"], code_verifier=verifier, nonce="n-1"
        )
        answer = sign_in(browser, address)
        assert query(answer)["state"] == state
        token: dict[str, Any] = client.fetch_token(
            known["token_endpoint"], authorization_response=answer.headers["location"],
            state=state, code_verifier=verifier,
        )  # fmt: skip
        keys = KeySet.import_key_set(browser.get(known["jwks_uri"]).json())
        told = jwt.decode(token["id_token"], keys, ["RS256"]).claims
        assert (told["sub"], told["aud"], told["nonce"]) == ("ann", "grafana", "n-1")
        userinfo = client.get(known["userinfo_endpoint"]).json()
        assert userinfo["preferred_username"] == "ann"
        assert userinfo["orgs"] == ["ann", "ann/manager"]

    # the session that the form began serves the next client, and this API
    again, _ = client.create_authorization_url(
        known["authorization_endpoint"], code_verifier=verifier
    )
    assert "code" in query(browser.get(again))
    assert browser.get(f"{server.url}/api/v1/me").json()["user"] == "ann"
    # a client that asks for it gets the form all the same, and without a session an error
    assert browser.get(f"{again}&prompt=login").status_code == 200
    with httpx.Client() as stranger:
        assert query(stranger.get(f"{again}&prompt=none"))["error"] == "login_required"


def test_the_requests_of_grafana(server: Server, browser: httpx.Client, secret: str) -> None:
    """As Grafana 12 sends them: golang.org/x/oauth2 with PKCE, the secret in the form."""
    verifier = "M25iVXpKU3puUjFaYWg3T1NDTDQtcW1ROUY5YXlwalNoc0hhakxifmZHag"
    challenge = "qjrzSW9gMiUgpUvqgEPE4_-8swvyCtfOVvg55o5S_es"
    address = (
        f"{server.url}/oidc/authorize?client_id=grafana&code_challenge={challenge}"
        "&code_challenge_method=S256&redirect_uri="
        "https%3A%2F%2Fgrafana.example.com%2Flogin%2Fgeneric_oauth&response_type=code"
        "&scope=openid+profile+email&state=DHvrBNkrE0X0sRpg8IlZ"
    )
    back = query(sign_in(browser, address))
    token = httpx.post(
        f"{server.url}/oidc/token",
        data={
            "client_id": "grafana", "client_secret": secret, "code": back["code"],
            "code_verifier": verifier, "grant_type": "authorization_code", "redirect_uri": BACK,
        },
    )  # fmt: skip
    assert token.status_code == 200, token.text
    assert token.headers["cache-control"] == "no-store"
    assert token.json()["token_type"] == "Bearer"
    headers = {"Authorization": f"Bearer {token.json()['access_token']}"}
    told = httpx.get(f"{server.url}/oidc/userinfo", headers=headers).json()
    assert told["email"] == "ann@127.0.0.1"
    for method in ("/api/v1/me", "/api/v1/policies"):  # it opens nothing else
        assert httpx.get(server.url + method, headers=headers).status_code == 401


def test_a_wrong_password_and_a_foreign_page_begin_nothing(
    server: Server, browser: httpx.Client, secret: str
) -> None:
    asked = {
        "client_id": "grafana", "response_type": "code", "redirect_uri": BACK, "state": "s",
        "scope": "openid", "code_challenge": "c" * 43, "code_challenge_method": "S256",
    }  # fmt: skip
    address = str(httpx.URL(f"{server.url}/oidc/authorize", params=asked))
    answer = sign_in(browser, address, "wrong")
    assert answer.status_code == 401
    assert "wrong" in answer.text
    assert not browser.cookies
    form = {"user": "ann", "password": PASSWORD}
    foreign = browser.post(address, data=form, headers={"Origin": "https://evil.example.com"})
    assert foreign.status_code == 403
    with httpx.Client() as program:
        assert program.post(address, data=form).status_code == 403
    wrong = str(httpx.URL(address).copy_merge_params({"redirect_uri": f"{BACK}/"}))
    for answer in (browser.get(wrong), browser.post(wrong, data=form)):
        assert answer.status_code == 400
        assert "location" not in answer.headers
    # as a form, the request itself is sent on
    sent = browser.post(f"{server.url}/oidc/authorize", data=asked)
    assert sent.status_code == 303
    assert browser.get(sent.headers["location"]).status_code == 200
    log = server.get("/api/v1/audit", action="openid.sign_in")["entries"]
    assert {entry["result"] for entry in log} == {"done", "denied", "failed"}  # the wrong address
    assert not any(PASSWORD in str(entry) or secret in str(entry) for entry in log)


def test_a_second_factor_is_asked_for(server: Server, browser: httpx.Client, secret: str) -> None:
    made = server.request("POST", "/api/v1/users", json={"user": "bob", "password": PASSWORD})
    assert made.status_code == 201, made.text
    api = f"{server.url}/api/v1"
    with httpx.Client(headers={"Origin": server.url}) as own:
        own.post(f"{api}/session", json={"user": "bob", "password": PASSWORD}).raise_for_status()
        seed = own.post(f"{api}/users/bob/factors/totp").json()["secret"]
        code = pyotp.TOTP(seed).now()
        added = own.post(f"{api}/users/bob/factors", json={"secret": seed, "code": code})
        assert added.status_code == 201, added.text
    asked = {
        "client_id": "grafana", "response_type": "code", "redirect_uri": BACK, "state": "s",
        "scope": "openid", "code_challenge": "c" * 43, "code_challenge_method": "S256",
    }  # fmt: skip
    address = str(httpx.URL(f"{server.url}/oidc/authorize", params=asked))
    form = {"user": "bob", "password": PASSWORD}
    first = browser.post(address, data=form)
    assert first.status_code == 401
    assert 'name="code"' in first.text
    assert browser.post(address, data=form | {"code": "000000"}).status_code == 401
    back = browser.post(address, data=form | {"code": added.json()["recovery_codes"][0]})
    assert "code" in query(back)
