"""Answers 503 when a request waits for a store that hangs; a slow store is waited for.

    request ──3 s──> does a store hang? ──1.2 s──> yes: 503; the handler runs on in the background
                          └── no: wait, and check again

A store that refuses raises an error. One that hangs (a stopped server, a network that drops
packets) raises nothing, and drivers wait for it for a long time, some without end.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from lakebed.http import problems
from lakebed.http.asgi import App, Message, Receive, Scope, Send
from lakebed.system.probing import Probe
from lakebed.vocabulary.errors import StoreUnavailable

_CHECK_AFTER = 3.0  # seconds of a request before the stores are probed
_SILENT = 1.2  # seconds without an answer to the probe that mean: it hangs; in all below five


class StoreWatch:
    """Runs an application, and answers for it while a store hangs. On one event loop.

    Args:
        probes: by the name of a store, a call that it answers at once.
    """

    def __init__(self, app: App, probes: Mapping[str, Callable[[], object]]) -> None:
        self._app = app
        self._probes: list[Probe[object]] = [Probe(name, ask) for name, ask in probes.items()]
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send)
        task = asyncio.ensure_future(self._run(scope, receive, answer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            while not await _done(task, None if answer.begun else _CHECK_AFTER):
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
        """The first store that does not answer; empty if all do, or if the task has ended.

        A probe is shared by requests: it may have begun long ago, and end now because the driver
        has given up. That is no answer either.
        """
        asked = {probe.name: probe.ask() for probe in self._probes}
        waits = [asyncio.wrap_future(question) for question in asked.values()]
        answered: asyncio.Future[Any] = asyncio.gather(*waits, return_exceptions=True)
        either: set[asyncio.Future[Any]] = {task, answered}
        await asyncio.wait(either, timeout=_SILENT, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return ""
        pairs = zip(self._probes, asked.items(), strict=True)
        return next((name for probe, (name, question) in pairs if _hangs(probe, question)), "")


def _hangs(probe: Probe[object], question: Future[object]) -> bool:
    """Whether there is no answer; an error long after the call began is none, either."""
    if not question.done():
        return True
    return question.exception() is not None and probe.age > 2 * _SILENT


async def _done(task: "asyncio.Task[None]", seconds: float | None) -> bool:
    await asyncio.wait({task}, timeout=seconds)
    return task.done()


class _Answer:
    """Passes on the application's answer, until `take_over` replaces it by another one."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = self._taken = False

    def take_over(self) -> bool:
        """If nothing was sent yet, drop the application's answer and return True."""
        self._taken = not self.begun
        return self._taken

    async def send(self, message: Message) -> None:
        if not self._taken:
            self.begun = True
            await self._send(message)
