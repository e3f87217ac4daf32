"""Reads the settings: `lakebed.toml`, overridden by LAKEBED__SECTION__KEY, overridden by flags.

Unknown keys are errors. Relative paths are relative to the home. A section is defined beside its
feature; to add one, write its `settings.py` and a line in `Settings`.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from lakebed.access.settings import AuthSection
from lakebed.api.openid.settings import OidcSection
from lakebed.api.settings import ApiSection
from lakebed.backup.settings import BackupSection
from lakebed.ingest.settings import IngestSection, LimitsSection
from lakebed.keeper.settings import DeadLettersSection, KeeperSection, UnitsSection
from lakebed.metering.settings import LedgerSection
from lakebed.relays.settings import RelaysSection
from lakebed.secrets.settings import SecretsSection
from lakebed.section import WRITTEN, Section
from lakebed.sources.bus import variables as bus_variables
from lakebed.sources.gelf.settings import GelfSection
from lakebed.sources.http.settings import HttpSection
from lakebed.sources.mqtt.settings import MqttSection, MqttSource
from lakebed.sources.settings import KINDS, Source
from lakebed.sources.syslog.settings import SyslogSection
from lakebed.stores.catalog.settings import CatalogSection
from lakebed.stores.journal.settings import JournalSection
from lakebed.stores.series.settings import SeriesSection
from lakebed.system.settings import LogSection
from lakebed.telemetry.settings import TelemetrySection
from lakebed.vocabulary.errors import Problem, SettingsError

_ENV = "LAKEBED__"
_SECRETS_KEY = "LAKEBED_SECRETS_KEY"  # short for LAKEBED__SECRETS__KEY, which goes before it
S = TypeVar("S", bound=Section)


class Settings(Section):
    home: Path = Field(Path("lakebed-data"), description="where the embedded stores live")
    http: HttpSection = HttpSection()
    api: ApiSection = ApiSection()
    auth: AuthSection = AuthSection()
    oidc: OidcSection = OidcSection()
    mqtt: MqttSection = MqttSection()
    syslog: SyslogSection = SyslogSection()
    gelf: GelfSection = GelfSection()
    journal: JournalSection = JournalSection()
    series: SeriesSection = SeriesSection()
    catalog: CatalogSection = CatalogSection()
    limits: LimitsSection = LimitsSection()
    ingest: IngestSection = IngestSection()
    keeper: KeeperSection = KeeperSection()
    dead_letters: DeadLettersSection = DeadLettersSection()
    units: UnitsSection = UnitsSection()
    ledger: LedgerSection = LedgerSection()
    relays: RelaysSection = RelaysSection()
    secrets: SecretsSection = SecretsSection()
    backup: BackupSection = BackupSection()
    log: LogSection = LogSection()
    telemetry: TelemetrySection = TelemetrySection()
    sources: tuple[Source, ...] = ()

    @property
    def brokers(self) -> tuple[MqttSource, ...]:
        """The sources that are brokers of MQTT."""
        return tuple(one for one in self.sources if isinstance(one, MqttSource))


def load(
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the file, override it by the environment and the flags, and validate the result.

    Args:
        file: a TOML file; None for `HOME/lakebed.toml`, which may be missing.
        environment: variables; only those that begin with LAKEBED__ are used, and those of an
            aggregator (`sources/bus/variables.py`).
        flags: nested mapping such as {"http": {"listen": "0.0.0.0:80"}}; None values are ignored.

    Raises:
        SettingsError: names the file or variable, the key, and what is allowed.
    """
    given = _merge(_from_environment(environment), _without_none(flags or {}))
    path = file or _home(given) / "lakebed.toml"
    base = _read(path) if file is not None or path.is_file() else {}
    try:
        tree = _with_bus(_merge(base, given), environment)
        return _anchored(Settings.model_validate(tree, context=WRITTEN))
    except ValidationError as error:
        raise SettingsError(*(_problem(path, e) for e in error.errors())) from None


def load_log(
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] | None = None,
) -> LogSection:
    """The section `[log]` alone, for telling a mistake elsewhere; the defaults if it is wrong."""
    try:
        given = _merge(_from_environment(environment), _without_none(flags or {}))
        path = file or _home(given) / "lakebed.toml"
        base = _read(path) if path.is_file() else {}
        return LogSection.model_validate(_merge(base, given).get("log", {}), context=WRITTEN)
    except (SettingsError, ValidationError):
        return LogSection()


def _with_bus(tree: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings with the bus that VABUS_URL names, unless the file has one of its name."""
    asked = bus_variables.read(environment)
    sources = tree.get("sources", [])
    if asked is None or not isinstance(sources, list):
        return tree
    names = [one.get("name") for one in sources if isinstance(one, dict)]
    more = [] if bus_variables.NAME in names else [asked.source]
    allowed = tree.get("relays", {}).get("allow_private", [])
    if isinstance(allowed, str):
        allowed = [one.strip() for one in allowed.split(",") if one.strip()]
    relays = {**tree.get("relays", {}), "allow_private": [*allowed, *asked.networks]}
    return {**tree, "sources": [*sources, *more], "relays": relays}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(Problem(str(path), f"cannot be read: {error}")) from None


def _anchored(settings: Settings) -> Settings:
    """Resolve relative paths in the settings against the home."""
    home = settings.home
    return settings.model_copy(
        update={
            "http": _under(home, settings.http),
            "mqtt": _under(home, settings.mqtt),
            "syslog": _under(home, settings.syslog),
            "gelf": _under(home, settings.gelf),
            "sources": tuple(_under(home, source) for source in settings.sources),
        }
    )


def _under(home: Path, section: S) -> S:
    files = {name: home / value for name, value in section if isinstance(value, Path)}
    return section.model_copy(update=files)


def _home(given: Mapping[str, Any]) -> Path:
    home = given.get("home")
    # a wrong type is reported when the settings are validated
    return Path(home) if isinstance(home, (str, Path)) else Path("lakebed-data")


def _problem(path: Path, error: Any) -> Problem:
    steps = error["loc"]
    if steps[0] == "sources" and len(steps) > 2 and steps[2] in KINDS:
        steps = (*steps[:2], *steps[3:])  # pydantic names the kind, which nobody wrote there
    where = ".".join(map(str, steps))
    what = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        what = "there is no such setting"
    variable = _ENV + "__".join(map(str, steps)).upper()
    return Problem(where, f"{what} (from {path}, {variable} or a flag)")


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    if _SECRETS_KEY in environment:
        tree["secrets"] = {"key": environment[_SECRETS_KEY]}
    # sorted, so that a section comes before its keys
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
