"""`lakebed send`: messages by hand, or a stream of lines."""

import base64
import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from lakebed.cli import exact, output
from lakebed.cli.moments import moment
from lakebed.cli.options import ACCESS, Access, Format, Shape
from lakebed.vocabulary.errors import BadRequest

if TYPE_CHECKING:
    from lakebed.cli.client import Server

_LINES = 5000  # messages to a request
_BYTES = 4 * 2**20  # or this much, whichever comes first


def send(
    topic: Annotated[str, typer.Argument(help="The topic.")],
    payload: Annotated[
        str | None, typer.Argument(help="The payload; - reads all of stdin.", show_default=False)
    ] = None,
    ident: Annotated[
        str | None, typer.Option("--id", help="A message sent again under this id is stored once.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Event time: RFC 3339, a number since 1970, -5m, now.")
    ] = None,
    by_line: Annotated[
        bool, typer.Option("--lines", help="Each line of stdin is a message.")
    ] = False,
    owner: Annotated[
        str | None,
        typer.Option(
            help="Whose topic it is: of an owner who lets you publish. [default: yours]",
            show_default=False,
        ),
    ] = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Send a message; returns once it is durable."""

    when = moment("--time", time)
    if by_line and (payload not in (None, "-") or ident is not None):
        raise BadRequest("--lines", "it takes neither a payload nor --id")
    if not by_line and payload is None:
        raise BadRequest("PAYLOAD", "say what to send, - to read it from stdin, or use --lines")
    with access.server() as server:
        if by_line:
            _send_lines(server, topic, when, sys.stdin.buffer, owner, form)
        else:
            body = sys.stdin.buffer.read() if payload == "-" else _bytes(payload or "")
            headers = {"X-Message-Id": ident, "X-Event-Time": when}
            answer = server.request(
                "POST",
                "/api/v1/messages",
                params={"topic": topic, "owner": owner},
                content=body,
                headers={k: v.encode() for k, v in headers.items() if v is not None},
            )
            if form is Shape.JSON:
                output.document(exact.loads(answer.content))


def _bytes(argument: str) -> bytes:
    """Restore the bytes of an argument: Python decodes invalid UTF-8 into surrogates."""
    return argument.encode("utf-8", "surrogateescape")


def _send_lines(
    server: "Server", topic: str, when: str | None, stream: BinaryIO, owner: str | None, form: Shape
) -> None:
    """Send lines; raise `Exit(1)` if any was rejected. The others are durable."""
    accepted = before = 0
    rejected: list[dict[str, Any]] = []
    for chunk in chunks(stream):
        body = b"".join(_message(topic, when, line) for line in chunk)
        answer = server.batch(body, owner)
        accepted += answer["accepted"]
        rejected += [{**r, "line": r["line"] + before} for r in answer["rejected"]]
        before += len(chunk)
    counts = f"{accepted} accepted, {len(rejected)} rejected"
    output.done({"accepted": accepted, "rejected": rejected}, counts, form)
    for one in rejected[:20]:
        output.note(f"line {one['line']}: {one['error']}")
    if rejected:
        raise typer.Exit(1)


def _message(topic: str, when: str | None, line: bytes) -> bytes:
    message: dict[str, Any] = {"topic": topic}
    if when is not None:
        message["time"] = when
    try:
        message["value"] = line.decode()
    except UnicodeDecodeError:
        message["payload_base64"] = base64.b64encode(line).decode()
    return json.dumps(message).encode() + b"\n"


def chunks(stream: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Group lines, without their ends, into chunks for one request each."""
    gathered: list[bytes] = []
    weight = 0
    for raw in stream:
        line = raw.removesuffix(b"\n").removesuffix(b"\r")
        gathered.append(line)
        weight += len(line)
        if len(gathered) >= _LINES or weight >= _BYTES:
            yield gathered
            gathered, weight = [], 0
    if gathered:
        yield gathered
