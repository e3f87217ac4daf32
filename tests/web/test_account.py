"""The page of one's own account: password, second factors, sessions, language, theme."""

import re
from html import unescape
from pathlib import Path

import pyotp
import pytest

from lakebed.access.settings import AuthSection
from lakebed.ports.accounts.users import User
from tests.application import PASSWORDS, SETTINGS, Api, NoSeries, opened

from .conftest import PASSWORD, Browser, text_of


@pytest.fixture
def fay(api: Api, request: pytest.FixtureRequest) -> Browser:
    """A user of the test's own."""
    name = "fay-" + re.sub(r"[^a-z0-9]+", "-", request.node.name)[-30:].strip("-")
    api.catalog.add_user(User(name), PASSWORDS.hash(PASSWORD), adopt=True)
    browser = Browser(api)
    browser.user = name  # type: ignore[attr-defined]
    assert browser.sign_in(name).status_code == 303
    return browser


def test_a_password_is_changed_and_other_sessions_end(api: Api, fay: Browser) -> None:
    other = Browser(api)
    other.sign_in(fay.user)  # type: ignore[attr-defined]
    wrong = {"old": "wrong", "password": "another few words", "again": "another few words"}
    assert "the old password is wrong" in text_of(fay.send("/account/password", wrong).text)
    differ = {"old": PASSWORD, "password": "another few words", "again": "typed wrong"}
    assert "the two new passwords differ" in text_of(fay.send("/account/password", differ).text)
    right = wrong | {"old": PASSWORD}
    assert fay.send("/account/password", right).status_code == 303
    assert fay.get("/account").status_code == 200
    assert other.get("/account").status_code == 303


def test_an_application_is_added_and_asked_for_when_signing_in(api: Api, fay: Browser) -> None:
    page = fay.send("/account/factors/application", {}).text
    assert "<svg" in page
    secret = page.split('name="secret" value="')[1].split('"')[0]
    uri = unescape(page.split('name="uri" value="')[1].split('"')[0])
    wrong = fay.send("/account/factors", {"secret": secret, "uri": uri, "code": "000000"})
    assert wrong.status_code == 422
    assert secret in wrong.text
    code = pyotp.TOTP(secret).now()
    added = fay.send("/account/factors", {"secret": secret, "uri": uri, "code": code})
    assert "Recovery codes" in text_of(added.text)
    recovery = added.text.split("<pre>")[1].split()[0]
    assert recovery not in fay.see("/account")
    again = Browser(api)
    asked = again.sign_in(fay.user)  # type: ignore[attr-defined]
    assert asked.status_code == 401
    assert 'name="code"' in asked.text
    assert again.sign_in(fay.user, code=recovery).status_code == 303  # type: ignore[attr-defined]


def test_sessions_are_listed_and_ended(api: Api, fay: Browser) -> None:
    other = Browser(api)
    other.sign_in(fay.user)  # type: ignore[attr-defined]
    assert text_of(fay.see("/account")).count("this one") == 1
    fay.send("/account/sessions/end", {})
    assert other.get("/account").status_code == 303
    assert fay.get("/account").status_code == 200


def test_language_and_theme_are_remembered(fay: Browser) -> None:
    fay.send("/account/look", {"language": "ru", "theme": "dark"})
    assert '<html lang="ru" data-theme="dark">' in fay.see("/account")
    fay.send("/account/look", {"language": "xx", "theme": "<b>"})
    assert '<html lang="ru" data-theme="dark">' in fay.see("/account")


def test_who_must_add_a_second_factor_is_led_there(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"auth": AuthSection(second_factor="all")})
    with opened(tmp_path, NoSeries(), settings=settings) as api:
        api.catalog.add_user(User("hal"), PASSWORDS.hash(PASSWORD), adopt=True)
        hal = Browser(api)
        hal.sign_in("hal")
        for path in ("/", "/policies", "/units?owner=ann"):
            assert hal.get(path).headers["location"] == "/account", path
        assert "A second factor is demanded here" in text_of(hal.see("/account"))
        page = hal.send("/account/factors/application", {}).text
        secret = page.split('name="secret" value="')[1].split('"')[0]
        code = pyotp.TOTP(secret).now()
        hal.send("/account/factors", {"secret": secret, "uri": "", "code": code})
        assert hal.get("/").status_code == 200
        assert hal.send("/sign-out", {}).headers["location"] == "/sign-in"
