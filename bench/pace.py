"""Sends at a given rate, whatever the other side does: a fleet has its own clock."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SEED = 35
_TICK = 0.001  # seconds; what fell due since the last tick is sent together


@dataclass(frozen=True, slots=True)
class Pace:
    """`messages` in all, `rate` a second on average.

    Attributes:
        regular: whether they are equally far apart; else they come by chance, as those of many
            devices do that know nothing of each other (a Poisson process).
    """

    rate: float
    messages: int
    regular: bool = True

    def times(self) -> NDArray[np.float64]:
        """When each is due, in seconds."""
        if self.regular:
            return np.arange(self.messages) / self.rate
        gaps = np.random.default_rng(_SEED).exponential(1 / self.rate, self.messages)
        return np.cumsum(gaps) - gaps[0]


async def drive_at(pace: Pace, send: Callable[[int], None]) -> float:
    """Call `send(i)` for each message when it is due.

    Returns:
        The most by which one was sent too late, in seconds: a generator that cannot keep up
        measures itself.
    """
    times = pace.times()
    began = time.perf_counter()
    sent, behind = 0, 0.0
    while sent < pace.messages:
        elapsed = time.perf_counter() - began
        due = int(times.searchsorted(elapsed, "right"))
        if sent < due:
            behind = max(behind, elapsed - float(times[sent]))
        for i in range(sent, due):
            send(i)
        sent = due
        await asyncio.sleep(_TICK)
    return behind
