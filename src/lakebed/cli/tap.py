"""`lakebed tap`: print messages as they arrive."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from lakebed.cli import exact, output
from lakebed.cli.options import ACCESS, Access, FromOwner


class Lines(StrEnum):
    TEXT = "text"
    NDJSON = "ndjson"


def tap(
    topic_filter: Annotated[str, typer.Argument(metavar="FILTER", help="For example 'plant/#'.")],
    count: Annotated[int | None, typer.Option(min=1, help="Stop after this many messages.")] = None,
    form: Annotated[Lines, typer.Option("--format", help="How to print them.")] = Lines.TEXT,
    owner: FromOwner = None,
    access: Access = ACCESS,
) -> None:
    """Print messages as they arrive, until Ctrl-C. Needs no policy and keeps nothing."""
    try:
        with (
            access.server() as server,
            server.stream("/api/v1/tap", filter=topic_filter, owner=owner) as body,
        ):
            _print(messages(body), count, form)
    except KeyboardInterrupt:
        return


def _print(found: Iterable[dict[str, Any]], count: int | None, form: Lines) -> None:
    left = count
    for message in found:
        if "dropped" in message:
            output.note(f"{message['dropped']} messages went by too fast to show")
            continue
        typer.echo(exact.dumps(message) if form is Lines.NDJSON else text(message))
        if left is not None:
            left -= 1
            if left == 0:
                return


def messages(body: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Read the lines of an NDJSON stream, without heartbeats (blank lines, empty objects)."""
    rest = b""
    for piece in body:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if line.strip() and (message := exact.loads(line)):
                yield message


def text(message: dict[str, Any]) -> str:
    """Format a message as `TIME TOPIC PAYLOAD`, safe for a terminal."""
    value = message.get("value", message.get("payload", message.get("payload_base64")))
    moment = message.get("time") or message.get("received") or ""
    return f"{output.plain(moment)} {output.plain(message.get('topic'))} {output.plain(value)}"
