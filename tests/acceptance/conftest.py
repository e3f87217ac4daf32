from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A fresh `lakebed up`."""
    with Server(tmp_path / "home") as running:
        yield running
