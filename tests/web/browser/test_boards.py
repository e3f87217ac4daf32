"""Boards in a browser: composed by keyboard, seen by another, live, and safe from two at once."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.server import eventually
from tests.web.browser.conftest import PHONE, OpenPage
from tests.web.browser.instance import Visitor
from tests.web.browser.watch import Watch

pytestmark = pytest.mark.slow(20)

NOW = {"name": "now", "topics": ["room/+"], "type": "number", "keep": "last_value", "every": "1s"}
RAW = {"name": "raw", "topics": ["room/+"], "type": "number", "keep": "archive"}
HOSTILE = "<img src=x onerror=alert(1)>\"'</script>"
TILES = [
    {"kind": "number", "title": "Living room", "topics": ["room/1"], "suffix": "°C"},
    {"kind": "plot", "title": "All rooms", "topics": ["room/+"]},
    {"kind": "alert", "title": "Warm", "topics": ["room/+"], "above": 100},
    {"kind": "last", "topics": ["room/+"]},
    {"kind": "text", "title": HOSTILE, "text": f"# Where\nIn the **cellar**. {HOSTILE}"},
]


def put(visitor: Visitor, name: str, **more: Any) -> None:
    body = {"name": name, "title": "The house", "range": "1h", "tiles": TILES} | more
    answer = visitor.api.request("PUT", f"/api/v1/boards/{name}", json=body)
    assert answer.is_success, answer.text


def stored(visitor: Visitor, name: str) -> dict[str, Any]:
    document: dict[str, Any] = visitor.api.request("GET", f"/api/v1/boards/{name}").json()
    return document


def send(visitor: Visitor, topic: str, value: float) -> None:
    sent = visitor.api.request(
        "POST", "/api/v1/messages", params={"topic": topic}, content=str(value)
    )
    assert sent.is_success, sent.text


@pytest.fixture(scope="module", autouse=True)
def rooms(visitor: Visitor) -> None:
    made = visitor.api.request("POST", "/api/v1/apply", json={"policies": [NOW, RAW]})
    assert made.is_success, made.text
    for value in (20.5, 21.0, 21.5):
        send(visitor, "room/1", value)
    send(visitor, "room/2", 18)


def test_a_board_is_composed_by_keyboard_and_seen_after_a_reload(
    page: Page, visitor: Visitor, axe: Callable[[Page], None]
) -> None:
    page.goto("/boards")
    page.get_by_label("Name", exact=True).fill("keys")
    page.get_by_label("Name", exact=True).press("Enter")
    page.wait_for_url("**/boards/keys/edit")
    for kind, fields, shown in (
        ("number", {"Topics": "room/1", "Title": "Living room"}, "Living room"),
        ("text", {"Text": "In the **cellar**."}, "Text"),
    ):
        page.get_by_label("Kind").select_option(kind)
        for label, value in fields.items():
            page.get_by_label(label, exact=True).fill(value)
        page.get_by_role("button", name="Add tile").press("Enter")
        expect(page.get_by_role("group", name=shown)).to_be_visible()  # the page has come back
    number = page.get_by_role("group", name="Living room")
    number.focus()
    for key in ("Shift+ArrowRight", "Shift+ArrowDown", "ArrowDown"):
        number.press(key)
    expect(page.locator("[data-told]")).to_contain_text("Living room: column 1")
    text = page.get_by_role("group", name="Text")
    text.get_by_role("button", name="Move right").press("Enter")  # the equal of the arrow
    axe(page)
    page.get_by_role("button", name="Save").press("Enter")
    page.wait_for_url("**/boards/keys")
    first, second = stored(visitor, "keys")["tiles"]
    assert (first["w"], first["h"]) == (4, 3)
    assert second["x"] == 4
    page.reload()
    expect(page.get_by_role("region", name="Living room")).to_contain_text("21.5")
    expect(page.locator("strong")).to_have_text("cellar")


def test_a_tile_is_dragged_and_resized_by_mouse(page: Page, visitor: Visitor) -> None:
    put(visitor, "mouse", tiles=[{"kind": "flow", "title": "One", "w": 3, "h": 3}])
    page.goto("/boards/mouse/edit")
    tile = page.get_by_role("group", name="One")
    box = tile.bounding_box()
    assert box is not None
    column = page.locator("lb-arrange").bounding_box()["width"] / 12  # type: ignore[index]
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 20 + 2 * column, box["y"] + 24, steps=8)
    page.mouse.move(box["x"] + 20 + 4 * column, box["y"] + 24, steps=8)
    page.mouse.up()
    handle = page.locator(".ui-resizable-se").bounding_box()
    assert handle is not None
    page.mouse.move(handle["x"] + 6, handle["y"] + 6)
    page.mouse.down()
    page.mouse.move(handle["x"] + 6 + column, handle["y"] + 6, steps=8)
    page.mouse.move(handle["x"] + 6 + 2 * column, handle["y"] + 6, steps=8)
    page.mouse.up()
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/boards/mouse")
    (found,) = stored(visitor, "mouse")["tiles"]
    assert (found["x"], found["w"]) == (4, 5)


def test_two_who_change_a_board_at_once_are_told_and_lose_nothing(
    open_page: OpenPage, visitor: Visitor, watches: list[Watch]
) -> None:
    put(visitor, "both")
    one, two = open_page(), open_page()
    watches[1].expect("409")
    for page in (one, two):
        page.goto("/boards/both/edit")
    for page, title in ((one, "Of one"), (two, "Of two")):
        page.locator("lb-yaml .cm-line", has_text="title: The house").click()
        for keys in ("Home", "Shift+End"):
            page.keyboard.press(keys)
        page.keyboard.type(f"title: {title}")
        page.get_by_role("button", name="Save").click()
    one.wait_for_url("**/boards/both")
    expect(two.get_by_role("alert")).to_contain_text("Somebody has changed this board meanwhile")
    assert stored(visitor, "both")["title"] == "Of one"
    assert "title: Of two" in two.locator("textarea[name=yaml]").input_value()
    two.get_by_text("What is there now").click()
    expect(two.locator("pre")).to_contain_text("title: Of one")
    two.get_by_role("button", name="Save").click()
    two.wait_for_url("**/boards/both")
    one.reload()
    expect(one.get_by_role("heading", level=1)).to_have_text("Of two")


def test_numbers_are_live_and_all_tiles_follow_the_range(
    page: Page, visitor: Visitor, axe: Callable[[Page], None]
) -> None:
    put(visitor, "live")
    page.goto("/boards/live")
    number = page.get_by_role("region", name="Living room")
    expect(number).to_contain_text("21.5")
    expect(page.locator("lb-feed")).to_have_attribute("data-state", "live")
    send(visitor, "room/1", 22.25)
    expect(number).to_contain_text("22.25")
    expect(page.get_by_role("region", name="All rooms").locator("canvas")).to_be_visible()
    page.get_by_role("link", name="6 hours").click()
    expect(page.get_by_role("link", name="6 hours")).to_have_attribute("aria-current", "true")
    page.get_by_role("link", name="Full screen").click()
    expect(page.get_by_role("navigation", name="Pages")).to_be_hidden()
    axe(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
    axe(page)


def test_plots_in_sight_alone_are_drawn_and_share_their_range(page: Page, visitor: Visitor) -> None:
    plots = [
        {"kind": "plot", "title": f"Plot {n}", "topics": ["room/1"], "w": 4} for n in range(30)
    ]
    put(visitor, "many", tiles=plots)
    kept = {"topic": "room/1", "policy": "raw"}
    eventually(lambda: visitor.api.request("GET", "/api/v1/records", params=kept).json()["records"])
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "/points" in one.url else None)
    page.goto("/boards/many")
    first = page.get_by_role("region", name="Plot 0", exact=True)
    second = page.get_by_role("region", name="Plot 1", exact=True)
    for region in (first, second):
        expect(region.locator("canvas")).to_be_visible()
    last = page.get_by_role("region", name="Plot 29", exact=True)
    expect(last.locator("canvas")).to_have_count(0)  # what the server has drawn
    expect(last.locator("figure")).to_have_count(1)
    assert len(asked) < 15
    live = page.get_by_role("button", name="Live")
    expect(live).to_have_attribute("aria-pressed", "true")
    with page.expect_request(lambda one: "/points" in one.url):
        first.get_by_role("group", name="Plot 0", exact=True).press("ArrowLeft")
    expect(live).to_have_attribute("aria-pressed", "false")
    ranges = page.locator("lb-plot").evaluate_all("all => all.map(one => one.range.join())")
    assert len(set(ranges)) == 1
    area = second.locator(".plot-area").bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + area["width"] * 0.25, area["y"] + 20)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.75, area["y"] + 20, steps=5)
    page.mouse.up()
    zoomed = page.locator("lb-plot").evaluate_all(
        "all => all.map(one => Math.round((one.range[1] - one.range[0]) / 60000))"
    )
    assert len(set(zoomed)) == 1
    assert 30 <= zoomed[0] < 60  # minutes: half of what is drawn, and its axis, of an hour
    live.click()
    expect(live).to_have_attribute("aria-pressed", "true")


def test_a_board_is_read_and_arranged_without_script_on_a_telephone(
    open_page: OpenPage, visitor: Visitor
) -> None:
    put(visitor, "bare")
    page = open_page(size=PHONE, script=False)
    page.goto("/boards/bare")
    expect(page.get_by_role("region", name="Living room")).to_contain_text("°C")
    assert page.get_by_role("region", name=HOSTILE).count() == 1
    page.get_by_role("link", name="Arrange").click()
    page.get_by_role("group", name="Warm").get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Save").click()
    assert [tile["kind"] for tile in stored(visitor, "bare")["tiles"]] == [
        "number", "plot", "last", "text",
    ]  # fmt: skip


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_of_boards_meet_wcag_and_fit_a_telephone(
    open_page: OpenPage, visitor: Visitor, axe: Callable[[Page], None], dark: bool
) -> None:
    put(visitor, "small")
    page = open_page(size=PHONE, dark=dark, language="ru")
    for path in ("/boards", "/boards/small", "/boards/small/edit", "/boards/made/fleet"):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        axe(page)
        width = page.locator("html").evaluate("element => element.scrollWidth")
        assert width <= PHONE[0], path
