"""The settings that are in force, as they may be shown: secrets are only said to be there."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lakebed.section import Duration, Size
from lakebed.vocabulary.sizes import format_size
from lakebed.vocabulary.times import format_duration

_SECRET = re.compile(r"(secret|token|password|key|credential)s?$|secret_key")
HIDDEN = "…"
_DURATION, _SIZE = Duration.__metadata__[0], Size.__metadata__[0]  # type: ignore[attr-defined]


def shown(settings: BaseModel) -> Iterator[tuple[str, str]]:
    """Name and value of each setting, such as `http.listen` and `127.0.0.1:8080`."""
    yield from _walk(settings, "")


def _walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            inside = getattr(value, name)
            if isinstance(inside, int) and not isinstance(inside, bool):
                inside = _amount(inside, field)
            yield from _walk(inside, f"{path}.{name}" if path else name)
    elif isinstance(value, (list, tuple)) and value and isinstance(value[0], BaseModel):
        for number, one in enumerate(value):
            yield from _walk(one, f"{path}[{number}]")
    elif isinstance(value, dict) and value:
        for name, one in value.items():
            yield from _walk(one, f"{path}.{name}")
    else:
        yield path, _text(path.rpartition(".")[2], value)


def _amount(number: int, field: FieldInfo) -> object:
    """A duration or a size with its unit, as it would be written."""
    for rule in field.metadata:
        if rule == _DURATION:
            return format_duration(number)
        if rule == _SIZE:
            return format_size(number)
    return number


def _text(name: str, value: Any) -> str:
    if value is None or value in ("", (), [], {}):
        return ""
    if _SECRET.search(name):
        return HIDDEN
    if isinstance(value, bool):
        return str(value).lower()
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
