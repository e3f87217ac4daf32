"""A source of readings of the machine that Lakebed runs on.

    psutil (in a thread, a few ms) ──> [(topic, payload)] ──> Intake, like any other message

Topics: `machine/HOST/cpu/N/percent`, `load/1m`, `memory/used_percent`, `disk/ROOT/used_percent`,
`disk/DEVICE/read_bytes_per_second`, `net/INTERFACE/rx_bytes_per_second`, `temperature/SENSOR` (°C).
What a machine has none of is left out.
"""

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import psutil

from lakebed.ingest.offers import Columns
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import now

_MANY = 16
"""Disks, interfaces and sensors shown of each sort: a container host has hundreds."""

_VIRTUAL = re.compile(r"(loop|ram|zram|sr|fd)\d+")


class Sink(Protocol):
    """The part of the intake that a source of this size needs."""

    async def append(self, columns: Columns) -> None: ...


def topic_level(text: str) -> str:
    """Any name as one level of a topic: no separators, wildcards or control characters."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-") or "root"


class Machine:
    """Reads this machine. Rates are over the time since the call before, so calls belong to one
    thread at a time."""

    def __init__(self, host: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._prefix = f"machine/{topic_level(host)}/"
        self._clock = clock
        self._before = (clock(), _counters())
        psutil.cpu_percent(percpu=True)  # its first answer is about nothing

    def readings(self) -> list[tuple[str, str]]:
        """Topics and payloads; each payload is a number."""
        found = [*_shares(), *self._rates(), *_temperatures()]
        return [(self._prefix + name, f"{value:.6g}") for name, value in found]

    def _rates(self) -> Iterator[tuple[str, float]]:
        moment, counters = self._clock(), _counters()
        before, earlier = self._before
        self._before = (moment, counters)
        seconds = moment - before
        for name, count in counters.items():
            # a counter that went back belongs to a device that was attached again
            if name in earlier and count >= earlier[name] and seconds > 0:
                yield f"{name}_per_second", (count - earlier[name]) / seconds


def _shares() -> Iterator[tuple[str, float]]:
    for number, percent in enumerate(psutil.cpu_percent(percpu=True)):
        yield f"cpu/{number}/percent", percent
    for minutes, load in zip((1, 5, 15), psutil.getloadavg(), strict=True):
        yield f"load/{minutes}m", load
    memory = psutil.virtual_memory()
    yield "memory/used_percent", memory.percent
    yield "memory/available_bytes", memory.available
    for part in psutil.disk_partitions()[:_MANY]:
        try:
            usage = psutil.disk_usage(part.mountpoint)
        except OSError:
            continue  # a drive without a medium, or one we may not look at
        yield f"disk/{topic_level(part.mountpoint)}/used_percent", usage.percent


def _counters() -> dict[str, int]:
    """Bytes since boot, by name."""
    found: dict[str, int] = {}
    disks = psutil.disk_io_counters(perdisk=True) or {}
    for device in sorted(filter(_is_disk, disks))[:_MANY]:
        name = f"disk/{topic_level(device)}"
        found[f"{name}/read_bytes"] = disks[device].read_bytes
        found[f"{name}/write_bytes"] = disks[device].write_bytes
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    nets = psutil.net_io_counters(pernic=True)
    for interface in sorted(up.intersection(nets))[:_MANY]:
        name = f"net/{topic_level(interface)}"
        found[f"{name}/rx_bytes"] = nets[interface].bytes_recv
        found[f"{name}/tx_bytes"] = nets[interface].bytes_sent
    return found


def _is_disk(device: str) -> bool:
    """Whole disks only: the kernel lists their partitions besides."""
    if _VIRTUAL.fullmatch(device):
        return False
    return not os.path.isdir("/sys/block") or os.path.isdir(f"/sys/block/{device}")


def _temperatures() -> Iterator[tuple[str, float]]:
    read = getattr(psutil, "sensors_temperatures", None)  # not on every system
    for chip, sensors in sorted((read() if read else {}).items())[:_MANY]:
        for number, sensor in enumerate(sensors[:_MANY]):
            yield f"temperature/{topic_level(f'{chip}-{sensor.label or number}')}", sensor.current


async def run(machine: Machine, sink: Sink, owner: str, every: float = 1.0) -> None:
    """Offer readings every `every` seconds, until cancelled; those that are refused are dropped."""
    channels: dict[str, Channel] = {}
    while True:
        await asyncio.sleep(every - time.time() % every)
        found = await asyncio.to_thread(machine.readings)
        topics = [channels.setdefault(topic, Channel(owner, topic)) for topic, _ in found]
        payloads = [payload.encode() for _, payload in found]
        try:
            await sink.append(Columns(topics, payloads, now()))
        except Unavailable:
            continue
