"""`lakebed up`: everything, embedded, in one process."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lakebed.cli.greeting import first_link, first_steps

if TYPE_CHECKING:
    from lakebed.runtime.node import Node

Home = Annotated[
    Path | None,
    typer.Option(help="Folder of the stores. [default: ./lakebed-data]", show_default=False),
]
Http = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Where the HTTP API listens. [default: 127.0.0.1:8080]"),
]
Mqtt = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="Where the MQTT endpoint listens. [default: 127.0.0.1:1883]"
    ),
]
Config = Annotated[
    Path | None, typer.Option(help="A TOML file of settings. [default: HOME/lakebed.toml]")
]


def up(
    home: Home = None,
    http: Http = None,
    mqtt: Mqtt = None,
    config: Config = None,
    events: Annotated[
        bool, typer.Option("--events", help="Set up an event service: a policy for events.")
    ] = False,
) -> None:
    """Run everything in this process: endpoints, journal, policies, API. Ctrl-C stops it."""
    from lakebed.cli.event_service import set_up
    from lakebed.cli.running import foreground, settings_of

    foreground(settings_of(home, http, mqtt, config), set_up if events else _greet)


async def _greet(node: "Node") -> None:
    from lakebed.cli.aggregation import set_up
    from lakebed.cli.running import address_of

    await asyncio.to_thread(set_up, node)
    address = address_of(node)
    link = await asyncio.to_thread(first_link, node, address.url)
    typer.echo(first_steps(address, link))
