"""`lakebed usage`: rows and bytes that policies keep."""

from lakebed.cli import output
from lakebed.cli.options import HOME, URL, Format, Home, Shape, Token, Url


def usage(
    url: Url = URL, token: Token = None, home: Home = HOME, form: Format = Shape.TABLE
) -> None:
    """Rows and bytes kept, by policy and topic."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        found = server.get("/api/v1/usage")
    output.listing(found, "kept", form)
