"""Sets up what the variables of an aggregator ask for, as its user would by commands."""

import os
import time
from typing import TYPE_CHECKING

import structlog

from lakebed.vocabulary.errors import LakebedError, NotFound

if TYPE_CHECKING:
    from lakebed.cli.client import Server
    from lakebed.runtime.node import Node

log = structlog.get_logger(__name__)

_IN_FORCE = 2.0  # seconds after which keepers of all processes have a new policy


def set_up(node: "Node") -> None:
    """Write secrets, policy and relay, where the variables name a bus. Blocks.

    A policy or a relay that somebody has changed since is written anew only where the variables
    ask for something else than they did.
    """
    from lakebed.cli.client import Server
    from lakebed.cli.home import token_of
    from lakebed.cli.running import reachable_url
    from lakebed.sources.bus.variables import NAME, NOTE, read

    asked = read(os.environ)
    if asked is None or "api" not in node.roles:
        return
    settings = node.settings
    token = settings.api.admin_token or token_of(settings.home)
    try:
        with Server(reachable_url(node.http_url), token, settings.home) as server:
            for name, value in asked.secrets.items():
                server.request("PUT", "/api/v1/secrets", name, json={"value": value})
            if node.process.catalog.note(NOTE) == asked.text and _is_there(server, NAME):
                return
            server.request("POST", "/api/v1/apply", json=asked.documents)
        time.sleep(_IN_FORCE)
        node.process.catalog.write_note(NOTE, asked.text)
    except LakebedError as error:
        log.error("what VABUS_URL and its like ask for is not set up", reason=str(error))
        return
    log.info("aggregates the events of a bus", policy=NAME, url=asked.source["url"])


def _is_there(server: "Server", name: str) -> bool:
    try:
        server.get("/api/v1/policies", name)
    except NotFound:
        return False
    return True
