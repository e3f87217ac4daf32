"""The section `[auth]`: how people, units and programs prove who they are."""

from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from lakebed.ports.accounts.users import User
from lakebed.section import Duration, Listed, Network, Section
from lakebed.vocabulary.times import DAY


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise ValueError("write an address without a path, such as https://lake.example.com")
    return f"{parts.scheme}://{parts.netloc}"


Origin = Annotated[str, AfterValidator(_origin)]


class SecondFactor(StrEnum):
    """Of whom the instance demands a second factor."""

    OPTIONAL = "optional"
    ADMINS = "admins"
    ALL = "all"

    def is_demanded_of(self, user: User) -> bool:
        """Whether a user must have one."""
        return self is SecondFactor.ALL or (self is SecondFactor.ADMINS and user.admin)

    def is_missing(self, user: User) -> bool:
        """Whether a user must have one, and has none."""
        return not user.second_factor and self.is_demanded_of(user)


class AuthSection(Section):
    """Accounts and sign-in."""

    secret_key: str | None = Field(
        None,
        min_length=32,
        description="encrypts what is stored of second factors and signing keys; all processes of"
        " one instance need the same. Without it the first start writes one to HOME/secret.key",
    )
    url: Origin | None = Field(
        None,
        description="the address that people type, where a proxy stands in front: of links and"
        " cookies",
    )
    proxies: Annotated[tuple[Network, ...], Listed] = Field(
        (), description="proxies whose X-Forwarded-For is believed: addresses or networks"
    )
    public: bool = Field(
        False, description="whether what is shared with `public` is read without signing in"
    )
    public_rate: float = Field(
        10.0, gt=0, le=100_000, description="such reads a second of one address"
    )
    session_idle: Duration = Field(7 * DAY, description="a session that is not used ends")
    session_longest: Duration = Field(30 * DAY, description="every session ends, used or not")
    emqx_secret: str | None = Field(
        None,
        min_length=16,
        description="what EMQX sends as `Authorization: Bearer` when it asks about its clients;"
        " without it nothing is answered",
    )
    emqx_api: Origin | None = Field(
        None,
        description="EMQX's REST interface, such as http://emqx:18083: connections of who may no"
        " more are ended there",
    )
    emqx_api_key: str | None = Field(None, description="an API key of EMQX")
    emqx_api_secret: str | None = Field(None, description="its secret")
    second_factor: SecondFactor = Field(
        SecondFactor.OPTIONAL,
        description="`optional`, or demanded of `admins`, or of `all`: users who have none sign in"
        " only to add one",
    )
    link_for: Duration = Field(DAY, description="how long a link that sets a password works")
    invitation_for: Duration = Field(7 * DAY, description="how long an invitation works")
    audit_for: Duration = Field(365 * DAY, description="how long the audit log is kept")
