"""The section `[http]`, and the settings that HTTP ingest reads."""

from functools import partial
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import AfterValidator, Field

from lakebed.ingest.settings import LimitsSection
from lakebed.section import Address, Section, Size
from lakebed.vocabulary.topic_templates import (
    LINE_PROTOCOL,
    REMOTE_WRITE,
    REMOTE_WRITE_WORDS,
    Words,
    check_template,
)


def _template(words: Words) -> AfterValidator:
    return AfterValidator(partial(check_template, words=words))


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
    tls_certificate: Path | None = Field(None, description="PEM chain; with it the port speaks TLS")
    tls_key: Path | None = Field(None, description="PEM private key of that chain")


class HttpSettings(Protocol):
    """The settings that HTTP ingest reads."""

    @property
    def http(self) -> HttpSection: ...

    @property
    def limits(self) -> LimitsSection: ...
