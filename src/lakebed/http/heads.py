"""Answers HEAD as GET without the body, wherever there is a GET."""

import asyncio

from lakebed.http.asgi import App, Message, Receive, Scope, Send

HEAD = "lakebed.head"
"""The key of a scope that tells a handler of GET that its body is not sent."""

_OF_BODIES = (b"accept-encoding", b"range", b"if-range")
"""Headers that say which form or which part of the body is wanted. A HEAD asks how long the whole
is: readers of files compute the ranges to ask for from it."""


class Heads:
    """Wraps an application that answers GET."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        headers = [one for one in scope["headers"] if one[0] not in _OF_BODIES]
        asked = {**scope, "method": "GET", "headers": headers, HEAD: True}
        answer = _Head(send)
        task = asyncio.ensure_future(self._answer(asked, receive, answer))
        sent = asyncio.ensure_future(answer.streamed.wait())
        try:
            await asyncio.wait({task, sent}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()  # nobody reads the stream
                await asyncio.wait({task})
                return
        finally:
            task.cancel()
            sent.cancel()
        task.result()

    async def _answer(self, scope: Scope, receive: Receive, answer: "_Head") -> None:
        await self._app(scope, receive, answer.send)


class _Head:
    """Passes the head of an answer on, and no body.

    Attributes:
        streamed: set once the head is sent of an answer that may have no end.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.streamed = asyncio.Event()

    async def send(self, message: Message) -> None:
        if message["type"] != "http.response.start":
            return
        await self._send(message)
        await self._send({"type": "http.response.body"})
        if all(name != b"content-length" for name, _ in message.get("headers", ())):
            self.streamed.set()
