"""`lakebed dead-letters`: messages that broke a policy's code."""

import base64
from typing import Annotated, Any

import typer

from lakebed.cli import output
from lakebed.cli.options import ACCESS, Access, Commands, Format, Shape, given
from lakebed.vocabulary.errors import BadRequest

app = Commands("Messages that broke a policy's code: list, show, resend, drop.")
_PATH = "/api/v1/dead-letters"
_COLUMNS = ("id", "topic", "time", "size", "reason")

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As `list` shows them.")]
Topic = Annotated[str | None, typer.Option(help="Letters under this MQTT filter; # means all.")]
Policy = Annotated[str | None, typer.Option(help="Letters of this policy.")]
Reason = Annotated[str | None, typer.Option(help="Letters whose reason begins with this.")]


@app.command("list")
def list_(
    topic: Topic = None,
    policy: Policy = None,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(help="Show at most this many.")] = 100,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """List them, the newest first, and count those that were settled."""
    with access.server() as server:
        found = server.get(_PATH, topic=topic, policy=policy, reason=reason, limit=limit)
    if form is Shape.JSON:
        output.document(found)
        return
    if letters := output.rows(found):
        output.table(letters, _COLUMNS)
    parts = ("waiting", "resent", "dropped", "expired")
    counts = (f"{found[part]} {part}" for part in parts if found[part] is not None)
    output.note(", ".join(counts))


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="As `list` shows it.")],
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Show one with its payload and the error in full."""
    with access.server() as server:
        found = server.get(_PATH, id)
    if form is Shape.JSON:
        output.document(found)
        return
    payload = base64.b64decode(found.pop("payload_base64"))
    error = found.pop("error")
    found["payload"] = payload.decode("utf-8", "backslashreplace")
    output.table([{"": key, "value": value} for key, value in found.items()])
    for line in error.splitlines():
        typer.echo(output.plain(line))


@app.command()
def resend(
    ids: Ids = None,
    topic: Topic = None,
    policy: Policy = None,
    reason: Reason = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Send their messages again, to the policies they broke; twice sent they are stored once."""
    chosen = {"topic": topic, "policy": policy, "reason": reason}
    count = _settle_letters("POST", ("resend",), ids or [], chosen, access)
    output.done({"resent": count}, f"{count} sent again", form)


@app.command()
def drop(
    ids: Ids = None,
    topic: Topic = None,
    policy: Policy = None,
    reason: Reason = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Drop letters without sending them."""
    chosen = {"topic": topic, "policy": policy, "reason": reason}
    count = _settle_letters("DELETE", (), ids or [], chosen, access)
    output.done({"dropped": count}, f"{count} dropped", form)


def _settle_letters(
    method: str,
    action: tuple[str, ...],
    ids: list[str],
    chosen: dict[str, Any],
    access: Access,
) -> int:
    """Settle letters by id, or all that the options choose by one request; return their number."""

    options = given(**chosen)
    if bool(ids) == bool(options):
        raise BadRequest("ID", "name letters, or choose by --topic, --policy or --reason")
    with access.server() as server:
        if options:
            answer = server.ask(method, _PATH, *action, **options)
            return int(next(iter(answer.values())))
        for id in ids:
            server.ask(method, _PATH, id, *action)
    return len(ids)
