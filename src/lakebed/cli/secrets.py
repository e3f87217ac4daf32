"""`lakebed secrets`: what relays and contacts need to be let in elsewhere."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import ACCESS, Access, Commands, Format, InOwner, Shape, whose
from lakebed.vocabulary.errors import BadRequest, Conflict

app = Commands("Secrets that documents refer to: put, list, remove, rotate.")
_PATH = "/api/v1/secrets"
_LONGEST = 16_384  # bytes, as the server has it

Name = Annotated[str, typer.Argument(help="Name of a secret; documents say secret:NAME.")]


@app.command()
def put(
    name: Name,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read the value from a file; - is stdin.")
    ] = None,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Write a secret: from stdin, a file, or asked for. Nobody reads it again."""
    value = _value(file)
    with access.server() as server:
        written = server.ask("PUT", _PATH, name, json={"value": value}, owner=owner)
    output.done(written, f"{name}: written; documents refer to it as secret:{name}", form)


@app.command("list")
def list_(
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """List the secrets by name, with what refers to them; never their values."""
    with access.server() as server:
        found = server.get(_PATH, owner=owner)["secrets"]
    if form is Shape.TABLE:
        found = [
            {
                **one,
                "used_by": " ".join(f"{use['section']}/{use['name']}" for use in one["used_by"]),
            }
            for one in found
        ]
    output.listing(found, f"no secrets in {whose(owner)} yet", form, ("created",))


@app.command()
def remove(
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="Also while documents refer to it.")
    ] = False,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Remove a secret; refused while documents refer to it."""
    with access.server() as server:
        try:
            more = {"force": "true"} if force else {}
            server.ask("DELETE", _PATH, name, owner=owner, **more)
        except Conflict as used:
            told = str(used).replace("repeat it with force=true", "use --force")
            raise Conflict(told) from None
    output.done({"removed": name}, f"{name}: removed", form)


@app.command()
def rotate(
    forget: Annotated[
        bool, typer.Option("--forget", help="Drop former keys: older backups open no more.")
    ] = False,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Encrypt all secrets by a new key. For admins."""
    with access.server() as server:
        more = {"forget": "true"} if forget else {}
        rotated = server.ask("POST", _PATH, "rotate", **more)
    output.done(rotated, "{secrets} secrets are encrypted by the key {key}".format(**rotated), form)


def _value(file: Path | None) -> str:
    """The value, without the end of the line that programs put behind a text."""
    if file is None and sys.stdin.isatty():
        asked: str = typer.prompt("Value", hide_input=True, confirmation_prompt=True, err=True)
        return asked
    if file is None or str(file) == "-":
        data = sys.stdin.buffer.read(_LONGEST + 3)
    else:
        with file.open("rb") as opened:
            data = opened.read(_LONGEST + 3)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise BadRequest("value", "it is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")
