"""Sends the messages of a simulated fleet, over one connection for each device."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lakebed.simulation.fleet import Device
from lakebed.sources.mqtt.client.publisher import Publisher
from lakebed.vocabulary.errors import Denied, Unavailable
from lakebed.vocabulary.times import Micros, now

_TICK = 0.05  # seconds; at a higher rate a device sends several messages at once
_LONGEST = 10.0  # seconds between two attempts to reach the server


@dataclass(slots=True)
class Tally:
    """Counts of the fleet so far; `waits` are seconds from sending to the acknowledgement."""

    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    reconnects: int = 0
    waits: deque[float] = field(default_factory=lambda: deque(maxlen=20_000))


@dataclass(frozen=True, slots=True)
class Drive:
    """Connects devices to a server; `rate` is telemetry messages a second for each device."""

    host: str
    port: int
    token: str | None
    rate: float = 1.0
    qos: int = 1
    clock: Callable[[], Micros] = now

    async def run(self, devices: Sequence[Device], tally: Tally, duration: float | None) -> None:
        """Run all devices, for `duration` seconds or until cancelled.

        Devices wait for a server that goes away. If the server cannot be reached at first, or
        refuses the token, the run ends.

        Raises:
            Unavailable, Denied: of the first device that could not connect.
        """
        first = await self._open(devices[0], random.getrandbits(32))
        until = None if duration is None else asyncio.get_running_loop().time() + duration
        async with asyncio.TaskGroup() as group:
            for number, device in enumerate(devices):
                begun = first if number == 0 else None
                group.create_task(self._device(device, begun, until, tally, number / len(devices)))

    async def _device(
        self,
        device: Device,
        connection: Publisher | None,
        until: float | None,
        tally: Tally,
        phase: float,
    ) -> None:
        """Run one device, from its `phase` of the period on: devices do not send all at once."""
        loop = asyncio.get_running_loop()
        session = random.getrandbits(32)
        period = max(1 / self.rate, _TICK)
        burst = self.rate * period
        due, owed = loop.time() + period * phase, 0.0
        try:
            while until is None or due < until:
                await asyncio.sleep(due - loop.time())
                owed += burst
                due = max(due + period, loop.time() - 1.0)
                if connection is None:
                    connection = await self._reopen(device, session)
                try:
                    while owed >= 1:
                        owed -= 1
                        await self._send(device, connection)
                except Unavailable:
                    self._count(connection, tally)
                    connection, owed = None, 0.0
                    tally.reconnects += 1
        finally:
            if connection is not None:
                await connection.close()
                self._count(connection, tally)

    async def _send(self, device: Device, connection: Publisher) -> None:
        for topic, payload in device.step(self.clock()):
            await connection.publish(topic, payload, self.qos)

    async def _open(self, device: Device, session: int) -> Publisher:
        # a new client id for every run: simulations must not take over each other's sessions
        publisher = Publisher(f"{device.name}-{session:08x}", self.token)
        await publisher.open(self.host, self.port)
        return publisher

    async def _reopen(self, device: Device, session: int) -> Publisher:
        wait = 0.1
        while True:
            try:
                return await self._open(device, session)
            except Denied:
                raise
            except Unavailable:
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  jitter
                wait = min(2 * wait, _LONGEST)

    def _count(self, connection: Publisher, tally: Tally) -> None:
        tally.sent += connection.sent
        tally.acknowledged += connection.acknowledged
        tally.refused += connection.refused
        tally.waits.extend(connection.waits)
