"""What a message costs from the socket to the keeper's chunk, with one owner and with 10,000 units.

    python -m bench.unit_parts

CPU time of one thread, the best of several runs: it can be compared where the machine is busy, too.
"""

import asyncio
import random
import time
from itertools import pairwise
from typing import Any, cast

from tests.units import Units

from bench.report import Report
from lakebed.access.unit_directory import UnitDirectory
from lakebed.ingest.building import BatchBuilder
from lakebed.ingest.offers import Columns, Singles
from lakebed.keeper.chunk import join
from lakebed.keeper.ledger import Ledger
from lakebed.sources.mqtt.client.unit_senders import UnitSenders
from lakebed.sources.mqtt.codec.decoder import AT_CLIENT, Decoder
from lakebed.sources.mqtt.codec.publish import publish
from lakebed.sources.mqtt.inbound import InboundPublishes
from lakebed.sources.mqtt.settings import MqttSource
from lakebed.sources.mqtt.stats import Stats
from lakebed.sources.mqtt.unreleased import Unreleased
from lakebed.stores.journal import blocks
from lakebed.vocabulary.messages import Channel, Entry

_UNITS, _READS, _OF_A_READ, _RUNS = 10_000, 10, 300, 60
_STAGES = ("socket to offer", "batch", "encode the block", "decode it", "join to a chunk")


class _Intake:
    """Collects offers."""

    def __init__(self) -> None:
        self.singles, self.offered = Singles(), list[Columns]()

    def offer(self, columns: Columns, *_: object, **__: object) -> None:
        self.offered.append(columns)


def main() -> None:
    dice = random.Random(3)
    reads = [
        b"".join(
            publish(f"plant/{dice.randrange(_UNITS):06d}/temperature", b"%.2f" % (i / 7), 1, i + 1)
            for i in range(_OF_A_READ)
        )
        for _ in range(_READS)
    ]
    owner, units = (asyncio.run(_measure(reads, with_units)) for with_units in (False, True))
    figures: dict[str, Any] = {}
    for stage, a, b in zip(_STAGES, owner, units, strict=True):
        figures[f"{stage}, one owner µs/msg"], figures[f"{stage}, units µs/msg"] = a, b
    figures["units more, µs/msg"] = sum(units) - sum(owner)
    Report("unit-parts", f"{_UNITS:,} topics, reads of {_OF_A_READ}", "python -m bench.unit_parts",
           figures, []).show()  # fmt: skip


async def _measure(reads: list[bytes], with_units: bool) -> list[float]:
    senders = await _senders() if with_units else None
    resolve = _channel if senders is None else senders.resolve
    decoder: Decoder[Any] = Decoder(
        5, AT_CLIENT, resolve, payload_maximum=2**20, packet_maximum=2**20
    )
    best = [float("inf")] * len(_STAGES)
    for _ in range(_RUNS):
        best = list(map(min, best, _run(reads, decoder, senders)))
        await asyncio.sleep(0)
    return [seconds / (_READS * _OF_A_READ) * 1e6 for seconds in best]


def _channel(topic: str) -> Channel:
    return Channel("admin", topic)


async def _senders() -> UnitSenders:
    units = Units()
    for number in range(_UNITS):
        units.put(f"{number:06d}", owner="admin")
    directory = UnitDirectory(units)
    await directory.refresh()
    source = {"name": "s", "url": "mqtt://h", "topics": ["#"], "topic": "plant/{unit}/temperature"}
    return UnitSenders(MqttSource.model_validate(source), directory)


def _run(reads: list[bytes], decoder: Decoder[Any], senders: UnitSenders | None) -> list[float]:
    intake = _Intake()
    inbound = InboundPublishes(
        cast(Any, intake), "admin", 5, Unreleased("admin", "c"), lambda _: None, Stats(),
        urgent=False, senders=senders, in_flight_maximum=10**9,
    )  # fmt: skip
    at = [time.thread_time()]
    for data in reads:
        decoder.feed(data)
        inbound.take(decoder.events(), 1)
    at.append(time.thread_time())
    builder = BatchBuilder()
    for columns in intake.offered:
        builder.extend(columns.channels, columns.payloads, columns.received, columns.sparse)
    batch = builder.build()
    at.append(time.thread_time())
    block = blocks.encode(batch)
    at.append(time.thread_time())
    back = blocks.decode(block)
    at.append(time.thread_time())
    join([Entry(0, 0, back)], Ledger())
    at.append(time.thread_time())
    return [b - a for a, b in pairwise(at)]


if __name__ == "__main__":
    main()
