"""What the tests share: Helm; for those that run containers a network, and servers they reach."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import Servers, victims
from tests.deploy import engine

_measured: list[str] = []


@pytest.fixture
def helm() -> str:
    path = shutil.which("helm")
    if path is None:
        pytest.skip("helm is missing: see deploy/README.md")
    return path


@pytest.fixture(scope="session")
def measured() -> list[str]:
    """Lines that are printed at the end."""
    return _measured


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in _measured:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def network() -> Iterator[engine.Network]:
    with engine.network() as made:
        yield made


@pytest.fixture(scope="session")
def on(network: engine.Network) -> Iterator[Servers]:
    """Servers that containers reach; PostgreSQL by the socket in its folder."""
    with victims(network.gateway) as started:
        yield started


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deploy")
