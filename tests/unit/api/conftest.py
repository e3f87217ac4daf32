"""The application of `tests.application`, for the tests of routes."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest
from tests.application import (
    ADMIN,
    ANN,
    EVE,
    PASSWORDS,
    ROOMS,
    SETTINGS,
    Api,
    Broken,
    NoSeries,
    opened,
    problem,
)

from lakebed.ports.series import Series
from lakebed.runtime.settings import Settings

__all__ = [
    "ADMIN", "ANN", "EVE", "PASSWORDS", "ROOMS", "SETTINGS", "Api", "Broken", "NoSeries", "problem",
]  # fmt: skip


class Open(Protocol):
    def __call__(self, series: Series, ttl: float = 0.0, settings: Settings = SETTINGS) -> Api: ...


@pytest.fixture(scope="module")
def open_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    with ExitStack() as stack:

        def open(series: Series, ttl: float = 0.0, settings: Settings = SETTINGS) -> Api:
            home = tmp_path_factory.mktemp("home")
            return stack.enter_context(opened(home, series, ttl, settings))

        yield open


@pytest.fixture(scope="module")
def api(open_api: Open) -> Api:
    """Without a series store."""
    return open_api(NoSeries())
