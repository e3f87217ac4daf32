"""The section `[http]`, and the settings that HTTP ingest reads."""

import re
from functools import partial
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import AfterValidator, Field

from lakebed.ingest.settings import LimitsSection
from lakebed.section import Address, Listed, Section, Size
from lakebed.vocabulary.topic_templates import (
    CLOUDEVENTS,
    CLOUDEVENTS_WORDS,
    LINE_PROTOCOL,
    OTLP_LOGS,
    OTLP_LOGS_WORDS,
    OTLP_METRICS,
    OTLP_METRICS_WORDS,
    REMOTE_WRITE,
    REMOTE_WRITE_WORDS,
    Words,
    check_template,
)


def _template(words: Words) -> AfterValidator:
    return AfterValidator(partial(check_template, words=words))


_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def _origin(value: str) -> str:
    if value != "*" and not _ORIGIN.fullmatch(value):
        raise ValueError(
            f"{value!r} is no origin: write SCHEME://HOST or SCHEME://HOST:PORT in lower case, such"
            " as https://app.example.com, without a slash at its end; or * for all"
        )
    return value


class HttpSection(Section):
    """The port that HTTP listens on, for ingest and for the API."""

    listen: Address = Field("127.0.0.1:8080", description="where the HTTP API listens")
    max_body: Size = Field(64 * 2**20, description="largest request body")
    line_protocol_topic: Annotated[str, AfterValidator(check_template)] = Field(
        LINE_PROTOCOL, description="template of the topics of InfluxDB's line protocol"
    )
    remote_write_topic: Annotated[str, _template(REMOTE_WRITE_WORDS)] = Field(
        REMOTE_WRITE, description="template of the topics of Prometheus' remote write"
    )
    otlp_metrics_topic: Annotated[str, _template(OTLP_METRICS_WORDS)] = Field(
        OTLP_METRICS, description="template of the topics of OpenTelemetry's metrics"
    )
    otlp_logs_topic: Annotated[str, _template(OTLP_LOGS_WORDS)] = Field(
        OTLP_LOGS, description="template of the topics of OpenTelemetry's logs"
    )
    cloudevents_topic: Annotated[str, _template(CLOUDEVENTS_WORDS)] = Field(
        CLOUDEVENTS, description="template of the topics of CloudEvents"
    )
    cors: Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], Listed] = Field(
        (), description="origins of other sites whose pages may ask with a token: CORS; `*` for all"
    )
    tls_certificate: Path | None = Field(None, description="PEM chain; with it the port speaks TLS")
    tls_key: Path | None = Field(None, description="PEM private key of that chain")


class HttpSettings(Protocol):
    """The settings that HTTP ingest reads."""

    @property
    def http(self) -> HttpSection: ...

    @property
    def limits(self) -> LimitsSection: ...
