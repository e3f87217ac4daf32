"""The section `[oidc]`, and the issuer."""

import ipaddress
from urllib.parse import urlsplit

from pydantic import Field

from lakebed.section import Duration, Section
from lakebed.vocabulary.times import DAY, MINUTE


class OidcSection(Section):
    """The OpenID provider; there is one where `auth.url` is set."""

    code_lifetime: Duration = Field(MINUTE, description="how long a code can be exchanged")
    token_lifetime: Duration = Field(10 * MINUTE, description="how long an access token works")
    key_lifetime: Duration = Field(90 * DAY, description="after this time another key signs")


def issuer_at(url: str | None) -> str | None:
    """The issuer of an instance at an address; None where it must not have a provider.

    What it signs and gives away is as good as a password: that goes over TLS, but on this machine.
    """
    if url is None:
        return None
    parts = urlsplit(url)
    local = parts.scheme == "http" and is_loopback(parts.hostname or "")
    return f"{url}/oidc" if parts.scheme == "https" or local else None


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
