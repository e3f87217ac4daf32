"""The headers by which a bus knows who asks."""

from base64 import b64encode

from lakebed.sources.bus.settings import BusSource
from lakebed.sources.pulling import secret


def headers(source: BusSource) -> dict[str, str]:
    """
    Raises:
        Unavailable: the secret cannot be read; the text does not contain it.
    """
    if source.auth == "none":
        return {}
    text = secret.read(source.secret_file, source.secret_env)
    if source.auth == "bearer":
        return {"Authorization": f"Bearer {text}"}
    if source.auth == "basic":
        pair = b64encode(f"{source.user}:{text}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    return {source.header: text}
