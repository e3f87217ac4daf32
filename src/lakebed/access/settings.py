"""The section `[auth]`: how people, units and programs prove who they are."""

from pydantic import Field

from lakebed.section import Section


class AuthSection(Section):
    """Accounts and sign-in."""

    secret_key: str | None = Field(
        None,
        min_length=32,
        description="encrypts what is stored of second factors and signing keys; all processes of"
        " one instance need the same. Without it the first start writes one to HOME/secret.key",
    )
