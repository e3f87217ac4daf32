"""Sends at a given rate, whatever the other side does: a fleet has its own clock."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

_TICK = 0.001  # seconds; what fell due since the last tick is sent together


@dataclass(frozen=True, slots=True)
class Pace:
    """`messages` in all, `rate` a second."""

    rate: float
    messages: int


async def drive_at(pace: Pace, send: Callable[[int], None]) -> float:
    """Call `send(i)` for each message when it is due.

    Returns:
        The most by which one was sent too late, in seconds: a generator that cannot keep up
        measures itself.
    """
    began = time.perf_counter()
    sent, behind = 0, 0.0
    while sent < pace.messages:
        elapsed = time.perf_counter() - began
        due = min(pace.messages, int(elapsed * pace.rate) + 1)
        if sent < due:
            behind = max(behind, elapsed - sent / pace.rate)
        for i in range(sent, due):
            send(i)
        sent = due
        await asyncio.sleep(_TICK)
    return behind
