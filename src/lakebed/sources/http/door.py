"""What all ways of sending by HTTP share: who sends, to whose topics, and the way to the intake.

way in ──identify──> principal ──sender──> its own decoder ──take──> limits ── intake ── fsync
            │ 401, 403         │ 403                            │ 429       │ 503
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from lakebed.access.actions import Action
from lakebed.access.decision import Resource, require
from lakebed.access.identification import MISSING
from lakebed.access.principals import NOBODY, Principal
from lakebed.http.asgi import App, Scope, Send
from lakebed.http.tokens import is_basic, token_in, unknown
from lakebed.ingest.offers import Columns
from lakebed.ports.metrics import CounterMetric, Sample
from lakebed.ports.tracing import CURRENT
from lakebed.sources.http import ndjson, refusing
from lakebed.sources.http.limiting import apply_limits, mark, with_attributes
from lakebed.sources.http.settings import HttpSettings
from lakebed.sources.http.targets import parameters
from lakebed.sources.http.topic_cache import TopicCache
from lakebed.system.extras import missing
from lakebed.vocabulary.attributes import Attributes, Coded
from lakebed.vocabulary.errors import Denied, LakebedError, NotFound, Unavailable
from lakebed.vocabulary.times import Micros

if TYPE_CHECKING:
    from lakebed.access.identification import Identification
    from lakebed.ingest.intake import Intake

MESSAGES = CounterMetric(
    "lakebed_http_messages_total",
    "Messages taken by HTTP, by the path that they came by.",
    ("path",),
)

HeaderMap = dict[bytes, bytes]
T = TypeVar("T")

TIMEOUT = 5.0
"""Seconds that a request waits for the journal before it is answered with 503."""

INLINE = 128 * 2**10
"""Bytes of a body up to which it is decoded on the event loop."""

_PRINCIPAL = "lakebed.principal"  # where a request's scope has who has sent it
_SENDERS = 100  # principals whose topics are cached
_OTHER_SITES = (b"cross-site", b"same-site")  # values of Sec-Fetch-Site


class Way(Protocol):
    """One way of sending by HTTP.

    Attributes:
        routes: the handler of each path; it answers what is good, and raises what is not.
    """

    @property
    def routes(self) -> Mapping[str, App]: ...

    async def answer_error(self, scope: Scope, send: Send, error: Exception) -> None:
        """Answer a request whose handler raised, in the form that these senders know."""
        ...


class Door:
    """Event loop only.

    Args:
        intake: None refuses everything: this process takes no messages.

    Attributes:
        intake: that one.
        largest_payload, largest_body: bytes.
        topics: channels of series, of all ways that have series.
        taken: durable messages since the start, by the path that they came by.
    """

    def __init__(
        self,
        settings: HttpSettings,
        identification: "Identification",
        intake: "Intake | None",
    ) -> None:
        self.intake = intake
        self.largest_payload = settings.limits.payload
        self.largest_body = settings.http.max_body
        self._identification = identification
        self.topics = TopicCache()
        self.taken: Counter[str] = Counter()
        self._large = asyncio.Lock()
        self._senders: dict[tuple[Principal, str], ndjson.Sender] = {}

    async def identify(
        self, scope: Scope, headers: HeaderMap, token: str | None = None
    ) -> Principal:
        """Who sends a request; its scope remembers.

        Args:
            token: where it is not in the Authorization header.

        Raises:
            Denied: nobody who may send.
        """
        header = headers.get(b"authorization", b"")
        token = token_in(header) if token is None else token
        if is_basic(header) and headers.get(b"sec-fetch-site", b"none") in _OTHER_SITES:
            raise Denied("a page of another site has sent this with your password")
        principal = self._identification.identify_cached(token)
        if principal is MISSING:
            principal = await self._identification.identify(token)
        if principal is None:
            raise unknown(token)
        scope[_PRINCIPAL] = principal
        return principal

    def owner(self, principal: Principal, query: bytes) -> str:
        """Whose topics are meant by the messages of a request that name no owner.

        Raises:
            BadRequest: there is another parameter than `owner`.
            Denied: the principal may publish to none of its topics.
        """
        return self.checked_owner(
            principal, parameters(query, "owner").get("owner", principal.owner)
        )

    def checked_owner(self, principal: Principal, owner: str) -> str:
        if owner != principal.owner:
            require(principal, Action.MESSAGES_PUBLISH, Resource(owner))
        return owner

    def sender(self, principal: Principal, owner: str) -> ndjson.Sender:
        """The sender of a principal to an owner, cached with the topics that it has sent to."""
        sender = self._senders.get((principal, owner))
        if sender is None:
            if len(self._senders) >= _SENDERS:
                self._senders.clear()
            sender = ndjson.Sender(principal, self.largest_payload, self.over_topics, owner)
            self._senders[principal, owner] = sender
        return sender

    def over_topics(self, owner: str, topic: str) -> str | None:
        return None if self.intake is None else self.intake.limits.check_topic(owner, topic)

    def attributes(
        self,
        principal: Principal,
        content_type: bytes = b"",
        properties: Sequence[tuple[str, str]] = (),
    ) -> Attributes | None:
        """The attributes to record. The content type of a batch is not that of its messages."""
        if self.intake is None:
            return None
        recording = self.intake.recorder.of_sender(principal)
        content = content_type.decode("latin-1")
        return recording.record(principal.label, content, properties, client=principal.name)

    async def decode(self, decode: Callable[[bytes], T], body: bytes, inline: int = INLINE) -> T:
        """Decode a body that takes many times its bytes in memory: of large ones one at a time.

        Args:
            inline: bytes up to which it is decoded on the event loop.
        """
        if len(body) <= inline:
            return decode(body)
        async with self._large:
            return await asyncio.to_thread(decode, body)

    async def take(
        self,
        scope: Scope,
        principal: Principal,
        found: ndjson.Decoded,
        received: Micros,
        attributes: Coded[Attributes] | None = None,
    ) -> None:
        """Note what is rejected, and append the rest; it is durable when this returns.

        Args:
            attributes: of each message, where they differ.

        Raises:
            TooMany: a limit is reached, and nothing is taken.
            Unavailable: the journal has no room, or does not answer.
        """
        if self.intake is not None:
            refusing.note_lines(self.intake.refusals, scope, principal, found)
        if found.payloads:
            columns = found.columns(principal.owner, received)
            if attributes is None:
                columns = with_attributes(columns, self.attributes(principal))
            else:
                columns.sparse = columns.sparse._replace(attributes=attributes)
            await self.append(principal, columns, scope["path"])

    async def append(self, principal: Principal, columns: Columns, path: str) -> None:
        if self.intake is None:
            raise NotFound("this process takes no messages: send them to one of role gateway")
        if context := CURRENT.get():
            mark(columns, context)
        apply_limits(self.intake.limits.of(principal), columns)
        await self.intake.append(columns, TIMEOUT)
        self.taken[path] += len(columns.payloads)

    def metrics(self) -> Iterator[Sample]:
        for path, count in sorted(self.taken.copy().items()):
            yield MESSAGES(count, path)

    def note(self, scope: Scope, error: Exception) -> None:
        """Note a request that is refused."""
        if self.intake is not None and isinstance(error, LakebedError):
            refusing.note(self.intake.refusals, scope, sender_of(scope), error)


def sender_of(scope: Scope) -> Principal:
    """Who has sent a request; nobody before that is known."""
    principal: Principal = scope.get(_PRINCIPAL, NOBODY)
    return principal


async def decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    """Decode a small body at once, a large one in a thread."""
    if len(body) <= INLINE:
        return decode(body)
    return await asyncio.to_thread(decode, body)


@contextmanager
def installed(what: str) -> Iterator[None]:
    """Refuse with 503 what needs a package that is not installed: senders keep their messages."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (hint := missing(error)) is None:
            raise
        raise Unavailable(f"{what}: {hint}") from None
