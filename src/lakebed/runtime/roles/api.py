"""The API: questions, policies, tokens. Any number of them, behind a balancer.

people, programs ──HTTP──> series, catalog, journal
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from lakebed.ports import Erasure
from lakebed.runtime.contributions import Parts
from lakebed.runtime.home import ensure_admin
from lakebed.runtime.roles.role import Role
from lakebed.stores.opening import open_objects
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.policy import Policy

if TYPE_CHECKING:
    from lakebed.api.services import Common, Services
    from lakebed.backup.service import Backups
    from lakebed.keeper.keeper import Keeper


async def _open(parts: Parts) -> None:
    settings = parts.settings
    ensure_admin(parts.tokens, settings.home, settings.api.admin_token, ours=parts.alone)
    await parts.open_intake()  # dead letters are sent again from here
    parts.serve = partial(_services, parts, _backups(parts))


def _services(parts: Parts, backups: "Backups | None", common: "Common") -> "Services":
    from lakebed.api.services import Services

    keeper = parts.keeper
    assert parts.series is not None
    assert parts.intake is not None
    return Services(
        settings=common.settings,
        identification=common.identification,
        ready=common.ready,
        intake=common.intake,
        metrics=common.metrics,
        journal=parts.journal,
        series=parts.series,
        catalog=parts.catalog,
        tokens=parts.tokens,
        feed=parts.feed,
        resending=parts.intake,
        preview=partial(_preview, parts),
        erase=_eraser(parts),
        policies_changed=_nothing if keeper is None else keeper.policies_changed,
        backups=backups,
    )


def _nothing() -> None:
    """The keepers of other processes look at the catalog twice a second."""


def _preview(parts: Parts, policy: Policy) -> dict[str, Any]:
    from lakebed.keeper.preview import preview

    horizon = parts.settings.journal.id_horizon
    found = preview(policy, parts.journal, parts.settings.limits.future, horizon=horizon)
    return found.to_dict()


def _eraser(parts: Parts) -> Callable[[Erasure], int]:
    """Deletes by request; one that waits for keepers gives up when the process stops."""
    from lakebed.keeper.erasing import ask

    series, stopping = parts.series, threading.Event()
    wake = _nothing if parts.keeper is None else parts.keeper.erasure_asked
    assert series is not None
    parts.stack.callback(stopping.set)

    def delete(wanted: Erasure) -> int:
        places, last = ask(
            parts.catalog, parts.journal, wanted, wake=wake, stopping=stopping.is_set
        )
        return last + series.erase(wanted, places)

    return delete


# --- backups --------------------------------------------------------------------------------------


def _backups(parts: Parts) -> "Backups | None":
    """Only beside a keeper, which stands still for it, and alone: else others write meanwhile."""
    from lakebed.backup import lineage, taking
    from lakebed.backup.service import Backups

    if parts.keeper is None or not parts.alone or parts.series is None:
        return None
    home = parts.settings.home
    backed_up = taking.Stores(
        parts.catalog,
        parts.journal,
        parts.series,
        lineage.of_home(home),
        home,
        _quiesced(parts, parts.keeper),
    )
    backups = Backups(backed_up, partial(open_objects, make=True))
    parts.stack.push_async_callback(asyncio.to_thread, backups.close)
    return backups


def _quiesced(parts: Parts, keeper: "Keeper") -> Callable[[], Any]:
    @contextmanager
    def quiesce() -> Iterator[None]:
        """Nothing is written inside, and everything is there."""
        if parts.rebuilding is not None and not parts.rebuilding.done:
            raise StoreUnavailable("the series is being rebuilt: try again when that is done")
        with keeper.quiesce():
            yield

    return quiesce


ROLE = Role(frozenset({"catalog", "series", "journal"}), _open)
