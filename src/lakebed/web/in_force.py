"""The settings that are in force, as they may be shown: secrets are only said to be there."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel

_SECRET = re.compile(r"secret|token|password|(?<!public_)key$|credential")
HIDDEN = "…"


def shown(settings: BaseModel) -> Iterator[tuple[str, str]]:
    """Name and value of each setting, such as `http.listen` and `127.0.0.1:8080`."""
    yield from _walk(settings, "")


def _walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _walk(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, (list, tuple)) and value and isinstance(value[0], BaseModel):
        for number, one in enumerate(value):
            yield from _walk(one, f"{path}[{number}]")
    elif isinstance(value, dict) and value:
        for name, one in value.items():
            yield from _walk(one, f"{path}.{name}")
    else:
        yield path, _text(path.rpartition(".")[2], value)


def _text(name: str, value: Any) -> str:
    if value is None or value in ("", (), [], {}):
        return ""
    if _SECRET.search(name):
        return HIDDEN
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(name, one) for one in value)
    return _without_credentials(str(value))


def _without_credentials(text: str) -> str:
    """An address without the user, the password and the parameters in it."""
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return HIDDEN
    host = parts.netloc.rpartition("@")[2]
    if host != parts.netloc:
        host = f"{HIDDEN}@{host}"
    query = HIDDEN if parts.query else ""
    return urlunsplit((parts.scheme, host, parts.path, query, ""))
