"""The section `[api]`, and the settings that the API reads."""

from typing import Protocol

from pydantic import Field

from lakebed.access.settings import AuthSection
from lakebed.keeper.settings import KeeperSection
from lakebed.section import Section
from lakebed.sources.http.settings import HttpSettings
from lakebed.sources.mqtt.settings import MqttSection, MqttSource
from lakebed.sources.settings import Source


class ApiSection(Section):
    """The HTTP API."""

    admin_token: str | None = Field(
        None,
        min_length=32,
        description="the admin's token; without it the first start creates one",
    )


class ApiSettings(HttpSettings, Protocol):
    """The settings that the API reads."""

    @property
    def sources(self) -> tuple[Source, ...]: ...

    @property
    def brokers(self) -> tuple[MqttSource, ...]: ...

    @property
    def mqtt(self) -> MqttSection: ...

    @property
    def auth(self) -> AuthSection: ...

    @property
    def keeper(self) -> KeeperSection: ...
