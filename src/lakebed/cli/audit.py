"""`lakebed audit`: who did what."""

from typing import Annotated, Any

import typer

from lakebed.cli import output
from lakebed.cli.moments import moment
from lakebed.cli.options import ACCESS, Access, Format, InOwner, Shape

_PATH = "/api/v1/audit"
_PAGE = 1_000


def audit(
    start: Annotated[
        str | None, typer.Option("--from", help="Not before this time, such as -24h.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Before this time.")] = None,
    actor: Annotated[str | None, typer.Option(help="Such as user:ann.")] = None,
    action: Annotated[str | None, typer.Option(help="Such as policies.write.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Show at most this many.")] = 100,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Show who did what, the newest first: changes, and what was refused."""

    asked = {
        "from": moment("--from", start),
        "to": moment("--to", end),
        "actor": actor,
        "action": action,
        "owner": owner,
    }
    entries: list[dict[str, Any]] = []
    cursor: str | None = ""
    with access.server() as server:
        while cursor is not None and len(entries) < limit:
            size = min(_PAGE, limit - len(entries))
            page = server.get(_PATH, **asked, limit=size, cursor=cursor)
            entries += page["entries"]
            cursor = page["next_cursor"]
    asking = start or end or actor or action or owner
    empty = "no entry fits what you asked for" if asking else "nothing was changed yet"
    # the resource last: it is the longest, and the one that folds
    columns = [key for key in dict.fromkeys(k for e in entries for k in e) if key != "resource"]
    output.listing(entries, empty, form, ("address", "owner"), [*columns, "resource"])
