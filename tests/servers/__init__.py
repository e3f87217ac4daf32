"""Servers that tests need and that are not Lakebed's."""

import os
from typing import NoReturn

import pytest


def unavailable(what: str) -> NoReturn:
    """A server that is missing skips at a desk and fails in CI."""
    say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    say(f"{what} is missing")
