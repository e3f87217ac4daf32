"""`lakebed users factors`: second factors of people who sign in.

A factor is added by its user alone, in a session: these commands sign in with the user's password,
and sign out again. An admin's token lists factors, and removes those that somebody has lost.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import ACCESS, URL, Access, Commands, Format, Shape, Url
from lakebed.vocabulary.errors import BadRequest, FactorNeeded

if TYPE_CHECKING:
    from lakebed.cli.client import Server

app = Commands("Second factors: list, add, remove, recovery codes.")
_PATH = "/api/v1/users"

Name = Annotated[str, typer.Argument(help="Name of a user.")]
SignIn = Annotated[
    bool, typer.Option("--sign-in", help="As the user, whose password is asked for.")
]


@app.command("list")
def list_(
    name: Name,
    sign_in: SignIn = False,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """List the factors of a user, never their secrets, and count the recovery codes."""
    with _server(name, sign_in, access) as server:
        found = server.get(_PATH, name, "factors")
    output.listing(found, f"{name} has no second factor", form)
    if form is Shape.TABLE and found["factors"]:
        output.note(f"{found['recovery_codes']} recovery codes are left")


@app.command()
def add(
    name: Name,
    title: Annotated[str, typer.Option(help="What to call it, such as phone.")] = "",
    form: Format = Shape.TABLE,
    url: Url = URL,
) -> None:
    """Add an application that shows codes: print the address it reads, and ask for a code."""
    with _signed_in(name, url) as server:
        begun = server.ask("POST", _PATH, name, "factors", "totp")
        output.note("Scan this address as a QR code, or type in the secret that is in it:")
        typer.echo(begun["uri"], err=form is Shape.JSON)
        _draw(begun["uri"])
        wanted = {"name": title, "secret": begun["secret"], "code": ask("Code that it shows")}
        added = server.ask("POST", _PATH, name, "factors", json=wanted)
    output.done(added, f"{added['id']}: added; signing in asks for a code from now on", form)
    if form is Shape.TABLE and "recovery_codes" in added:
        _print_codes(added["recovery_codes"])


@app.command()
def remove(
    name: Name,
    id: Annotated[str | None, typer.Argument(help="As `list` shows it.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the user has.")] = False,
    sign_in: SignIn = False,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Remove a factor, also of somebody who has lost it. The recovery codes go with the last."""
    if (id is None) is not everything:
        raise BadRequest("ID", "name a factor, or choose --all")
    with _server(name, sign_in, access) as server:
        if id is None:
            ids = [factor["id"] for factor in server.get(_PATH, name, "factors")["factors"]]
        else:
            ids = [id]
        for one in ids:
            server.ask("DELETE", _PATH, name, "factors", one)
    text = f"{name}: {', '.join(ids)} removed" if ids else f"{name} has no second factor"
    output.done({"removed": ids}, text, form)


@app.command()
def recovery(name: Name, form: Format = Shape.TABLE, url: Url = URL) -> None:
    """Make new recovery codes and print them: the only time they can be seen."""
    with _signed_in(name, url) as server:
        made = server.ask("POST", _PATH, name, "factors", "recovery")
    if form is Shape.JSON:
        output.document(made)
    else:
        _print_codes(made["recovery_codes"])


def ask(what: str, *, hidden: bool = False) -> str:
    """Ask a person on the terminal."""
    answer: str = typer.prompt(what, hide_input=hidden, err=True)
    return answer


@contextmanager
def _server(name: str, sign_in: bool, access: Access) -> Iterator["Server"]:
    with _signed_in(name, access.url) if sign_in else access.server() as server:
        yield server


@contextmanager
def _signed_in(name: str, url: str) -> Iterator["Server"]:
    """A session of a user, whose password is asked for, and a code where there is a factor."""
    from lakebed.cli.client import Server

    password = ask(f"Password of {name}", hidden=True)
    with Server(url, None, None) as server:
        try:
            server.sign_in(name, password)
        except FactorNeeded:
            server.sign_in(name, password, ask("Code, or a recovery code"))
        try:
            yield server
        finally:
            server.sign_out()


def _draw(address: str) -> None:
    """Draw the address as a QR code, on a terminal and where the extra that can is installed."""
    if sys.stderr.isatty():
        with suppress(ImportError):
            import segno

            segno.make(address, micro=False).terminal(sys.stderr, compact=True)


def _print_codes(codes: list[str]) -> None:
    output.note("Keep these recovery codes: each signs in once, in place of a code.")
    for code in codes:
        typer.echo(code)
