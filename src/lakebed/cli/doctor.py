"""`lakebed doctor`: finds problems of this machine and its server, with advice."""

from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import Format, Shape
from lakebed.cli.up import Config, Home
from lakebed.vocabulary.errors import SettingsError

Role = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROLE",
        help="As for `serve`: what such a process needs. [default: all in one process]",
        show_default=False,
    ),
]


def doctor(
    home: Home = None, config: Config = None, role: Role = None, form: Format = Shape.TABLE
) -> None:
    """Check settings, clock, disks, ports, stores, readers; say what to do. Changes nothing."""
    from lakebed.cli import findings
    from lakebed.diagnosis.finding import bad
    from lakebed.runtime.roles import parse

    try:
        found = findings.examine(home, config, parse(role) if role else None)
    except SettingsError as error:
        found = [bad("settings", str(problem)) for problem in error.problems]
    if form is Shape.JSON:
        output.document([finding.as_json() for finding in found])
    else:
        for finding in found:
            typer.echo(finding.as_line())
    if any(finding.state == "bad" for finding in found):
        raise typer.Exit(1)
