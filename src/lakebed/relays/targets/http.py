"""`http: URL, sign, headers`: a webhook, which takes the records of a delivery as one request.

POST  {"relay": "alarms", "records": [{"id", "topic", "time", "value", …}, …]}
      Idempotency-Key, X-Lakebed-Signature: t=UNIX,v1=HEX of HMAC-SHA256(secret, "UNIX." + body)

2xx                 taken; `{"refused": [{"id", "reason"}]}` names those that never will be
400, 413, 422       refused: halved until the records are found that it is about
all others          for now
"""

import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx
import msgspec

from lakebed.documents.source import Path
from lakebed.egress.http import Bounds, client
from lakebed.ports.relays import Delivery, Refusal, TargetUnavailable
from lakebed.relays.targets import options as rules
from lakebed.relays.targets.posting import wait_of
from lakebed.relays.targets.showing import encode, shown
from lakebed.relays.targets.target import Options, Surroundings, TargetKind, reached
from lakebed.secrets.values import Secret, redacted
from lakebed.vocabulary.times import SECOND

_REFUSED = frozenset({400, 413, 422})
_LARGEST = 4 * 2**20  # bytes of records in one request, unless a single one is larger
_EXCERPT = 200  # characters of an answer in an error


class _Refused(msgspec.Struct):
    id: str
    reason: str = ""


class _Answer(msgspec.Struct):
    """What a receiver may say in a 2xx answer."""

    refused: tuple[_Refused, ...] = ()


_decode = msgspec.json.Decoder(_Answer).decode


@dataclass(slots=True)
class _Progress:
    """How far a delivery has come whose later part was not taken yet.

    Attributes:
        done: the records below this index were taken or refused.
    """

    delivery: str = ""
    done: int = 0
    refusals: list[Refusal] = field(default_factory=list)


class HttpTarget:
    """Implements `ports.relays.Target`."""

    def __init__(self, options: Options, around: Surroundings) -> None:
        self._options = options
        self._around = around
        self._progress = _Progress()
        self._client: httpx.Client | None = None

    def position(self) -> int | None:
        return None

    def send(self, delivery: Delivery) -> Sequence[Refusal]:
        until = time.monotonic() + self._around.timeout / SECOND
        if self._progress.delivery != delivery.id:
            self._progress = _Progress(delivery.id)
        progress = self._progress
        encoded = [encode(shown(record)) for record in delivery.records]
        request = self._request()
        ranges = list(reversed(_chunks(encoded, progress.done)))
        while ranges:
            begin, end = ranges.pop()
            key = delivery.id
            if (begin, end) != (0, len(encoded)):
                key += f"/{begin}-{end}"
            refused = self._post(request, key, encoded[begin:end], until)
            if refused is None:
                progress.done = end
            elif isinstance(refused, str) and end - begin > 1:
                middle = (begin + end) // 2
                ranges += [(middle, end), (begin, middle)]
            else:
                progress.refusals += _refusals(delivery, begin, end, refused)
                progress.done = end
        return tuple(progress.refusals)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    # --- one request ------------------------------------------------------------------------------

    def _request(self) -> "_Request":
        """Address, headers and key as they are now: secrets may have changed."""
        found: list[Secret] = []

        def value(given: str) -> str:
            text = self._around.secret(given)
            if rules.is_secret(given):
                found.append(Secret(given, text))
            return text

        url = value(self._options["http"])
        try:
            rules.check_url(url, ("http", "https"))
            address = httpx.URL(url)
        except (ValueError, httpx.InvalidURL):  # its text could hold a piece of the secret
            raise TargetUnavailable("the secret is no URL such as https://HOST/PATH") from None
        headers = {name: value(given) for name, given in self._options.get("headers", {}).items()}
        if not all(text.isascii() and text.isprintable() for text in headers.values()):
            raise TargetUnavailable("the value of a header in a secret is not printable text")
        sign = self._options.get("sign")
        key = None if sign is None else value(sign).encode()
        return _Request(address, headers, key, tuple(found))

    def _post(
        self, request: "_Request", key: str, records: Sequence[bytes], until: float
    ) -> str | Mapping[str, str] | None:
        """Send records: None if all were taken, why all were refused, or why each of some was."""
        _, name, _ = self._around.relay.split("/", 2)
        body = b'{"relay":%b,"records":[%b]}' % (encode(name), b",".join(records))
        left = until - time.monotonic()
        if left <= 0:
            raise TargetUnavailable("no answer in time")
        headers = {
            **request.headers,
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            **request.signature(body),
        }
        http = self._opened()
        answer = reached(
            lambda: http.post(
                request.url, content=body, headers=headers, extensions={"total": left}
            )
        )
        if 200 <= answer.status_code < 300:
            return _told(answer, request)
        what = f"the target answers {answer.status_code}{_excerpt(answer, request)}"
        if answer.status_code in _REFUSED:
            return what
        if answer.is_redirect:
            what += ": redirects are not followed"
        raise TargetUnavailable(what, wait_of(answer))

    def _opened(self) -> httpx.Client:
        if self._client is None:
            seconds = self._around.timeout / SECOND
            bounds = Bounds(connect=min(5.0, seconds), read=seconds, total=seconds)
            self._client = reached(lambda: client(self._around.egress, bounds))
        return self._client


@dataclass(frozen=True, slots=True)
class _Request:
    """What all requests of a delivery have in common; values of secrets are in it."""

    url: httpx.URL = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    key: bytes | None = field(repr=False)
    secrets: tuple[Secret, ...]

    def signature(self, body: bytes) -> dict[str, str]:
        """The header that proves who sent a body, and when."""
        if self.key is None:
            return {}
        moment = str(int(time.time()))
        made = hmac.new(self.key, moment.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {"X-Lakebed-Signature": f"t={moment},v1={made}"}


def _chunks(encoded: Sequence[bytes], begin: int) -> list[tuple[int, int]]:
    """Ranges of records from an index on, each small enough for one request."""
    ranges, size = [], 0
    for index in range(begin, len(encoded)):
        size += len(encoded[index])
        if size > _LARGEST and index > begin:
            ranges.append((begin, index))
            begin, size = index, len(encoded[index])
    return [*ranges, (begin, len(encoded))] if begin < len(encoded) else ranges


def _refusals(
    delivery: Delivery, begin: int, end: int, refused: str | Mapping[str, str]
) -> list[Refusal]:
    if isinstance(refused, str):
        return [Refusal(index, refused) for index in range(begin, end)]
    return [
        Refusal(index, refused[delivery.records[index].id])
        for index in range(begin, end)
        if delivery.records[index].id in refused
    ]


def _told(answer: httpx.Response, request: _Request) -> Mapping[str, str] | None:
    """The ids that a receiver refuses, with its reasons."""
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return None
    try:
        refused = _decode(answer.content).refused
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    private = answer.extensions["private"]
    return {
        one.id: "the target refuses it"
        + ("" if private or not one.reason else f": {_clean(one.reason, request)}")
        for one in refused
    } or None


def _excerpt(answer: httpx.Response, request: _Request) -> str:
    """The beginning of an answer, for people; empty where users must not see it."""
    if answer.extensions["private"] or not answer.content:
        return ""
    return f": {_clean(answer.content.decode(errors='replace'), request)}"


def _clean(text: str, request: _Request) -> str:
    text = redacted(text[:4096], *request.secrets)
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:_EXCERPT]


def _check(options: Options) -> Sequence[tuple[Path, str]]:
    return rules.problems(
        options,
        {
            "http": rules.url("https", "http", example='https://HOST/PATH, or "secret:NAME"'),
            "sign": rules.secret,
            "headers": rules.headers,
        },
    )


def _open(options: Options, around: Surroundings) -> HttpTarget:
    return HttpTarget(options, around)


KIND = TargetKind(
    name="http",
    keys={
        "sign": "a secret: each request is signed by HMAC-SHA256",
        "headers": "further headers, texts or secrets",
    },
    check=_check,
    open=_open,
)
