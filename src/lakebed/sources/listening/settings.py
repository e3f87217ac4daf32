"""What the sections of all listeners have."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from lakebed.section import Address, Listed, Network, Section
from lakebed.vocabulary.owners import check_known

LOCAL: tuple[str, ...] = ("127.0.0.0/8", "::1/128")


class ListenerSection(Section):
    """Ports for messages of senders that show no token, so settings say who may and whose it is."""

    listen: Address | None = Field(None, description="where it listens for TCP")
    tls_listen: Address | None = Field(None, description="a port that speaks TLS over TCP")
    udp_listen: Address | None = Field(None, description="where it listens for UDP")
    owner: Annotated[str, AfterValidator(check_known)] | None = Field(
        None, description="owner of what comes in; without one nothing listens"
    )
    networks: Annotated[tuple[Network, ...], Listed] = Field(
        LOCAL, description="addresses or networks that may send; of others nothing is taken"
    )
    tls_certificate: Path | None = Field(None, description="PEM chain for `tls_listen`")
    tls_key: Path | None = Field(None, description="PEM private key for `tls_listen`")
    tls_client_ca: Path | None = Field(
        None, description="PEM of authorities: a client needs a certificate of one of them"
    )
    max_connections: int = Field(1_000, ge=1, description="connections at one time")

    @property
    def listens(self) -> list[tuple[str, str]]:
        """The TCP addresses that are set, and the names of their settings."""
        named = ((self.listen, "listen"), (self.tls_listen, "tls_listen"))
        return [(address, name) for address, name in named if address is not None]

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if (self.listens or self.udp_listen) and self.owner is None:
            raise ValueError("name the `owner` of what comes in: senders show no token")
        if self.tls_listen is not None and self.tls_certificate is None:
            raise ValueError("`tls_listen` needs a `tls_certificate`")
        return self
