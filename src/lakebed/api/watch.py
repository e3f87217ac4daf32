"""Answers 503 where a request waits for a store that hangs; one that is merely slow is waited for.

    request ──3 s──> is a store silent? ──1.2 s──> yes: 503, and the handler is left to itself
                          └── no: wait on, and look again

A store that refuses raises an error. One that hangs (a stopped server, a network that swallows)
raises nothing, and drivers wait for it for long, some for ever.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from lakebed.http import problems
from lakebed.http.asgi import App, Message, Receive, Scope, Send
from lakebed.system.probing import Probe
from lakebed.vocabulary.errors import StoreUnavailable

_LOOK = 3.0  # seconds until it is asked whether a store hangs,
_SILENT = 1.2  # which one does that is silent for so long: together less than five


class StoreWatch:
    """Runs an application, and answers for it while a store hangs. On one event loop.

    Args:
        probes: by the name of a store a question that it answers at once.
    """

    def __init__(self, app: App, probes: Mapping[str, Callable[[], object]]) -> None:
        self._app = app
        self._probes = [Probe(name, ask) for name, ask in probes.items()]
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send)
        task = asyncio.ensure_future(self._run(scope, receive, answer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            while not await _done(task, None if answer.begun else _LOOK):
                silent = "" if answer.begun else await self._silent(task)
                if silent and answer.take_over():
                    await problems.answer(
                        send, StoreUnavailable(f"{silent} does not answer: try again later")
                    )
                    return
        except asyncio.CancelledError:
            task.cancel()
            raise
        task.result()

    async def _run(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        await self._app(scope, receive, answer.send)

    async def _silent(self, task: "asyncio.Task[None]") -> str:
        """The first store that does not answer; empty where all do, or the task has ended."""
        asked = {probe.name: probe.ask() for probe in self._probes}
        waits = [asyncio.wrap_future(question) for question in asked.values()]
        # what it answers does not matter, nor does an error: the request meets it too
        answered: asyncio.Future[Any] = asyncio.gather(*waits, return_exceptions=True)
        either: set[asyncio.Future[Any]] = {task, answered}
        await asyncio.wait(either, timeout=_SILENT, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return ""
        return next((name for name, question in asked.items() if not question.done()), "")


async def _done(task: "asyncio.Task[None]", seconds: float | None) -> bool:
    await asyncio.wait({task}, timeout=seconds)
    return task.done()


class _Answer:
    """The way of one answer, until another one is given instead of it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = self._taken = False

    def take_over(self) -> bool:
        """Whether nothing was sent yet; then nothing will be."""
        self._taken = not self.begun
        return self._taken

    async def send(self, message: Message) -> None:
        if not self._taken:
            self.begun = True
            await self._send(message)
