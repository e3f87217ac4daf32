"""Settings, typed and read once: `lakebed.toml` < environment LAKEBED__SECTION__KEY < flags.

Unknown keys are errors. Paths may be relative: they count from the home directory.
"""

import os
import re
import socket
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)

from lakebed.vocabulary.errors import Problem, SettingsError
from lakebed.vocabulary.times import Micros, parse_duration

_SIZES = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(|B|KiB|MiB|GiB|TiB)\Z", re.ASCII)
_ENV = "LAKEBED__"
_WRITTEN = {"written": True}
"""Context of a validation of what people wrote, where a duration needs its unit; in code a
duration is a number of microseconds."""


def parse_size(value: object) -> int:
    """`64KiB`, `10 GiB`, or whole bytes.

    Raises:
        ValueError: neither, or beyond int64.
    """
    match = _SIZE.match(str(value).strip())
    if match is None or isinstance(value, bool):
        raise ValueError(f"{value!r} is not a size such as 64KiB, 10MiB or 2GiB")
    size = int(Decimal(match[1]) * _SIZES[match[2]])
    if size >= 2**63:
        raise ValueError(f"{value!r} is not a size that 64 bits can count")
    return size


def _duration(value: object, info: ValidationInfo) -> object:
    written = isinstance(value, str) or info.context == _WRITTEN
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


def _hosted(value: str) -> str:
    """Many gateways share one file, but a broker throws out the elder of two that have one name."""
    return value.replace("{host}", socket.gethostname())


Duration = Annotated[Micros, BeforeValidator(_duration), Field(ge=0)]
Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0)]
Address = Annotated[str, BeforeValidator(_address)]
Zone = Annotated[str, AfterValidator(_zone)]


def split_address(address: str) -> tuple[str, int]:
    """`[::1]:8080` -> ("::1", 8080)."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=Section)


class Http(Section):
    listen: Address = Field("127.0.0.1:8080", description="where the HTTP API listens")
    max_body: Size = Field(64 * 2**20, description="largest request body")
    tls_certificate: Path | None = Field(None, description="PEM chain; with it the port speaks TLS")
    tls_key: Path | None = Field(None, description="PEM private key of that chain")


class Api(Section):
    admin_token: str | None = Field(
        None,
        min_length=32,
        description="what the admin's token shall be; without it the first start makes one",
    )


class Mqtt(Section):
    listen: Address = Field("127.0.0.1:1883", description="where the MQTT endpoint listens")
    tls_listen: Address | None = Field(None, description="a second port that speaks TLS")
    tls_certificate: Path | None = Field(None, description="PEM chain for `tls_listen`")
    tls_key: Path | None = Field(None, description="PEM private key for `tls_listen`")
    receive_maximum: int = Field(
        65535, ge=1, le=65535, description="QoS 1 and 2 messages one client may have unacknowledged"
    )
    topic_alias_maximum: int = Field(1024, ge=0, le=65535, description="topic aliases per client")
    session_expiry: Duration = Field(
        parse_duration("1d"), description="longest time a session outlives its connection"
    )
    connect_timeout: Duration = Field(
        parse_duration("10s"), description="time in which a new connection must send CONNECT"
    )
    max_connections: int = Field(20_000, ge=1, description="connections at one time")


class Journal(Section):
    url: str = Field(
        "sqlite:journal.db", description="`sqlite:PATH`, `kafka://HOST:PORT/TOPIC` or `memory:`"
    )
    limit: Size = Field(10 * 2**30, description="bytes on disk at which sources are held back")
    span: Duration = Field(parse_duration("1h"), description="messages stay at least this long")
    id_horizon: Duration = Field(parse_duration("1d"), description="how long an `id` is remembered")
    commit_delay: Duration = Field(
        0,
        ge=0,
        le=parse_duration("5s"),
        description="how long a message waits for others that share its commit",
    )


class Series(Section):
    url: str = Field(
        "chdb:series", description="`chdb:PATH`, `clickhouse://…` or `clickhouses://…` (TLS)"
    )
    cluster: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.-]+$|^\{[A-Za-z0-9_]+\}$",
        description="name of the ClickHouse cluster that holds the tables, or a macro `{NAME}`",
    )
    timeout: Duration = Field(
        parse_duration("1m"),
        ge=parse_duration("15s"),
        description="how long a server may be silent before a call has failed and is made again",
    )


class Catalog(Section):
    url: str = Field("sqlite:catalog.db", description="`sqlite:PATH` or `postgresql://…`")


class Limits(Section):
    payload: Size = Field(256 * 2**10, description="largest payload of one message")
    future: Duration = Field(
        parse_duration("1d"), description="how far ahead of its arrival an event time may lie"
    )
    disk_free: Size = Field(
        256 * 2**20, description="free bytes on the home's disk below which sources are held back"
    )


class Keeper(Section):
    read: int = Field(50_000, ge=1, description="messages read from the journal at a time")
    buffer_rows: int = Field(500_000, ge=1, description="rows one policy may hold before a write")
    buffer_bytes: Size = Field(64 * 2**20, description="bytes one policy may hold before a write")
    checkpoint: Duration = Field(
        parse_duration("1s"), description="shortest distance between two checkpoints"
    )
    timezone: Zone = Field("UTC", description="zone of days for policies that name none")


class DeadLetters(Section):
    count: int = Field(10_000, ge=1, description="dead letters kept of one owner, the newest")
    age: Duration = Field(parse_duration("30d"), description="how long one is kept")


class MqttSource(Section):
    """Join a broker and take its messages in. One entry of `[[sources]]`."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="name in logs and metrics")
    url: str = Field(description="`mqtt://[user:password@]host[:1883]` or `mqtts://…`")
    topics: list[str] = Field(
        min_length=1, description="subscriptions; `$share/GROUP/FILTER` spreads over gateways"
    )
    owner: str = Field("admin", description="owner of what comes in")
    client_id: Annotated[str, AfterValidator(_hosted)] | None = Field(
        None,
        description="default `lakebed-NAME`; keep it stable; `{host}` is the machine's name",
    )
    qos: Literal[0, 1, 2] = Field(1, description="QoS of the subscriptions")
    version: Literal["3.1.1", "5"] = Field("5", description="protocol version")
    session_expiry: Duration = Field(
        parse_duration("1d"), description="how long the broker keeps the session (MQTT 5)"
    )
    receive_maximum: int = Field(65535, ge=1, le=65535, description="asked of the broker (MQTT 5)")
    keep_alive: int = Field(30, ge=1, le=65535, description="seconds between pings")
    ca_file: Path | None = Field(None, description="PEM of the authority, for `mqtts://`")


class Backup(Section):
    to: str | None = Field(
        None, description="folder or `s3://BUCKET/PREFIX` from which a lost series is rebuilt"
    )


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least that is logged"
    )
    format: Literal["console", "json"] = Field(
        "console", description="`console` for people, `json` for machines"
    )


class Settings(Section):
    home: Path = Field(Path("lakebed-data"), description="where the embedded stores live")
    http: Http = Http()
    api: Api = Api()
    mqtt: Mqtt = Mqtt()
    journal: Journal = Journal()
    series: Series = Series()
    catalog: Catalog = Catalog()
    limits: Limits = Limits()
    keeper: Keeper = Keeper()
    dead_letters: DeadLetters = DeadLetters()
    backup: Backup = Backup()
    log: Log = Log()
    sources: tuple[MqttSource, ...] = ()


def load(
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the file, lay the environment over it, then the flags, and check the whole.

    Args:
        file: a TOML file; None for `HOME/lakebed.toml`, which may be missing.
        environment: variables; those that begin with LAKEBED__ count.
        flags: nested mapping such as {"http": {"listen": "0.0.0.0:80"}}; None values are left out.

    Raises:
        SettingsError: names the file or variable, the key, and what is allowed.
    """
    given = _merge(_from_environment(environment), _without_none(flags or {}))
    path = file or _home(given) / "lakebed.toml"
    base: dict[str, Any] = {}
    if file is not None or path.is_file():
        try:
            base = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(Problem(str(path), f"cannot be read: {error}")) from None
    try:
        return _anchored(Settings.model_validate(_merge(base, given), context=_WRITTEN))
    except ValidationError as error:
        raise SettingsError(*(_problem(path, e) for e in error.errors())) from None


def _anchored(settings: Settings) -> Settings:
    """Files named by a relative path lie in the home."""
    home = settings.home
    return settings.model_copy(
        update={
            "http": _under(home, settings.http),
            "mqtt": _under(home, settings.mqtt),
            "sources": tuple(_under(home, source) for source in settings.sources),
        }
    )


def _under(home: Path, section: S) -> S:
    files = {name: home / value for name, value in section if isinstance(value, Path)}
    return section.model_copy(update=files)


def _home(given: Mapping[str, Any]) -> Path:
    home = given.get("home")
    # Anything else is refused with the other settings.
    return Path(home) if isinstance(home, (str, Path)) else Path("lakebed-data")


def _problem(path: Path, error: Any) -> Problem:
    where = ".".join(map(str, error["loc"]))
    what = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        what = "there is no such setting"
    variable = _ENV + "__".join(map(str, error["loc"])).upper()
    return Problem(where, f"{what} (from {path}, {variable} or a flag)")


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    # In order, so that a section comes before its keys.
    for name in sorted(name for name in environment if name.startswith(_ENV)):
        *sections, key = name.removeprefix(_ENV).lower().split("__")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
            if not isinstance(node, dict):
                raise SettingsError(Problem(name, f"{section} has a value of its own already"))
        node[key] = environment[name]
    return tree


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged


def _without_none(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in tree.items()
        if value is not None
    }
