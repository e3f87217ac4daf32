"""`lakebed topics`: list the topics."""

from typing import Annotated, Any

import typer

from lakebed.cli import output
from lakebed.cli.options import HOME, URL, Format, Home, Shape, Token, Url


def topics(
    topic_filter: Annotated[
        str, typer.Argument(metavar="[FILTER]", help="Only these, such as 'plant/#'.")
    ] = "#",
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
    form: Format = Shape.TABLE,
) -> None:
    """List the topics seen: how many messages, how much, when last."""
    from lakebed.cli.client import Server

    found: list[dict[str, Any]] = []
    after = None
    with Server(url, token, home) as server:
        while True:
            page = server.get("/api/v1/topics", filter=topic_filter, after=after)
            found += page["topics"]
            after = page["next"]
            if after is None:
                break
    output.listing(found, "topics", form)
