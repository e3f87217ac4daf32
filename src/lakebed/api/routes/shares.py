"""Routes of shares: topics of an owner that are open to others."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from lakebed.access.actions import Action
from lakebed.accounts import shares as documents
from lakebed.api import sections
from lakebed.api.callers import Caller, InOwner
from lakebed.api.preconditions import ANYTHING, ExpectedDep, etag
from lakebed.api.requests import Body, ServicesDep, document_in, fault_of_owner
from lakebed.api.services import Services
from lakebed.documents.sections import Entry
from lakebed.ports.accounts.shares import Share
from lakebed.vocabulary.errors import BadRequest, NotFound

router = APIRouter(prefix="/api/v1/shares", tags=["shares"])

Reader = Annotated[Caller, InOwner(Action.SHARES_READ)]
Writer = Annotated[Caller, InOwner(Action.SHARES_WRITE)]
Deleter = Annotated[Caller, InOwner(Action.SHARES_DELETE)]
Name = Annotated[str, Path(description="of the share")]

_DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One share.",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "name": "weather",
                    "topics": ["roof/#"],
                    "with": ["instance"],
                    "may": ["read"],
                },
            }
        },
    }
}


@router.get("")
def list_shares(services: ServicesDep, caller: Reader) -> dict[str, Any]:
    """List the shares of an owner by name, in the format that `lakebed apply` accepts."""
    found = services.accounts.shares(caller.owner)
    return {"shares": [documents.to_document(one) for one in found if caller.may(*one.topics)]}


@router.post("", status_code=201, openapi_extra=_DOCUMENT)
def create_share(
    services: ServicesDep,
    caller: Writer,
    body: Body,
    response: Response,
    expected: ExpectedDep = ANYTHING,
) -> dict[str, Any]:
    """Create a share; 409 if its name is taken. It takes effect within two seconds."""
    share = _posted(services, caller, document_in(body))
    with expected.creating():
        ((made, _),) = services.accounts.put_shares([share], create=True)
    response.headers["Location"] = f"/api/v1/shares/{made.name}"
    return _show(made, response)


@router.post("/check", openapi_extra=_DOCUMENT)
def check_shares(caller: Writer, body: Body) -> Response:
    """Check a share, or a whole document of them (JSON or YAML), and change nothing."""

    def require(entry: Entry) -> None:
        caller.require(*entry.value["topics"])

    return sections.check(body, documents.section(), require)


@router.get("/{name}")
def read_share(
    services: ServicesDep, caller: Reader, name: Name, response: Response
) -> dict[str, Any]:
    """Show one share as its document; its version is the ETag."""
    for share in services.accounts.shares(caller.owner):
        if share.name == name and caller.may(*share.topics):
            return _show(share, response)
    raise _missing(name)


@router.put("/{name}", openapi_extra=_DOCUMENT, responses={201: {"description": "Made"}})
def put_share(
    services: ServicesDep,
    caller: Writer,
    name: Name,
    body: Body,
    response: Response,
    expected: ExpectedDep,
) -> dict[str, Any]:
    """Create or replace a share. Topics that are not in it any more are closed."""
    document = sections.named(document_in(body), name)
    share = _posted(services, caller, document)

    def check(current: Share) -> None:
        caller.require(*current.topics)
        expected.check(current.version)

    with services.accounts.transaction():
        ((written, created),) = services.accounts.put_shares([share], check=check)
        if created:
            expected.check(None)
    if created:
        response.status_code = 201
    return _show(written, response)


@router.delete("/{name}", status_code=204)
def delete_share(services: ServicesDep, caller: Deleter, name: Name, expected: ExpectedDep) -> None:
    """Delete a share; its topics are closed within two seconds."""

    def check(current: Share) -> None:
        if not caller.to(Action.SHARES_READ).may(*current.topics):
            raise _missing(name)
        caller.require(*current.topics)
        expected.check(current.version)

    services.accounts.delete_share(caller.owner, name, check)


def _posted(services: Services, caller: Caller, document: Any) -> Share:
    """The share of a document to be written.

    Raises:
        BadRequest: the owner does not exist and its name is no slug.
    """
    if (fault := fault_of_owner(services, caller.owner)) is not None:
        raise BadRequest("owner", fault)
    share = documents.parse(document, caller.owner)
    caller.require(*share.topics)
    return share


def _missing(name: str) -> NotFound:
    return NotFound(f"there is no share {name!r}")


def _show(share: Share, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = etag(share.version)
    return documents.to_document(share)
