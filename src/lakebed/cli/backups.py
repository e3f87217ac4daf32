"""`lakebed backup`, `backups` and `restore`: consistent copies of all stores."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakebed.cli import output
from lakebed.cli.home import held, running_on
from lakebed.cli.options import ACCESS, HOME, URL, Access, Format, Home, Shape
from lakebed.cli.up import Config
from lakebed.vocabulary.errors import Invalid, LakebedError, Unavailable

if TYPE_CHECKING:
    from lakebed.runtime.settings import Settings

_PATH = "/api/v1/backups"
_POLL = 0.3  # seconds between two requests for the progress
Place = Annotated[
    str, typer.Argument(metavar="DIR", help="A folder, or s3://BUCKET/PREFIX; for one home alone.")
]
Name = Annotated[
    str | None, typer.Option("--backup", help="Name of the backup. [default: the newest]")
]


def backup(
    place: Place,
    keep: Annotated[
        int | None,
        typer.Option(min=1, help="Remove all but this many of the newest. [default: none]"),
    ] = None,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="Back up a restored home to the location of its original."
        ),
    ] = False,
    access: Access = ACCESS,
    config: Config = None,
    form: Format = Shape.TABLE,
) -> None:
    """Take a backup of everything, while the server runs or of the home of one that does not."""
    place = _absolute(place)
    url, home = access.url, access.home
    running = running_on(home) if held(home) else None
    if running is not None or url != URL or not home.is_dir():
        at = running.http if running is not None and url == URL else url
        wanted = {"to": place, "keep": keep, "take_over": take_over}
        try:
            ended = _back_up_running(access._replace(url=at), wanted)
        except Unavailable as error:
            if home.is_dir() or url != URL:
                raise
            what = f"there is no home {home.absolute()} to back up"
            raise Unavailable(f"{what}, name it by --home; and {error}") from None
    else:
        from lakebed.backup import offline

        ended = offline.back_up(_settings(home, config), place, keep, take_over)
    if form is Shape.JSON:
        output.document(ended)
        return
    typer.echo(
        f"{ended['name']}: {ended['messages']} messages, {ended['rows']} rows,"
        f" {output.size(ended['bytes'])}, of which {output.size(ended['new_bytes'])} are new"
    )
    for name in ended["removed"]:
        output.note(f"{name}: removed")


def _back_up_running(access: Access, wanted: dict[str, Any]) -> dict[str, Any]:
    """Have the running server take a backup, and wait for it."""
    with access.server() as server:
        state = server.ask("POST", _PATH, json=wanted)
        while state["running"] is not None:
            time.sleep(_POLL)
            state = server.get(_PATH)
    ended: dict[str, Any] = state["last"]
    if "error" in ended:
        raise LakebedError(ended["error"])
    return ended


def backups(
    place: Place,
    check: Annotated[
        bool, typer.Option("--check", help="Read all of it and compare every checksum.")
    ] = False,
    form: Format = Shape.TABLE,
) -> None:
    """List the backups at a place."""
    from lakebed.backup.listing import listed
    from lakebed.stores.opening import open_objects

    rows, wrong = listed(open_objects(place), contents=check)
    output.listing({"backups": rows}, "no backups yet", form)
    if wrong:
        raise Invalid(*wrong)


def restore(
    place: Place,
    name: Name = None,
    home: Home = HOME,
    config: Config = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Rename existing stores instead of refusing.")
    ] = False,
    form: Format = Shape.TABLE,
) -> None:
    """Make a home what it was in a backup. No server may run on it."""
    from lakebed.backup import offline

    found, former = offline.restore(_settings(home, config), _absolute(place), name, replace)
    if form is Shape.JSON:
        rows = sum(found.rows.values())
        aside = [str(path) for path in former]
        output.document({"name": found.name, "home": str(home), "rows": rows, "aside": aside})
        return
    typer.echo(f"{found.name}: restored to {home}, {sum(found.rows.values())} rows")
    output.note(
        "it is a home of its own now: back it up to another place, or once with --take-over"
    )
    for path in former:
        output.note(f"what was there is now {path}")


def _settings(home: Path, config: Path | None) -> "Settings":
    """Load the settings for work on a home, and log to stderr."""
    from lakebed.cli.logs import configure
    from lakebed.runtime.settings import load

    settings = load(config, flags={"home": str(home)})
    configure(settings.log)
    return settings


def _absolute(place: str) -> str:
    return place if "://" in place else str(Path(place).absolute())
