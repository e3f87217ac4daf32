"""The section `[secrets]`."""

from pydantic import Field, field_validator

from lakebed.section import Section

SHORTEST = 32  # characters of a key


class SecretsSection(Section):
    """Secrets of owners: what relays and contacts need to be let in elsewhere."""

    key: str | None = Field(
        None,
        repr=False,
        description="encrypts secrets, at least 32 characters; further ones behind commas are"
        " read only. Also the variable `LAKEBED_SECRETS_KEY`. All processes of one instance need"
        " the same. Without it the first secret makes one in HOME/secrets.keys",
    )

    @field_validator("key")
    @classmethod
    def _check_key(cls, value: str | None) -> str | None:
        if value is not None:
            keys = [key.strip() for key in value.split(",")]
            if any(len(key) < SHORTEST for key in keys):
                raise ValueError(
                    f"each key has at least {SHORTEST} characters: make one with"
                    " `openssl rand -base64 32`"
                )
        return value
