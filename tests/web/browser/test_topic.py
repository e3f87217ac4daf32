"""The page of a topic in a browser: its plot is seen, moved, read and followed."""

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.web.browser.conftest import PHONE, OpenPage
from tests.web.browser.instance import Visitor

HOSTILE = "room/<img src=x onerror=alert(1)>/celsius"


@pytest.fixture(scope="module")
def rooms(visitor: Visitor) -> float:
    """Two hours of two rooms, one of them with a gap; the moment at which they end."""
    now = time.time()
    visitor.api.put_policies(
        [
            {"name": "raw", "keep": "window", "for": "7d", "topics": ["room/#"], "type": "number"},
            {
                "name": "minutes", "keep": "aggregate", "every": "1m", "topics": ["room/#"],
                "type": "number", "functions": ["min", "max", "avg"],
            },
        ]
    )  # fmt: skip
    for topic, base in (("room/1/celsius", 20), (HOSTILE, 15)):
        visitor.api.send_batch(
            [
                {"topic": topic, "value": base + i % 5, "time": now - 7200 + i * 10}
                for i in range(720)
                if topic == HOSTILE or not 300 < i < 400
            ]
        )
    visitor.api.settle()
    return now


def summary(page: Page) -> str:
    place = page.locator(".plot-summary")
    expect(place).not_to_be_empty()
    return place.inner_text()


def test_a_topic_is_plotted_and_read_without_looking(
    page: Page, rooms: float, axe: Callable[[Page], None]
) -> None:
    page.goto("/topic?topic=room/1/celsius")
    page.get_by_role("button", name="6 h").click()
    expect(page.locator(".plot-summary")).to_contain_text("least 20, greatest 24")
    expect(page.locator(".plot-summary")).to_contain_text("Gaps: 1.")
    expect(page.locator(".plot-marks")).to_contain_text("nothing came")
    expect(page.locator("lb-plot canvas")).to_be_visible()
    page.get_by_text("Values as a table").click()
    expect(page.locator(".plot-table tbody tr").first).to_be_visible()
    axe(page)


def test_keys_do_what_buttons_and_drags_do(page: Page, rooms: float) -> None:
    page.goto("/topic?topic=room/1/celsius")
    live = page.get_by_role("button", name="Live")
    expect(live).to_have_attribute("aria-pressed", "true")
    before = summary(page)
    page.locator(".plot-area").focus()
    page.keyboard.press("ArrowLeft")
    expect(live).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".plot-summary")).not_to_have_text(before)
    assert re.search(r"plot=\d+-\d+", page.url)
    moved = summary(page)
    page.keyboard.press("+")
    expect(page.locator(".plot-summary")).not_to_have_text(moved)
    page.reload()  # the address has the range
    expect(live).to_have_attribute("aria-pressed", "false")
    page.locator(".plot-area").focus()
    page.keyboard.press("End")
    expect(live).to_have_attribute("aria-pressed", "true")
    drawn = page.locator(".u-over").element_handle()
    expect(page.locator("lb-plot[data-busy]")).to_have_count(0)
    box = drawn.bounding_box()  # the chart is the one that was there before the points
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 50, steps=4)
    page.mouse.up()
    expect(live).to_have_attribute("aria-pressed", "false")


def test_what_arrives_is_drawn(page: Page, rooms: float, visitor: Visitor) -> None:
    page.goto("/topic?topic=room/live/celsius&topic=room/1/celsius")
    visitor.api.send("room/live/celsius", "1")
    page.goto("/topic?topic=room/1/celsius")
    expect(page.locator(".plot-legend b")).not_to_be_empty()
    canvas = page.locator("lb-plot canvas").element_handle()
    entry = page.locator(".plot-legend button").element_handle()
    for _ in range(20):
        visitor.api.send("room/1/celsius", "77.5")
        page.wait_for_timeout(250)
        if page.locator(".plot-legend b").inner_text() == "77.5":
            break
    expect(page.locator(".plot-legend b")).to_have_text("77.5")
    assert canvas.is_visible()  # and not made anew
    assert entry.is_visible()


def test_several_series_can_be_hidden_and_compared(
    page: Page, rooms: float, axe: Callable[[Page], None]
) -> None:
    page.goto("/topic?topic=room/%2B/celsius&policy=minutes")
    entries = page.locator(".plot-legend button")
    expect(entries.filter(has_text="<img src=x")).to_have_count(1)  # as text
    expect(page.locator("img")).to_have_count(0)
    shown = entries.filter(has_text="room/1/celsius")
    shown.click()
    expect(entries.filter(has_text="room/1/celsius")).to_have_attribute("aria-pressed", "false")
    page.get_by_label("Compare with").select_option("the day before")
    expect(page.locator(".plot-summary")).not_to_be_empty()
    axe(page)


@pytest.fixture(scope="module")
def halls(visitor: Visitor) -> float:
    """Windows of ten halls today, one of which had values a day before, too; and a late message."""
    now = time.time()
    windows = {"keep": "aggregate", "every": "15m", "type": "number", "functions": ["avg"]}
    visitor.api.put_policies([windows | {"name": "quarters", "topics": ["hall/#"]}])
    day = 86_400
    for hall in range(10):
        values = [{"topic": f"hall/{hall}", "value": hall, "time": now - 60 * i} for i in range(90)]
        earlier = [one | {"value": 100 + hall, "time": one["time"] - day} for one in values]
        visitor.api.send_batch((earlier[::-1] if hall == 3 else []) + values[::-1])
    visitor.api.settle()
    return now


def test_what_is_not_complete_is_marked_in_plot_and_table(
    page: Page, halls: float, axe: Callable[[Page], None]
) -> None:
    page.goto("/topic?topic=hall/1&policy=quarters")
    page.get_by_role("button", name="6 h").click()
    expect(page.locator(".plot-marks")).to_contain_text("not complete yet")
    expect(page.locator(".plot-summary")).to_contain_text("Windows that are not complete yet: 1.")
    page.get_by_text("Values as a table").click()
    last = page.locator(".plot-table tbody tr").last
    expect(last).to_contain_text("not complete yet")
    axe(page)


def test_many_series_are_cut_and_all_can_be_shown(page: Page, halls: float) -> None:
    page.goto("/topic?topic=hall/%2B&policy=quarters")
    entries = page.locator(".plot-legend button[data-do=series]")
    expect(entries).to_have_count(8)
    expect(page.locator(".plot-legend")).to_contain_text("8 of 10 series are shown.")
    page.get_by_role("button", name="Show all 10 series").click()
    expect(entries).to_have_count(10)
    expect(page.locator(".plot-legend")).not_to_contain_text("series are shown")


def test_the_day_before_is_drawn_and_told(page: Page, halls: float) -> None:
    page.goto("/topic?topic=hall/3&policy=quarters")
    page.get_by_label("Compare with").select_option("the day before")
    told = page.locator(".plot-summary")
    expect(told).to_contain_text("Compared with the day before: hall/3: least 103, greatest 103")
    expect(page.locator(".plot-marks")).to_contain_text("the day before")
    page.get_by_label("Compare with").select_option("the week before")
    expect(told).to_contain_text("Compared with the week before: nothing was kept then.")
    page.get_by_label("Compare with").select_option("nothing else")
    expect(told).not_to_contain_text("Compared")


def test_on_a_telephone_in_the_dark_nothing_is_cut_off(
    open_page: OpenPage, rooms: float, axe: Callable[[Page], None]
) -> None:
    page = open_page(size=PHONE, dark=True)
    page.goto("/topic?topic=room/1/celsius")
    expect(page.locator("lb-plot canvas")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    axe(page)


def test_without_script_records_and_reasons_are_there(open_page: OpenPage, rooms: float) -> None:
    page = open_page(script=False)
    page.goto("/topic?topic=room/1/celsius")
    expect(page.locator("#records + form + .scroll tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Older").click()
    expect(page.locator("#records + form + .scroll tbody tr")).to_have_count(50)
    expect(page.get_by_role("heading", name="Why was this not kept?")).to_be_visible()
