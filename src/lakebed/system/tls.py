"""TLS of listening ports."""

import ssl
from pathlib import Path

from lakebed.vocabulary.errors import Problem, SettingsError


def server_context(
    certificate: Path, key: Path | None, setting: str, clients: Path | None = None
) -> ssl.SSLContext:
    """TLS 1.2 or newer with the given PEM files.

    Args:
        setting: the one that names the certificate, for the error.
        clients: PEM of the authorities whose client certificates are accepted. A client may come
            without one; one that does not verify ends the handshake.

    Raises:
        SettingsError: a file is missing, unreadable, or not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(Problem(setting, f"{certificate} and {key}: {error}")) from error
    if clients is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        try:
            context.load_verify_locations(clients)
        except (OSError, ssl.SSLError) as error:
            where = f"{setting.rpartition('.')[0]}.tls_client_ca"
            raise SettingsError(Problem(where, f"{clients}: {error}")) from error
    return context
