"""Decides how long an append waits for more messages, since one costs the same for few and many.

delay (setting) ──> spacing of small appends ──> pipelining sources ──> until a turn brings nothing
"""

import asyncio
from contextlib import suppress

from lakebed.ingest.accumulator import BatchAccumulator

FEW = 256
"""Messages from which on an append does not wait for others."""

_SPACING = 0.002  # seconds between the beginnings of two small appends
_TURNS = 16  # turns of the event loop that a batch may wait for more messages
_STEP = 0.002  # seconds between two checks of a batch that only pipelining sources wait for
_STEPS = 5  # looks at most; the first that finds nothing new is the last
_MANY = 2000  # messages from which on pipelining sources are not waited for


class Batching:
    """Waits before an append while its batch accumulates.

    Args:
        wake: set by the accumulator when messages arrive, and when there are `FEW`.
        delay: seconds that few messages wait for others.

    Attributes:
        hurried: append at once what has accumulated, because the process stops.
    """

    def __init__(self, accumulator: BatchAccumulator, wake: asyncio.Event, delay: float) -> None:
        self._accumulator, self._wake, self._delay = accumulator, wake, delay
        self._loop = asyncio.get_running_loop()
        self._began = 0.0  # when the last append began, on the loop's clock
        self.hurried = False

    def end_delay(self) -> None:
        """From now on append without `delay`, also the messages that wait now."""
        self._delay = 0.0
        self._wake.set()

    async def accumulate(self) -> None:
        """Wait for more messages.

        Appends of few messages begin at least `_SPACING` apart, so that a thousand devices with few
        messages do not cost an fsync each; after a silence a message is appended at once. Then each
        turn of the event loop reads what has arrived, until a turn brings nothing.
        """
        loop, accumulator = self._loop, self._accumulator
        await self._delay_few()
        early = self._began + _SPACING - loop.time()
        if early > 0 and accumulator.accumulated() < FEW and not self.hurried:
            await asyncio.sleep(early)
        await self._await_pipelining_sources()
        have = -1
        for _ in range(_TURNS):
            before, have = have, accumulator.accumulated()
            if accumulator.closed or have == before:
                break
            await asyncio.sleep(0)
        self._began = loop.time()

    async def _delay_few(self) -> None:
        """Wait for the configured delay, but no longer than until there are many messages."""
        accumulator = self._accumulator
        if not self._delay or self.hurried or accumulator.closed:
            return
        self._wake.clear()
        if accumulator.accumulated() < FEW:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._delay):
                    await self._wake.wait()

    async def _await_pipelining_sources(self) -> None:
        """Wait for more messages of sources that send more without waiting for acknowledgements.

        A broker delivers a few messages at a time, and an append for each few would cost more than
        everything else. A broker that stops delivering waits for acknowledgements: append then.
        """
        accumulator = self._accumulator
        for _ in range(_STEPS):
            have = accumulator.accumulated()
            if accumulator.current.urgent or accumulator.closed or self.hurried or have >= _MANY:
                return
            await asyncio.sleep(_STEP)
            if accumulator.accumulated() == have:
                return
