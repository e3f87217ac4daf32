"""Checks that stores which several processes need are on servers.

journal  sqlite:, memory:   one process     kafka://       any number
catalog  sqlite:            one process     postgresql://  any number
series   chdb:              one process     clickhouse://  any number
"""

from collections.abc import Collection, Iterator

from lakebed.runtime.roles import ROLES, opened
from lakebed.runtime.settings import Settings
from lakebed.stores.opening import is_embedded
from lakebed.vocabulary.errors import Problem, SettingsError

_SHARED = {"journal": "kafka://", "catalog": "postgresql://", "series": "clickhouse://"}


def embedded(settings: Settings, roles: Collection[str]) -> list[str]:
    """The embedded stores that a process with these roles opens."""
    return [store for store in opened(roles) if is_embedded(getattr(settings, store).url)]


def check(settings: Settings, roles: Collection[str]) -> None:
    """Check that no other process would need an embedded store of this one.

    Raises:
        SettingsError: a role that needs the store is not in this process.
    """
    problems = list(_problems(settings, roles))
    if problems:
        raise SettingsError(*problems)


def _problems(settings: Settings, roles: Collection[str]) -> Iterator[Problem]:
    for store in embedded(settings, roles):
        needing = [role for role in ROLES if store in opened([role])]
        if not set(needing) <= set(roles):
            url = getattr(settings, store).url
            yield Problem(
                f"{store}.url",
                f"{url.partition(':')[0]}: lives in one process, which must be every role that"
                f" needs it (--role {','.join(needing)}); for several processes use"
                f" {_SHARED[store]}",
            )
