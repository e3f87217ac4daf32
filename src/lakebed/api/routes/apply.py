"""The route that writes a whole document: all of it in one transaction, or nothing."""

from typing import Annotated, Any

from fastapi import APIRouter

from lakebed.access.actions import Action
from lakebed.api.callers import Caller, InOwner
from lakebed.api.requests import Body, ServicesDep, fault_of_owner, text_in
from lakebed.documents.sections import Entry
from lakebed.policies.document import PolicyFile, read_file, to_document
from lakebed.ports.catalog.policies import StoredPolicy
from lakebed.vocabulary.errors import BadRequest, Denied, Problem

router = APIRouter(prefix="/api/v1", tags=["policies"])

Writer = Annotated[Caller, InOwner(Action.POLICIES_WRITE)]

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
_MOST_NAMED = 10  # entries that the caller may not write, named in one answer


@router.post("/apply", openapi_extra=_DOCUMENT)
def apply(services: ServicesDep, caller: Writer, body: Body) -> dict[str, Any]:
    """Check a document and write all its entries, or none. Entries not in it stay as they are."""
    zone = services.settings.keeper.timezone
    file = read_file(text_in(body), caller.owner, zone)
    if (fault := fault_of_owner(services, caller.owner)) is not None:
        raise BadRequest("owner", fault)
    _require_topics(caller, file)
    by_name = {entry.value["name"]: entry for entry in file.entries}
    versions: dict[str, int] = {}

    def check(current: StoredPolicy) -> None:
        versions[current.name] = current.version
        if not caller.may(*current.document["topics"]):
            what = f"the policy {current.name!r} in force is about topics that are not yours"
            raise Denied(_located(by_name[current.name], what))

    services.accounts.ensure_owner(caller.owner)
    documents = [to_document(policy) for policy in file.policies]
    written = services.catalog.put_policies(caller.owner, documents, check=check)
    services.policies_changed()
    return {
        "policies": [
            {"name": policy.name, "change": _change(policy, created, versions)}
            for policy, created in written
        ]
    }


def _require_topics(caller: Caller, file: PolicyFile) -> None:
    """Raise unless the caller may write all policies of a file.

    Raises:
        Denied: names the first entries that it may not.
    """
    denied: list[str] = []
    for entry, policy in zip(file.entries, file.policies, strict=True):
        try:
            caller.require(*policy.topics)
        except Denied as error:
            denied.append(_located(entry, str(error)))
    if denied:
        more = f"; and {len(denied) - _MOST_NAMED} more" if len(denied) > _MOST_NAMED else ""
        raise Denied("; ".join(denied[:_MOST_NAMED]) + more)


def _located(entry: Entry, what: str) -> str:
    return str(Problem(entry.where, what, entry.line))


def _change(policy: StoredPolicy, created: bool, versions: dict[str, int]) -> str:
    if created:
        return "created"
    return "unchanged" if policy.version == versions[policy.name] else "changed"
