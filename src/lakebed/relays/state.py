"""What is saved of a relay in one partition: its positions and its figures.

It is a checkpoint of the consumer `relays` under the relay's lasting identity, so it commits with
the partition's claim, is part of backups, and can be read by every process.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from lakebed.vocabulary.times import Micros

Circuit = Literal["closed", "open", "half-open"]


class Gap(msgspec.Struct, array_like=True):
    """Messages of a partition that a relay never passes on.

    Attributes:
        start, end: offsets; `end` is behind the last, and `start` while it is not known yet.
        messages: about how many; 0 while it is not known yet.
        since: when it began.
        reason: `hold`, where more waited than the relay may hold; `trimmed`, where the journal had
            deleted them; `full`, where the journal had no room; `lost`, where it lost them.
    """

    start: int
    end: int
    messages: int
    since: Micros
    reason: str


class RelayState(msgspec.Struct):
    """Attributes:
    start: where reading begins again; no lane is behind it.
    lanes: of each lane the offset below which everything was delivered or refused.
    memory: of `max_rate` and `unique` at `start`.
    resumed: the last order to go on that was followed.
    stopped: why the engine paused it; "" while it runs.
    messages, bytes: about how much waits for it.
    oldest: receive time of the oldest message that waits; 0 where none does.
    rate: records a second, of late.
    error: the last error, and when it was; "" after a delivery that went well.
    wait: until when the target is not asked; 0 where it may be.
    at: when this was saved.
    expired: windows that the series had no more when they were to be passed on.
    """

    start: int
    lanes: list[int]
    memory: bytes = b""
    resumed: int = 0
    stopped: str = ""
    delivered: int = 0
    refused: int = 0
    filtered: int = 0
    retries: int = 0
    gaps: list[Gap] = []
    circuit: Circuit = "closed"
    error: str = ""
    error_at: Micros = 0
    wait: Micros = 0
    rate: float = 0.0
    messages: int = 0
    bytes: int = 0
    oldest: Micros = 0
    at: Micros = 0
    expired: int = 0


def encode(state: RelayState) -> bytes:
    return msgspec.msgpack.encode(state)


def decode(data: bytes) -> RelayState:
    return msgspec.msgpack.decode(data, type=RelayState)


def worst(states: Iterable[RelayState]) -> Circuit:
    """Of the partitions of a relay that which tells most of its target."""
    found = {state.circuit for state in states}
    return "open" if "open" in found else "half-open" if "half-open" in found else "closed"
