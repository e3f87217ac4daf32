"""`lakebed export`: print what there is of an owner as the document that `apply` takes."""

from typing import TYPE_CHECKING, Any

import typer

from lakebed.cli import output
from lakebed.cli.options import ACCESS, Access, Format, InOwner, Shape
from lakebed.vocabulary.errors import Denied, NotFound

if TYPE_CHECKING:
    from lakebed.cli.client import Server

_PAGE = 5_000  # units


def export(
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Print policies, units, shares, reports, boards, relays as the document for `apply`."""
    from lakebed.accounts import units

    with access.server() as server:
        found: dict[str, list[dict[str, Any]]] = {
            "policies": server.get("/api/v1/policies", owner=owner)["policies"],
            "units": [
                {key: unit[key] for key in units.KEYS if key in unit}
                for unit in units_of(server, owner)
            ],
            "shares": server.get("/api/v1/shares", owner=owner)["shares"],
            "reports": _reports(server, owner),
            "boards": server.get("/api/v1/boards", owner=owner)["boards"],
            "relays": server.get("/api/v1/relays", owner=owner)["relays"],
        }
    document = {section: entries for section, entries in found.items() if entries}
    if form is Shape.JSON:
        output.document(document)
    elif document:
        import yaml

        typer.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)
    else:
        output.note(
            f"no policies, units, shares, boards or relays in {owner or 'your own name space'} yet"
        )


def _reports(server: "Server", owner: str | None) -> list[dict[str, Any]]:
    """The topics on which the owner's units report; of what the asker may not see, none."""
    from lakebed.accounts.reports import NAMES

    name = owner or server.get("/api/v1/me")["owner"]
    try:
        found = server.get("/api/v1/owners", name)
    except (Denied, NotFound):
        return []
    return [{"name": kind, "topics": found[kind]} for kind in NAMES if found.get(kind)]


def units_of(server: "Server", owner: str | None, tag: str | None = None) -> list[dict[str, Any]]:
    """All units of an owner, page by page."""
    units: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = server.get("/api/v1/units", owner=owner, tag=tag, cursor=cursor or None, limit=_PAGE)
        units += page["units"]
        cursor = page["next_cursor"]
    return units
