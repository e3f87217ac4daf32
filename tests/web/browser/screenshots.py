"""Pictures of every page, of a demo with data: `make screenshots`, or
`python -m tests.web.browser.screenshots [PART OF A NAME …]`.

A page is in the navigation, or in `MORE`. Each is taken at the sizes of a phone and a desk, light
and dark, into `.screenshots/NAME-SIZE-THEME.png`.
"""

import os
import re
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.server import Server
from tests.web.browser.instance import COOKIE, Instance, Visitor

INTO = Path(__file__).parents[3] / ".screenshots"
SIZES = {"desk": (1440, 900), "phone": (360, 740)}
OWNER = "admin"
"""Whose name space the demo fills."""

MORE = {
    "board-node": f"/boards/made/node?owner={OWNER}",
    "board-fleet": f"/boards/made/fleet?owner={OWNER}",
    "not-found": "/there-is-no-such-page",
}
"""Pages that no navigation leads to, by the name of the picture."""

STRANGERS = {
    "sign-in": "/sign-in",
}
"""Pages of those who have not signed in."""


class Demo(Server):
    """`lakebed demo` on free ports."""

    command = ("demo",)
    fork = False


def browse(browser: Browser, url: str, size: str, theme: str, visitor: Visitor | None) -> Page:
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
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


def take(page: Page, address: str, file: Path) -> None:
    page.goto(address)
    page.wait_for_timeout(1500)  # live values and plots have come by then
    page.screenshot(path=file, full_page=True)
    print(file)


def main(wanted: list[str]) -> None:
    INTO.mkdir(exist_ok=True)
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with (
        tempfile.TemporaryDirectory(prefix="lakebed-screenshots-") as folder,
        Demo(Path(folder) / "home") as server,
        closing(Instance(server.url, server.token)) as instance,
        sync_playwright() as playwright,
    ):
        visitor = instance.visitor("ada", admin=True)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        pages = navigation(browse(browser, server.url, "desk", "light", visitor)) | MORE
        pages = {
            f"{number:02} {name}".replace(" ", "-"): address
            for number, (name, address) in enumerate(pages.items())
        }
        for size in SIZES:
            for theme in ("light", "dark"):
                for who, them in ((visitor, pages), (None, STRANGERS)):
                    page = browse(browser, server.url, size, theme, who)
                    for name, address in them.items():
                        if not wanted or any(part in name for part in wanted):
                            take(page, address, INTO / f"{name}-{size}-{theme}.png")
                    page.context.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
