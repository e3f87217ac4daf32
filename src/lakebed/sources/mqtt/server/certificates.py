"""The client certificate of a connection, which the TLS handshake has verified."""

import asyncio
import ssl
from dataclasses import dataclass

from lakebed.vocabulary.times import SECOND, Micros


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Attributes:
    name: its common name (RFC 5280, section 4.1.2.6).
    expires: when it ends; its connections end with it.
    """

    name: str
    expires: Micros


def certificate_of(transport: asyncio.BaseTransport) -> ClientCertificate | None:
    """The certificate that the client of a transport came with; None without one."""
    shown = transport.get_extra_info("peercert")
    if not shown:
        return None
    names = [value for part in shown["subject"] for key, value in part if key == "commonName"]
    if len(names) != 1:
        return None
    return ClientCertificate(names[0], int(ssl.cert_time_to_seconds(shown["notAfter"])) * SECOND)
