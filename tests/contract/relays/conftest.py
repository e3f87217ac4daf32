"""Every kind of target, each with a real server."""

from collections.abc import Iterator
from importlib import import_module

import pytest
from relay_place import Place

KINDS = ("http", "postgres")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with import_module(f"{request.param}_place").place() as found:
        yield found


@pytest.fixture(params=["postgres"])
def exact(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Those that keep the position themselves."""
    with import_module(f"{request.param}_place").place() as found:
        yield found
