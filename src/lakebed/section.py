"""The base and the types of sections of the settings.

Each feature has its section in a `settings.py` beside it, light to import; `runtime/settings.py`
puts them together and reads them. A part that needs several sections says so by a `Protocol`,
which the whole of the settings satisfies.
"""

import re
from ipaddress import ip_network
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from lakebed.vocabulary.sizes import parse_size
from lakebed.vocabulary.times import Micros, parse_duration
from lakebed.vocabulary.unit_topics import parse_unit_pattern

WRITTEN = {"written": True}
"""Context of a validation of what people wrote, where a duration needs its unit; in code a
duration is a number of microseconds."""


def _duration(value: object, info: ValidationInfo) -> object:
    written = isinstance(value, str) or info.context == WRITTEN
    return parse_duration(value) if written else value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # unknown; no name at all; the name of a folder
        raise ValueError(
            f"{value!r} is no time zone: write an IANA name such as Europe/Berlin"
        ) from None
    return value


def _address(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]*):[0-9]{1,5}", value):
        raise ValueError("write HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080")
    if int(value.rpartition(":")[2]) > 65535:
        raise ValueError("a port is at most 65535")
    return value


def _network(value: str) -> str:
    ip_network(value, strict=False)
    return value


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _listed(value: object) -> object:
    return tuple(re.findall(r"[^,\s]+", value)) if isinstance(value, str) else value


def _unit_patterns(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        parse_unit_pattern(text)
    return value


Duration = Annotated[Micros, BeforeValidator(_duration), Field(ge=0)]
Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0)]
Address = Annotated[str, BeforeValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Listed = BeforeValidator(_listed)
"""Of a list of words: the environment, which has no lists, has them with commas between."""
Zone = Annotated[str, AfterValidator(_zone)]
UnitPatterns = Annotated[tuple[str, ...], BeforeValidator(_several), AfterValidator(_unit_patterns)]
"""Patterns of topics with a `{unit}`: one, or a list."""


def split_address(address: str) -> tuple[str, int]:
    """`[::1]:8080` -> ("::1", 8080)."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


class Section(BaseModel):
    """Unknown keys are errors; nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
