"""The secret by which a bus is asked: out of a file or the environment, and nowhere else."""

import os
from base64 import b64encode

from lakebed.sources.bus.settings import BusSource
from lakebed.vocabulary.errors import Unavailable

_LONGEST = 64 * 1024  # bytes


class Secret:
    """Read anew for each request, so that one that is renewed in its file counts at once."""

    def __init__(self, source: BusSource) -> None:
        self._source = source

    def headers(self) -> dict[str, str]:
        """
        Raises:
            Unavailable: it cannot be read; the text does not contain it.
        """
        source = self._source
        if source.auth == "none":
            return {}
        secret = self._read()
        if source.auth == "bearer":
            return {"Authorization": f"Bearer {secret}"}
        if source.auth == "basic":
            pair = b64encode(f"{source.user}:{secret}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {source.header: secret}

    def _read(self) -> str:
        source = self._source
        if source.secret_env is not None:
            text = os.environ.get(source.secret_env, "")
            where = f"the variable {source.secret_env}"
        else:
            assert source.secret_file is not None
            where = str(source.secret_file)
            try:
                with source.secret_file.open(encoding="utf-8") as file:
                    text = file.read(_LONGEST)
            except (OSError, UnicodeDecodeError) as error:
                what = getattr(error, "strerror", None) or "it is no text"
                raise Unavailable(f"its secret cannot be read: {where}: {what}") from None
        text = text.strip()
        if not text or not text.isprintable() or not text.isascii():
            raise Unavailable(f"its secret cannot be used: {where} is empty, or no line of ASCII")
        return text
