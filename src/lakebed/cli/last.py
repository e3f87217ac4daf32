"""`lakebed last`: show the last values of topics."""

from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import HOME, URL, Format, Home, Shape, Token, Url
from lakebed.vocabulary.errors import NotFound


def last(
    topic: Annotated[str, typer.Argument(help="A topic, or a filter such as 'plant/+/temp'.")],
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
    form: Format = Shape.TABLE,
) -> None:
    """Show last values, as the `last_value` policies keep them."""
    from lakebed.cli.client import Server

    key = "filter" if "+" in topic or "#" in topic else "topic"
    with Server(url, token, home) as server:
        found = server.get("/api/v1/last", **{key: topic})
    if not output.rows(found):
        raise NotFound(f"no last value of {topic}: does a policy with `keep: last_value` name it?")
    output.listing(found, "last values", form)
