"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

URL = "http://127.0.0.1:8080"
HOME = Path("lakebed-data")

Url = Annotated[str, typer.Option(envvar="LAKEBED_URL", help="URL of the server.")]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="LAKEBED_TOKEN", help="The token. [default: HOME/admin.token]", show_default=False
    ),
]
Home = Annotated[Path, typer.Option(envvar="LAKEBED__HOME", help="The home of the server.")]


class Shape(StrEnum):
    """The output format of commands that list something."""

    TABLE = "table"
    JSON = "json"


Format = Annotated[Shape, typer.Option("--format", help="For people, or for programs.")]
Json = Annotated[bool, typer.Option("--json", help="For programs: JSON on stdout.")]
InOwner = Annotated[
    str | None,
    typer.Option("--owner", help="In whose name space. [default: yours]", show_default=False),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1, max=100_000, help="Show at most this many. [default: all]", show_default=False
    ),
]
