"""The fixtures find what they are for, on pages that have it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.web.browser.watch import Watch


def serve(page: Page, body: str, policy: str = "") -> None:
    """Answer the page's address with this."""
    html = f"<!doctype html><html lang=en><head><title>A page</title></head><body>{body}</body>"
    headers = {"Content-Type": "text/html", "Content-Security-Policy": policy}
    page.context.route("**/made-up", lambda route: route.fulfill(body=html, headers=headers))
    page.goto("/made-up")


@pytest.mark.parametrize(
    ("body", "policy", "told"),
    [
        ("<img src='https://other.example/x.png' alt=''>", "", "another host"),
        ("<p style='color:red'>red</p>", "default-src 'none'", "style-src"),
        ("<script>console.error('oh')</script>", "", "oh"),
        ("<script>setTimeout(() => { throw Error('uncaught one') })</script>", "", "uncaught one"),
    ],
)
def test_what_a_page_may_not_do_fails_its_test(
    page: Page, watch: Watch, body: str, policy: str, told: str
) -> None:
    page.context.route("https://other.example/**", lambda route: route.abort())
    serve(page, body, policy)
    page.wait_for_timeout(50)
    with pytest.raises(AssertionError, match=told):
        watch.check()
    for part in ("another host", "CSP", "Content Security Policy", "console", "uncaught"):
        watch.expect(part)


def test_axe_finds_a_field_without_a_name(page: Page, axe: Callable[[Page], None]) -> None:
    serve(page, "<main><h1>A form</h1><input></main>")
    with pytest.raises(AssertionError, match="label"):
        axe(page)
    serve(page, "<main><h1>A form</h1><label>A word <input></label></main>")
    axe(page)


def test_axe_works_under_the_policy_of_our_pages(page: Page, axe: Callable[[Page], None]) -> None:
    serve(page, "<main><h1>A form</h1></main>", "default-src 'none'; script-src 'self'")
    axe(page)
