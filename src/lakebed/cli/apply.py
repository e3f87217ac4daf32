"""`lakebed apply`: check a document as a whole, and write it to the server."""

import json
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
        for section, entries in found.sections.items():
            text = found.text if len(found.sections) == 1 else json.dumps({section.name: entries})
            _ask(server, file, section.name, text)
        for section, entries in found.sections.items():
            for entry in entries:
                typer.echo(f"{entry['name']}: {_put(server, section.name, entry)}")


def _ask(server: "Server", file: Path, section: str, text: str) -> None:
    """Have the server check a section before any is written: it may know newer rules."""
    headers = {"Content-Type": "application/yaml"}
    try:
        server.request("POST", f"/api/v1/{section}/check", content=text.encode(), headers=headers)
    except Invalid as error:
        raise documents.placed(file, error.problems) from None


def _put(server: "Server", section: str, entry: dict[str, Any]) -> str:
    path = f"/api/v1/{section}/{quote(entry['name'], safe='')}"
    try:
        before = server.get(path)
    except NotFound:
        before = None
    after = server.request("PUT", path, json=entry).json()
    if before is None:
        return "created"
    return "unchanged" if before == after else "changed"
