"""`lakebed serve`: one process of several that share stores."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from lakebed.cli.up import Config, Home, Http, Mqtt

if TYPE_CHECKING:
    from lakebed.runtime.node import Node

Role = Annotated[
    list[str],
    typer.Option(
        metavar="ROLE",
        help="`gateway`, `keeper` or `api`; several by commas, or by giving it again.",
        show_default=False,
    ),
]


def serve(
    role: Role, home: Home = None, http: Http = None, mqtt: Mqtt = None, config: Config = None
) -> None:
    """Run one or more roles in this process; others run the rest. Ctrl-C stops it."""
    from lakebed.cli.running import foreground, settings_of
    from lakebed.runtime.roles import parse

    foreground(settings_of(home, http, mqtt, config), _greet, parse(role))


async def _greet(node: "Node") -> None:
    from lakebed.cli.aggregation import set_up
    from lakebed.cli.running import mqtt_of, reachable_url

    await asyncio.to_thread(set_up, node)
    address = mqtt_of(node)
    mqtt = "" if address is None else f"   MQTT {address}"
    typer.echo(f"lakebed {', '.join(node.roles)}: HTTP {reachable_url(node.http_url)}{mqtt}")
