"""Asks an ASGI application made for a test, as a client would."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from lakebed.http.asgi import App, Message, Receive, Scope, Send


class Answered(NamedTuple):
    """An answer, with the pieces its body came in."""

    status: int
    headers: dict[str, str]
    pieces: list[bytes]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


def answering(*pieces: bytes, status: int = 200, whole: bool = True, **headers: str) -> App:
    """An application that answers this, as a whole or as a stream."""
    fields = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    if whole:
        fields.append((b"content-length", b"%d" % sum(map(len, pieces))))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": fields})
        for number, piece in enumerate(pieces):
            more = not whole or number + 1 < len(pieces)
            await send({"type": "http.response.body", "body": piece, "more_body": more})
        if not whole:
            await send({"type": "http.response.body"})

    return app


def ask(app: App, method: str = "GET", /, **headers: str) -> Answered:
    """Ask once; `_` in a name stands for `-`."""
    fields = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return await asyncio.Future()  # the client stays

    scope: dict[str, Any] = {"type": "http", "method": method, "path": "/", "raw_path": b"/"}
    scope |= {"query_string": b"", "headers": fields, "scheme": "http", "server": ("lakebed", 80)}
    asyncio.run(asyncio.wait_for(app(scope, receive, send), 10))  # type: ignore[arg-type]
    start, *bodies = sent
    assert [one.get("more_body", False) for one in bodies].index(False) == len(bodies) - 1
    return Answered(
        start["status"], _joined(start["headers"]), [b["body"] for b in bodies if b.get("body")]
    )


def _joined(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for name, value in fields:
        found.setdefault(name.decode(), []).append(value.decode())
    twice: Sequence[str] = [name for name, values in found.items() if len(values) > 1]
    assert set(twice) <= {"vary"}, twice
    return {name: ", ".join(values) for name, values in found.items()}
