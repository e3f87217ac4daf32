"""Requests of targets that speak HTTP, and records that are found by halving."""

import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence

import httpx
import zstandard

from lakebed.egress.http import Bounds, client
from lakebed.ports.relays import Refusal, TargetUnavailable
from lakebed.relays.targets import options as rules
from lakebed.relays.targets.target import Options, Surroundings, reached
from lakebed.secrets.values import Secret, redacted
from lakebed.vocabulary.times import SECOND, Micros

_LONGEST_WAIT = 3600  # seconds of a Retry-After
_EXCERPT = 200  # characters of an answer in an error
_COMPRESSED = 1024  # bytes from which a body is


def wait_of(answer: httpx.Response) -> Micros | None:
    """What Retry-After says in seconds."""
    text = answer.headers.get("retry-after", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return None
    return min(int(text), _LONGEST_WAIT) * SECOND


class Poster:
    """Posts to the URL of a target, with the headers of its document and a token.

    Args:
        options: with `headers`, `token` and `user` and `password`, as far as they are given.
        key: of the URL in them.
        scheme: in front of the token.
    """

    def __init__(
        self, options: Options, around: Surroundings, key: str, scheme: str = "Bearer"
    ) -> None:
        self._options, self._around, self._key, self._scheme = options, around, key, scheme
        self._client: httpx.Client | None = None
        self._until = 0.0
        self._secrets: list[Secret] = []

    def begin(self) -> None:
        """Begin a call of the target: its time, and secrets as they are now."""
        self._until = time.monotonic() + self._around.timeout / SECOND
        self._secrets = []
        self._url = self._value(str(self._options[self._key]))
        try:
            rules.check_url(self._url, ("http", "https"))
            self._parsed = httpx.URL(self._url)
        except (ValueError, httpx.InvalidURL):  # its text could hold a piece of the secret
            raise TargetUnavailable("the secret is no URL such as https://HOST/PATH") from None
        given: Mapping[str, str] = self._options.get("headers", {})
        self._headers = {name: self._value(text) for name, text in given.items()}
        if "token" in self._options:
            token = self._value(self._options["token"]).strip()
            self._headers["Authorization"] = f"{self._scheme} {token}"
        if not all(text.isascii() and text.isprintable() for text in self._headers.values()):
            raise TargetUnavailable("the value of a header in a secret is not printable text")
        if "user" in self._options:
            password = self._value(self._options["password"])
            pair = f"{self._options['user']}:{password}".encode()
            self._headers["Authorization"] = f"Basic {b64encode(pair).decode()}"

    def post(
        self,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        parameters: Mapping[str, str] | None = None,
        compress: bool = False,
    ) -> httpx.Response:
        """The answer to a body, at the URL with a path behind it.

        Raises:
            TargetUnavailable: it cannot be reached, or the time is over.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise TargetUnavailable("no answer in time")
        sent = {**self._headers, **headers}
        if compress and len(body) > _COMPRESSED:
            body = zstandard.compress(body, 1)
            sent["Content-Encoding"] = "zstd"
        base = self._parsed
        url = base.copy_with(path=base.path.rstrip("/") + path) if path else base
        if parameters:
            url = url.copy_merge_params(parameters)
        http = self._opened()
        return reached(
            lambda: http.post(url, content=body, headers=sent, extensions={"total": left})
        )

    def said(self, answer: httpx.Response) -> str:
        """An answer that is no success, for people; its body only where users may see it."""
        told = ""
        if not answer.extensions["private"] and answer.content:
            text = redacted(answer.content.decode(errors="replace")[:4096], *self._secrets)
            shown = "".join(c for c in " ".join(text.split()) if c.isprintable())
            told = f": {shown[:_EXCERPT]}"
        return f"the target answers {answer.status_code}{told}"

    def unavailable(self, answer: httpx.Response) -> TargetUnavailable:
        what = self.said(answer)
        if answer.is_redirect:
            what += ": redirects are not followed"
        if answer.status_code in (401, 403):
            what += ": is the token right, and does it allow this?"
        return TargetUnavailable(what, wait_of(answer))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _value(self, given: str) -> str:
        text = self._around.secret(given)
        if rules.is_secret(given):
            self._secrets.append(Secret(given, text))
        return text

    def _opened(self) -> httpx.Client:
        if self._client is None:
            seconds = self._around.timeout / SECOND
            bounds = Bounds(connect=min(5.0, seconds), read=seconds, total=seconds)
            self._client = reached(lambda: client(self._around.egress, bounds))
        return self._client


def halved(
    count: int, largest: int, send: Callable[[int, int], Sequence[Refusal] | str]
) -> list[Refusal]:
    """What is refused of records 0 … count, sent in ranges of `largest` at most.

    Args:
        send: sends records from one index up to another; what of them was refused, or why all of
            them were as one: then halves of them are sent.
    """
    found: list[Refusal] = []
    ranges = [(at, min(at + largest, count)) for at in range(0, count, largest)][::-1]
    while ranges:
        begin, end = ranges.pop()
        answer = send(begin, end)
        if not isinstance(answer, str):
            found += answer
        elif end - begin == 1:
            found.append(Refusal(begin, answer))
        else:
            middle = (begin + end) // 2
            ranges += [(middle, end), (begin, middle)]
    return found
