"""Answers EMQX before the routes: on the event loop, mostly from memory.

    plain head, seen before ──> everything in memory ──> the whole response, at once
              └── no ──────────────────── no ──> plain ASGI:

    secret ──> body ──> token, user name or certificate ──> principal ──> answer
      401       400                  none of ours: ignore      suspended: deny

The secret is compared first, in constant time: without it nothing is looked up. What EMQX asks of
a client that nobody here knows is answered `ignore`, so that it asks its other authenticators.
"""

import hmac
from collections import Counter
from collections.abc import Collection, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from lakebed.access.actions import Action
from lakebed.access.decision import INSTANCE, Resource, allow, require
from lakebed.access.identification import MISSING
from lakebed.access.principals import BROKER, Kind, Principal
from lakebed.access.topic_owners import BrokerTopics, TopicOwners
from lakebed.api.emqx.requests import Asked, read
from lakebed.api.emqx.rules import rules
from lakebed.http import bodies, problems
from lakebed.http.asgi import App, Receive, Scope, Send
from lakebed.http.tokens import token_in
from lakebed.ports.accounts.credentials import CommonName, Credential
from lakebed.ports.accounts.units import Unit
from lakebed.ports.metrics import CounterMetric, Sample
from lakebed.sources.http.request_heads import Head, read_head
from lakebed.vocabulary.credentials import PREFIX
from lakebed.vocabulary.errors import BadRequest, LakebedError, Unauthenticated
from lakebed.vocabulary.times import SECOND
from lakebed.vocabulary.topics import covers

if TYPE_CHECKING:
    from lakebed.api.services import Services

ANSWERS = CounterMetric(
    "lakebed_emqx_answers_total", "Answers to EMQX, by route and result.", ("route", "result")
)

AUTHN = "/api/v1/auth/emqx/authn"
AUTHZ = "/api/v1/auth/emqx/authz"
ACTIONS = {AUTHN: Action.EMQX_AUTHN, AUTHZ: Action.EMQX_AUTHZ}
"""The action of each path."""

_LARGEST = 64 * 2**10  # bytes of a request: topics are up to 64 KiB, but nobody has such
_REMEMBERED = 10_000  # principals whose answer is cached
_WANTED = {"publish": Action.MESSAGES_PUBLISH, "subscribe": Action.MESSAGES_FOLLOW}
_HEADS = 1000  # heads of requests that are remembered: a broker's differ in their length alone
_RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
_HEADERS = [(b"content-type", b"application/json")]
_IGNORE, _DENY, _ALLOW = (b'{"result":"%b"}' % word for word in (b"ignore", b"deny", b"allow"))


class EmqxAuth:
    """The two routes. Event loop only.

    Attributes:
        answers: how many of each, by route and result.
    """

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._signed_in: dict[Principal, bytes] = {}
        self.answers: Counter[tuple[str, str]] = Counter()
        self._heads: dict[bytes, Head] = {}

    @property
    def paths(self) -> dict[str, App]:
        return {AUTHN: self._guarded(AUTHN), AUTHZ: self._guarded(AUTHZ)}

    @cached_property
    def _owners(self) -> TopicOwners:
        sources = self._services.settings.brokers
        topics = [
            BrokerTopics(one.owner, one.filters(), tuple(one.unit_patterns())) for one in sources
        ]
        self._services.units.follow()
        self._services.units.watch(self._units_changed)
        return TopicOwners(topics, self._services.units)

    def _units_changed(self, uuids: Collection[str] | None) -> None:
        """Make the answers anew that depend on these units: their own.

        Names of units in the name space of a source decide for all others, too, and of a unit that
        was removed nobody knows any more whose it was.
        """
        units = None if uuids is None else [self._services.units.by_uuid(one) for one in uuids]
        sources = {source.owner for source in self._services.settings.brokers}
        if uuids is None or any(one is None or one.owner in sources for one in units or ()):
            self._signed_in.clear()
            return
        for principal in [one for one in self._signed_in if one.unit in uuids]:
            del self._signed_in[principal]

    def _guarded(self, path: str) -> App:
        answering = self._authn if path == AUTHN else self._authz

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                if scope["method"] != "POST":
                    raise BadRequest("method", "EMQX asks by POST")
                headers: dict[bytes, bytes] = dict(scope["headers"])
                require(self._caller(headers), ACTIONS[path], INSTANCE)
                body = await bodies.read(receive, headers, _LARGEST)
                owners = self._owners
                await self._services.units.loaded()
                answer = await answering(read(body, headers.get(b"content-type", b"")), owners)
            except bodies.ClientDisconnected:
                return
            except Exception as error:
                self.answers[path, "error"] += 1
                await problems.answer(send, error)
                return
            self.answers[path, _result(answer)] += 1
            length = (b"content-length", b"%d" % len(answer))
            await send(
                {"type": "http.response.start", "status": 200, "headers": [*_HEADERS, length]}
            )
            await send({"type": "http.response.body", "body": answer})

        return guarded

    def _caller(self, headers: dict[bytes, bytes]) -> Principal:
        """The broker, by its secret.

        Raises:
            Unauthenticated: no secret, or another one.
        """
        secret = self._services.settings.auth.emqx_secret
        given = token_in(headers.get(b"authorization", b""))
        if secret is None:
            raise Unauthenticated("no broker is answered here: set auth.emqx_secret")
        if not hmac.compare_digest(given.encode("latin-1"), secret.encode()):
            raise Unauthenticated("the secret is not auth.emqx_secret")
        return BROKER

    # --- at once, see `http.at_once` --------------------------------------------------------------

    def body_length(self, head: bytes) -> int | None:
        """The length of the body behind a head that the broker has sent before."""
        known = self._heads.get(head) or self._read_head(head)
        return None if known is None else known.length

    def _read_head(self, raw: bytes) -> Head | None:
        """Remember a plain head with the secret; the ordinary way tells others what is wrong."""
        head = read_head(raw)
        if head is None or head.path.decode() not in ACTIONS or head.length > _LARGEST:
            return None
        try:
            caller = self._caller({b"authorization": head.authorization})
            require(caller, ACTIONS[head.path.decode()], INSTANCE)
        except LakebedError:
            return None
        if len(self._heads) >= _HEADS:
            self._heads.clear()
        self._heads[raw] = head
        return head

    def answer(self, head: bytes, body: bytes) -> bytes | None:
        """The whole response, where everything that it depends on is in memory."""
        known = self._heads.get(head)
        if known is None or not self._services.units.is_loaded:
            return None
        path = known.path.decode()
        answering = self._authn_at_once if path == AUTHN else self._authz_at_once
        try:
            answer = answering(read(body, known.content_type), self._owners)
        except LakebedError:
            return None
        if answer is None:
            return None
        self.answers[path, _result(answer)] += 1
        return _RESPONSE % (len(answer), answer)

    # --- authn ------------------------------------------------------------------------------------

    async def _authn(self, asked: Asked, owners: TopicOwners) -> bytes:
        principal, credential = await self._client(asked)
        if principal is None:
            ours = (asked.password or asked.username or "").startswith(PREFIX)
            return _DENY if ours else _IGNORE
        await self._know(principal.unit)
        return self._let_in(asked, principal, credential, owners)

    def _authn_at_once(self, asked: Asked, owners: TopicOwners) -> bytes | None:
        token = asked.password or asked.username or ""
        principal = self._services.identification.identify_cached(token)
        if not isinstance(principal, Principal) or not self._knows(principal.unit):
            return None
        return self._let_in(asked, principal, token, owners)

    def _let_in(
        self, asked: Asked, principal: Principal, credential: Credential, owners: TopicOwners
    ) -> bytes:
        if not allow(principal, Action.CONNECTION_OPEN, Resource(principal.owner)):
            return _DENY
        revocation = self._services.revocation
        if revocation is not None and asked.clientid is not None:
            revocation.remember(asked.clientid, credential, principal)
        answer = self._signed_in.get(principal)
        if answer is None:
            answer = msgspec.json.encode(_answer(principal, owners))
            if len(self._signed_in) >= _REMEMBERED:
                self._signed_in.clear()
            self._signed_in[principal] = answer
        return answer

    async def _client(self, asked: Asked) -> tuple[Principal | None, Credential]:
        """Who a client is: by password, user name or certificate, whichever it has first."""
        token = asked.password or asked.username
        principal = None if token is None else await self._identify(token)
        if principal is None and asked.password is None and asked.cert is not None:
            name = CommonName(asked.cert)
            return await self._services.identification.identify_certificate(asked.cert), name
        return principal, token or ""

    async def _identify(self, token: str) -> Principal | None:
        found = self._services.identification.identify_cached(token)
        return await self._services.identification.identify(token) if found is MISSING else found

    async def _know(self, uuid: str) -> None:
        """Read the units now, where this one was made a moment ago: its topics are found by it."""
        if not self._knows(uuid):
            await self._services.units.refresh()

    def _knows(self, uuid: str) -> bool:
        return not uuid or self._services.units.by_uuid(uuid) is not None

    async def _unit(self, unit: Unit | None) -> Principal | None:
        if unit is None:
            return None
        blocked = self._services.units.is_blocked(unit)
        return await self._services.identification.unit(unit, blocked)

    # --- authz ------------------------------------------------------------------------------------

    async def _authz(self, asked: Asked, owners: TopicOwners) -> bytes:
        if asked.topic is None:
            raise BadRequest("topic", "name the topic: ${topic}")
        if asked.token is not None:
            return await self._older(asked.token, asked.topic, owners)
        action = _action(asked)
        principal = await self._asked_about(asked)
        if principal is None:
            return _IGNORE
        return _ALLOW if _may(principal, action, asked.topic, owners) else _DENY

    def _authz_at_once(self, asked: Asked, owners: TopicOwners) -> bytes | None:
        kind, _, uuid = (asked.principal or "").partition(":")
        unit = self._services.units.by_uuid(uuid) if kind == Kind.UNIT else None
        if unit is None or asked.topic is None or asked.token is not None:
            return None
        blocked = self._services.units.is_blocked(unit)
        principal = self._services.identification.unit_cached(unit, blocked)
        if not isinstance(principal, Principal):
            return None
        return _ALLOW if _may(principal, _action(asked), asked.topic, owners) else _DENY

    async def _asked_about(self, asked: Asked) -> Principal | None:
        """Who a signed in client is: what we told of it, or a token as its user name."""
        kind, _, uuid = (asked.principal or "").partition(":")
        if kind == Kind.UNIT:
            await self._know(uuid)
            return await self._unit(self._services.units.by_uuid(uuid))
        return None if asked.username is None else await self._identify(asked.username)

    async def _older(self, token: str, topic: str, owners: TopicOwners) -> bytes:
        """The form that tells no action: allowed is what may be read or published."""
        principal = await self._identify(token)
        may = principal is not None and any(
            _may(principal, action, topic, owners) for action in _WANTED.values()
        )
        return _ALLOW if may else _DENY

    def metrics(self) -> Iterator[Sample]:
        for (path, result), count in sorted(self.answers.items()):
            yield ANSWERS(count, path.rpartition("/")[2], result)


def _action(asked: Asked) -> Action:
    """What the client wants to do.

    Raises:
        BadRequest: it is nothing of this kind.
    """
    action = _WANTED.get(asked.action or "")
    if action is None:
        raise BadRequest("action", "it is publish or subscribe: ${action}")
    return action


def _may(principal: Principal, action: Action, asked: str, owners: TopicOwners) -> bool:
    topic = asked.split("/", 2)[-1] if asked.startswith("$share/") else asked
    owner = owners.owner(topic, principal)
    return owner is not None and allow(principal, action, Resource(owner, (topic,)))


def _answer(principal: Principal, owners: TopicOwners) -> dict[str, Any]:
    """The answer of authn for a client that may connect (EMQX 5.8)."""
    answer: dict[str, Any] = {"result": "allow", "is_superuser": _is_superuser(principal)}
    if principal.expires is not None:
        answer["expire_at"] = principal.expires // SECOND
    answer["client_attrs"] = {"owner": principal.owner, "principal": principal.label}
    answer["acl"] = rules(principal, owners)
    return answer


def _is_superuser(principal: Principal) -> bool:
    """Whether EMQX asks nothing more about it: an admin whose filters are all topics."""
    grants = principal.grants
    publish = [filter for grant in grants for filter in grant.publish]
    read_filters = [filter for grant in grants for filter in grant.read]
    return principal.admin and covers(publish, "#") and covers(read_filters, "#")


def _result(answer: bytes) -> str:
    return answer[11:].partition(b'"')[0].decode()
