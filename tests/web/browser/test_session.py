"""Signing in and out, and what is typed while a session or the server ends."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.server import Server, eventually
from tests.web.browser.conftest import PHONE, OpenPage
from tests.web.browser.instance import COOKIE, PASSWORD, Instance, Visitor, running
from tests.web.browser.watch import Watch


@pytest.fixture(scope="module")
def mortal() -> Iterator[Server]:
    """A server that tests may stop."""
    with running() as server:
        yield server


def fill_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def end_sessions(instance: Instance, visitor: Visitor) -> None:
    """Of this user, everywhere."""
    ended = instance.api.request("DELETE", f"/api/v1/users/{visitor.name}/sessions")
    assert ended.status_code == 200, ended.text
    cookie = {"Cookie": f"{COOKIE}={visitor.session}"}
    with httpx.Client(base_url=instance.url, headers=cookie) as client:
        eventually(lambda: client.get("/api/v1/me").status_code == 401)


def begin_unit(page: Page, name: str) -> None:
    """Type a unit, and do not send it yet."""
    page.goto("/units/new")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Tags").fill("typed with care")


def is_there(page: Page, name: str) -> None:
    expect(page).to_have_url(re.compile(rf"/units/at/{name}$"))
    expect(page.get_by_text("typed, with, care")).to_be_visible()


@pytest.mark.parametrize("script", [True, False])
def test_a_stranger_signs_in_and_comes_to_where_they_wanted(
    open_page: OpenPage, visitor: Visitor, script: bool
) -> None:
    page = open_page(None, script=script)
    page.goto("/units?tag=shed")
    expect(page).to_have_url(re.compile(r"/sign-in\?next="))
    fill_in(page, visitor.name, "not this one")
    expect(page.get_by_role("alert").filter(has_text="wrong")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value(visitor.name)
    fill_in(page, visitor.name)
    expect(page).to_have_url(re.compile(r"/units\?tag=shed$"))
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile(r"/sign-in$"))
    page.goto("/units")
    expect(page).to_have_url(re.compile(r"/sign-in\?next="))


@pytest.fixture(autouse=True)
def _a_wrong_password_is_told_of_by_the_console(watches: list[Watch]) -> Iterator[None]:
    """Browsers call answers of 4xx errors."""
    yield
    for watch in watches:
        watch.expect("status of 401")


@pytest.mark.parametrize("dark", [False, True])
def test_the_sign_in_page_is_accessible(
    open_page: OpenPage, axe: Callable[[Page], None], dark: bool
) -> None:
    page = open_page(None, size=PHONE, dark=dark)
    page.goto("/sign-in")
    axe(page)


def test_the_session_ends_while_somebody_types_and_nothing_is_lost(
    open_page: OpenPage, instance: Instance, axe: Callable[[Page], None]
) -> None:
    typist = instance.visitor("typist")
    page = open_page(typist)
    begin_unit(page, "typed-1")
    end_sessions(instance, typist)
    page.get_by_role("button", name="Save").click()
    dialog = page.get_by_role("dialog", name="Your session has ended")
    expect(dialog).to_be_visible()
    axe(page)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_label("Tags")).to_have_value("typed with care")
    page.get_by_role("button", name="Save").click()
    dialog.get_by_label("Password").fill("not this one")
    dialog.get_by_role("button", name="Sign in", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("wrong")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Sign in", exact=True).click()
    is_there(page, "typed-1")


def test_a_session_of_another_tab_sends_what_was_typed_in_this_one(
    open_page: OpenPage, instance: Instance
) -> None:
    typist = instance.visitor("tabs")
    page = open_page(typist)
    begin_unit(page, "typed-2")
    end_sessions(instance, typist)
    page.context.add_cookies(
        [{"name": COOKIE, "value": instance.sign_in(typist), "url": instance.url}]
    )
    page.get_by_role("button", name="Save").click()
    is_there(page, "typed-2")


def test_whoever_is_signed_in_as_somebody_else_meanwhile_is_asked(
    open_page: OpenPage, instance: Instance
) -> None:
    page = open_page(instance.visitor("first"))
    begin_unit(page, "typed-3")
    second = instance.visitor("second")
    page.context.add_cookies([{"name": COOKIE, "value": second.session, "url": instance.url}])
    page.get_by_role("button", name="Save").click()
    dialog = page.get_by_role("dialog", name="You are signed in as second now.")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Tags")).to_have_value("typed with care")
    page.get_by_role("button", name="Save").click()
    dialog.get_by_role("button", name="Go on").click()
    is_there(page, "typed-3")
    assert second.api.request("GET", "/api/v1/units/typed-3").status_code == 200


def test_the_server_restarts_while_somebody_types_and_nothing_is_lost(
    open_page: OpenPage, mortal: Server, watches: list[Watch]
) -> None:
    with closing(Instance(mortal.url, mortal.token)) as instance:
        page = open_page(instance.visitor("patient"), url=mortal.url)
    begin_unit(page, "typed-4")
    mortal.stop()
    watches[0].expect("ERR_CONNECTION_REFUSED")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("The server does not answer.")
    expect(page.get_by_label("Tags")).to_have_value("typed with care")
    mortal.start()
    is_there(page, "typed-4")


def test_a_form_is_sent_once_however_often_it_is_pressed(page: Page) -> None:
    begin_unit(page, "typed-5")
    posted: list[str] = []
    page.on("request", lambda r: posted.append(r.url) if r.method == "POST" else None)
    page.get_by_role("button", name="Save").dblclick()
    is_there(page, "typed-5")
    assert len(posted) == 1


def test_what_destroys_asks_first(page: Page, axe: Callable[[Page], None]) -> None:
    begin_unit(page, "typed-6")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Block").click()
    dialog = page.get_by_role("dialog", name="Block typed-6?")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    axe(page)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Block")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Unblock")).to_be_visible()


def test_no_other_site_can_frame_a_page(
    page: Page, instance: Instance, watches: list[Watch]
) -> None:
    html = f"<iframe src='{instance.url}/units'></iframe>"
    page.context.route(
        "http://evil.example/", lambda route: route.fulfill(body=html, content_type="text/html")
    )
    for part in ("another host", "frame-ancestors", "ERR_BLOCKED_BY_RESPONSE"):
        watches[0].expect(part)
    page.goto("http://evil.example/")
    expect(page.frame_locator("iframe").get_by_text("Units")).to_have_count(0)
    assert watches[0].noted("frame-ancestors")


def test_no_other_site_can_send_a_form(
    page: Page, instance: Instance, watches: list[Watch]
) -> None:
    html = (
        f"<form method=post action='{instance.url}/units/save'>"
        "<input name=name value=forged><input name=csrf value=x><button>Win</button></form>"
    )
    page.context.route(
        "http://evil.example/", lambda route: route.fulfill(body=html, content_type="text/html")
    )
    for part in ("another host", "status of 4"):
        watches[0].expect(part)
    page.goto("http://evil.example/")
    page.get_by_role("button").click()
    expect(page).to_have_url(re.compile("/units/save|/sign-in"))
    page.goto(instance.url + "/units")
    expect(page.get_by_text("forged")).to_have_count(0)


@pytest.mark.parametrize(
    "next",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/%09/evil.example",
        "javascript:alert(1)",
    ],
)
def test_signing_in_leads_to_no_other_site(instance: Instance, visitor: Visitor, next: str) -> None:
    with httpx.Client(base_url=instance.url, headers={"Origin": instance.url}) as client:
        answer = client.post(
            "/sign-in", params={"next": next}, data={"user": visitor.name, "password": PASSWORD}
        )
        assert answer.status_code == 303
        assert answer.headers["location"] in ("/", "/%09/evil.example")
