"""Strings of attackers in every field of every page, and in everything that pages show of others.

topics, payloads, units ──API──> an instance <──every form, every field── the crawl
                                     ├──every page──> no element of theirs
                                     └──Chromium──> nothing of them runs
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from playwright.sync_api import Page as BrowserPage

from tests.server import Server
from tests.web.browser.conftest import OpenPage
from tests.web.browser.instance import COOKIE, PASSWORD, Instance, Visitor, running
from tests.web.browser.watch import Watch
from tests.web.hostile import STRINGS, Form, Page, of_topics

pytestmark = [pytest.mark.slow(60), pytest.mark.timeout(400)]

MOST_PAGES, MOST_OF_A_KIND = 150, 3
NOT_SENT = {"/sign-out", "/language"}
"""Actions that end the crawl, or turn its words into others."""


class Crawl:
    """Visits every page that links lead to, and sends every form with hostile strings.

    Attributes:
        pages: addresses of those that were seen.
        sent: actions of forms, with how often they were sent.
        answers: how often which status came.
    """

    def __init__(self, instance: Instance, visitor: Visitor) -> None:
        self._instance, self._visitor = instance, visitor
        self.pages: list[str] = []
        self.sent: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self._kinds: Counter[str] = Counter()
        self._known: set[str] = set()
        self._filled: Counter[tuple[str, ...]] = Counter()
        self._turn = 0
        self._client = httpx.Client(
            base_url=instance.url,
            timeout=60,
            headers={
                "Accept": "text/html",
                "Origin": instance.url,
                "Sec-Fetch-Site": "same-origin",
            },
        )
        self._renew()

    def run(self) -> None:
        waiting = ["/", "/sign-in?next=/%22%3E%3Clb-pwned%3E"]
        with self._client:
            while waiting and len(self.pages) < MOST_PAGES:
                address = waiting.pop(0)
                if not self._is_new(address):
                    continue
                answer = self._ask("GET", address)
                found = self._look(answer, address)
                if answer.headers["content-type"].startswith("text/html"):
                    self.pages.append(address)
                for form in found.forms:
                    found.links += self._fill(form, address)
                waiting += [urljoin(address, link).partition("#")[0] for link in found.links]

    def _is_new(self, address: str) -> bool:
        """The same page is not visited for every topic, unit and page of a list."""
        parts, kind = urlsplit(address), _kind(address)
        if parts.netloc or address in self._known or parts.path.startswith(("/static/", "/api/")):
            return False
        self._known.add(address)
        self._kinds[kind] += 1
        return parts.path not in NOT_SENT and self._kinds[kind] <= MOST_OF_A_KIND

    def _fill(self, form: Form, address: str) -> list[str]:
        """Send a form three times, each time with other strings in all of its fields."""
        action = urljoin(address, form.action or address)
        path = urlsplit(action).path
        kind = (_kind(action), form.method, *sorted(form.values))
        if path in NOT_SENT or self._filled[kind]:
            return []
        self._filled[kind] += 1
        links: list[str] = []
        for _ in range(3 if form.texts else 1):
            values = dict(form.values)
            for name in form.texts:
                values[name] = self._next()
            if form.method == "post":
                answer = self._ask("POST", action, data=values)
            else:
                answer = self._ask("GET", urljoin(action, "?"), params=values)
            self.sent[path] += 1
            found = self._look(answer, f"{form.method} {path} {values}")
            if form.method == "post":  # a GET leads to what other links do, with another filter
                links += found.links
            if "csrf" in form.values:  # the session may have ended by this
                form.values["csrf"] = self._token()
        return links

    def _next(self) -> str:
        self._turn += 1
        return STRINGS[self._turn % len(STRINGS)]

    def _ask(self, method: str, address: str, **more: object) -> httpx.Response:
        answer = self._client.request(method, address, **more)  # type: ignore[arg-type]
        for _ in range(5):
            if not answer.is_redirect:
                break
            where = answer.headers["location"]
            assert urlsplit(where).netloc == "", f"{method} {address} leads to {where}"
            assert "pwned" not in answer.headers.get("set-cookie", "").partition(";")[0].lower()[:6]
            answer = self._client.get(urljoin(address, where))
        return answer

    def _look(self, answer: httpx.Response, where: str) -> Page:
        self.answers[answer.status_code] += 1
        assert answer.status_code < 500, f"{where}: {answer.status_code} {answer.text[:2000]}"
        if not answer.headers["content-type"].startswith("text/html"):
            assert answer.headers["x-content-type-options"] == "nosniff", where
            return Page("")
        assert "default-src 'none'" in answer.headers["content-security-policy"], where
        found = Page(answer.text)
        assert not found.wrong, f"{where}:\n" + "\n".join(found.wrong[:10])
        return found

    def _token(self) -> str:
        page = self._client.get("/sign-in").text
        if self._client.get("/form-token").status_code != 200:
            self._renew()
            page = self._client.get("/sign-in").text
        return Page(page).forms[0].values["csrf"]

    def _renew(self) -> None:
        self._client.cookies.clear()
        self._client.cookies.set(COOKIE, self._instance.sign_in(self._visitor))


def _kind(address: str) -> str:
    """The path of a page, without what it is about."""
    return re.sub(r"(/at/|/edit/).*|[0-9a-f-]{8,}", r"\1*", urlsplit(address).path)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def victim(server: Server) -> Iterator[tuple[Instance, Visitor]]:
    """An instance in which everything that others may name has a hostile name."""
    with closing(Instance(server.url, server.token)) as instance:
        victim = instance.visitor("victim", admin=True)
        api = victim.api
        policy = {"name": "all", "topics": ["#"], "keep": "archive", "type": "text"}
        numbers = {
            "name": "numbers",
            "topics": ["#"],
            "keep": "last_n",
            "count": 3,
            "type": "number",
        }
        assert api.put_policy(**policy)
        assert api.put_policy(**numbers)
        for topic in of_topics():
            for text in STRINGS[:6]:
                sent = api.request(
                    "POST", "/api/v1/messages", params={"topic": topic}, content=text.encode()
                )
                assert sent.status_code in (202, 422), sent.text
        for number, text in enumerate(STRINGS):
            name = f"unit-{number}"
            api.request("PUT", f"/api/v1/units/{name}", json={"name": name, "tags": [text[:50]]})
            user = {"user": f"user-{number}", "title": text[:200], "password": PASSWORD}
            if number % 4 == 0:
                instance.api.request("POST", "/api/v1/users", json=user)
            api.request("POST", "/api/v1/tokens", json={"name": text[:60]})
        yield instance, victim


@pytest.fixture(scope="module")
def crawl(victim: tuple[Instance, Visitor]) -> Crawl:
    found = Crawl(*victim)
    found.run()
    return found


def test_every_page_and_every_form_shows_them_as_text(crawl: Crawl) -> None:
    assert len(crawl.pages) > 20, crawl.pages
    assert {"/units/save", "/units/many", "/policies/save"} <= set(crawl.sent)
    assert crawl.answers[200] > 30, crawl.answers
    print(crawl.pages, crawl.sent, crawl.answers, sep="\n")


def test_in_a_browser_nothing_of_them_runs(
    crawl: Crawl, open_page: OpenPage, victim: tuple[Instance, Visitor], watches: list[Watch]
) -> None:
    instance, visitor = victim
    page: BrowserPage = open_page(visitor, url=instance.url)
    page.context.add_cookies(
        [{"name": COOKIE, "value": instance.sign_in(visitor), "url": instance.url}]
    )
    watches[0].expect("status of 4")
    page.context.add_init_script("window.pwned = () => console.error('something of theirs ran')")
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    for address in {urlsplit(address).path: address for address in crawl.pages}.values():
        page.goto(address)
        assert page.locator("lb-pwned, [onerror], [onload], [onclick]").count() == 0, address
    page.wait_for_timeout(500)  # for live values
