"""Fixtures of tests that look at pages with Debian's Chromium.

chromium ── one browser for each worker
instance ── the server of the run, with a user of its own for each module
page     ── signed in, watched: see `watch`
open_page ── further ones: other users, sizes, themes, without script
axe      ── asserts that a page meets WCAG 2.2 AA
"""

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.servers import unavailable
from tests.web.browser import instance as instances
from tests.web.browser.instance import Instance, Visitor
from tests.web.browser.watch import Watch

PATIENCE = 20_000  # milliseconds; a loaded machine takes its time
DESK, PHONE = (1440, 900), (360, 740)
_RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
OpenPage = Callable[..., Page]

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def _browser() -> Iterator[tuple[Browser, asyncio.AbstractEventLoop]]:
    program = shutil.which("chromium")
    if program is None:
        unavailable("Chromium (Debian: chromium)")
    flags = [
        "--disable-dev-shm-usage",  # containers have little of it
        "--disable-features=LocalNetworkAccessChecks",  # what made-up sites try is refused by us
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield browser, loop
        asyncio._set_running_loop(loop)
        browser.close()


@pytest.fixture(scope="module")
def chromium(_browser: tuple[Browser, asyncio.AbstractEventLoop]) -> Iterator[Browser]:
    """The browser. While a module uses it, this thread belongs to Playwright's event loop: other
    modules call `asyncio.run`, which that would refuse."""
    browser, loop = _browser
    asyncio._set_running_loop(loop)
    yield browser
    asyncio._set_running_loop(None)


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    """The server of the run: nobody may stop it, or count what belongs to others."""
    with instances.found() as found:
        yield found


@pytest.fixture(scope="module")
def visitor(instance: Instance, request: pytest.FixtureRequest) -> Visitor:
    """A user who administers the instance and whose name space is the module's own."""
    module = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    return instance.visitor(re.sub(r"[^a-z0-9]+", "-", module), admin=True)


@pytest.fixture
def watches() -> Iterator[list[Watch]]:
    """Those of the pages of a test; checked at its end."""
    found: list[Watch] = []
    yield found
    for watch in found:
        watch.check()


@pytest.fixture
def open_page(
    chromium: Browser, instance: Instance, visitor: Visitor, watches: list[Watch]
) -> Iterator[OpenPage]:
    """Open a page in a browser of its own.

    open_page(a visitor, or None for a stranger; size=PHONE, dark=True, script=False, language="ru")
    """
    contexts: list[BrowserContext] = []

    def open_page(
        who: Visitor | None = visitor,
        *,
        size: tuple[int, int] = DESK,
        dark: bool = False,
        script: bool = True,
        language: str = "en",
        url: str = instance.url,
    ) -> Page:
        context = chromium.new_context(
            base_url=url,
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            locale=language,
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        watches.append(Watch(context, url))
        if who is not None:
            context.add_cookies([{"name": instances.COOKIE, "value": who.session, "url": url}])
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """A desk with the module's user signed in."""
    return open_page()


@pytest.fixture
def watch(page: Page, watches: list[Watch]) -> Watch:
    """Of `page`: tell it what a test means to go wrong."""
    return watches[0]


@pytest.fixture(scope="session")
def axe() -> Callable[[Page], None]:
    """Assert that axe finds nothing to say about a page as it is now."""
    program = Axe()

    def check(page: Page) -> None:
        results = program.run(page, options=cast(Any, _RULES))
        assert results.violations_count == 0, results.generate_report()

    return check
