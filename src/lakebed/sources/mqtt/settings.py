"""The sections `[mqtt]` and `[[sources]]`, and what the MQTT endpoint reads of the settings."""

import socket
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lakebed.ingest.settings import LimitsSection, names
from lakebed.section import Address, Duration, Section, UnitPatterns
from lakebed.vocabulary.owners import check_known
from lakebed.vocabulary.times import parse_duration
from lakebed.vocabulary.topic_templates import SPARKPLUG, SPARKPLUG_WORDS, check_template
from lakebed.vocabulary.topics import overlaps
from lakebed.vocabulary.unit_topics import UnitPattern, parse_unit_pattern


def _sparkplug_template(value: str) -> str:
    return check_template(value, SPARKPLUG_WORDS)


SparkplugTopic = Annotated[str, AfterValidator(_sparkplug_template)]


class MqttSection(Section):
    """The endpoint that devices connect to."""

    listen: Address = Field("127.0.0.1:1883", description="where the MQTT endpoint listens")
    tls_listen: Address | None = Field(None, description="a second port that speaks TLS")
    ws_listen: Address | None = Field(
        None,
        description="a port for MQTT over WebSocket, at `/mqtt`; the HTTP port serves it there too",
    )
    wss_listen: Address | None = Field(None, description="the same over TLS, by `tls_certificate`")
    tls_certificate: Path | None = Field(
        None, description="PEM chain for `tls_listen` and `wss_listen`"
    )
    tls_key: Path | None = Field(
        None, description="PEM private key for `tls_listen` and `wss_listen`"
    )
    tls_client_ca: Path | None = Field(
        None,
        description="PEM of the authorities of client certificates: their common name is a unit's"
        " uuid, or `OWNER/NAME`",
    )
    receive_maximum: int = Field(
        65535, ge=1, le=65535, description="QoS 1 and 2 messages one client may have unacknowledged"
    )
    topic_alias_maximum: int = Field(1024, ge=0, le=65535, description="topic aliases per client")
    session_expiry: Duration = Field(
        parse_duration("1d"), description="longest time a session outlives its connection"
    )
    connect_timeout: Duration = Field(
        parse_duration("10s"), description="time in which a new connection must send CONNECT"
    )
    on_refused: Literal["ack", "disconnect"] = Field(
        "ack",
        description="what a client of 3.1.1 or 3.1 hears of a message that is refused: it is"
        " acknowledged all the same and kept as a dead letter, or the connection ends",
    )
    max_connections: int = Field(20_000, ge=1, description="connections at one time")
    sparkplug: bool = Field(
        False,
        description="whether messages of Sparkplug B (`spBv1.0/…`) are read: each metric becomes a"
        " message",
    )
    sparkplug_topic: SparkplugTopic = Field(
        SPARKPLUG, description="template of their topics, as that of a source"
    )


def _hosted(value: str) -> str:
    """Fill in `{host}`: gateways share one file, but need client identifiers of their own."""
    return value.replace("{host}", socket.gethostname())


def _without_share(topic: str) -> str:
    """The filter of a shared subscription."""
    return topic.split("/", 2)[-1] if topic.startswith("$share/") else topic


class MqttSource(Section):
    """Join a broker and take its messages in. One entry of `[[sources]]`."""

    kind: Literal["mqtt"] = Field("mqtt", description="`mqtt`")
    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="name in logs and metrics")
    url: str = Field(description="`mqtt://[user:password@]host[:1883]` or `mqtts://…`")
    topics: list[str] = Field(
        min_length=1, description="subscriptions; `$share/GROUP/FILTER` spreads over gateways"
    )
    owner: Annotated[str, AfterValidator(check_known)] = Field(
        "admin", description="owner of what comes in; with `topic`, of the units known by name"
    )
    topic: UnitPatterns = Field(
        (),
        description="topics that name a unit, such as `example.com/{unit}/pepeunit`: a message is"
        " stored under the owner of its unit; one pattern or a list",
    )
    state: UnitPatterns = Field(
        (), description="patterns as `topic`, on which units report their state (`[units]`)"
    )
    log: UnitPatterns = Field((), description="patterns on which they report entries of their log")
    client_id: Annotated[str, AfterValidator(_hosted)] | None = Field(
        None,
        description="default: one for each process, the same after a restart; `{host}` is the"
        " machine's name",
    )
    qos: Literal[0, 1, 2] = Field(1, description="QoS of the subscriptions")
    version: Literal["3.1.1", "5"] = Field("5", description="protocol version")
    session_expiry: Duration = Field(
        parse_duration("1d"), description="how long the broker keeps the session (MQTT 5)"
    )
    receive_maximum: int = Field(
        65535, ge=1, le=65535, description="Receive Maximum sent to the broker (MQTT 5)"
    )
    keep_alive: int = Field(30, ge=1, le=65535, description="seconds between pings")
    stamps: Annotated[tuple[Literal["id", "time"], ...], BeforeValidator(names)] = Field(
        (),
        description="of `id` and `time`: user properties of MQTT 5 that are a message's id and its"
        " event time, where publishers mean these",
    )
    retained: Literal["first", "always", "never"] = Field(
        "first",
        description="which messages that the broker has retained are taken: those that are new or"
        " changed, all that it sends after a connect, or none",
    )
    sparkplug: bool = Field(
        False,
        description="whether messages of Sparkplug B (`spBv1.0/…`) are read: each metric becomes a"
        " message",
    )
    sparkplug_topic: SparkplugTopic = Field(
        SPARKPLUG,
        description="template of their topics: of GROUP, NODE, DEVICE, which a node's own metrics"
        " have none of, and METRIC",
    )
    silence: Duration = Field(
        parse_duration("5m"),
        description="a silence so long, while the broker accepts messages, is reported; 0s: never",
    )
    ca_file: Path | None = Field(None, description="PEM of the authority, for `mqtts://`")

    @model_validator(mode="after")
    def _check_sparkplug(self) -> Self:
        if not self.sparkplug:
            return self
        if self.unit_patterns():
            raise ValueError("`sparkplug` names nodes, which are no units: leave out `topic`")
        if any(topic.startswith("$share/") for topic in self.topics):
            raise ValueError(
                "with `sparkplug` subscribe without $share/: births and data must come together"
            )
        return self

    @model_validator(mode="after")
    def _check_reached(self) -> Self:
        for pattern in self.unit_patterns():
            if not any(overlaps(filter, pattern.filter) for filter in self.filters()):
                raise ValueError(
                    f"{pattern.text!r} never comes: subscribe to it by `topics`, for example"
                    f" {pattern.filter!r}"
                )
        return self

    def filters(self) -> tuple[str, ...]:
        """The filters of `topics`, without `$share/GROUP/`."""
        return tuple(_without_share(topic) for topic in self.topics)

    def unit_patterns(self) -> list[UnitPattern]:
        """All patterns that find units; with one, messages of other topics are nobody's."""
        return [parse_unit_pattern(text) for text in (*self.topic, *self.state, *self.log)]


class MqttSettings(Protocol):
    """The settings that the endpoint reads."""

    @property
    def home(self) -> Path: ...

    @property
    def mqtt(self) -> MqttSection: ...

    @property
    def limits(self) -> LimitsSection: ...
