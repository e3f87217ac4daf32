"""The roles of a process. To add one, write its file and a line in `ROLES`.

    gateway   MQTT, brokers, HTTP ingest ──> journal
    keeper    journal ──> policies ──> series, catalog
    api       questions, policies, tokens <──> all stores

A process has one role or several; `lakebed up` has all. Every process serves health and metrics by
HTTP.
"""

from collections.abc import Collection, Iterable

from lakebed.runtime.roles import api, gateway, keeper
from lakebed.runtime.roles.role import Role
from lakebed.vocabulary.errors import Problem, SettingsError

ROLES: dict[str, Role] = {
    "keeper": keeper.ROLE,
    "gateway": gateway.ROLE,
    "api": api.ROLE,
}
"""In the order in which they are opened: the API uses what keeper and gateway contribute."""


def opened(roles: Collection[str]) -> list[str]:
    """The stores that these roles need, in the order in which they are opened."""
    needed = {store for role in roles for store in ROLES[role].stores}
    return [store for store in ("catalog", "series", "journal") if store in needed]


def parse(given: Iterable[str]) -> frozenset[str]:
    """Parse the roles of a command's arguments, each of which may have several with commas.

    Raises:
        SettingsError: a role is unknown, or none is named.
    """
    names = {name.strip() for text in given for name in text.split(",")}
    unknown = sorted(names - ROLES.keys())
    if unknown or not names:
        what = f"no role {unknown[0]!r}" if unknown else "name a role"
        raise SettingsError(Problem("--role", f"{what}: there are {', '.join(sorted(ROLES))}"))
    return frozenset(names)
