"""Readings of the machine: whatever it has, under names that are topics."""

import asyncio
from collections.abc import Sequence
from typing import Any

import psutil
import pytest

from lakebed.ingest.offers import Columns
from lakebed.sources import machine
from lakebed.sources.machine import Machine, topic_level
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.messages import Channel


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def disk(read: int, written: int) -> dict[str, Any]:
    return {"sda": type("Counters", (), {"read_bytes": read, "write_bytes": written})()}


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("/", "root"),
        ("/var/lib", "var-lib"),
        ("host.example", "host.example"),
        ("Package id 0", "Package-id-0"),
        ("a+b#c", "a-b-c"),
        ("ünï", "ünï"),
        ("\x00", "root"),
    ],
)
def test_any_name_becomes_one_level_of_a_topic(name: str, level: str) -> None:
    assert topic_level(name) == level


def test_every_reading_is_a_number_on_a_topic_of_its_own() -> None:
    readings = Machine("my host").readings()
    topics = [topic for topic, _ in readings]
    assert len(set(topics)) == len(topics)
    assert all(topic.startswith("machine/my-host/") for topic in topics)
    assert all(float(value) >= 0 for topic, value in readings if "temperature" not in topic)


def test_cpu_load_memory_and_disk_are_there() -> None:
    found = {topic.removeprefix("machine/h/") for topic, _ in Machine("h").readings()}
    assert {"cpu/0/percent", "load/1m", "memory/used_percent"} <= found


def test_rates_are_bytes_over_the_time_between_two_readings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(machine, "_is_disk", lambda _: True)
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk: disk(1000, 0))
    reader = Machine("h", clock)
    clock.now += 4
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk: disk(3000, 100))
    found = dict(reader.readings())
    assert found["machine/h/disk/sda/read_bytes_per_second"] == "500"
    assert found["machine/h/disk/sda/write_bytes_per_second"] == "25"


def test_a_counter_that_began_anew_gives_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(machine, "_is_disk", lambda _: True)
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk: disk(1000, 1000))
    reader = Machine("h", clock)
    clock.now += 1
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk: disk(10, 1001))
    names = [topic for topic, _ in reader.readings()]
    assert "machine/h/disk/sda/read_bytes_per_second" not in names
    assert "machine/h/disk/sda/write_bytes_per_second" in names


def test_sensors_have_the_names_of_their_chips(monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = type("Sensor", (), {"label": "Package id 0", "current": 51.5})()
    bare = type("Sensor", (), {"label": "", "current": -3.0})()
    monkeypatch.setattr(
        psutil, "sensors_temperatures", lambda: {"coretemp": [sensor, bare]}, raising=False
    )
    found = dict(Machine("h").readings())
    assert found["machine/h/temperature/coretemp-Package-id-0"] == "51.5"
    assert found["machine/h/temperature/coretemp-1"] == "-3"


def test_readings_go_to_the_intake_and_a_closed_one_is_no_end() -> None:
    taken: list[Sequence[Channel]] = []
    enough = asyncio.Event()

    class Sink:
        async def append(self, columns: Columns) -> None:
            taken.append(columns.channels)
            if len(taken) == 1:
                raise Unavailable("the gate is shut")
            enough.set()

    async def run() -> None:
        task = asyncio.create_task(machine.run(Machine("h"), Sink(), "ann", every=0.01))
        await enough.wait()
        task.cancel()

    asyncio.run(run())
    assert taken[1][0].owner == "ann"
