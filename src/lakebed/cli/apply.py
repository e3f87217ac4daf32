"""`lakebed apply`: check a policy document as a whole, and write it to the server."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import typer

from lakebed.cli import documents
from lakebed.cli.options import HOME, URL, Home, Token, Url
from lakebed.vocabulary.errors import Invalid, NotFound

if TYPE_CHECKING:
    from lakebed.cli.client import Server


def apply(file: documents.File, url: Url = URL, token: Token = None, home: Home = HOME) -> None:
    """Write the policies of a file: created, changed or unchanged. Others stay as they are."""
    from lakebed.cli.client import Server

    found = documents.read(file)
    with Server(url, token, home) as server:
        _ask(server, file, found.text)
        for policy in found.documents:
            typer.echo(f"{policy['name']}: {_put(server, policy)}")


def _ask(server: "Server", file: Path, text: str) -> None:
    """Have the server check all policies before any is written: it may know newer rules."""
    headers = {"Content-Type": "application/yaml"}
    try:
        server.request("POST", "/api/v1/policies/check", content=text.encode(), headers=headers)
    except Invalid as error:
        raise documents.placed(file, error.problems) from None


def _put(server: "Server", policy: dict[str, Any]) -> str:
    path = f"/api/v1/policies/{quote(policy['name'], safe='')}"
    try:
        before = server.get(path)
    except NotFound:
        before = None
    after = server.request("PUT", path, json=policy).json()
    if before is None:
        return "created"
    return "unchanged" if before == after else "changed"
