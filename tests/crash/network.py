"""A network between two programs: a way that is long, narrow, stalls, and breaks.

    client ──> Proxy ──> one of its targets, the next one that takes the connection

TCP hides lost packets: what a program sees of them is that a connection stalls and then goes on,
is slow, or breaks. That is what is made here.
"""

import asyncio
import random
import socket
import threading
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

_CHUNK = 32 * 2**10  # bytes read at a time
_ON_THE_WAY = 16  # chunks of one direction of one connection


class Proxy:
    """A thread that passes connections on. Attributes may be changed at any time.

    Args:
        targets: ports of the loopback, or paths of Unix sockets.
        port: where it listens; 0 for any.

    Attributes:
        port: where it listens.
        latency: seconds one way, least and most; each chunk has its own, order is kept.
        bandwidth: bytes a second of each direction of a connection; 0 for any number.
        passed: bytes so far.
    """

    def __init__(self, targets: Sequence[int | str], seed: int = 0, port: int = 0) -> None:
        self.targets = targets
        self.latency = (0.0, 0.0)
        self.bandwidth = 0
        self.passed = 0
        self._dice = random.Random(f"{seed} network")
        self._stalled_until = 0.0
        self._next = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()
        self._call(self._serve())

    def stall(self, seconds: float) -> None:
        """Nothing passes for so long, in no direction; connections stay."""
        self._stalled_until = time.monotonic() + seconds

    def cut(self, share: float = 1.0) -> int:
        """Break connections in the middle of whatever they do; returns how many."""
        return self._call(self._cut(share))

    def close(self) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _call(self, coroutine: Coroutine[Any, Any, int]) -> int:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    # --- on the thread ----------------------------------------------------------------------------

    async def _serve(self) -> int:
        self._server = await asyncio.start_server(self._accept, sock=self._listening)
        return 0

    async def _end(self) -> int:
        self._server.close()
        await self._cut(1.0)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return 0

    async def _cut(self, share: float) -> int:
        chosen = [writer for writer in self._writers if self._dice.random() < share]
        for writer in chosen:
            writer.transport.abort()
        return len(chosen)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._join(reader, writer)
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await self._connect()
        if there is None:
            return
        self._writers.add(there[1])
        ways = [
            asyncio.create_task(self._pass(reader, there[1])),
            asyncio.create_task(self._pass(there[0], writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            there[1].transport.abort()
            self._writers.discard(there[1])

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in self.targets:
            self._next += 1
            port = self.targets[self._next % len(self.targets)]
            with suppress(OSError):
                if isinstance(port, str):
                    return await asyncio.open_unix_connection(port)
                return await asyncio.open_connection("127.0.0.1", port)
        return None

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Returns when either side is gone; what was on its way by then has arrived."""
        way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_ON_THE_WAY)
        delivering = asyncio.create_task(self._deliver(way, target))
        try:
            while True:
                try:
                    data = await source.read(_CHUNK)
                except OSError:
                    data = b""
                await way.put((time.monotonic() + self._dice.uniform(*self.latency), data))
                if not data or delivering.done():
                    break
            await delivering
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    async def _deliver(
        self, way: asyncio.Queue[tuple[float, bytes]], target: asyncio.StreamWriter
    ) -> None:
        while True:
            due, data = await way.get()
            if not data:
                return
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            while (rest := self._stalled_until - time.monotonic()) > 0:  # noqa: ASYNC110  may grow
                await asyncio.sleep(rest)
            if self.bandwidth:
                await asyncio.sleep(len(data) / self.bandwidth)
            target.write(data)
            await target.drain()
            self.passed += len(data)
