"""The shell: sign in and out, where that leads, headers, forms of others, errors, languages."""

import re

import pytest

from lakebed.web import guard
from lakebed.web.page import Pages
from lakebed.web.words import preferred

from .conftest import PASSWORD, Browser, text_of


def test_a_stranger_is_sent_to_sign_in_and_back(stranger: Browser) -> None:
    asked = stranger.get("/policies?owner=ann")
    assert asked.status_code == 303
    assert asked.headers["location"] == "/sign-in?next=%2Fpolicies%3Fowner%3Dann"
    form = {"user": "ann", "password": PASSWORD}
    answer = stranger.send(asked.headers["location"], form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/policies?owner=ann")
    assert "ann" in text_of(stranger.see("/policies"))


def test_a_wrong_password_shows_the_form_again_with_the_name(stranger: Browser) -> None:
    answer = stranger.sign_in("ann", "wrong")
    assert answer.status_code == 401
    assert "The name, the password or the code is wrong." in text_of(answer.text)
    assert 'value="ann"' in answer.text
    assert "wrong</" not in answer.text.replace(" is wrong.</", "")


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/%0d%0aLocation: x\r\nset-cookie: a=b",
        "",
    ],
)
def test_after_signing_in_nobody_is_led_to_another_site(address: str) -> None:
    assert guard.within(address) == "/"


def test_who_signs_out_has_no_session_any_more(ann: Browser) -> None:
    kept = dict(ann.cookies)
    assert ann.send("/sign-out", {}).headers["location"] == "/sign-in"
    assert ann.get("/").status_code == 303
    ann.cookies = kept
    assert ann.get("/").status_code == 303


def test_signing_out_is_on_every_page(ann: Browser) -> None:
    for path in ("/", "/policies", "/policies/new", "/account"):
        assert 'action="/sign-out"' in ann.get(path).text, path


def test_a_password_is_a_field_that_hides_and_fills_it(stranger: Browser) -> None:
    page = stranger.get("/sign-in").text
    (field,) = re.findall(r'<input[^>]*name="password"[^>]*>', page)
    assert 'type="password"' in field
    assert 'autocomplete="current-password"' in field


def test_a_form_without_the_token_of_its_session_changes_nothing(ann: Browser) -> None:
    for token in ("", "0" * 32):
        answer = ann.send("/sign-out", {}, token=token)
        assert answer.status_code == 403
        assert "load the page again" in text_of(answer.text)
    assert ann.get("/").status_code == 200


@pytest.mark.parametrize(
    "path", ["pause", "resume", "rewind", "backfill", "backfill/cancel", "save", "delete"]
)
def test_a_relay_is_not_changed_without_the_token(ann: Browser, path: str) -> None:
    answer = ann.send(f"/relays/alarms/{path}", {"sure": "1"}, token="0" * 32)
    assert answer.status_code == 403


def test_a_page_that_would_take_a_form_without_its_token_is_refused() -> None:
    def change() -> None: ...

    with pytest.raises(TypeError, match="FormDep"):
        Pages().post("/change")(change)


def test_a_form_of_another_site_changes_nothing(ann: Browser) -> None:
    token = ann.form_token()
    answer = ann.ask(
        "POST", "/sign-out", data={"csrf": token}, headers={"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 403
    assert ann.get("/").status_code == 200


def test_all_pages_have_the_headers_that_keep_them_safe(ann: Browser) -> None:
    for path in ("/", "/sign-in", "/nowhere", "/policies/edit/none"):
        answer = ann.get(path)
        for name, value in guard.HEADERS.items():
            assert answer.headers[name] == value, (path, name)


def test_what_is_not_there_is_a_page_for_browsers_and_a_problem_for_programs(
    ann: Browser,
) -> None:
    answer = ann.get("/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for path, accept in (("/api/v1/nowhere", "text/html"), ("/nowhere", "*/*")):
        answer = ann.get(path, headers={"accept": accept})
        assert answer.headers["content-type"] == "application/problem+json"


def test_another_owner_is_refused_as_a_page(ann: Browser) -> None:
    answer = ann.get("/policies?owner=works")
    assert answer.status_code == 403
    assert "You may not see this" in text_of(answer.text)


def test_links_stay_in_the_name_space_that_was_chosen(root: Browser) -> None:
    assert 'href="/policies?owner=works"' in root.see("/?owner=works")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("de, en;q=0.5, ru;q=0.4", "en"),
        ("ru;q=0", "en"),
        ("ru;q=x", "en"),
        ("," * 10_000, "en"),
    ],
)
def test_the_language_is_the_best_that_the_browser_asks_for(header: str, language: str) -> None:
    assert preferred(header) == language


def test_a_chosen_language_is_remembered(stranger: Browser) -> None:
    stranger.get("/language?to=ru")
    assert '<html lang="ru"' in stranger.see("/sign-in")
    stranger.get("/language?to=xx")
    assert '<html lang="ru"' in stranger.see("/sign-in")
