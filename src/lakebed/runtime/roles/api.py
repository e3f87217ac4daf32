"""The role `api`: serves questions, policies and tokens. Any number may run behind a balancer.

people, programs ──HTTP──> series, catalog, journal
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from lakebed.ports.erasure import Erasure
from lakebed.runtime.admin_token import ensure_admin
from lakebed.runtime.contributions import Contribution
from lakebed.runtime.health_timeout import with_timeout
from lakebed.runtime.process import Process
from lakebed.runtime.roles.role import Role
from lakebed.runtime.settings import Settings
from lakebed.stores.opening import is_embedded, open_objects
from lakebed.system.disk import room_at
from lakebed.vocabulary.errors import Unsupported
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros

if TYPE_CHECKING:
    from lakebed.api.emqx.revocation import Revocation
    from lakebed.api.openid.provider import Provider
    from lakebed.api.services import Services
    from lakebed.backup.service import Backups
    from lakebed.keeper.journal_adoption import Plan
    from lakebed.keeper.preview import Bounds, Preview
    from lakebed.ports.catalog.journal import JournalLoss
    from lakebed.system.sealing import Sealer


_ROOM = 64 << 20  # bytes; what an embedded series wants before it writes


async def _open(process: Process, before: Contribution) -> Contribution:
    from lakebed.api.app import metrics_of, routes_of
    from lakebed.api.parked_health import ParkedHealth
    from lakebed.api.stored import weigh
    from lakebed.ingest.releasing import Releasing
    from lakebed.web import shell, streams

    settings = process.settings
    ensure_admin(process.accounts, settings.home, settings.api.admin_token, ours=process.alone)
    for owner in sorted({source.owner for source in settings.sources}):
        process.accounts.ensure_owner(owner)
    services = _services(process, before)
    releasing = Releasing(process.catalog, process.journal, process.intake)
    weighing = partial(
        weigh, process.intake.limits, process.series, process.catalog, process.catalog,
        process.accounts.shares,
    )  # fmt: skip
    parked = ParkedHealth(process.catalog, settings.limits.parked_for)
    live = streams.Pages()
    own = Contribution(
        routes=(partial(routes_of, services), partial(shell.install, live=live)),
        metrics=(*metrics_of(services), live.metrics),
        tasks={"release": releasing.run, "stored": weighing, "parked": parked.run},
        health={
            "parked": parked.health,
            "secrets": with_timeout("the catalog", process.secrets.health),
        },
    )
    revocation = services.revocation
    if revocation is None:
        return own
    return own + Contribution(
        health={"emqx": revocation.health},
        metrics=(revocation.metrics,),
        tasks={"emqx revocation": revocation.run},
    )


def _revocation(process: Process) -> "Revocation | None":
    from lakebed.api.emqx.revocation import Revocation, rest

    auth = process.settings.auth
    if auth.emqx_api is None:
        return None
    return Revocation(
        process.accounts,
        rest(auth.emqx_api, auth.emqx_api_key or "", auth.emqx_api_secret or ""),
    )


def _services(process: Process, before: Contribution) -> "Services":
    from lakebed.accounts.passwords import Passwords
    from lakebed.accounts.signing_in import SignIn
    from lakebed.api.services import Services
    from lakebed.backup.loss_report import Losses
    from lakebed.relays.opening import TargetOpener
    from lakebed.runtime.checks.examination import Examination

    passwords = Passwords()
    process.stack.callback(passwords.close)
    return Services(
        settings=process.settings,
        identification=process.identification,
        ready=process.ready,
        intake=before.intake,
        journal=process.journal,
        series=process.series,
        catalog=process.catalog,
        accounts=process.accounts,
        units=process.units,
        revocation=_revocation(process),
        sealer=partial(_sealer, process),
        audit=process.audit,
        secrets=process.secrets,
        targets=TargetOpener(process.secrets, process.egress, process.relay_objects),
        sign_in=SignIn(
            process.accounts, passwords, process.settings.auth, partial(_sealer, process)
        ),
        feed=process.feed,
        resending=process.intake,
        losses=Losses(process.catalog),
        examine=Examination(process.settings).findings,
        cluster=process.cluster,
        preview=partial(_preview, process),
        held_since=partial(_held_since, process),
        erase=_eraser(process, before),
        adopt=partial(_adopt, process),
        policies_changed=partial(_notify, before.policies_changed),
        sent=process.outgoing.add,
        backups=_backups(process, before),
        openid=_openid(process),
    )


def _notify(listeners: Iterable[Callable[[], None]]) -> None:
    """Call the listeners of this process; keepers of others poll the catalog twice a second."""
    for listener in listeners:
        listener()


def _adopt(process: Process, seen: "Plan") -> "list[JournalLoss]":
    from lakebed.keeper.journal_adoption import adopt

    return adopt(process.journal, process.catalog, process.settings, seen)


def _preview(process: Process, policy: Policy, bounds: "Bounds") -> "Preview":
    from lakebed.keeper.preview import preview

    horizon, future = process.settings.journal.id_horizon, process.settings.limits.future
    return preview(policy, process.journal, future, bounds, horizon=horizon)


def _held_since(process: Process) -> Micros | None:
    from lakebed.keeper.preview import held_since

    return held_since(process.journal)


def _eraser(process: Process, before: Contribution) -> Callable[[Erasure], int]:
    """Return a function that carries out a request to delete, until the process stops."""
    from lakebed.keeper.erasure_requests import request_erasure

    stopping, wake = threading.Event(), partial(_notify, before.erasure_asked)
    process.stack.callback(stopping.set)

    def delete(wanted: Erasure) -> int:
        offsets, last = request_erasure(
            process.catalog,
            process.journal,
            wanted,
            wake=wake,
            stopping=stopping.is_set,
            obstacle=partial(_without_room, process.settings),
        )
        return last + process.series.erase(wanted, offsets)

    return delete


def _without_room(settings: Settings) -> str:
    """Why an embedded series cannot delete: it rewrites parts, which needs room; else empty."""
    if not is_embedded(settings.series.url):
        return ""
    free = room_at(settings.home).bytes
    if free >= _ROOM:
        return ""
    return (
        f"{free >> 20} MiB are free on the disk of {settings.home.absolute()}, and deleting needs"
        f" {_ROOM >> 20} MiB to rewrite what stays: free some space there first"
    )


def _sealer(process: Process) -> "Sealer":
    """The sealer of the instance; its key lies in the home of a process that is alone.

    Raises:
        Unsupported: several processes share the catalog, and the settings have no key.
    """
    from lakebed.system.sealing import sealer_of

    settings = process.settings
    if settings.auth.secret_key is None and not process.alone:
        raise Unsupported(
            "several processes need one key to encrypt this with: set auth.secret_key to the same"
            " in all of them"
        )
    return sealer_of(settings.home, settings.auth.secret_key)


def _openid(process: Process) -> "Provider | None":
    from lakebed.api.openid.settings import issuer_at

    section, issuer = process.settings.oidc, issuer_at(process.settings.auth.url)
    if issuer is None:
        return None
    from lakebed.api.openid.keys import SigningKeys
    from lakebed.api.openid.provider import Provider

    keys = SigningKeys(process.accounts, partial(_sealer, process), section.key_lifetime)
    return Provider(process.accounts, keys, section, issuer)


# --- backups --------------------------------------------------------------------------------------


def _backups(process: Process, before: Contribution) -> "Backups | None":
    """Backups need the keeper in this process, to quiesce it, and no other process that writes."""
    from lakebed.backup import lineage, taking
    from lakebed.backup.service import Backups

    if not before.quiesce or not process.alone:
        return None
    home = process.settings.home
    backed_up = taking.Stores(
        process.catalog,
        process.journal,
        process.series,
        lineage.of_home(home),
        home,
        partial(_quiesced, before.quiesce),
    )
    making = partial(open_objects, make=True)
    backups = Backups(backed_up, making, open_objects, process.catalog)
    process.stack.push_async_callback(asyncio.to_thread, backups.close)
    return backups


@contextmanager
def _quiesced(writers: Iterable[Callable[[], AbstractContextManager[None]]]) -> Iterator[None]:
    """Quiesce all writers: inside, they write nothing, and all that they have read is written."""
    with ExitStack() as stack:
        for writer in writers:
            stack.enter_context(writer())
        yield


ROLE = Role(frozenset({"catalog", "series", "journal"}), _open, intake=True)
