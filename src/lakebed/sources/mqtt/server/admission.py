"""Checks CONNECT, makes CONNACK, and authorizes topics.

CONNECT ──> authenticate ──> principal, or Refuse with the reason for CONNACK
            connack      <── session expiry and limits
PUBLISH ──> publishable  ──> channel, or Refuse with the reason for PUBACK
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from lakebed.access.actions import Action
from lakebed.access.decision import Resource, allow
from lakebed.access.principals import Principal
from lakebed.ports.accounts.credentials import CommonName, Credential
from lakebed.sources.mqtt.codec.handshake import ConnAck, Connect, Will
from lakebed.sources.mqtt.codec.reasons import Reason, Refuse
from lakebed.sources.mqtt.codec.wire import PACKET_ROOM, UINT32_MAXIMUM, V5
from lakebed.sources.mqtt.server.certificates import ClientCertificate
from lakebed.sources.mqtt.settings import MqttSettings
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.owner_topics import split_owner
from lakebed.vocabulary.times import SECOND, now
from lakebed.vocabulary.topics import check_topic

if TYPE_CHECKING:
    from lakebed.access.identification import Identification
    from lakebed.limits.book import LimitBook
    from lakebed.sources.mqtt.sparkplug.messages import SparkplugMessages

BRIDGE_STATE = "$SYS/broker/connection/"
"""Below it Mosquitto says whether a bridge is connected."""

_NEVER = UINT32_MAXIMUM  # a session expiry interval without end (section 3.1.2.11.2)


async def authenticate(
    identification: "Identification",
    settings: MqttSettings,
    connect: Connect,
    certificate: ClientCertificate | None = None,
) -> tuple[Principal, Credential]:
    """Return the principal of a valid CONNECT, and by what it is known.

    Raises:
        Refuse: with the reason for CONNACK.
    """
    if "authentication_method" in connect.properties:
        raise Refuse(Reason.BAD_AUTHENTICATION_METHOD, "only user name and password are known")
    if connect.version != V5 and not connect.client_id and not connect.clean_start:
        raise Refuse(Reason.CLIENT_IDENTIFIER_NOT_VALID, "a kept session needs a client id")
    for shown in _shown(connect, certificate):
        try:
            principal = await identify(identification, shown)
        except Unavailable as error:
            raise Refuse(Reason.SERVER_UNAVAILABLE, str(error)) from error
        if principal is not None:
            break
    else:
        raise Refuse(
            Reason.BAD_USER_NAME_OR_PASSWORD,
            "the password is not a valid token"
            if connect.password
            else "send a token as password, or as user name without a password",
        )
    if not allow(principal, Action.CONNECTION_OPEN, Resource(principal.owner)):
        raise Refuse(Reason.NOT_AUTHORIZED, "you may not connect")
    return principal, shown


async def identify(identification: "Identification", shown: Credential) -> Principal | None:
    """The principal of what a client shows.

    Raises:
        Unavailable: the catalog does not answer.
    """
    if isinstance(shown, CommonName):
        return await identification.identify_certificate(shown.text)
    return await identification.identify(shown)


def _shown(connect: Connect, certificate: ClientCertificate | None) -> Iterator[Credential]:
    """What may prove who a client is, in the order in which it is tried.

    With a password nothing else counts. Without one a user name may be a token, or no more than the
    name by which the holder of a certificate is known.
    """
    if connect.password:
        with suppress(UnicodeDecodeError):
            yield connect.password.decode()
        return
    if certificate is not None and certificate.expires > now():
        yield CommonName(certificate.name)
    if connect.username:
        yield connect.username


def may_go_without_will(settings: MqttSettings, connect: Connect) -> bool:
    """Whether a client is let in though its will is refused, and is then published by nobody.

    Bridges announce themselves below `$SYS`, where nobody else may publish. Before MQTT 5 a client
    cannot be told what is wrong, and would come again for ever.
    """
    assert connect.will is not None
    if connect.will.topic.startswith(BRIDGE_STATE):
        return True
    return connect.version != V5 and settings.mqtt.on_refused == "ack"


def check_will(
    principal: Principal, settings: MqttSettings, limits: "LimitBook", will: Will
) -> None:
    """Check that a will may be published. Limits of rate and storage are applied when it is.

    Raises:
        Refuse: with the reason for CONNACK.
    """
    try:
        publishable(principal, limits, will.topic)
    except Refuse as refuse:
        raise Refuse(refuse.reason, f"the will: {refuse.text}") from None
    if len(will.payload) > settings.limits.payload:
        raise Refuse(Reason.QUOTA_EXCEEDED, "the will's payload is too large")


def publishable(principal: Principal, limits: "LimitBook", topic: str) -> Channel:
    """Check and authorize a topic; called once for each distinct topic of a principal.

    Raises:
        Refuse: with the reason for PUBACK.
    """
    try:
        owner, name, _ = split_owner(topic, principal.owner)
        check_topic(name)
    except ValueError as error:
        raise Refuse(Reason.TOPIC_NAME_INVALID, str(error)) from None
    if not allow(principal, Action.MESSAGES_PUBLISH, Resource(owner, (name,))):
        raise Refuse(Reason.NOT_AUTHORIZED, f"you may not publish to {topic[:200]!r}")
    try:
        why = limits.check_topic(owner, name)
    except ValueError as error:
        raise Refuse(Reason.TOPIC_NAME_INVALID, str(error)) from None
    if why is not None:
        raise Refuse(Reason.QUOTA_EXCEEDED, why)
    return Channel(owner, name)


def sparkplug_of(
    principal: Principal, settings: MqttSettings, limits: "LimitBook", counts: Counter[str]
) -> "SparkplugMessages | None":
    """Reads Sparkplug's messages of one connection; None where they are stored as they come.

    A metric is a message on a topic of its own, to which its sender must be allowed to publish.
    """
    if not settings.mqtt.sparkplug:
        return None
    from lakebed.sources.mqtt.sparkplug.messages import SparkplugMessages  # needs protobuf

    check = partial(publishable, principal, limits)
    template, longest = settings.mqtt.sparkplug_topic, settings.limits.payload
    return SparkplugMessages(principal.owner, template, "", None, check, longest, counts)


def session_key(principal: Principal, client_id: str) -> tuple[str, str]:
    """By what a session is known: its owner, and an identifier that is unique in it.

    Client identifiers of a unit are its own: no other unit takes over its session.
    """
    return principal.owner, f"{principal.unit}/{client_id}" if principal.unit else client_id


def session_expiry(settings: MqttSettings, connect: Connect) -> float:
    """The seconds that the client asks for, at most those of the settings."""
    longest = settings.mqtt.session_expiry / SECOND
    if connect.version != V5:
        return 0 if connect.clean_start else longest
    asked = connect.properties.get("session_expiry_interval", 0)
    return longest if asked == _NEVER else min(asked, longest)


def connack(
    settings: MqttSettings, connect: Connect, present: bool, assigned: str, expiry: float
) -> ConnAck:
    """The CONNACK of an accepted connection.

    Args:
        present: whether the session existed before.
        assigned: the client identifier that we assigned; "" where the client sent one.
        expiry: how long its session is kept, seconds.
    """
    if connect.version != V5:
        return ConnAck(present)
    properties: dict[str, Any] = {
        "receive_maximum": settings.mqtt.receive_maximum,
        "maximum_packet_size": settings.limits.payload + PACKET_ROOM,
        "topic_alias_maximum": settings.mqtt.topic_alias_maximum,
        "shared_subscription_available": 0,
    }
    if assigned:
        properties["assigned_client_identifier"] = assigned
    if connect.properties.get("session_expiry_interval", 0) != expiry:
        properties["session_expiry_interval"] = int(expiry)
    return ConnAck(present, Reason.SUCCESS, properties)
