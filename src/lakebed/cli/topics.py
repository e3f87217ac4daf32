"""`lakebed topics`: what there is."""

from lakebed.cli import output
from lakebed.cli.options import HOME, URL, Format, Home, Shape, Token, Url


def topics(
    url: Url = URL, token: Token = None, home: Home = HOME, form: Format = Shape.TABLE
) -> None:
    """List the topics seen: how many messages, how much, when last."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        found = server.get("/api/v1/topics")
    output.listing(found, "topics", form)
