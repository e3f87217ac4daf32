"""Pictures of every page, of a demo with data: `make screenshots`, or
`python -m tests.web.browser.screenshots [PART OF A FILE'S NAME …]`.

A page is in the navigation, or in `MORE`. Each is taken at the sizes of a phone and a desk, light
and dark, and in Russian, into `.screenshots/NAME-SIZE-THEME-LANGUAGE.png`. Those that the
documentation shows (`SHOWN`) are written to `docs/pictures` too: always, or where `shown` is asked
for.
"""

import os
import re
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.server import Server
from tests.web.browser.filling import TOPICS, fill
from tests.web.browser.instance import COOKIE, Instance, Visitor

INTO = Path(__file__).parents[3] / ".screenshots"
SHOWN_INTO = Path(__file__).parents[3] / "docs" / "pictures"
SIZES = {"desk": (1280, 800), "phone": (390, 844)}
VARIANTS = [
    *((size, theme, "en") for size in SIZES for theme in ("light", "dark")),
    ("desk", "light", "ru"),
    ("phone", "dark", "ru"),
]
OWNER = "admin"
"""Whose name space the demo fills."""

MORE = {
    "topic": f"/topic?topic={TOPICS[0]}&owner={OWNER}",
    "topic-windows": f"/topic?topic={TOPICS[0]}&policy=greenhouse-quarters&owner={OWNER}",
    "topic-text": f"/topic?topic=workshop/door&owner={OWNER}",
    "policy": f"/policies/edit/greenhouse-quarters?owner={OWNER}",
    "policy-new": f"/policies/new?topic=attic/1&owner={OWNER}",
    "unit": f"/units/at/noisy-pump?owner={OWNER}",
    "unit-new": f"/units/new?owner={OWNER}",
    "units-many": f"/units/many?owner={OWNER}",
    "flow-by-topic": f"/flow?by=topic&owner={OWNER}",
    "relay-new": f"/relays/new?owner={OWNER}",
    "account": "/account",
    "board": f"/boards/greenhouse?owner={OWNER}",
    "board-edit": f"/boards/greenhouse/edit?owner={OWNER}",
    "board-node": f"/boards/made/node?owner={OWNER}",
    "board-fleet": f"/boards/made/fleet?owner={OWNER}",
    "not-found": "/there-is-no-such-page",
}
"""Pages that no navigation leads to, by the name of the picture."""

SHOWN = {
    "overview": f"/?owner={OWNER}",
    "topic": MORE["topic-windows"],
    "policy": MORE["policy"],
}
"""Pages that the documentation shows, as a desk without scrolling sees them in the light."""

STRANGERS = {
    "sign-in": "/sign-in",
}
"""Pages of those who have not signed in."""


SETTINGS = {"AUTH__URL": "http://127.0.0.1"}
"""With an OpenID provider, so that programs can be registered."""


class Demo(Server):
    """`lakebed demo` on free ports."""

    command = ("demo",)
    fork = False


def browse(
    browser: Browser,
    url: str,
    variant: tuple[str, str, str] = ("desk", "light", "en"),
    visitor: Visitor | None = None,
    *,
    script: bool = True,
) -> Page:
    size, theme, language = variant
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
        locale=language,
        java_script_enabled=script,
    )
    if visitor is not None:
        context.add_cookies([{"name": COOKIE, "value": visitor.session, "url": url}])
    return context.new_page()


def navigation(page: Page) -> dict[str, str]:
    """Addresses of all pages that the navigation leads to, by name."""
    page.goto(f"/?owner={OWNER}")
    links = page.locator("nav a[href]").all()
    addresses = [str(link.get_attribute("href")) for link in links]
    return {_name(address): address for address in addresses}


def _name(address: str) -> str:
    path = address.partition("?")[0].strip("/")
    return re.sub(r"[^a-z0-9]+", "-", path.lower()) or "overview"


def take(page: Page, address: str, file: Path, *, full: bool = True) -> None:
    page.goto(address)
    if "/policies/edit/" in address and full:
        page.locator(".ask button").click()
        page.locator("#preview").wait_for()
    if not full and page.locator("lb-plot [data-value='86400']").count():
        page.locator("lb-plot [data-value='86400']").click()  # a whole day
    if full and (size := page.viewport_size):  # what is out of sight is not drawn
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": max(size["height"], height)})
    page.wait_for_timeout(1000)  # live values and plots have come by then
    save(page, file, full=full)


def save(page: Page, file: Path, *, full: bool = True) -> None:
    page.screenshot(path=file, full_page=full)
    print(file, flush=True)


def take_kept(page: Page, instance: Instance, visitor: Visitor, file: Path) -> None:
    """What was typed while the session ended, without script."""
    page.goto("/first-steps?topic=attic/1")
    session = instance.sign_in(visitor)
    page.context.add_cookies([{"name": COOKIE, "value": session, "url": instance.url}])
    page.locator("form[action^='/first-steps/send'] button").first.click()
    page.wait_for_url("**/kept")
    save(page, file)


def take_ended(page: Page, file: Path) -> None:
    """The same with script: a dialog over the page."""
    page.goto("/first-steps?topic=attic/1")
    page.context.clear_cookies()
    page.locator("form[action^='/first-steps/send'] button").first.click()
    page.locator("dialog[open]").wait_for()
    save(page, file, full=False)


def main(wanted: list[str]) -> None:
    INTO.mkdir(exist_ok=True)
    SHOWN_INTO.mkdir(exist_ok=True)
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with (
        tempfile.TemporaryDirectory(prefix="lakebed-screenshots-") as folder,
        Demo(Path(folder) / "home", SETTINGS) as server,
        closing(Instance(server.url, server.token)) as instance,
        sync_playwright() as playwright,
    ):
        fill(server, f"{folder}/backups")
        visitor = instance.visitor("ada", admin=True)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        pages = navigation(browse(browser, server.url, visitor=visitor)) | MORE
        pages = {
            f"{number:02} {name}".replace(" ", "-"): address
            for number, (name, address) in enumerate(pages.items())
        }
        for variant in VARIANTS:

            def into(name: str, variant: tuple[str, str, str] = variant) -> Path | None:
                file = INTO / f"{name}-{'-'.join(variant)}.png"
                return file if not wanted or any(part in file.name for part in wanted) else None

            for who, them in ((visitor, pages), (None, STRANGERS)):
                for name, address in them.items():
                    if file := into(name):
                        page = browse(browser, server.url, variant, who)
                        take(page, address, file)
                        page.context.close()
            if file := into("kept"):
                page = browse(browser, server.url, variant, visitor, script=False)
                take_kept(page, instance, visitor, file)
                page.context.close()
            if file := into("ended"):
                page = browse(browser, server.url, variant, visitor)
                take_ended(page, file)
                page.context.close()
        if not wanted or "shown" in wanted:
            page = browse(browser, server.url, visitor=visitor)
            for name, address in SHOWN.items():
                take(page, address, SHOWN_INTO / f"{name}.png", full=False)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
