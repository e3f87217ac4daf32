"""`lakebed demo`: `up` with readings of this machine and a small simulated fleet.

psutil ────────────> intake ───┐
20 devices ──MQTT──> endpoint ─┴──> journal ──> the policies of demo.yaml
"""

import asyncio
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from lakebed.cli.event_service import write_missing
from lakebed.cli.greeting import ServerAddress, first_link, in_a_browser
from lakebed.cli.texts import text_of
from lakebed.cli.up import Config, Home, Http, Mqtt
from lakebed.vocabulary.errors import LakebedError

if TYPE_CHECKING:
    from lakebed.runtime.node import Node
    from lakebed.simulation.fleet import Device

_DEVICES = 20
_SEED = 1
_TIMEOUT = 15.0  # seconds to wait for the first rows before the greeting


def demo(home: Home = None, http: Http = None, mqtt: Mqtt = None, config: Config = None) -> None:
    """Run everything, with readings of this machine and a simulated fleet to look at."""
    from lakebed.cli.running import foreground, settings_of

    foreground(settings_of(home, http, mqtt, config), _show)


def greeting(address: ServerAddress, link: str | None = None) -> str:
    """The text with commands to try; each can be copied and run."""
    machine, device = _machine(), _fleet()[0].topic
    host, port = address.mqtt
    worth_trying = (
        ("what does every sensor of this machine say now?", ("last", f"{machine}/#")),
        ("how busy was the first CPU?", ("query", f"{machine}/cpu/0/percent", "--plot")),
        (
            "a device's temperature, by the minute",
            ("query", f"{device}/telemetry", "--policy", "fleet-minutes"),
        ),
        ("what is arriving right now?", ("tap", "plant/#", "--count", "10")),
        ("what became of every message?", ("flow", "--by", "policy")),
    )
    lines = [
        f"lakebed listens: HTTP {address.url}   MQTT {host}:{port}   home {address.home}",
        f"It reads this machine every second, and {_DEVICES} simulated devices send to it by MQTT.",
        "Five commands worth trying, in another terminal:",
        "",
    ]
    for why, arguments in worth_trying:
        lines += [f"  # {why}", f"  {address.command(*arguments)}"]
    return "\n".join([*lines, "", in_a_browser(address, link), "", "Ctrl-C stops it."])


async def _show(node: "Node") -> None:
    from lakebed.cli.home import token_of
    from lakebed.cli.running import address_of
    from lakebed.runtime.admin_token import ADMIN
    from lakebed.simulation.driving import Drive, Tally
    from lakebed.sources import machine

    process, address = node.process, address_of(node)
    token = node.settings.api.admin_token or token_of(address.home)
    assert token is not None
    await asyncio.to_thread(write_missing, process.catalog, ADMIN, text_of("demo.yaml"))
    for tell in node.contributed.policies_changed:
        await asyncio.to_thread(tell)
    drive = Drive(*address.mqtt, token)
    reader = await asyncio.to_thread(machine.Machine, socket.gethostname())
    async with asyncio.TaskGroup() as group:
        group.create_task(machine.run(reader, process.intake, ADMIN), name="machine")
        group.create_task(drive.run(_fleet(), Tally(), None), name="fleet")
        await asyncio.to_thread(_until_kept, address, token)
        link = await asyncio.to_thread(first_link, node, address.url)
        typer.echo(greeting(address, link))


def _until_kept(address: ServerAddress, token: str) -> None:
    """Wait up to `_TIMEOUT` until the commands of the greeting have rows to show."""
    from lakebed.cli.client import Server

    end = time.monotonic() + _TIMEOUT
    with Server(address.url, token, address.home) as server:
        for topic, policy in _first_rows():
            while time.monotonic() < end:
                with suppress(LakebedError):
                    if server.get("/api/v1/records", topic=topic, policy=policy)["records"]:
                        break
                time.sleep(0.2)


def _first_rows() -> list[tuple[str, str]]:
    """Topics and policies in the order in which they fill."""
    telemetry = f"{_fleet()[0].topic}/telemetry"
    cpu = f"{_machine()}/cpu/0/percent"
    return [(cpu, "machine-now"), (cpu, "machine-day"), (telemetry, "fleet-minutes")]


def _machine() -> str:
    from lakebed.sources.machine import topic_level

    return f"machine/{topic_level(socket.gethostname())}"


def _fleet() -> "list[Device]":
    from lakebed.simulation.fleet import fleet

    return fleet(_DEVICES, _SEED)
