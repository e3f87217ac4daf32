"""What holds for all tests."""

import gc
import os
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import settings

from tests import cpu, scheduling
from tests.servers.host import Host

# a shared machine may pause anybody for longer than any deadline; where a change is decided on, the
# same examples are tried each time, elsewhere always others
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# what is imported and collected lives to the end: looking for garbage in it again and again costs
# each worker a second
gc.disable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cpu", action="store_true", help="print what the tests cost: see tests/cpu.py"
    )


def pytest_configure(config: pytest.Config) -> None:
    """The process that all others come from has what they share."""
    if config.getvalue("cpu"):
        config.pluginmanager.register(cpu.Worker(config))
        if not hasattr(config, "workerinput"):
            config.pluginmanager.register(cpu.Table())
    if not hasattr(config, "workerinput"):
        stack = ExitStack()
        stack.enter_context(Host())
        config.add_cleanup(stack.close)


@pytest.fixture(scope="session", autouse=True)
def _quick_catalogs() -> None:
    from tests import migrated

    migrated.install()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    gc.enable()
    gc.freeze()
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw0":
        scheduling.write_units(session.items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    return scheduling.workers(os.cpu_count() or 2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For plain `-n`; `--dist` chooses another one."""
    return scheduling.Longest(config, log) if config.getvalue("dist") == "load" else None
