"""Main jobs of pages in a browser, and what axe says about all that the navigation leads to."""

import json
import re
import subprocess
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.server import eventually
from tests.web.browser.conftest import PHONE, OpenPage
from tests.web.browser.instance import Visitor
from tests.web.browser.watch import Watch

pytestmark = pytest.mark.slow(60)

PAGES = [
    "/", "/first-steps", "/policies", "/policies/new?topic=a/b", "/units", "/units/new",
    "/units/many", "/tokens", "/people", "/flow", "/flow?by=topic", "/usage", "/dead-letters",
    "/parked", "/audit", "/node", "/backups", "/users", "/clients", "/account", "/secrets",
    "/relays", "/relays/new", "/events?where=user_id:gt:1",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _filled(visitor: Visitor) -> None:
    visitor.api.request("POST", "/api/v1/messages", params={"topic": "a/b"}, content=b"1")
    unit = {"name": "lamp", "publish": ["a/#"], "tags": ["north"]}
    visitor.api.request("POST", "/api/v1/units", json=unit)
    events = {"name": "events", "topics": ["events/#"], "type": "json", "keep": "archive"}
    visitor.api.put_policy(**events, buffer="0s")
    for name in ("play", "shop.sold"):
        visitor.api.request("POST", "/api/v1/events", json={"name": name, "user_id": 42})


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_on_a_page(
    open_page: OpenPage, axe: Callable[[Page], None], path: str
) -> None:
    for where in ({}, {"size": PHONE, "dark": True, "language": "ru"}):
        page = open_page(**where)
        page.goto(path)
        expect(page.locator("h1")).to_be_visible()
        axe(page)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{wide} px too wide"


def test_first_steps_open_one_after_another_without_a_reload(
    page: Page, visitor: Visitor, axe: Callable[[Page], None]
) -> None:
    page.goto("/first-steps?topic=kitchen/temperature")
    page.get_by_role("button", name="Fill a token into the commands").click()
    command = page.locator("pre").first
    expect(command).to_contain_text(re.compile(r"lb_\w{40}"))
    expect(page.locator("li.done")).to_have_count(0)
    subprocess.run(["sh", "-c", command.inner_text()], check=True, capture_output=True)
    expect(page.locator("li.done")).to_have_count(2)
    expect(page.locator("tr", has_text="kitchen/temperature").locator("lb-live")).to_have_text(
        "21.5"
    )
    expect(command).to_contain_text("lb_")  # nothing was loaded again
    page.get_by_label("Every message, for 30 days").check()
    page.get_by_role("button", name="Keep this").click()
    expect(page.get_by_role("status").first).to_contain_text("Created kitchen-temperature")
    page.get_by_role("button", name="Send 22").click()
    expect(page.locator("li.done")).to_have_count(4)
    expect(page.locator("lb-plot")).to_be_visible()
    axe(page)


def test_the_editor_shows_what_a_draft_would_have_kept(page: Page, visitor: Visitor) -> None:
    visitor.api.request("POST", "/api/v1/messages", params={"topic": "loft/1"}, content=b"21")
    page.goto("/first-steps?topic=loft/1")
    page.get_by_role("link", name="Write the policy myself").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("loft-1")
    page.get_by_role("button", name="What would it have kept?").click()
    expect(page.get_by_role("heading", name="What it would have kept")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Created loft-1")


def test_the_sides_of_the_editor_follow_each_other_and_name_mistakes(page: Page) -> None:
    page.goto("/policies/new?topic=hall/1")
    yaml = page.locator("textarea[name=yaml]")
    page.get_by_label("For how long").fill("7d")
    expect(yaml).to_have_value(re.compile("for: 7d"))
    page.get_by_label("Keep", exact=True).select_option("aggregate")
    expect(yaml).to_have_value(re.compile("keep: aggregate"))
    expect(page.locator(".marks")).to_contain_text("every")
    page.get_by_label("Every", exact=True).fill("15m")
    expect(page.locator(".marks")).to_have_text("No mistakes.")
    editor = page.locator("lb-yaml .cm-content")
    expect(editor).to_contain_text("15m")
    editor.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("timezone: Asia/Tokyo\nfilter:\n  deny: [0]")
    expect(page.get_by_label("Time zone of windows")).to_have_value("Asia/Tokyo")
    page.get_by_label("Name", exact=True).fill("halls")
    expect(yaml).to_have_value(re.compile(r"name: halls[\s\S]*deny:"))


@pytest.mark.parametrize("dark", [False, True])
def test_the_yaml_is_completed_marked_and_left_by_keyboard(
    open_page: OpenPage, axe: Callable[[Page], None], watches: list[Watch], dark: bool
) -> None:
    page = open_page(dark=dark)
    watches[0].expect("422")
    page.goto("/policies/new?topic=hall/1")
    editor = page.locator("lb-yaml .cm-content")
    editor.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("filter:\n  ma")
    offered = page.locator("lb-yaml .cm-tooltip-autocomplete")
    expect(offered).to_contain_text("max_rate")
    expect(offered).to_contain_text("max_size")
    page.keyboard.type("x")
    page.wait_for_timeout(200)  # a key that comes at once was meant for the text
    page.keyboard.press("Enter")
    page.keyboard.type("warm # text")
    yaml = page.locator("textarea[name=yaml]")
    expect(yaml).to_have_value(re.compile("filter:\n  max: warm # text"))
    expect(page.locator("lb-yaml .cm-lintRange-error")).to_have_text("max: warm # text")
    expect(page.locator("lb-yaml .cm-gutterElement.cm-wrong-line")).to_have_text("8")
    axe(page)
    typed = yaml.input_value()
    page.keyboard.press("Tab")  # indents
    expect(yaml).not_to_have_value(typed)
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Save")).to_be_focused()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("is not a number")
    expect(page.locator("lb-yaml .cm-lintRange-error")).to_have_count(1)


def test_two_who_change_a_policy_do_not_overwrite_each_other(
    open_page: OpenPage, visitor: Visitor, watches: list[Watch]
) -> None:
    document = {"name": "shared", "topics": ["x"], "type": "number", "keep": "archive"}
    visitor.api.request("POST", "/api/v1/policies", json=document)
    pages = [open_page(), open_page()]
    watches[1].expect("422")
    for page in pages:
        page.goto("/policies/edit/shared")
    for page, topic in zip(pages, ("first/#", "second/#"), strict=True):
        page.get_by_label("Topics, one filter to a line").fill(topic)
        page.get_by_role("button", name="Save").click()
    expect(pages[0].get_by_role("status")).to_contain_text("Saved shared")
    expect(pages[1].get_by_role("alert")).to_contain_text("Somebody has changed this policy")
    expect(pages[1].get_by_label("Topics, one filter to a line")).to_have_value("second/#")
    pages[0].reload()
    expect(pages[0].locator("tr", has_text="shared")).to_contain_text("first/#")


def test_a_policy_is_filled_from_the_past(
    open_page: OpenPage, visitor: Visitor, axe: Callable[[Page], None]
) -> None:
    visitor.api.request("POST", "/api/v1/messages", params={"topic": "past/1"}, content=b"7")
    fill = "/api/v1/policies/late/fill"
    document = {"name": "late", "topics": ["past/#"], "type": "number", "keep": "archive"}
    visitor.api.request("POST", "/api/v1/policies", json=document)
    for where in ({"script": False}, {"size": PHONE, "dark": True, "language": "ru"}):
        page = open_page(**where)
        page.goto("/policies/edit/late")
        card = page.locator("section", has=page.locator("#fill"))
        card.locator("select").select_option("")
        with page.expect_navigation():
            card.locator("form button").last.click()
        expect(card.locator("dl")).to_be_visible()
        eventually(lambda: visitor.api.get(fill)["state"] == "done", 20)
    page.reload()
    axe(page)
    found = visitor.api.get("/api/v1/records", topic="past/1", policy="late")["records"]
    assert [record["value"] for record in found] == [7]


def test_a_unit_gets_a_token_and_is_blocked_after_a_question(page: Page) -> None:
    page.goto("/units/at/lamp")
    page.get_by_role("button", name="Make a new token").click()
    expect(page.locator("pre").first).to_contain_text(re.compile(r"lb_\w{40}"))
    page.get_by_role("button", name="Block", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("blocked", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Block", exact=True).click()
    page.get_by_role("dialog").get_by_role("button").last.click()
    expect(page.get_by_text("blocked", exact=True).first).to_be_visible()


def test_pages_are_read_and_forms_are_sent_without_script(open_page: OpenPage) -> None:
    page = open_page(script=False)
    page.goto("/units/new")
    page.get_by_label("Name", exact=True).fill("plain")
    page.get_by_label("May publish, one filter to a line").fill("plain/#")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="plain", exact=True)).to_be_visible()


def test_the_theme_that_was_chosen_stays(page: Page) -> None:
    page.goto("/account")
    page.get_by_label("Theme", exact=True).select_option("dark")
    page.get_by_role("button", name="Remember in this browser").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_table_is_sorted_filtered_linked_to_and_saved(
    page: Page, visitor: Visitor, axe: Callable[[Page], None]
) -> None:
    topics = [f"table/{number}" for number in range(12) for _ in range(number % 3 + 1)]
    lines = "\n".join(json.dumps({"topic": topic, "value": 1}) for topic in topics)
    visitor.api.request("POST", "/api/v1/messages/batch", content=lines.encode())
    page.goto("/flow?by=topic&words=table/")
    rows = page.locator("tbody").first.locator("tr")
    expect(rows).to_have_count(12)
    page.get_by_role("button", name="Topic", exact=True).first.click()
    expect(rows.nth(2).locator("th")).to_have_text("table/2")  # not behind table/11
    page.get_by_role("button", name="received", exact=True).click()
    expect(rows.first.locator("td").first).to_have_text("3")
    page.get_by_role("searchbox", name="Filter these rows").first.fill("le/1")
    expect(page.get_by_text("3 of 12 rows")).to_be_visible()
    axe(page)
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").first.click()
    saved_lines = saved.value.path().read_text("utf-8-sig").splitlines()
    assert saved_lines[0].startswith("Topic,received,")
    assert sorted(line.split(",")[0] for line in saved_lines[1:]) == [
        "table/1",
        "table/10",
        "table/11",
    ]
    page.reload()
    expect(page.locator("tbody").first.locator("tr:visible")).to_have_count(3)
    expect(page.locator("th[aria-sort=descending]")).to_have_text("received")
