"""Routes of relays: what passes on messages, and what policies gave, to other systems.

Whoever writes a relay must be allowed to read all topics that it passes on.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from lakebed.access.actions import Action
from lakebed.api import sections, stock
from lakebed.api.callers import Caller, InOwner
from lakebed.api.preconditions import ANYTHING, Expected, ExpectedDep, etag
from lakebed.api.requests import Body, ServicesDep, document_in, fault_of_owner, moment
from lakebed.api.services import Services
from lakebed.documents.sections import Entry
from lakebed.outbox.outgoing import given_by
from lakebed.ports.catalog.backfills import Backfill
from lakebed.ports.catalog.outbox import Follower
from lakebed.ports.catalog.policies import StoredPolicy
from lakebed.ports.catalog.relays import StoredRelay
from lakebed.ports.metrics import Sample
from lakebed.relays import documents
from lakebed.relays.metrics import RelayMetrics
from lakebed.relays.status import oldest_of, status_of, told_of
from lakebed.secrets.references import names_in
from lakebed.vocabulary.errors import (
    BadRequest,
    Conflict,
    Denied,
    Invalid,
    NotFound,
    Problem,
    Unavailable,
)
from lakebed.vocabulary.times import now, to_rfc3339

router = APIRouter(prefix="/api/v1/relays", tags=["relays"])

Reader = Annotated[Caller, InOwner(Action.RELAYS_READ)]
Writer = Annotated[Caller, InOwner(Action.RELAYS_WRITE)]
Name = Annotated[str, Path(description="of the relay")]

_DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One relay.",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "name": "alarms",
                    "from": {"topics": ["alarms/#"]},
                    "to": {"http": "https://example.com/hook"},
                },
            }
        },
    }
}


class Rewind(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: str | int | float


class From(BaseModel):
    model_config = ConfigDict(extra="forbid")

    from_: str | int | float = Field(alias="from")


@router.get("")
def list_relays(
    services: ServicesDep,
    caller: Reader,
    status: Annotated[bool, Query(description="with the status of each")] = False,
) -> dict[str, Any]:
    """List the relays of an owner by name, in the format that `lakebed apply` accepts."""
    found = seen(services, caller)
    return {"relays": [_document(services, relay, status) for relay in found]}


@router.post("", status_code=201, openapi_extra=_DOCUMENT)
def create_relay(
    services: ServicesDep,
    caller: Writer,
    body: Body,
    response: Response,
    expected: ExpectedDep = ANYTHING,
) -> dict[str, Any]:
    """Create a relay, which passes on what comes from now on; 409 if its name is taken."""
    with expected.creating():
        made, _ = write(services, caller, document_in(body), create=True)
    response.headers["Location"] = f"/api/v1/relays/{made.name}"
    return _show(services, made, response)


@router.post("/check", openapi_extra=_DOCUMENT)
def check_relays(services: ServicesDep, caller: Writer, body: Body) -> Response:
    """Check a relay, or a whole document of them (JSON or YAML), and change nothing."""

    def require(entry: Entry) -> None:
        caller.require(*_topics(services, documents.relay_of(entry.value, caller.owner)))

    return sections.check(body, documents.section(), require)


@router.get("/{name}")
def read_relay(
    services: ServicesDep, caller: Reader, name: Name, response: Response
) -> dict[str, Any]:
    """Show one relay as its document, with its `status`; its version is the ETag."""
    return _show(services, found(services, caller, name), response)


@router.put("/{name}", openapi_extra=_DOCUMENT, responses={201: {"description": "Made"}})
def put_relay(
    services: ServicesDep,
    caller: Writer,
    name: Name,
    body: Body,
    response: Response,
    expected: ExpectedDep,
) -> dict[str, Any]:
    """Create or replace a relay. One that reads the same goes on where it is."""
    document = sections.named(document_in(body), name)
    written, created = write(services, caller, document, expected=expected)
    if created:
        response.status_code = 201
    return _show(services, written, response)


@router.delete("/{name}", status_code=204)
def delete_relay(services: ServicesDep, caller: Writer, name: Name, expected: ExpectedDep) -> None:
    """Delete a relay. What it has not delivered yet is not passed on any more."""
    with services.accounts.transaction():
        relay = found(services, caller, name)
        services.catalog.delete_relay(caller.owner, name, _guard(services, caller, expected))
        services.catalog.unfollow(relay.id)


@router.post("/{name}/pause")
def pause_relay(
    services: ServicesDep, caller: Writer, name: Name, response: Response
) -> dict[str, Any]:
    """Deliver nothing until it is resumed; meanwhile the journal holds what is within `hold`."""
    check = _guard(services, caller)
    return _show(services, services.catalog.resume_relay(caller.owner, name, True, check), response)


@router.post("/{name}/resume")
def resume_relay(
    services: ServicesDep, caller: Writer, name: Name, response: Response
) -> dict[str, Any]:
    """Go on, also where it was paused because too much waited for it."""
    check = _guard(services, caller)
    after = services.catalog.resume_relay(caller.owner, name, False, check)
    return _show(services, after, response)


@router.post("/{name}/rewind")
def rewind_relay(
    services: ServicesDep, caller: Writer, name: Name, body: Rewind, response: Response
) -> dict[str, Any]:
    """Pass on again what came from a time on, as far as it is there: `reaches` says from when."""
    since = moment("to", str(body.to))
    assert since is not None
    with services.accounts.transaction():
        check = _guard(services, caller)
        before = found(services, caller, name)
        after = services.catalog.rewind_relay(caller.owner, name, since, check)
        _follow(services, after)  # first: what waits stays for it
        services.catalog.unfollow(before.id)
    oldest = oldest_of(services.journal) if "topics" in after.document["from"] else None
    reaches = None if oldest is None else to_rfc3339(max(oldest, since))
    return {**_show(services, after, response), "reaches": reaches}


@router.post("/{name}/backfill", status_code=202)
def backfill_relay(
    services: ServicesDep, caller: Writer, name: Name, body: From, response: Response
) -> dict[str, Any]:
    """Pass on what the policy has kept from a time on, also from before the relay; 409 twice."""
    since = moment("from", str(body.from_))
    assert since is not None
    relay = found(services, caller, name)
    check_change(services, caller, relay)
    spec = documents.spec_of(relay)
    if not spec.policy:
        what = "it passes on messages, of which only those in the journal are there: rewind it"
        raise Conflict(f"relay {name!r} follows no policy; {what}")
    require_topics(services, caller, relay)
    until = now()
    if since >= until:
        raise BadRequest("from", "it lies ahead: what comes from now on is passed on anyway")
    services.catalog.begin_backfill(
        Backfill(relay.id, relay.owner, name, 0, spec.policy, spec.gives, since, until)
    )
    return _show(services, relay, response)


@router.delete("/{name}/backfill", status_code=204)
def cancel_backfill(services: ServicesDep, caller: Writer, name: Name) -> None:
    """Cancel a backfill, or forget one that has ended; what was delivered stays delivered."""
    relay = found(services, caller, name)
    check_change(services, caller, relay)
    if not services.catalog.cancel_backfill(relay.id):
        raise NotFound(f"relay {name!r} has no backfill")


# --- what a caller sees and writes, here and on the pages -----------------------------------------


def metrics(services: Services, found: RelayMetrics) -> Iterator[Sample]:
    """What is known of all relays; nothing while a store is away, which health reports."""
    with suppress(Unavailable):
        yield from found.samples(list(told_of(services.catalog, services.journal)))


def sees(services: Services, caller: Caller, relay: StoredRelay) -> bool:
    """Whether a caller may read a relay: all topics that it passes on."""
    return caller.to(Action.RELAYS_READ).may(*_topics(services, relay))


def seen(services: Services, caller: Caller) -> list[StoredRelay]:
    """The relays of an owner that a caller sees, by name."""
    return [r for r in services.catalog.relays(caller.owner) if sees(services, caller, r)]


def found(services: Services, caller: Caller, name: str) -> StoredRelay:
    """Raises:
    NotFound: there is no such relay, or the caller does not see it.
    """
    relay = services.catalog.relay(caller.owner, name)
    if relay is None or not sees(services, caller, relay):
        raise NotFound(f"there is no relay {name!r}")
    return relay


def write(
    services: Services,
    caller: Caller,
    document: object,
    *,
    create: bool = False,
    expected: Expected = ANYTHING,
) -> tuple[StoredRelay, bool]:
    """Write the relay of a document; with whether it was made.

    Raises:
        Invalid: names everything that is wrong.
        BadRequest: the owner does not exist and its name is no slug.
        Denied: the caller may not.
        Conflict: `create`, and there is one of this name.
        Outdated: it is another one than the caller has seen.
    """
    if (fault := fault_of_owner(services, caller.owner)) is not None:
        raise BadRequest("owner", fault)
    relay = documents.parse(document, caller.owner, caller.principal.label)

    def check(current: StoredRelay) -> None:
        check_change(services, caller, current)
        expected.check(current.version)

    with services.accounts.transaction():
        ((written, created),) = put(services, caller, [relay], create=create, check=check)
        if created:
            expected.check(None)
    if "policy" in written.document["from"]:
        services.policies_changed()  # keepers note what it gives from now on
    return written, created


def put(
    services: Services,
    caller: Caller,
    relays: list[StoredRelay],
    *,
    create: bool = False,
    check: Callable[[StoredRelay], None],
) -> list[tuple[StoredRelay, bool]]:
    """Write relays that were checked, within a transaction that is open.

    New ones begin at the end that the journal, or the policy's outbox, has now.
    """
    for relay in relays:
        require_topics(services, caller, relay)
    before = {relay.name: relay.id for relay in services.catalog.relays(caller.owner)}
    ends = {partition: end for partition, (_, end) in services.journal.extent().items()}
    begun = [replace(relay, starts=_ends(services, relay, ends)) for relay in relays]
    written = services.catalog.put_relays(begun, create=create, check=check)
    for relay, _ in written:
        former = before.get(relay.name)
        _follow(services, relay)
        if former is not None and former != relay.id:
            services.catalog.unfollow(former)
    if any(created for _, created in written):
        stock.check_relays(services, caller.owner)
    return written


def require_topics(services: Services, caller: Caller, relay: StoredRelay) -> None:
    """Raises:
    Denied: the caller may not read a topic that the relay is to pass on, or not use secrets: the
        relay sends them where its document says.
    Invalid: it reads from a policy that is not there.
    """
    caller.require(*_topics(services, relay, demand=True))
    if names_in(relay.document) and not caller.to(Action.SECRETS_READ).may("#"):
        raise Denied("only who may read and publish to `#` may use secrets in relays")


def check_change(services: Services, caller: Caller, current: StoredRelay) -> None:
    """Raises:
    Denied: the relay that is there passes on topics that the caller may not read.
    """
    if not caller.to(Action.RELAYS_WRITE).may(*_topics(services, current)):
        raise Denied(
            f"the relay {current.name!r} that is there passes on topics that are not yours"
        )


def _ends(services: Services, relay: StoredRelay, journal: dict[int, int]) -> dict[int, int]:
    """By partition where a relay that is made now begins."""
    policy = documents.spec_of(relay).policy
    return services.catalog.outbox_ends(relay.owner, policy) if policy else journal


def _follow(services: Services, relay: StoredRelay) -> None:
    spec = documents.spec_of(relay)
    if spec.policy:
        follower = Follower(relay.id, relay.owner, spec.policy, spec.gives, spec.hold)
        if follower not in services.catalog.followers():
            services.catalog.follow(follower)


def _guard(
    services: Services, caller: Caller, expected: Expected = ANYTHING
) -> Callable[[StoredRelay], None]:
    def check(current: StoredRelay) -> None:
        if not sees(services, caller, current):
            raise NotFound(f"there is no relay {current.name!r}")
        check_change(services, caller, current)
        expected.check(current.version)

    return check


def _topics(services: Services, relay: StoredRelay, demand: bool = False) -> tuple[str, ...]:
    """All topics that a relay passes on.

    Raises:
        Invalid: `demand`, and it reads from a policy that is not there, or gives something else.
    """
    source: Mapping[str, Any] = relay.document["from"]
    if "topics" in source:
        return tuple(source["topics"])
    for policy in services.catalog.policies(relay.owner):
        if policy.name == source["policy"]:
            if demand:
                _check_gives(source["what"], policy)
            return tuple(policy.document["topics"])
    if demand:
        what = f"there is no policy {source['policy']!r}"
        raise Invalid(Problem("from.policy", what))
    return ("#",)


def _check_gives(what: str, policy: StoredPolicy) -> None:
    gives = given_by(policy.document["keep"])
    if what not in gives:
        given = " or ".join(f"what: {one}" for one in gives)
        fault = f"policy {policy.name!r} is of the kind {policy.document['keep']}: write {given}"
        raise Invalid(Problem("from.what", fault))


def _document(services: Services, relay: StoredRelay, status: bool) -> dict[str, Any]:
    document = dict(relay.document)
    if status:
        document[documents.STATUS] = status_of(relay, services.catalog, services.journal)
    return document


def _show(services: Services, relay: StoredRelay, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = etag(relay.version)
    return _document(services, relay, True)
