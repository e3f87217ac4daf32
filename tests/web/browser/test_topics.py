"""The page of topics in a browser: branches open in place, cells in sight are live."""

import json
import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.web.browser.conftest import PHONE, OpenPage
from tests.web.browser.instance import Visitor
from tests.web.browser.watch import Watch

pytestmark = pytest.mark.slow(60)

ESCAPE = "\x1b"  # a value may have it, a topic not
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    f"\u202etxt{ESCAPE}[31m",
    "'${7*7}",
]


def send(visitor: Visitor, values: dict[str, object]) -> None:
    lines = "\n".join(json.dumps({"topic": t, "value": v}) for t, v in values.items())
    sent = visitor.api.request("POST", "/api/v1/messages/batch", content=lines.encode())
    assert sent.status_code == 202, sent.text


def live(page: Page, topic: str) -> object:
    return page.locator(f'lb-live[topic="{topic}"]')


@pytest.fixture(scope="module", autouse=True)
def _filled(visitor: Visitor) -> None:
    send(visitor, {f"plant/{i}/{what}": i for i in range(3) for what in ("heat", "flow")})
    send(visitor, {f"hostile/{name.replace(ESCAPE, '')}": name for name in HOSTILE})


def test_branches_open_in_place_and_cells_are_live(
    page: Page, visitor: Visitor, axe: Callable[[Page], None]
) -> None:
    page.goto("/topics")
    toggle = page.get_by_role("button", name="Below plant/", exact=True)
    expect(toggle).to_have_attribute("aria-expanded", "true")  # a small tree is seen whole
    toggle.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("lb-live[topic^=plant]")).to_have_count(0)
    page.keyboard.press("ArrowRight")
    expect(toggle).to_have_attribute("aria-expanded", "true")
    cell = page.locator('lb-live[topic="plant/0/heat"]')
    expect(cell).to_have_text("0")  # from the newest messages of the journal
    expect(page.locator("lb-feed")).to_have_text("live")
    expect(page.locator("lb-feed")).to_be_visible()
    for value in (20.5, 21.5):
        send(visitor, {"plant/0/heat": value})
        expect(cell).to_have_text(str(value))
    expect(page.locator('lb-spark[topic="plant/0/heat"] polyline')).to_have_count(1)
    axe(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    expect(cell).to_have_count(0)
    expect(page.locator('lb-live[topic="plant/1/heat"]')).to_have_count(1)


def test_one_value_paints_one_cell(page: Page, visitor: Visitor) -> None:
    page.goto("/topics?q=plant")
    expect(page.locator('lb-live[topic="plant/2/flow"]')).to_have_text("2")
    page.evaluate(
        """() => { window.painted = new Set(); new MutationObserver((all) => all.forEach((one) =>
            window.painted.add(one.target.getAttribute("topic"))))
            .observe(document.querySelector("tbody"), {childList: true, subtree: true}) }"""
    )
    send(visitor, {"plant/2/flow": "changed"})
    expect(page.locator('lb-live[topic="plant/2/flow"]')).to_have_text("changed")
    assert page.evaluate("[...window.painted]") == ["plant/2/flow"]


def test_hostile_names_and_values_are_text(page: Page, open_page: OpenPage) -> None:
    page.goto("/topics?q=hostile")
    cells = page.locator("lb-live")
    expect(cells).to_have_count(len(HOSTILE))
    for name in HOSTILE:
        shown = name.replace("\u202e", "\\u202e")
        value, topic = shown.replace(ESCAPE, "\\u001b"), shown.replace(ESCAPE, "")
        expect(cells.get_by_text(value, exact=True)).to_have_count(1)
        expect(page.get_by_role("link", name=f"hostile/{topic}", exact=True)).to_have_count(1)
    assert page.locator("main img, main script").count() == 0


def test_a_hidden_tab_closes_its_stream(page: Page, visitor: Visitor) -> None:
    page.goto("/topics?q=plant")
    expect(page.locator("lb-feed")).to_have_attribute("data-state", "live")
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
        document.dispatchEvent(new Event("visibilitychange")) }"""
    page.evaluate(hide, True)
    expect(page.locator("lb-feed")).to_have_attribute("data-state", "idle")
    send(visitor, {"plant/1/heat": "meanwhile"})
    page.evaluate(hide, False)
    expect(page.locator('lb-live[topic="plant/1/heat"]')).to_have_text("meanwhile")


def test_it_says_since_when_it_is_stale_and_recovers(
    page: Page, visitor: Visitor, watch: Watch
) -> None:
    watch.expect("/live")
    page.goto("/topics?q=plant")
    expect(page.locator("lb-feed")).to_have_attribute("data-state", "live")
    page.route("**/live", lambda route: route.abort())
    page.evaluate("window.dispatchEvent(new Event('online'))")  # it opens another stream
    expect(page.locator("lb-feed")).to_have_text(re.compile("stale since .*:"))
    send(visitor, {"plant/1/flow": "after"})
    page.unroute("**/live")
    expect(page.locator('lb-live[topic="plant/1/flow"]')).to_have_text("after")
    expect(page.locator("lb-feed")).to_have_text("live")


def test_a_session_that_has_ended_is_told(page: Page, watch: Watch) -> None:
    watch.expect("401")
    page.goto("/topics?q=plant")
    page.route("**/live", lambda route: route.fulfill(status=401, body="{}"))
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator("lb-feed")).to_have_text(re.compile("session has ended"))


def test_a_thousand_topics_are_built_and_fed_as_far_as_they_are_in_sight(
    page: Page, visitor: Visitor
) -> None:
    fleet = [f"fleet/unit-{i:04}" for i in range(1_000)]
    send(visitor, dict.fromkeys(fleet, 1))
    asked: list[int] = []

    def count(route: Route) -> None:
        asked.append(len(json.loads(route.request.post_data or "{}")["filters"]))
        route.continue_()

    page.route("**/live", count)
    time.sleep(1.1)  # an index is used for a second
    page.goto("/topics?under=fleet/")
    rows = page.locator("tbody tr:not(.more)")
    expect(rows).to_have_count(100)
    expect(page.locator('lb-live[topic="fleet/unit-0000"]')).to_have_text("1")
    assert max(asked) < 60
    for _ in range(200):
        if rows.count() == 1_000:
            break
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(50)
    expect(rows).to_have_count(1_000)
    last = page.locator('lb-live[topic="fleet/unit-0999"]')
    last.scroll_into_view_if_needed()
    send(visitor, dict.fromkeys(fleet, "all at once"))
    expect(last).to_have_text("all at once")
    assert max(asked) < 120


def test_a_slow_network_shows_the_newest(page: Page, visitor: Visitor) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 300, "downloadThroughput": 8_000, "uploadThroughput": 8_000},
    )
    page.goto("/topics?q=plant", wait_until="domcontentloaded")
    for value in range(20):
        send(visitor, {"plant/0/flow": f"slow {value}"})
    expect(page.locator('lb-live[topic="plant/0/flow"]')).to_have_text("slow 19")


def test_without_script_levels_are_links(open_page: OpenPage) -> None:
    page = open_page(script=False, size=PHONE)
    page.goto("/topics")
    page.get_by_role("link", name="plant", exact=True).click()
    page.get_by_role("link", name="0", exact=True).click()
    expect(page.get_by_role("link", name="heat", exact=True)).to_be_visible()
    page.get_by_role("link", name="plant", exact=True).click()
    page.get_by_label("Find topics").fill("plant/+/flow")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("heading", name="3 topics found")).to_be_visible()


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_a_telephone(
    open_page: OpenPage, axe: Callable[[Page], None], dark: bool
) -> None:
    page = open_page(size=PHONE, dark=dark, language="ru")
    page.goto("/topics")
    expect(page.locator("lb-live").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    axe(page)
