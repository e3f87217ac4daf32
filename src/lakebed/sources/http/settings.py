"""The section `[http]`, and the settings that HTTP ingest reads."""

from pathlib import Path
from typing import Protocol

from pydantic import Field

from lakebed.ingest.settings import LimitsSection
from lakebed.section import Address, Section, Size


class HttpSection(Section):
    """The port that HTTP listens on, for ingest and for the API."""

    listen: Address = Field("127.0.0.1:8080", description="where the HTTP API listens")
    max_body: Size = Field(64 * 2**20, description="largest request body")
    tls_certificate: Path | None = Field(None, description="PEM chain; with it the port speaks TLS")
    tls_key: Path | None = Field(None, description="PEM private key of that chain")


class HttpSettings(Protocol):
    """The settings that HTTP ingest reads."""

    @property
    def http(self) -> HttpSection: ...

    @property
    def limits(self) -> LimitsSection: ...
