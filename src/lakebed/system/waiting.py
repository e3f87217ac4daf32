"""Waits for a condition while a server stops."""

import asyncio
from collections.abc import Callable

_LOOK = 0.01  # seconds between two looks at the condition


async def wait_until(is_true: Callable[[], bool], seconds: float) -> None:
    """Return when the condition is true, or after `seconds`.

    It polls, which is enough for a stop: an Event would have to be set wherever the condition can
    become true.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not is_true() and loop.time() < end:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK)
