"""Routes of boards: what somebody has composed to look at.

A board opens nothing: whoever reads it sees of its topics what they may read themselves.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from lakebed.access.actions import Action
from lakebed.access.decision import allow, require
from lakebed.api import sections, stock
from lakebed.api.callers import Caller, InOwner
from lakebed.api.preconditions import ANYTHING, Expected, ExpectedDep, etag
from lakebed.api.requests import Body, ServicesDep, document_in, fault_of_owner
from lakebed.api.services import Services
from lakebed.boards import documents
from lakebed.documents.sections import Entry
from lakebed.ports.catalog.boards import Board
from lakebed.vocabulary.errors import BadRequest, Denied, NotFound

router = APIRouter(prefix="/api/v1/boards", tags=["boards"])

Reader = Annotated[Caller, InOwner(Action.BOARDS_READ)]
Writer = Annotated[Caller, InOwner(Action.BOARDS_WRITE)]
Name = Annotated[str, Path(description="of the board")]

_DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One board.",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "name": "house",
                    "title": "The house",
                    "range": "24h",
                    "share": "owner",
                    "tiles": [{"kind": "plot", "topics": ["room/+/celsius"]}],
                },
            }
        },
    }
}


@router.get("")
def list_boards(services: ServicesDep, caller: Reader) -> dict[str, Any]:
    """List the boards of an owner by name, in the format that `lakebed apply` accepts."""
    return {"boards": [board.document for board in seen(services, caller)]}


@router.post("", status_code=201, openapi_extra=_DOCUMENT)
def create_board(
    services: ServicesDep,
    caller: Writer,
    body: Body,
    response: Response,
    expected: ExpectedDep = ANYTHING,
) -> dict[str, Any]:
    """Create a board; 409 if its name is taken."""
    with expected.creating():
        made, _ = write(services, caller, document_in(body), create=True)
    response.headers["Location"] = f"/api/v1/boards/{made.name}"
    return _show(made, response)


@router.post("/check", openapi_extra=_DOCUMENT)
def check_boards(caller: Writer, body: Body) -> Response:
    """Check a board, or a whole document of them (JSON or YAML), and change nothing."""

    def require(entry: Entry) -> None:
        caller.require(*documents.topics(documents.board_of(entry.value, caller.owner)))

    return sections.check(body, documents.section(), require)


@router.get("/{name}")
def read_board(
    services: ServicesDep, caller: Reader, name: Name, response: Response
) -> dict[str, Any]:
    """Show one board as its document; its version is the ETag."""
    return _show(found(services, caller, name), response)


@router.put("/{name}", openapi_extra=_DOCUMENT, responses={201: {"description": "Made"}})
def put_board(
    services: ServicesDep,
    caller: Writer,
    name: Name,
    body: Body,
    response: Response,
    expected: ExpectedDep,
) -> dict[str, Any]:
    """Create or replace a board. One that is there keeps its maker."""
    document = sections.named(document_in(body), name)
    written, created = write(services, caller, document, expected=expected)
    if created:
        response.status_code = 201
    return _show(written, response)


@router.delete("/{name}", status_code=204)
def delete_board(services: ServicesDep, caller: Writer, name: Name, expected: ExpectedDep) -> None:
    """Delete a board. What its tiles showed stays."""
    delete(services, caller, name, expected)


# --- what a caller sees and writes, here and on the pages -----------------------------------------


def sees(services: Services, caller: Caller, board: Board) -> bool:
    """Whether a caller may read a board."""
    resource = documents.resource(board, services.settings.auth.public)
    return allow(caller.principal, Action.BOARDS_READ, resource)


def seen(services: Services, caller: Caller) -> list[Board]:
    """The boards of an owner that a caller sees, by name."""
    return [b for b in services.catalog.boards(caller.owner) if sees(services, caller, b)]


def found(services: Services, caller: Caller, name: str) -> Board:
    """Raises:
    NotFound: there is no such board, or the caller does not see it.
    """
    board = services.catalog.board(caller.owner, name)
    if board is None or not sees(services, caller, board):
        raise NotFound(f"there is no board {name!r}")
    return board


def may_change(services: Services, caller: Caller, board: Board) -> bool:
    """Whether a caller may write a board that is there."""
    resource = documents.resource(board, services.settings.auth.public)
    return allow(caller.principal, Action.BOARDS_WRITE, resource)


def write(
    services: Services,
    caller: Caller,
    document: object,
    *,
    create: bool = False,
    expected: Expected = ANYTHING,
) -> tuple[Board, bool]:
    """Write the board of a document; with whether it was made.

    Raises:
        Invalid: names everything that is wrong.
        BadRequest: the owner does not exist and its name is no slug.
        Denied: the caller may not.
        Conflict: `create`, and there is one of this name.
        Outdated: it is another one than the caller has seen.
    """
    if (fault := fault_of_owner(services, caller.owner)) is not None:
        raise BadRequest("owner", fault)
    board = documents.parse(document, caller.owner, caller.principal.label)
    caller.require(*documents.topics(board))

    def check(current: Board) -> None:
        check_change(services, caller, current, board)
        expected.check(current.version)

    with services.accounts.transaction():
        ((written, created),) = services.catalog.put_boards([board], create=create, check=check)
        if created:
            expected.check(None)
            stock.check_boards(services, caller.owner)
    return written, created


def check_change(services: Services, caller: Caller, current: Board, wanted: Board) -> None:
    """Raise unless a caller may put a board in the place of another.

    Raises:
        Denied: the one that is there is not the caller's to change, or the caller would lose it.
    """
    public = services.settings.auth.public
    require(caller.principal, Action.BOARDS_WRITE, documents.resource(current, public))
    after = Board(wanted.owner, wanted.name, wanted.document, current.maker)
    if not may_change(services, caller, after):
        raise Denied(f"{current.maker} made this board, and they alone may make it private")


def delete(services: Services, caller: Caller, name: str, expected: ExpectedDep) -> None:
    """Delete a board.

    Raises:
        NotFound: there is none of this name that the caller sees.
        Denied: the caller may not.
        Outdated: it is another one than the caller has seen.
    """

    def check(current: Board) -> None:
        if not sees(services, caller, current):
            raise NotFound(f"there is no board {name!r}")
        resource = documents.resource(current, services.settings.auth.public)
        require(caller.principal, Action.BOARDS_WRITE, resource)
        expected.check(current.version)

    services.catalog.delete_board(caller.owner, name, check)


def _show(board: Board, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = etag(board.version)
    return dict(board.document)
