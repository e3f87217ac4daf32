"""`lakebed forget`: delete what was kept. For admins."""

from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.moments import SECONDS, moment
from lakebed.cli.options import ACCESS, Access, Format, InOwner, Shape, Yes, given


def forget(
    topic: Annotated[str, typer.Argument(help="A topic, or an MQTT filter.")],
    policy: Annotated[str | None, typer.Option(help="Only what this policy kept.")] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="From this time on: RFC 3339, epoch seconds, -1h.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Up to this time, not included.")
    ] = None,
    owner: InOwner = None,
    yes: Yes = False,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Delete what was kept of a topic, for good. What arrives from now on is kept as before."""
    times = {
        "from": moment("--from", since, allowed=SECONDS),
        "to": moment("--to", until, allowed=SECONDS),
    }
    asked = given(topic=topic, policy=policy, **times, owner=owner)
    if not yes:
        what = ", ".join(f"{key} {value}" for key, value in asked.items())
        typer.confirm(f"Delete what was kept of {what}?", abort=True, err=True)
    with access.server() as server:
        answer = server.ask("DELETE", "/api/v1/records", **asked)
    output.done(answer, f"{answer['deleted']} rows deleted", form)
