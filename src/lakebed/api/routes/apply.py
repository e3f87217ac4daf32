"""The route that writes a whole document: all of it in one transaction, or nothing.

text ──read_entries──> entries of each section ──may the caller?──> one transaction
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter

from lakebed.access.actions import Action
from lakebed.accounts import reports as report_documents
from lakebed.accounts import shares as share_documents
from lakebed.accounts import units as unit_documents
from lakebed.api import stock
from lakebed.api.callers import Caller, InOwner
from lakebed.api.requests import Body, ServicesDep, fault_of_owner, text_in
from lakebed.api.routes import boards as board_rules
from lakebed.api.routes import relays as relay_rules
from lakebed.api.sections import located, require_each
from lakebed.api.services import Services
from lakebed.boards import documents as board_documents
from lakebed.documents.sections import Entry, read_entries
from lakebed.policies.document import collecting, to_document
from lakebed.ports.accounts.shares import Share
from lakebed.ports.accounts.units import Unit
from lakebed.ports.catalog.boards import Board
from lakebed.ports.catalog.policies import StoredPolicy
from lakebed.ports.catalog.relays import StoredRelay
from lakebed.relays import documents as relay_documents
from lakebed.vocabulary.errors import BadRequest, Denied, Invalid, Problem
from lakebed.vocabulary.policy import Policy

router = APIRouter(prefix="/api/v1", tags=["policies"])

Writer = Annotated[Caller, InOwner(Action.POLICIES_WRITE)]
Changes = list[dict[str, str]]

_DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A document: sections, each with a list of entries.",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/yaml": {"schema": {"type": "string"}},
        },
    }
}


@router.post("/apply", openapi_extra=_DOCUMENT)
def apply(services: ServicesDep, caller: Writer, body: Body) -> dict[str, Any]:
    """Check a document and write all its entries, or none. Entries not in it stay as they are."""
    policies: list[Policy] = []
    known = [
        collecting(policies, caller.owner, services.settings.keeper.timezone),
        unit_documents.section(),
        share_documents.section(),
        report_documents.section(),
        board_documents.section(),
        relay_documents.section(),
    ]
    found = read_entries(text_in(body), known)
    if (fault := fault_of_owner(services, caller.owner)) is not None:
        raise BadRequest("owner", fault)
    steps: list[tuple[str, Callable[[], Changes]]] = []
    if "policies" in found:
        write = _policies(services, caller, found["policies"], policies)
        steps.append(("policies", write))
    if "units" in found:
        steps.append(("units", _units(services, caller, found["units"])))
    if "shares" in found:
        steps.append(("shares", _shares(services, caller, found["shares"])))
    if "reports" in found:
        steps.append(("reports", _reports(services, caller, found["reports"])))
    if "boards" in found:
        steps.append(("boards", _boards(services, caller, found["boards"])))
    if "relays" in found:
        steps.append(("relays", _relays(services, caller, found["relays"])))
    with services.accounts.transaction():
        services.accounts.ensure_owner(caller.owner)
        answer = {section: write() for section, write in steps}
    if "policies" in answer or "relays" in answer:  # keepers note what relays follow
        services.policies_changed()
    return answer


def _policies(
    services: Services, caller: Caller, entries: list[Entry], policies: Sequence[Policy]
) -> Callable[[], Changes]:
    """Check what the caller may write; return what writes it."""
    topics = {policy.name: policy.topics for policy in policies}
    require_each(entries, lambda entry: caller.require(*topics[entry.value["name"]]))
    by_name = _by_name(entries)
    versions: dict[str, int] = {}

    def check(current: StoredPolicy) -> None:
        versions[current.name] = current.version
        if not caller.may(*current.document["topics"]):
            what = f"the policy {current.name!r} in force is about topics that are not yours"
            raise Denied(located(by_name[current.name], what))

    def write() -> Changes:
        documents = [to_document(policy) for policy in policies]
        written = services.catalog.put_policies(caller.owner, documents, check=check)
        if any(created for _, created in written):
            stock.check_policies(services, caller.owner)
        return [
            _change(policy.name, created, policy.version, versions) for policy, created in written
        ]

    return write


def _units(services: Services, caller: Caller, entries: list[Entry]) -> Callable[[], Changes]:
    writer = caller.to(Action.UNITS_WRITE)
    units = {
        entry.value["name"]: unit_documents.unit_of(entry.value, caller.owner) for entry in entries
    }
    require_each(entries, lambda entry: writer.require(*_topics(units[entry.value["name"]])))
    by_name = _by_name(entries)
    revisions: dict[str, int] = {}

    def check(current: Unit) -> None:
        revisions[current.name] = current.revision
        if not writer.may(*_topics(current)):
            what = f"the unit {current.name!r} that is there has topics that are not yours"
            raise Denied(located(by_name[current.name], what))

    def write() -> Changes:
        written = services.accounts.put_units(list(units.values()), check=check)
        if any(made for _, made in written):
            stock.check_units(services, caller.owner)
        return [_change(unit.name, made, unit.revision, revisions) for unit, made in written]

    return write


def _topics(unit: Unit) -> tuple[str, ...]:
    return unit_documents.all_topics(unit) or ("#",)


def _shares(services: Services, caller: Caller, entries: list[Entry]) -> Callable[[], Changes]:
    writer = caller.to(Action.SHARES_WRITE)
    shares = [share_documents.share_of(entry.value, caller.owner) for entry in entries]
    require_each(entries, lambda entry: writer.require(*entry.value["topics"]))
    by_name = _by_name(entries)
    versions: dict[str, int] = {}

    def check(current: Share) -> None:
        versions[current.name] = current.version
        if not writer.may(*current.topics):
            what = f"the share {current.name!r} that is there opens topics that are not yours"
            raise Denied(located(by_name[current.name], what))

    def write() -> Changes:
        written = services.accounts.put_shares(shares, check=check)
        return [_change(share.name, made, share.version, versions) for share, made in written]

    return write


def _reports(services: Services, caller: Caller, entries: list[Entry]) -> Callable[[], Changes]:
    caller.to(Action.OWNERS_CHANGE).require_owner()

    def write() -> Changes:
        owner = services.accounts.owner(caller.owner)
        before = {} if owner is None else owner.report_topics
        wanted = {entry.value["name"]: list(entry.value["topics"]) for entry in entries}
        changed = {name for name in wanted if wanted[name] != list(before.get(name, ()))}
        if changed:
            services.accounts.change_owner(caller.owner, report_topics=wanted)
        changes = ("changed" if name in changed else "unchanged" for name in wanted)
        return [{"name": n, "change": c} for n, c in zip(wanted, changes, strict=True)]

    return write


def _boards(services: Services, caller: Caller, entries: list[Entry]) -> Callable[[], Changes]:
    writer = caller.to(Action.BOARDS_WRITE)
    label = caller.principal.label
    boards = {
        entry.value["name"]: board_documents.board_of(entry.value, caller.owner, label)
        for entry in entries
    }
    require_each(
        entries,
        lambda entry: writer.require(*board_documents.topics(boards[entry.value["name"]])),
    )
    by_name = _by_name(entries)
    versions: dict[str, int] = {}

    def check(current: Board) -> None:
        versions[current.name] = current.version
        try:
            board_rules.check_change(services, writer, current, boards[current.name])
        except Denied as error:
            raise Denied(located(by_name[current.name], str(error))) from None

    def write() -> Changes:
        written = services.catalog.put_boards(list(boards.values()), check=check)
        if any(made for _, made in written):
            stock.check_boards(services, caller.owner)
        return [_change(board.name, made, board.version, versions) for board, made in written]

    return write


def _relays(services: Services, caller: Caller, entries: list[Entry]) -> Callable[[], Changes]:
    writer = caller.to(Action.RELAYS_WRITE)
    label = caller.principal.label
    relays = [relay_documents.relay_of(entry.value, caller.owner, label) for entry in entries]
    by_name = _by_name(entries)
    versions: dict[str, int] = {}

    def check(current: StoredRelay) -> None:
        versions[current.name] = current.version
        try:
            relay_rules.check_change(services, writer, current)
        except Denied as error:
            raise Denied(located(by_name[current.name], str(error))) from None

    def write() -> Changes:
        for relay in relays:  # a policy that it reads may be of the same document
            try:
                relay_rules.require_topics(services, writer, relay)
            except Denied as error:
                raise Denied(located(by_name[relay.name], str(error))) from None
            except Invalid as error:
                entry = by_name[relay.name]
                raise Invalid(
                    *(Problem(f"{entry.where}.{p.where}", p.what, entry.line)
                      for p in error.problems)
                ) from None  # fmt: skip
        written = relay_rules.put(services, writer, relays, check=check)
        return [_change(relay.name, made, relay.version, versions) for relay, made in written]

    return write


def _by_name(entries: list[Entry]) -> dict[str, Entry]:
    return {entry.value["name"]: entry for entry in entries}


def _change(name: str, created: bool, version: int, before: Mapping[str, int]) -> dict[str, str]:
    if created:
        return {"name": name, "change": "created"}
    return {"name": name, "change": "unchanged" if version == before[name] else "changed"}
