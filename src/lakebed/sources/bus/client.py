"""Requests to a bus, each with a bound on time and size.

No redirect is followed and no compression asked for: what is counted is what comes, and a secret
goes to no other host.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from lakebed.sources.bus import secret
from lakebed.sources.bus.answers import BadAnswer
from lakebed.sources.bus.settings import BusSource
from lakebed.vocabulary.errors import Problem, SettingsError, Unavailable
from lakebed.vocabulary.times import SECOND

_LINES = ("application/x-ndjson", "application/jsonl", "application/json-seq")


class Failed(Unavailable):
    """A request failed; it is repeated.

    Attributes:
        after: seconds that the bus asks for.
    """

    def __init__(self, text: str, after: float = 0.0) -> None:
        super().__init__(text)
        self.after = after


class BusClient:
    """Event loop only.

    Raises:
        SettingsError: a file of TLS cannot be read.
    """

    def __init__(self, source: BusSource) -> None:
        self._source = source
        self._timeout = source.timeout / SECOND
        self._base = source.url.rstrip("/")
        self._http = httpx.AsyncClient(
            verify=_context(source),
            follow_redirects=False,
            trust_env=False,
            timeout=self._timeout,
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=2),
            headers={"Accept-Encoding": "identity", "User-Agent": "lakebed"},
        )

    async def close(self) -> None:
        await self._http.aclose()

    def url(self, path: str) -> str:
        return self._base + path

    def following(self, url: str, link: str) -> str:
        """The address that a link of this answer leads to.

        Raises:
            BadAnswer: it leads to another host.
        """
        found = urljoin(url, link)
        if urlsplit(found)[:2] != urlsplit(self._base)[:2]:
            raise BadAnswer("its link leads to another host")
        return found

    async def get(
        self, url: str, parameters: Mapping[str, str], wait: float = 0.0
    ) -> tuple[httpx.Response, bytes]:
        """The answer and its body.

        Args:
            wait: seconds that the bus may take longer.

        Raises:
            Failed: it is not answered, or not with success.
        """
        try:
            async with (
                asyncio.timeout(2 * self._timeout + wait),
                self._request("GET", url, parameters, wait=wait) as answer,
            ):
                return answer, await self._body(answer)
        except TimeoutError:
            raise Failed("it takes longer for an answer than `timeout` allows") from None

    async def post(self, url: str, document: Any) -> None:
        """Send a JSON document. Raises Failed."""
        try:
            async with (
                asyncio.timeout(2 * self._timeout),
                self._request("POST", url, {}, json=document) as answer,
            ):
                await self._body(answer)
        except TimeoutError:
            raise Failed("it takes longer for an answer than `timeout` allows") from None

    @asynccontextmanager
    async def stream(
        self, url: str, parameters: Mapping[str, str], headers: Mapping[str, str], silence: float
    ) -> AsyncIterator[httpx.Response]:
        """An answer that does not end. Raises Failed, also while it is read.

        Args:
            silence: seconds without a byte after which it counts as broken.
        """
        more = {"Accept": "text/event-stream, application/x-ndjson", **headers}
        async with self._request("GET", url, parameters, wait=silence, headers=more) as answer:
            yield answer

    @asynccontextmanager
    async def _request(
        self, method: str, url: str, parameters: Mapping[str, str], *, wait: float = 0.0,
        headers: Mapping[str, str] = {}, json: Any = None,
    ) -> AsyncIterator[httpx.Response]:  # fmt: skip
        timeout = httpx.Timeout(self._timeout, read=self._timeout + wait)
        every = {**secret.headers(self._source), **headers}
        # those of the address stay: a link has its own
        target = httpx.URL(url).copy_merge_params(dict(parameters))
        try:
            async with self._http.stream(
                method, target, headers=every, json=json, timeout=timeout
            ) as answer:
                _check(answer)
                yield answer
        except httpx.TimeoutException:
            raise Failed("it does not answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            text = str(error) or type(error).__name__
            raise Failed(f"it cannot be reached, or broke off: {text}") from None

    async def _body(self, answer: httpx.Response) -> bytes:
        found = bytearray()
        async for chunk in answer.aiter_raw():
            found += chunk
            if len(found) > self._source.max_answer:
                raise BadAnswer(f"its answer is longer than {self._source.max_answer} bytes")
        return bytes(found)


def is_lines(answer: httpx.Response) -> bool:
    return _content_type(answer) in _LINES


def is_events(answer: httpx.Response) -> bool:
    return _content_type(answer) == "text/event-stream"


def _content_type(answer: httpx.Response) -> str:
    return str(answer.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _check(answer: httpx.Response) -> None:
    status = answer.status_code
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise BadAnswer("it compresses its answer, which was not asked for")
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise Failed(f"it answers {status}, and redirects are not followed: correct url or path")
    after = answer.headers.get("retry-after", "")
    hint = {401: ": see `auth`", 403: ": see `auth`", 404: ": see `url` and `path`"}
    seconds = float(after) if after.isascii() and after.isdigit() and len(after) < 6 else 0.0
    raise Failed(f"it answers {status}{hint.get(status, '')}", seconds)


def _context(source: BusSource) -> ssl.SSLContext | bool:
    if not source.url.startswith("https:"):
        return True if source.ca_file is None and source.certificate is None else _made(source)
    return _made(source)


def _made(source: BusSource) -> ssl.SSLContext:
    where = f"sources.{source.name}"
    try:
        context = ssl.create_default_context(cafile=source.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(Problem(f"{where}.ca_file", f"{source.ca_file}: {error}")) from None
    if source.certificate is not None:
        try:
            context.load_cert_chain(source.certificate, source.certificate_key)
        except (OSError, ssl.SSLError) as error:
            text = f"{source.certificate}: {error}"
            raise SettingsError(Problem(f"{where}.certificate", text)) from None
    return context
