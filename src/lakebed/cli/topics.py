"""`lakebed topics`: list the topics."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakebed.cli import output
from lakebed.cli.options import ACCESS, Access, Format, FromOwner, Limit, Shape

if TYPE_CHECKING:
    from lakebed.cli.client import Server

_PAGE = 20_000  # topics


def topics(
    topic_filter: Annotated[
        str,
        typer.Argument(
            metavar="[FILTER]", help="Only topics under this filter, such as 'plant/#'."
        ),
    ] = "#",
    limit: Limit = None,
    owner: FromOwner = None,
    access: Access = ACCESS,
    form: Format = Shape.TABLE,
) -> None:
    """List the topics seen: how many messages, how much, when last."""
    with access.server() as server:
        found, total = _read(server, topic_filter, limit, owner)
    if total and form is Shape.TABLE:
        size = output.size(total["bytes"])
        typer.echo(
            f"{total['topics']:,} topics, {total['received']:,} messages received, "
            f"{total['kept']:,} kept, {size} of payload\n"
        )
    output.listing(found, "no topics yet", form)


def _read(
    server: "Server", topic_filter: str, limit: int | None, owner: str | None
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The topics, page by page, and what all have together."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        size = _PAGE if limit is None else min(_PAGE, limit - len(found))
        asked = {"filter": topic_filter, "after": after, "limit": size, "owner": owner}
        page = server.get("/api/v1/topics", **asked)
        found += page["topics"]
        after = page["next"]
        if after is None or len(found) == limit:
            return found, page.get("total", {}) if found else {}
