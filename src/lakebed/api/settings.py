"""The section `[api]`, and what the API reads of the settings."""

from typing import Protocol

from pydantic import Field

from lakebed.keeper.settings import KeeperSection
from lakebed.section import Section
from lakebed.sources.http.settings import HttpSettings
from lakebed.sources.mqtt.settings import MqttSource


class ApiSection(Section):
    """What the API is given."""

    admin_token: str | None = Field(
        None,
        min_length=32,
        description="what the admin's token shall be; without it the first start makes one",
    )


class ApiSettings(HttpSettings, Protocol):
    """Of all settings, those that the API reads."""

    @property
    def sources(self) -> tuple[MqttSource, ...]: ...

    @property
    def keeper(self) -> KeeperSection: ...
