"""`lakebed boards`: what somebody has composed to look at."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lakebed.cli import documents, output
from lakebed.cli.options import (
    ACCESS,
    Access,
    Commands,
    Format,
    InOwner,
    Shape,
    Title,
    given,
    whose,
)
from lakebed.vocabulary.errors import BadRequest

app = Commands("Boards: list, show, add, change, remove.")
_PATH = "/api/v1/boards"

Name = Annotated[str, typer.Argument(help="Name of a board.")]
Range = Annotated[str | None, typer.Option(help="How far back its tiles look, such as 24h.")]
Share = Annotated[str | None, typer.Option(help="private, owner, instance or public.")]


@app.command("list")
def list_(
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """List the boards by name."""
    with access.server() as server:
        found = server.get(_PATH, owner=owner)["boards"]
    if form is Shape.TABLE:
        found = [{**board, "tiles": len(board["tiles"])} for board in found]
    output.listing(found, f"no boards in {whose(owner)} yet", form)


@app.command()
def show(
    name: Name,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Show one board, as the document that `lakebed apply` takes."""
    with access.server() as server:
        _print(server.get(_PATH, name, owner=owner), form)


@app.command()
def add(
    file: documents.File,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Add the board in a file; one of its name must not be there."""
    board = _one(file)
    with access.server() as server:
        _print(server.ask("POST", _PATH, json=board, owner=owner), form)


@app.command()
def change(
    name: Name,
    file: Annotated[Path | None, documents.FILE] = None,
    title: Title = None,
    range: Range = None,
    share: Share = None,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Change what is given of a board; a file replaces all of it."""
    wanted = given(title=title, range=range, share=share)
    if not wanted and file is None:
        raise BadRequest("change", "say what to change, such as --title or --file")
    board = None if file is None else _one(file)
    with access.server() as server:
        _print(server.revise(_PATH, name, wanted, board, owner=owner), form)


@app.command()
def remove(
    name: Name,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Remove a board; what its tiles showed stays."""
    with access.server() as server:
        server.ask("DELETE", _PATH, name, owner=owner)
    output.done({"removed": name}, f"{name}: removed", form)


def _one(file: Path) -> dict[str, Any]:
    from lakebed.boards.documents import section

    return documents.read_one(file, section())


def _print(board: dict[str, Any], form: Shape) -> None:
    """Print a document: JSON, or YAML, which people write."""
    if form is Shape.JSON:
        output.document(board)
    else:
        documents.write_one("boards", board)
