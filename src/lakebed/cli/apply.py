"""`lakebed apply`: write a policy document to the server, once all of it is known to be right."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import typer

from lakebed.cli import documents
from lakebed.cli.options import HOME, URL, Home, Token, Url
from lakebed.errors import Invalid, NotFound, Problem

if TYPE_CHECKING:
    from lakebed.cli.client import Server


def apply(file: documents.File, url: Url = URL, token: Token = None, home: Home = HOME) -> None:
    """Write the policies of a file: created, changed or unchanged. Others stay as they are."""
    from lakebed.cli.client import Server

    found = documents.read(file)
    with Server(url, token, home) as server:
        _ask(server, file, found)
        for policy in found:
            typer.echo(f"{policy['name']}: {_put(server, policy)}")


def _ask(server: "Server", file: Path, found: Sequence[dict[str, Any]]) -> None:
    """The server may know rules this program does not: nothing is written before it agrees."""
    problems: list[Problem] = []
    for index, policy in enumerate(found):
        try:
            server.request("POST", "/api/v1/policies/check", json=policy)
        except Invalid as error:
            place = f"policies[{index}]"
            problems += [
                Problem(f"{place}.{p.where}" if p.where else place, p.what) for p in error.problems
            ]
    if problems:
        raise documents.placed(file, tuple(problems))


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
