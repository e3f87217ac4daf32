"""What a page may never do, whatever else a test looks at."""

from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, WebError

_TELL = """addEventListener("securitypolicyviolation", (event) =>
    console.error(`CSP: ${event.violatedDirective} refuses ${event.blockedURI} ${event.sample}`))"""


class Watch:
    """Notes requests to other hosts, violations of the CSP, errors of the console and of scripts.

    Args:
        context: whose pages are watched.
        url: of the instance, the only one that may be asked.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self._host = urlsplit(url).netloc
        self._found: list[str] = []
        self._expected: list[str] = []
        context.add_init_script(_TELL)
        context.on("request", self._request)
        context.on("console", self._console)
        context.on("weberror", self._error)

    def expect(self, part: str) -> None:
        """A test means this to happen, such as the 404 of a page that is not there."""
        self._expected.append(part)

    def noted(self, part: str) -> bool:
        return any(part in what for what in self._found)

    def check(self) -> None:
        """Fail if anything was noted that the test does not expect."""
        bad = [what for what in self._found if not any(part in what for part in self._expected)]
        assert not bad, "\n".join(bad)

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("blob", "data") and parts.netloc != self._host:
            self._found.append(f"a request to another host: {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            where: Any = message.location
            self._found.append(f"console: {message.text} ({where['url']})")

    def _error(self, error: WebError) -> None:
        self._found.append(f"uncaught: {error.error}")
